//! Number and time of the SIGTERMs that each process of a workload gets.

use std::fs;
use std::time::Duration;

use elector::system::clock::BootClock;
use elector::workload::message::ToGuard;
use nix::sys::signal::Signal;

use crate::support::eventually;
use crate::trial::{LONG, SHORT_GRACE, Setup, Trial, from_now, never_until};

/// Records each TERM under the name `$0`. `wait` runs a trap immediately, so that two TERMs a millisecond
/// apart are two records.
const COUNTS: &str = r#"
    trap 'echo $0 >> output' TERM
    (trap '' TERM; exec sleep 1000) &
    echo $0 >> ready
    while :; do wait; done"#;

/// A program with every kind of descendant. At the first TERM it starts another one, and it exits when there is
/// a file `end`.
const FAMILY: &str = r#"
    sh -c "$COUNTS" child &
    sh -c 'sh -c "$COUNTS" grandchild & eval "$COUNTS"' parent &
    set -m; sh -c "$COUNTS" job & set +m
    setsid sh -c "$COUNTS" session &
    sh -c 'setsid sh -c "$COUNTS" orphan & exit'
    trap 'echo program >> output; sh -c "$COUNTS" late &' TERM
    (trap '' TERM; exec sleep 1000) &
    echo program >> ready
    while [ ! -e end ]; do sleep 0.01 & wait $!; done"#;

/// Descendants that run before the program gets TERM.
const DESCENDANTS: [&str; 6] = ["child", "grandchild", "job", "orphan", "parent", "session"];

/// Time in which a second TERM would be recorded.
const QUIET: Duration = Duration::from_millis(300);

/// Returns a script that may start processes that count.
fn counting(script: &str) -> Setup {
    let mut setup = Setup::sh(script);
    let counts = ("COUNTS".into(), Some(COUNTS.into()));
    setup.environment.push(counts);
    setup
}

/// Starts the family, whose program begins with `begin`.
fn family(begin: &str) -> Trial {
    let trial = counting(&format!("{begin}{FAMILY}")).run();
    await_lines(&trial, "ready", DESCENDANTS.len() + 1);
    trial
}

fn lines(trial: &Trial, file: &str) -> Vec<String> {
    let mut lines: Vec<String> = trial.folder.read(file).lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[track_caller]
fn await_lines(trial: &Trial, file: &str, count: usize) {
    eventually(&format!("{count} lines in {file}"), || {
        lines(trial, file).len() >= count
    });
}

/// Waits until these processes have got TERM, each once, and asserts that no other one gets it.
#[track_caller]
fn assert_terminated(trial: &Trial, names: &[&str]) {
    await_lines(trial, "output", names.len());
    never_until(from_now(QUIET), "another TERM", || {
        lines(trial, "output").len() > names.len()
    });
    let mut names = names.to_vec();
    names.sort_unstable();
    assert_eq!(lines(trial, "output"), names);
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&DESCENDANTS, more].concat()
}

/// Messages that may follow the start of an end, in any order.
fn repeat_end(trial: &mut Trial) {
    trial.send(ToGuard::ValidUntil(BootClock::now()));
    for kill_at in [LONG, LONG / 2] {
        let kill_at = from_now(kill_at);
        trial.send(ToGuard::Terminate { kill_at });
    }
    trial.stop(Signal::SIGTERM, from_now(LONG / 3));
    trial.stop(Signal::SIGINT, from_now(LONG / 4));
    trial.disconnect();
}

/// Ways in which a lease is lost: the guard's timer, a message of the elector, and the elector's end.
const LOSSES: [fn(&mut Trial); 3] = [
    |trial| trial.send(ToGuard::ValidUntil(BootClock::now())),
    |trial| {
        let kill_at = from_now(LONG);
        trial.send(ToGuard::Terminate { kill_at });
    },
    |trial| trial.disconnect(),
];

