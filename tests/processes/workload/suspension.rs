//! Programs that are suspended, by the terminal or by a signal: the elector says so.

use nix::pty::openpty;
use nix::sys::signal::Signal;

use crate::support::process::Elector;
use crate::support::process::terms::LogLine;
use crate::workload::scene::{Scene, WORKS, send};

/// Waits until the suspension is logged, and checks its signal.
#[track_caller]
fn await_suspended(elector: &Elector, signal: &str) -> LogLine {
    elector.await_logged("program_suspended");
    let line = elector.last_logged("program_suspended");
    assert_eq!((line.level(), line.text("signal")), ("warn", signal));
    line
}

#[test]
fn suspension_and_continuation_are_logged() {
    let scene = Scene::new();
    let mut elector = scene.spawn(scene.with_script("first", WORKS));
    let program = scene.await_noted("works").pid;
    send(program, Signal::SIGSTOP);
    await_suspended(&elector, "SIGSTOP");
    assert!(!elector.has_logged("program_continued"));
    // The elector passes it on.
    elector.signal(Signal::SIGCONT);
    elector.await_logged("program_continued");
    elector.signal(Signal::SIGTSTP);
    elector.await_text_times("program_suspended", 2);
    await_suspended(&elector, "SIGTSTP");
    elector.leave();
    assert_eq!(scene.count("termed"), 1);
}

#[test]
fn use_of_terminal_is_logged() {
    for (script, signal) in [
        ("printf 'password: ' >/dev/tty; read x </dev/tty", "SIGTTIN"),
        ("stty sane </dev/tty", "SIGTTOU"),
        ("exec stty -F /dev/tty sane", "SIGTTOU"),
    ] {
        let scene = Scene::new();
        let terminal = openpty(None, None).unwrap();
        // The elector leads a session, and the terminal belongs to its process group.
        let start = scene
            .with_script("first", script)
            .under(&["setsid", "--ctty"]);
        let mut elector = scene.spawn(start.reading(terminal.slave));
        let line = await_suspended(&elector, signal);
        assert!(line.message().contains("terminal"), "{}", line.message());
        elector.leave();
        assert_eq!(scene.holder(), "");
    }
}
