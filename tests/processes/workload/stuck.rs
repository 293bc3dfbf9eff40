//! A process of the workload that cannot be killed: the elector stops waiting for it.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::process::Elector;
use crate::support::{eventually, for_each};
use crate::workload::scene::{Scene, guard_of, is_running, send};

/// Runs an elector that may not kill processes of other users.
const WITHOUT_CAP_KILL: &[&str] = &["setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill"];

/// A program that leaves a child of another user behind.
const FOREIGN_CHILD: &str = r#"
    setpriv --reuid 65534 --regid 65534 --clear-groups sleep 1000 >/dev/null 2>&1 &
    until [ "$(stat -c %u /proc/$!)" = 65534 ]; do sleep 0.05; done
    echo "$LEADER_ELECTION_FENCING_TOKEN child $!" >>"$JOURNAL"
"#;

/// Begins the end of a workload.
type End = fn(&Elector);

fn is_permitted() -> bool {
    let [launcher, options @ ..] = WITHOUT_CAP_KILL else {
        return false;
    };
    let mut setpriv = Command::new(launcher);
    let setpriv = setpriv.args(options).args(["setpriv", "--reuid", "65534"]);
    let permitted = setpriv
        .args(["--regid", "65534", "--clear-groups", "true"])
        .status();
    permitted.is_ok_and(|status| status.success())
}

#[test]
fn unkillable_process_releases_lease_and_exits() {
    if !is_permitted() {
        eprintln!("NOT TESTED: a process of another user takes root");
        return;
    }
    let ends: [(&str, End); 3] = [
        ("note began; while :; do idle; done", |elector| {
            send(guard_of(elector.pid()), Signal::SIGKILL);
        }),
        ("note began; exit 3", |_| ()),
        ("note began; while :; do idle; done", |elector| {
            elector.signal(Signal::SIGTERM);
        }),
    ];
    for_each(&ends, |(script, end)| {
        let scene = Scene::new();
        let start = scene.with_script("first", &format!("{FOREIGN_CHILD}{script}"));
        // With this lease, the time that the elector grants a stop suffices for all attempts to kill.
        let start = start.with_all([
            ("LEASE_DURATION", "60s"),
            ("TERMINATION_GRACE", "7s"),
            ("STOP_TIMEOUT", "1s"),
        ]);
        let mut elector = scene.spawn(start.under(WITHOUT_CAP_KILL));
        let child = scene.await_noted("child").pid;
        scene.await_noted("began");
        end(&elector);
        let code = elector.await_exit();
        let survived = is_running(child);
        send(child, Signal::SIGKILL);
        eventually("the child is killed", || !is_running(child));
        assert_eq!(code, Some(1), "{}", elector.text());
        assert!(survived, "not tested");
        assert_eq!(scene.holder(), "", "{}", elector.text());
        let errors = elector
            .lines()
            .iter()
            .filter(|line| line.contains(r#""level":"error""#))
            .count();
        assert_eq!(
            errors,
            elector.count_logged("workload_stuck") + usize::from(elector.has_logged("guard_lost"))
        );
        assert_eq!(
            elector.count_logged("workload_stuck"),
            1,
            "{}",
            elector.text()
        );
        assert!(
            elector.has_text(&format!("processes {child} survived")),
            "{}",
            elector.text()
        );
    });
}
