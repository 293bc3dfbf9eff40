//! The guard's decisions: when the workload starts, when it is told to end, and when it is killed.
//!
//! This file owns the rules and knows no process: inputs and the time go in, [`WatchAction`]s come
//! out, and [`Watch::poll_timeout`] says when it wants to be asked again. Whoever drives it hands in
//! all that it has seen and heard, then the time, and then carries out what is asked for.
//!
//! ```text
//!   waiting ──first until──► starting ──► running ──CMD ends──► leftovers ─┐
//!      │                        └────────────┴──────────┬──────────┘       │
//!      │ already past,                                  │ nothing is left  │
//!      │ stop, kill, end of file                        ▼                  │
//!      └──────────────────────────────────────────────► gone ◄─────────────┘
//! ```
//!
//! While anything runs, these bring its end, each whatever the others do:
//!
//! | what | TERM | KILL |
//! |---|---|---|
//! | `until` is over | to everything | `until` + grace |
//! | the elector is gone | to everything | now + grace |
//! | CMD has ended | to what it left behind | now + grace |
//! | `stop` | its signal, to CMD's group | when it says |
//! | `kill` | | now |
//!
//! The earliest KILL counts, and `until` + grace always counts beside it. A later `until` moves that,
//! also while a `stop` runs its course, as the lease is kept alive meanwhile; but nothing takes an end
//! back that has begun.

use std::collections::VecDeque;
use std::time::Duration;

use super::message::{FromGuard, ToGuard};
use crate::election::time::Instant;

/// How soon it is looked again whether something escaped the last KILL: what was forked in that
/// moment is caught by the next, and processes that died are gone by then.
const FIRST_REPEAT: Duration = Duration::from_millis(5);

/// What still lives after several KILLs hangs in the kernel or is somebody else's. It is looked for
/// as often as this, which costs nothing to speak of.
const LONGEST_REPEAT: Duration = Duration::from_millis(100);

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WatchAction {
    /// Start CMD, if [`Watch::until`] has not passed by then. Say so with
    /// [`Watch::handle_started`], or with [`Watch::handle_exited`] if that was impossible.
    Start,
    /// Send this signal to CMD's process group.
    SignalGroup(i32),
    /// Have what is stopped in CMD's process group continue, so that it acts on the last signal.
    ContinueGroup,
    /// Send TERM to everything below, and have what is stopped continue.
    TermAll,
    /// Kill everything below. Asked for again and again until nothing is left.
    KillAll,
    /// Tell the elector.
    Report(FromGuard),
    /// Nothing is left to be done: end.
    Finish,
}

/// What becomes of CMD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Workload {
    /// There was no `until` yet.
    Waiting,
    /// Asked for. It counts as running: the driver may be in the middle of it.
    Starting,
    Running,
    /// CMD itself has ended, with this code. What it left behind may run.
    Leftovers(i32),
    /// Nothing is left, or there never was anything.
    Gone,
}

/// The guard's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Watch {
    grace: Duration,
    workload: Workload,
    /// The last that the elector said.
    until: Instant,
    /// When everything is killed, as far as that is settled; `until` + grace counts beside it.
    kill_at: Option<Instant>,
    /// TERM has been sent to everything.
    termed: bool,
    /// Once KILL has been sent: when it is sent again, and the pause after that.
    killing: Option<(Instant, Duration)>,
    actions: VecDeque<WatchAction>,
}

