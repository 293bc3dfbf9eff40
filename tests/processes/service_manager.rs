//! Notifications to the service manager: a socket of the test takes the place of systemd's.

use std::fs;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::sys::signal::Signal;

use crate::support::eventually;
use crate::support::process::Fixture;

/// A service manager, and all lines that it got.
struct Manager {
    socket: UnixDatagram,
    lines: Vec<String>,
}

impl Manager {
    fn new(socket: UnixDatagram) -> Manager {
        socket.set_nonblocking(true).unwrap();
        Manager {
            socket,
            lines: Vec::new(),
        }
    }

    /// Returns all lines until now. Every datagram must consist of whole lines.
    fn lines(&mut self) -> &[String] {
        let mut message = [0; 4096];
        loop {
            match self.socket.recv(&mut message) {
                Ok(length) => {
                    let text = std::str::from_utf8(&message[..length]).unwrap();
                    assert!(text.ends_with('\n'), "{text}");
                    self.lines.extend(text.lines().map(str::to_owned));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return &self.lines,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn count(&mut self, line: &str) -> usize {
        self.lines().iter().filter(|found| *found == line).count()
    }

    fn await_line(&mut self, line: &str) {
        eventually(line, || self.count(line) > 0);
    }
}

#[test]
fn manager_learns_readiness_status_and_end() {
    let (fixture, folder) = (Fixture::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("notify");
    let mut manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    let mut leader = fixture.spawn(fixture.elector("first").with("NOTIFY_SOCKET", &path));
    let token = leader.await_leading();
    manager.await_line(&format!("STATUS=leads with fencing token {token}"));
    assert_eq!(manager.count("READY=1"), 1);
    assert_eq!(manager.count("STOPPING=1"), 0);

    let other = folder.path().join("other");
    let mut others = Manager::new(UnixDatagram::bind(&other).unwrap());
    // A standby that is not ready for probes takes part all the same.
    let second = fixture.elector("second").with("NOTIFY_SOCKET", &other);
    let _second = fixture.spawn(second.with("READY_WHEN", "leader"));
    others.await_line("STATUS=standby, first leads");
    assert_eq!(others.count("READY=1"), 1);

    leader.signal(Signal::SIGTERM);
    leader.await_exit();
    assert_eq!(manager.count("STOPPING=1"), 1);
    assert_eq!(
        manager.lines().last().unwrap(),
        "STATUS=has left the election"
    );
    assert_eq!(manager.count("READY=1"), 1);
    assert_eq!(manager.count("WATCHDOG=1"), 0, "no watchdog asked for");
    eventually("the next one leads", || {
        others
            .lines()
            .iter()
            .any(|line| line.starts_with("STATUS=leads with fencing token "))
    });
}

#[test]
fn candidate_without_answer_is_not_ready() {
    let (fixture, folder) = (Fixture::new(), tempfile::tempdir().unwrap());
    fixture.set_faults(r#"{"outage":true}"#);
    let path = folder.path().join("notify");
    let mut manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    let start = fixture.elector("first").with("LEASE_DURATION", "1h");
    let elector = fixture.spawn(start.with("NOTIFY_SOCKET", &path));
    manager.await_line("STATUS=standby, leader unknown, store does not answer");
    assert_eq!(manager.count("READY=1"), 0);
    fixture.set_faults("{}");
    manager.await_line("READY=1");
    drop(elector);
}

#[test]
fn watchdog_is_reset_on_abstract_socket() {
    let fixture = Fixture::new();
    let name = format!("elector-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let mut manager = Manager::new(UnixDatagram::bind_addr(&address).unwrap());
    let start = fixture
        .elector("first")
        .with("NOTIFY_SOCKET", format!("@{name}"));
    let elector = fixture.spawn(start.with("WATCHDOG_USEC", "300000"));
    manager.await_line("READY=1");
    eventually("the watchdog is reset", || manager.count("WATCHDOG=1") > 3);
    drop(elector);
    // A watchdog of another process is not for this one.
    let start = fixture
        .elector("second")
        .with("NOTIFY_SOCKET", format!("@{name}"));
    let start = start
        .with("WATCHDOG_USEC", "300000")
        .with("WATCHDOG_PID", "1");
    let before = manager.count("WATCHDOG=1");
    let elector = fixture.spawn(start);
    eventually("it is ready", || manager.count("READY=1") > 1);
    elector.await_leading();
    assert_eq!(manager.count("WATCHDOG=1"), before);
}

#[test]
fn wrapped_program_cannot_notify() {
    let (fixture, folder) = (Fixture::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("notify");
    let _manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    let out = folder.path().join("environment");
    let start = fixture.elector("first").with("NOTIFY_SOCKET", &path);
    let start = start
        .with("WATCHDOG_USEC", "60000000")
        .with("WATCHDOG_PID", "1");
    let start = start.with("OUT", &out);
    let script = "env >\"$OUT\".new; mv \"$OUT\".new \"$OUT\"; exec sleep 60";
    let elector = fixture.spawn(start.running(&["sh", "-c", script]));
    eventually("the program has started", || out.exists());
    let environment = fs::read_to_string(&out).unwrap();
    assert!(environment.contains("OUT="), "{environment}");
    for name in ["NOTIFY_SOCKET", "WATCHDOG_"] {
        assert!(!environment.contains(name), "{environment}");
    }
    drop(elector);
}

#[test]
fn missing_manager_does_not_disturb() {
    let fixture = Fixture::new();
    let start = fixture
        .elector("first")
        .with("NOTIFY_SOCKET", "/nowhere/notify");
    let elector = fixture.spawn(start);
    elector.await_leading();
    elector.await_logged("notify_failed");
    assert_eq!(elector.count_logged("notify_failed"), 1);
}