#[test]
fn graceful_stop_signals_program_alone() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut trial = family("trap 'echo program >> output; sh -c \"$COUNTS\" late &' INT");
        trial.stop(signal, from_now(LONG));
        await_lines(&trial, "ready", DESCENDANTS.len() + 2);
        trial.stop(signal, from_now(LONG / 2));
        assert_terminated(&trial, &["program"]);
        // Once it has exited, what it leaves behind gets TERM.
        fs::write(trial.folder.file("end"), "").unwrap();
        assert_eq!(trial.await_exit(), 0);
        repeat_end(&mut trial);
        assert_terminated(&trial, &with(&["late", "program"]));
        trial.clear();
    }
}

#[test]
fn lost_lease_terminates_every_process_once() {
    for lose in LOSSES {
        let mut trial = family("");
        lose(&mut trial);
        // Cleanup processes of the program get none.
        await_lines(&trial, "ready", DESCENDANTS.len() + 2);
        if trial.is_connected() {
            repeat_end(&mut trial);
        }
        assert_terminated(&trial, &with(&["program"]));
        fs::write(trial.folder.file("end"), "").unwrap();
        assert_eq!(trial.await_exit(), 0);
        assert_terminated(&trial, &with(&["program"]));
        trial.clear();
    }
}

#[test]
fn lease_lost_during_stop_terminates_rest() {
    for lose in LOSSES {
        let mut trial = family("");
        trial.stop(Signal::SIGTERM, from_now(LONG));
        await_lines(&trial, "ready", DESCENDANTS.len() + 2);
        lose(&mut trial);
        if trial.is_connected() {
            repeat_end(&mut trial);
        }
        assert_terminated(&trial, &with(&["late", "program"]));
        trial.clear();
    }
}

#[test]
fn program_below_shell_gets_term_once() {
    let ends: [fn(&mut Trial); 2] = [
        |trial| trial.stop(Signal::SIGTERM, from_now(LONG)),
        LOSSES[1],
    ];
    for end in ends {
        let mut trial = counting("sh -c \"$COUNTS\" program; echo more >> output").run();
        await_lines(&trial, "ready", 1);
        end(&mut trial);
        assert_eq!(trial.await_exit(), 143);
        assert_terminated(&trial, &["program"]);
        trial.clear();
    }
}

#[test]
fn leftovers_of_shell_keep_stop_timeout() {
    let finishes = "trap 'sleep 1; echo finished >> output; exit' TERM; echo > ready
                    while :; do sleep 0.01; done";
    let mut setup = Setup::sh("sh -c \"$FINISHES\"; :").grace(SHORT_GRACE);
    let finishes = ("FINISHES".into(), Some(finishes.into()));
    setup.environment.push(finishes);
    let mut trial = setup.run();
    trial.await_text("ready", "\n");
    trial.stop(Signal::SIGTERM, from_now(LONG));
    assert_eq!(trial.await_end(), 143);
    assert_eq!(trial.folder.read("output"), "finished\n");
}

#[test]
fn job_of_stopped_script_finishes() {
    // Its own child, and one in a separate session.
    for job in ["sh -c \"$JOB\"", "setsid -w sh -c \"$JOB\""] {
        let script = format!(
            "trap 'stop=1' TERM
             while [ -z \"$stop\" ]; do {job}; echo \"job $?\" >> output; done"
        );
        let mut setup = Setup::sh(&script);
        let job = "echo > ready; until [ -e end ]; do sleep 0.01; done";
        setup.environment.push(("JOB".into(), Some(job.into())));
        let mut trial = setup.run();
        trial.await_text("ready", "\n");
        trial.stop(Signal::SIGTERM, from_now(LONG));
        never_until(from_now(QUIET), "the job is killed", || {
            !trial.folder.read("output").is_empty()
        });
        fs::write(trial.folder.file("end"), "").unwrap();
        assert_eq!(trial.await_end(), 0);
        assert_eq!(trial.folder.read("output"), "job 0\n");
    }
}
