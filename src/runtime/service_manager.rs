//! Notifications to the service manager, such as systemd, by the protocol of sd_notify(3).
//!
//! ```text
//!   snapshot, twice a second ──▶ "notify" thread ──READY, STATUS, STOPPING, WATCHDOG──▶ NOTIFY_SOCKET
//! ```
//!
//! A slow manager delays only the thread. There is no crate for this because the small one, sd-notify, knows
//! no abstract sockets.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;
use std::{env, process, thread};

use crate::election::time::Instant;
use crate::observe::Snapshot;
use crate::observe::routes::StatusSource;
use crate::system::clock::BootClock;
use crate::system::monitor::Monitor;

const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_PERIOD: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// Variables of the protocol. They are for this process, not for the wrapped program.
pub(super) const VARIABLES: [&str; 3] = [SOCKET, WATCHDOG_PERIOD, WATCHDOG_PID];

/// Interval between two snapshots.
const INTERVAL: Duration = Duration::from_millis(500);

/// Longest wait for the last notification when the process ends.
const LAST_NOTIFICATION: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct State {
    /// Whether the election has ended.
    ended: bool,
    /// Whether the thread has ended.
    done: bool,
}

/// The notifications of a process; dropping this sends the last one.
#[derive(Debug)]
pub struct Notifications(Arc<Monitor<State>>);

impl Notifications {
    /// Starts the thread that notifies the service manager, if the environment names one.
    ///
    /// # Errors
    /// If the name of the socket is unusable, or the system has no thread left.
    pub fn start(source: Arc<dyn StatusSource>) -> io::Result<Option<Self>> {
        let Some(name) = env::var_os(SOCKET).filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let invalid = |error| {
            let why = format!("{SOCKET}: {error}; unset it, or name a socket as systemd does");
            io::Error::new(io::ErrorKind::InvalidInput, why)
        };
        let mut notifier = Notifier {
            socket: UnixDatagram::unbound()?,
            manager: address(&name).map_err(invalid)?,
            watchdog: watchdog(),
            sent: Sent::default(),
            failed: false,
        };
        notifier.socket.set_nonblocking(true)?;
        let state = Arc::new(Monitor::default());
        let shared = Arc::clone(&state);
        thread::Builder::new()
            .name("notify".into())
            .spawn(move || notifier.run(&*source, &shared))?;
        Ok(Some(Notifications(state)))
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        self.0.change(|state| state.ended = true);
        drop(
            self.0
                .wait_while_for(LAST_NOTIFICATION, |state| !state.done),
        );
    }
}

/// Returns the address of a socket: a path, or `@` and an abstract name.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(name),
    }
}

/// Returns the interval at which the manager's watchdog is reset: a third of its period.
fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    if env::var_os(WATCHDOG_PID).is_some() && number(WATCHDOG_PID) != Some(process::id().into()) {
        return None;
    }
    let period = number(WATCHDOG_PERIOD).filter(|period| *period > 0)?;
    Some(Duration::from_micros(period) / 3)
}

/// What the manager knows.
#[derive(Clone, Debug, Default)]
struct Sent {
    ready: bool,
    stopping: bool,
    status: String,
    /// Time of the last reset of its watchdog.
    alive: Option<Instant>,
}

/// The thread that notifies.
struct Notifier {
    socket: UnixDatagram,
    manager: SocketAddr,
    watchdog: Option<Duration>,
    sent: Sent,
    failed: bool,
}

impl Notifier {
    fn run(&mut self, source: &dyn StatusSource, shared: &Monitor<State>) {
        let interval = self
            .watchdog
            .map_or(INTERVAL, |period| period.min(INTERVAL));
        loop {
            let ended = shared.lock().ended;
            self.notify(&source.snapshot(), ended);
            if ended {
                return shared.change(|state| state.done = true);
            }
            drop(shared.wait_while_for(interval, |state| !state.ended));
        }
    }

    /// Sends everything that is new.
    fn notify(&mut self, snapshot: &Snapshot, ended: bool) {
        let (message, sent) = news(&self.sent, snapshot, ended, self.watchdog);
        if message.is_empty() {
            return;
        }
        match self.socket.send_to_addr(message.as_bytes(), &self.manager) {
            Ok(_) => {
                self.sent = sent;
                self.failed = false;
            }
            Err(error) if !self.failed => {
                self.failed = true;
                log::warn!(
                    event = "notify_failed", error:%;
                    "cannot notify the service manager at NOTIFY_SOCKET, retrying"
                );
            }
            Err(_) => {}
        }
    }
}

/// Returns what to send, and what the manager knows afterwards.
fn news(
    before: &Sent,
    snapshot: &Snapshot,
    ended: bool,
    watchdog: Option<Duration>,
) -> (String, Sent) {
    let (mut message, mut sent) = (String::new(), before.clone());
    if !sent.ready && snapshot.check_takes_part().is_ok() {
        sent.ready = true;
        message.push_str("READY=1\n");
    }
    if !sent.stopping && (ended || snapshot.is_leaving()) {
        sent.stopping = true;
        message.push_str("STOPPING=1\n");
    }
    let status = snapshot.status_line();
    if sent.status != status {
        message.push_str(&format!("STATUS={status}\n"));
        sent.status = status;
    }
    let is_due = |period| sent.alive.is_none_or(|alive| snapshot.ago(alive) >= period);
    if watchdog.is_some_and(is_due) && snapshot.check_health().is_ok() {
        sent.alive = Some(BootClock::now());
        message.push_str("WATCHDOG=1\n");
    }
    (message, sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_paths_or_abstract() {
        let path = address(OsStr::new("/run/systemd/notify")).unwrap();
        assert_eq!(
            path.as_pathname().unwrap().to_str(),
            Some("/run/systemd/notify")
        );
        let hidden = address(OsStr::new("@systemd/notify")).unwrap();
        assert_eq!(hidden.as_abstract_name(), Some(&b"systemd/notify"[..]));
        assert!(address(OsStr::new(&"x".repeat(200))).is_err());
    }
}
