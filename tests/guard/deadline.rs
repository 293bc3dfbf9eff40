//! The time until when a workload may run: it ends then, whatever the elector and the workload do.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use elector::election::time::Instant;
use elector::system::clock::BootClock;
use elector::workload::message::ToGuard;
use nix::sys::signal::Signal;

use crate::trial::{Folder, LONG, SHORT_GRACE, Setup, Trial, in_time, never_until};

/// Long enough for a shell to get ready, short enough to wait for.
const SOON: Duration = Duration::from_secs(1);

const DEAF: &str = "trap '' TERM; echo > ready; while :; do sleep 0.01; done";

const POLITE: &str =
    "trap 'echo asked > said; exit 3' TERM; echo > ready; while :; do sleep 0.01; done";

const KILLED: i32 = 137;

#[test]
fn a_workload_ends_at_its_time_without_a_word_of_the_elector() {
    let mut trial = Setup::sh(POLITE).spawn();
    let until = trial.begin(SOON);
    assert_eq!(trial.await_exit(), 3);
    assert!(BootClock::now() >= until);
    assert_eq!(trial.await_gone(), Some(3));
    assert_eq!(trial.folder.read("said"), "asked\n");
}

#[test]
fn a_workload_that_ignores_term_is_killed_after_the_grace() {
    let mut trial = Setup::sh(DEAF).grace(SHORT_GRACE).spawn();
    let until = trial.begin(SOON);
    assert_eq!(trial.await_exit(), KILLED);
    assert!(BootClock::now() >= until + SHORT_GRACE);
    assert_eq!(trial.await_gone(), Some(KILLED));
}

#[test]
fn an_extension_keeps_it_running_and_a_shorter_time_ends_it() {
    let mut trial = Setup::sh(POLITE).spawn();
    let first = trial.begin(SOON);
    trial.send(ToGuard::ValidUntil(in_time(LONG)));
    trial.await_text("ready", "\n");
    never_until(first + SOON / 2, "it was asked to end", || {
        !trial.folder.read("said").is_empty()
    });
    trial.send(ToGuard::ValidUntil(BootClock::now()));
    assert_eq!(trial.await_end(), 3);
}

#[test]
fn a_workload_whose_time_is_over_already_is_never_started() {
    for until in [Instant::BOOT, BootClock::now()] {
        let mut trial = Setup::sh("echo > ran").spawn();
        trial.send(ToGuard::ValidUntil(until));
        assert_eq!(trial.await_gone(), None);
        assert!(!trial.folder.file("ran").exists());
    }
}

#[test]
fn without_a_first_time_nothing_is_started() {
    let ends: [fn(&mut Trial); 3] = [
        |trial| trial.stop(Signal::SIGTERM, in_time(LONG)),
        |trial| trial.send(ToGuard::Kill),
        |trial| trial.disconnect(),
    ];
    for end in ends {
        let mut trial = Setup::sh("echo > ran").spawn();
        trial.send(ToGuard::Signal(Signal::SIGHUP as i32));
        end(&mut trial);
        assert_eq!(trial.await_gone(), None);
        assert!(!trial.folder.file("ran").exists());
    }
}

#[test]
fn without_an_elector_a_workload_ends_long_before_its_time() {
    let mut trial = Setup::sh(POLITE).run();
    trial.await_text("ready", "\n");
    trial.disconnect();
    assert_eq!(trial.await_end(), 3);
    assert_eq!(trial.folder.read("said"), "asked\n");
    let mut trial = Setup::sh(DEAF).grace(SHORT_GRACE).run();
    trial.await_text("ready", "\n");
    trial.disconnect();
    assert_eq!(trial.await_end(), KILLED);
}

#[test]
fn an_elector_that_talks_nonsense_counts_as_none() {
    let nonsense = [
        b"stop\n".to_vec(),
        b"x".repeat(600),
        b"valid-until \xff\n".to_vec(),
    ];
    for bytes in nonsense {
        let mut trial = Setup::sh(POLITE).run();
        trial.await_text("ready", "\n");
        let path = format!("/proc/self/fd/{}", trial.control().as_fd().as_raw_fd());
        let mut pipe = File::options().write(true).open(path).unwrap();
        pipe.write_all(&bytes).unwrap();
        assert_eq!(trial.await_end(), 3);
    }
}

#[test]
fn a_polite_stop_has_its_own_signal_and_time() {
    let script = "trap 'exit 6' INT; echo > ready; while :; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    trial.await_text("ready", "\n");
    trial.stop(Signal::SIGINT, in_time(LONG));
    assert_eq!(trial.await_end(), 6);

    let mut trial = Setup::sh(DEAF).run();
    trial.await_text("ready", "\n");
    let kill_at = in_time(SOON);
    trial.stop(Signal::SIGTERM, kill_at);
    trial.send(ToGuard::ValidUntil(in_time(LONG)));
    assert_eq!(trial.await_exit(), KILLED);
    assert!(BootClock::now() >= kill_at);
    assert_eq!(trial.await_gone(), Some(KILLED));
}

#[test]
fn a_polite_stop_ends_with_the_lease() {
    let mut trial = Setup::sh(DEAF).grace(SHORT_GRACE).spawn();
    let until = trial.begin(SOON);
    trial.await_text("ready", "\n");
    trial.stop(Signal::SIGTERM, in_time(LONG));
    assert_eq!(trial.await_end(), KILLED);
    assert!(BootClock::now() >= until + SHORT_GRACE);
}

#[test]
fn kill_is_at_once() {
    let mut trial = Setup::sh(DEAF).run();
    trial.send(ToGuard::Kill);
    assert_eq!(trial.await_end(), KILLED);
}

#[test]
fn a_stopped_workload_is_continued_so_that_it_can_end() {
    let script = "trap 'exit 3' TERM; echo > ready; kill -STOP $$; while :; do sleep 0.01; done";
    for end in 0..3 {
        let mut trial = Setup::sh(script).spawn();
        trial.begin(if end == 0 { SOON } else { LONG });
        trial.await_text("ready", "\n");
        match end {
            1 => trial.stop(Signal::SIGTERM, in_time(LONG)),
            2 => trial.disconnect(),
            _ => {}
        }
        assert_eq!(trial.await_end(), 3);
    }
}

#[test]
fn a_stopped_workload_that_ignores_term_is_killed() {
    // It stops itself again, whenever it is continued.
    let script = "trap '' TERM; echo > ready; while :; do kill -STOP $$; done";
    let mut trial = Setup::sh(script).grace(SHORT_GRACE).run();
    trial.await_text("ready", "\n");
    trial.disconnect();
    assert_eq!(trial.await_end(), KILLED);
}

#[test]
fn the_guard_needs_neither_output_nor_a_reader() {
    // Closed, a full disk, and a pipe that is full and that nobody reads from.
    for outputs in [
        "exec \"$@\" >&- 2>&-",
        "exec \"$@\" >/dev/full 2>&1",
        "mkfifo \"$DIR/pipe\"; exec 9<>\"$DIR/pipe\"; head -c 65536 /dev/zero >&9
         exec \"$@\" >&9 2>&9 9>&-",
    ] {
        let folder = Folder::new();
        // A shell would say something itself, and wait for a reader.
        let setup = Setup::sh("echo > ready; exec sleep 1000").through(&folder, outputs);
        let mut trial = setup.spawn_in(folder);
        trial.begin(LONG);
        trial.await_text("ready", "\n");
        trial.disconnect();
        assert_eq!(trial.await_end(), 143);
    }
}