impl Watch {
    /// Nothing runs. Between TERM and KILL there is `grace` at the most, when the time is up.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Watch {
            grace,
            workload: Workload::Waiting,
            until: Instant::BOOT,
            kill_at: None,
            termed: false,
            killing: None,
            actions: VecDeque::new(),
        }
    }

    /// Until when CMD may run; boot, before the first word of the elector.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }

    /// The elector says something.
    pub fn handle_message(&mut self, now: Instant, message: ToGuard) {
        match message {
            ToGuard::Until(until) => self.handle_until(now, until),
            ToGuard::Signal(signal) => {
                if self.runs() {
                    self.ask(WatchAction::SignalGroup(signal));
                }
            }
            ToGuard::Stop { signal, kill_at } => self.handle_stop(now, signal, kill_at),
            ToGuard::Kill => self.end_by(now, now),
        }
    }

    /// The elector is gone, or says what cannot be understood: nobody will extend the time.
    pub fn handle_disconnected(&mut self, now: Instant) {
        if self.begin_ending() {
            self.term(now);
            self.end_by(now, now + self.grace);
        }
    }

    /// CMD runs as this process.
    pub fn handle_started(&mut self, pid: i32) {
        if self.workload == Workload::Starting {
            self.workload = Workload::Running;
            self.ask(WatchAction::Report(FromGuard::Started(pid)));
        }
    }

    /// CMD itself has ended, or could not be started. Say this before
    /// [`handle_nothing_left`](Self::handle_nothing_left).
    pub fn handle_exited(&mut self, now: Instant, code: i32) {
        if matches!(self.workload, Workload::Starting | Workload::Running) {
            self.workload = Workload::Leftovers(code);
            let report = match self.kill_at {
                Some(_) => FromGuard::Stopped(code),
                None => FromGuard::Exited(code),
            };
            self.ask(WatchAction::Report(report));
            self.term(now);
            self.end_by(now, now + self.grace);
        }
    }

    /// There is no process below any more. Counts once CMD itself has ended: until then it may be about
    /// to start.
    pub fn handle_nothing_left(&mut self, _now: Instant) {
        if let Workload::Leftovers(code) = self.workload {
            self.finish(Some(code));
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let over = self.until <= now;
        if !self.runs() || over && !self.begin_ending() {
            return;
        }
        if over {
            self.settle_end(self.until + self.grace);
            self.term(now);
        }
        if let Some((again_at, pause)) = self.killing {
            if again_at <= now {
                self.kill(now, (pause * 2).min(LONGEST_REPEAT));
            }
        } else if self.end() <= now {
            self.kill(now, FIRST_REPEAT);
        }
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<WatchAction> {
        self.actions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.runs() {
            return None;
        }
        if let Some((again_at, _)) = self.killing {
            return Some(again_at);
        }
        if self.termed {
            return Some(self.end());
        }
        Some(self.until.min(self.end()))
    }

    /// Whether anything may be running.
    fn runs(&self) -> bool {
        !matches!(self.workload, Workload::Waiting | Workload::Gone)
    }

    /// When everything is killed.
    fn end(&self) -> Instant {
        let limit = self.until + self.grace;
        self.kill_at.map_or(limit, |kill_at| kill_at.min(limit))
    }

    fn handle_until(&mut self, now: Instant, until: Instant) {
        match self.workload {
            Workload::Waiting if until <= now => {
                self.until = until;
                self.finish(None);
            }
            Workload::Waiting => {
                self.until = until;
                self.workload = Workload::Starting;
                self.ask(WatchAction::Start);
            }
            // Also when the time before is over, if nobody has noticed yet: this was said in time.
            // Whether this one is over shows when the time is handed in: there may be a later one.
            _ if self.runs() => self.until = until,
            _ => {}
        }
    }

    fn handle_stop(&mut self, now: Instant, signal: i32, kill_at: Instant) {
        if self.begin_ending() {
            self.ask(WatchAction::SignalGroup(signal));
            self.ask(WatchAction::ContinueGroup);
            self.end_by(now, kill_at);
        }
    }

    /// False when nothing runs that could end; what has not been started never is, from now on.
    fn begin_ending(&mut self) -> bool {
        let unstarted = self.actions.contains(&WatchAction::Start);
        if unstarted || self.workload == Workload::Waiting {
            self.finish(None);
        }
        self.runs()
    }

    /// Everything is killed at `kill_at`, if not earlier.
    fn end_by(&mut self, now: Instant, kill_at: Instant) {
        if self.begin_ending() {
            self.settle_end(kill_at);
            self.handle_timeout(now);
        }
    }

    fn settle_end(&mut self, kill_at: Instant) {
        self.kill_at = Some(self.kill_at.map_or(kill_at, |settled| settled.min(kill_at)));
    }

    fn term(&mut self, now: Instant) {
        // What is killed in this moment needs no TERM.
        if !self.termed && now < self.end() {
            self.ask(WatchAction::TermAll);
        }
        self.termed = true;
    }

    fn kill(&mut self, now: Instant, pause: Duration) {
        self.killing = Some((now + pause, pause));
        self.ask(WatchAction::KillAll);
    }

    fn finish(&mut self, code: Option<i32>) {
        self.workload = Workload::Gone;
        // Of what was to be done to the workload, nothing is left to do.
        self.actions
            .retain(|action| matches!(action, WatchAction::Report(_)));
        self.ask(WatchAction::Report(FromGuard::Gone(code)));
        self.ask(WatchAction::Finish);
    }

    fn ask(&mut self, action: WatchAction) {
        self.actions.push_back(action);
    }
}

#[cfg(test)]
mod tests;
