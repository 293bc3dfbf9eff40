//! The bounded table of open connections.
//!
//! A new connection that finds the table full replaces one that keeps the server waiting, so that
//! idle connections, half requests and clients that do not read their responses cannot lock out a
//! probe.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::system::monitor::Monitor;

/// Maximum wait for a slot: covers threads that are about to end and responses in progress.
const SLOT_WAIT: Duration = Duration::from_millis(250);

/// Interval at which a new connection checks again whether another one can be closed, because
/// nothing signals the end of a slow reader's grace.
const RECHECK_INTERVAL: Duration = Duration::from_millis(25);

/// Table of the open connections.
#[derive(Debug, Default)]
pub(super) struct Slots(Monitor<Table>);

#[derive(Debug, Default)]
struct Table {
    last_key: u64,
    entries: HashMap<u64, OpenConnection>,
    /// A new connection waits for a slot.
    wanted: bool,
}

#[derive(Debug)]
struct OpenConnection {
    stream: Arc<TcpStream>,
    peer: IpAddr,
    /// Time from which a new connection may replace this one; `None` while a handler works for it.
    replaceable_from: Option<Instant>,
    /// The connection was closed to make room, and its thread is about to end.
    closing: bool,
}

impl Slots {
    /// Returns a slot for a new connection, or `None` if `limit` connections are in use and none of
    /// them can be closed.
    pub(super) fn acquire(
        self: &Arc<Self>,
        stream: &Arc<TcpStream>,
        peer: IpAddr,
        limit: usize,
    ) -> Option<Slot> {
        self.make_room(limit)?;
        let full = |table: &mut Table| table.entries.len() >= limit + closing_limit(limit);
        let mut table = self.0.wait_while_for(SLOT_WAIT, full);
        if full(&mut table) {
            return None;
        }
        table.last_key += 1;
        let key = table.last_key;
        let entry = OpenConnection {
            stream: Arc::clone(stream),
            peer,
            replaceable_from: Some(Instant::now()),
            closing: false,
        };
        table.entries.insert(key, entry);
        Some(Slot {
            slots: Arc::clone(self),
            key,
        })
    }

    /// Waits until fewer than `limit` connections are in use, closing one if possible; `None` if that
    /// takes longer than [`SLOT_WAIT`]. Only the accepting thread adds connections.
    fn make_room(&self, limit: usize) -> Option<()> {
        let deadline = Instant::now() + SLOT_WAIT;
        let mut table = self.0.lock();
        while table.in_use() >= limit && !table.close_waiting() {
            let left = deadline.saturating_duration_since(Instant::now());
            table.wanted = !left.is_zero();
            if left.is_zero() {
                return None;
            }
            table = self.0.wait(table, Some(left.min(RECHECK_INTERVAL)));
        }
        table.wanted = false;
        Some(())
    }

    /// Closes all connections: idle ones immediately, others when they have sent their response or
    /// after `grace`.
    pub(super) fn close_all(&self, grace: Duration) {
        self.0.lock().shut_down(Shutdown::Read);
        self.0
            .wait_while_for(grace, |table| !table.entries.is_empty())
            .shut_down(Shutdown::Both);
    }
}

impl Table {
    fn in_use(&self) -> usize {
        let entries = self.entries.values();
        entries.filter(|entry| !entry.closing).count()
    }

    /// Closes a connection that keeps the server waiting; returns whether there was one.
    fn close_waiting(&mut self) -> bool {
        let now = Instant::now();
        let mut by_peer: HashMap<IpAddr, usize> = HashMap::new();
        for entry in self.entries.values() {
            *by_peer.entry(entry.peer).or_default() += 1;
        }
        let entries = self.entries.values_mut();
        let mut waiting: Vec<&mut OpenConnection> =
            entries.filter(|e| e.is_replaceable(now)).collect();
        waiting.sort_by_key(|entry| (Reverse(by_peer[&entry.peer]), entry.replaceable_from));
        // A connection with unread input does not keep the server waiting: its thread is late.
        let mut waiting = waiting.into_iter();
        let Some(entry) = waiting.find(|entry| !has_input(&entry.stream)) else {
            return false;
        };
        // Wakes the connection's thread from reading and writing.
        let _ = entry.stream.shutdown(Shutdown::Both);
        entry.closing = true;
        true
    }

    fn shut_down(&self, how: Shutdown) {
        for entry in self.entries.values() {
            let _ = entry.stream.shutdown(how);
        }
    }
}

impl OpenConnection {
    fn is_replaceable(&self, now: Instant) -> bool {
        !self.closing && self.replaceable_from.is_some_and(|from| from <= now)
    }
}

/// Returns how many connections may be closing, in addition to `limit` in use.
fn closing_limit(limit: usize) -> usize {
    (limit / 4).max(1)
}

/// Returns whether a read would not block, also because of the end of the stream.
fn has_input(stream: &TcpStream) -> bool {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Slot of one connection in the table; dropping it frees the slot.
pub(super) struct Slot {
    slots: Arc<Slots>,
    key: u64,
}

impl Slot {
    /// Notes that a handler works for the connection, which protects it from being closed.
    pub(super) fn set_busy(&self) {
        self.update(|entry| entry.replaceable_from = None);
    }

    /// Notes that the connection keeps the server waiting: a new one may replace it after `grace`.
    pub(super) fn set_waiting(&self, grace: Duration) {
        self.update(|entry| entry.replaceable_from = Some(Instant::now() + grace));
    }

    /// Notes the end of a request; returns whether the connection may serve another one. It may not
    /// if a new connection waits for a slot.
    pub(super) fn may_continue(&self) -> bool {
        self.slots.0.change(|table| {
            let wanted = std::mem::take(&mut table.wanted);
            if let Some(entry) = table.entries.get_mut(&self.key) {
                entry.replaceable_from = Some(Instant::now());
                entry.closing |= wanted;
            }
            !wanted
        })
    }

    fn update(&self, change: impl FnOnce(&mut OpenConnection)) {
        let mut table = self.slots.0.lock();
        if let Some(entry) = table.entries.get_mut(&self.key) {
            change(entry);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.0.change(|table| table.entries.remove(&self.key));
    }
}
