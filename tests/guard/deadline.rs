//! The leadership deadline: the workload ends by then, whatever happens to the elector and the workload.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use elector::election::time::Instant;
use elector::system::clock::BootClock;
use elector::workload::message::ToGuard;
use nix::sys::signal::Signal;

use crate::trial::{Folder, LONG, SHORT_GRACE, Setup, Trial, from_now, never_until};

/// Deadline that lets a shell get ready, and that a test can wait for.
const SOON: Duration = Duration::from_secs(1);

const IGNORES_TERM: &str = "trap '' TERM; echo > ready; while :; do sleep 0.01; done";

const EXITS_ON_TERM: &str =
    "trap 'echo term > output; exit 3' TERM; echo > ready; while :; do sleep 0.01; done";

const KILLED: i32 = 137;

#[test]
fn deadline_ends_workload_without_elector() {
    let mut trial = Setup::sh(EXITS_ON_TERM).spawn();
    let until = trial.begin(SOON);
    assert_eq!(trial.await_exit(), 3);
    assert!(BootClock::now() >= until);
    assert_eq!(trial.await_workload_stopped(), Some(3));
    assert_eq!(trial.folder.read("output"), "term\n");
}

#[test]
fn workload_ignoring_term_is_killed() {
    let mut trial = Setup::sh(IGNORES_TERM).grace(SHORT_GRACE).spawn();
    let until = trial.begin(SOON);
    assert_eq!(trial.await_exit(), KILLED);
    assert!(BootClock::now() >= until + SHORT_GRACE);
    assert_eq!(trial.await_workload_stopped(), Some(KILLED));
}

#[test]
fn deadline_can_be_extended_and_shortened() {
    let mut trial = Setup::sh(EXITS_ON_TERM).spawn();
    let first = trial.begin(SOON);
    trial.send(ToGuard::ValidUntil(from_now(LONG)));
    trial.await_text("ready", "\n");
    never_until(first + SOON / 2, "it got TERM", || {
        !trial.folder.read("output").is_empty()
    });
    trial.send(ToGuard::ValidUntil(BootClock::now()));
    assert_eq!(trial.await_end(), 3);
}

#[test]
fn passed_deadline_starts_nothing() {
    for until in [Instant::BOOT, BootClock::now()] {
        let mut trial = Setup::sh("echo > ran").spawn();
        trial.send(ToGuard::ValidUntil(until));
        assert_eq!(trial.await_workload_stopped(), None);
        assert!(!trial.folder.file("ran").exists());
    }
}

#[test]
fn without_deadline_nothing_is_started() {
    let ends: [fn(&mut Trial); 3] = [
        |trial| trial.stop(Signal::SIGTERM, from_now(LONG)),
        |trial| trial.send(ToGuard::Kill),
        |trial| trial.disconnect(),
    ];
    for end in ends {
        let mut trial = Setup::sh("echo > ran").spawn();
        trial.send(ToGuard::Signal(Signal::SIGHUP as i32));
        end(&mut trial);
        assert_eq!(trial.await_workload_stopped(), None);
        assert!(!trial.folder.file("ran").exists());
    }
}

#[test]
fn disconnect_ends_workload_early() {
    let mut trial = Setup::sh(EXITS_ON_TERM).run();
    trial.await_text("ready", "\n");
    trial.disconnect();
    assert_eq!(trial.await_end(), 3);
    assert_eq!(trial.folder.read("output"), "term\n");
    let mut trial = Setup::sh(IGNORES_TERM).grace(SHORT_GRACE).run();
    trial.await_text("ready", "\n");
    trial.disconnect();
    assert_eq!(trial.await_end(), KILLED);
}

#[test]
fn malformed_message_counts_as_disconnect() {
    let malformed = [
        b"stop\n".to_vec(),
        b"x".repeat(600),
        b"valid-until \xff\n".to_vec(),
    ];
    for bytes in malformed {
        let mut trial = Setup::sh(EXITS_ON_TERM).run();
        trial.await_text("ready", "\n");
        let path = format!("/proc/self/fd/{}", trial.control().as_fd().as_raw_fd());
        let mut pipe = File::options().write(true).open(path).unwrap();
        pipe.write_all(&bytes).unwrap();
        assert_eq!(trial.await_end(), 3);
    }
}

#[test]
fn stop_has_own_signal_and_deadline() {
    let script = "trap 'exit 6' INT; echo > ready; while :; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    trial.await_text("ready", "\n");
    trial.stop(Signal::SIGINT, from_now(LONG));
    assert_eq!(trial.await_end(), 6);

    let mut trial = Setup::sh(IGNORES_TERM).run();
    trial.await_text("ready", "\n");
    let kill_at = from_now(SOON);
    trial.stop(Signal::SIGTERM, kill_at);
    trial.send(ToGuard::ValidUntil(from_now(LONG)));
    assert_eq!(trial.await_exit(), KILLED);
    assert!(BootClock::now() >= kill_at);
    assert_eq!(trial.await_workload_stopped(), Some(KILLED));
}

#[test]
fn stop_ends_at_leadership_deadline() {
    let mut trial = Setup::sh(IGNORES_TERM).grace(SHORT_GRACE).spawn();
    let until = trial.begin(SOON);
    trial.await_text("ready", "\n");
    trial.stop(Signal::SIGTERM, from_now(LONG));
    assert_eq!(trial.await_end(), KILLED);
    assert!(BootClock::now() >= until + SHORT_GRACE);
}

#[test]
fn kill_is_immediate() {
    let mut trial = Setup::sh(IGNORES_TERM).run();
    trial.send(ToGuard::Kill);
    assert_eq!(trial.await_end(), KILLED);
}

#[test]
fn suspended_workload_is_continued_to_end() {
    let script = "trap 'exit 3' TERM; echo > ready; kill -STOP $$; while :; do sleep 0.01; done";
    for end in 0..3 {
        let mut trial = Setup::sh(script).spawn();
        trial.begin(if end == 0 { SOON } else { LONG });
        trial.await_text("ready", "\n");
        match end {
            1 => trial.stop(Signal::SIGTERM, from_now(LONG)),
            2 => trial.disconnect(),
            _ => {}
        }
        assert_eq!(trial.await_end(), 3);
    }
}

#[test]
fn suspended_workload_ignoring_term_is_killed() {
    // It suspends itself again whenever it is continued.
    let script = "trap '' TERM; echo > ready; while :; do kill -STOP $$; done";
    let mut trial = Setup::sh(script).grace(SHORT_GRACE).run();
    trial.await_text("ready", "\n");
    trial.disconnect();
    assert_eq!(trial.await_end(), KILLED);
}

#[test]
fn guard_works_without_standard_error() {
    // Closed descriptors, a full disk, and a full pipe without a reader.
    for outputs in [
        "exec \"$@\" >&- 2>&-",
        "exec \"$@\" >/dev/full 2>&1",
        // No other descriptor, because it could have the number of a pipe to the guard.
        "mkfifo \"$DIR/pipe\"; exec 1<>\"$DIR/pipe\" 2>&1; head -c 65536 /dev/zero
         exec \"$@\"",
    ] {
        let folder = Folder::new();
        // `exec`, because a shell would itself print a message and wait for a reader.
        let setup = Setup::sh("echo > ready; exec sleep 1000").through(&folder, outputs);
        let mut trial = setup.spawn_in(folder);
        trial.begin(LONG);
        trial.await_text("ready", "\n");
        trial.disconnect();
        assert_eq!(trial.await_end(), 143);
    }
}
