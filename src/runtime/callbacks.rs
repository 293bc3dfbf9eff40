//! The callbacks of an election, each on a thread that may block without delaying anything.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::election::action::StopReason;
use crate::election::time::Instant;
use crate::system::monitor::Monitor;

/// How many callbacks may wait for one that does not return, before further ones are left out.
const QUEUE: usize = 64;

/// What a program does when leadership changes: client-go's `LeaderCallbacks`.
///
/// No callback can delay the election. One that does not return holds up the callbacks after it, and
/// in the end they are left out, with a warning.
pub trait LeaderCallbacks: Send + Sync + 'static {
    /// This candidate leads. Called on a thread of its own, which may be used to do the work of the
    /// leader; it must come back soon after [`Term::is_over`], for until then this candidate neither
    /// gives the lease back nor stands again. Coming back earlier does not end the term.
    fn on_started_leading(&self, term: &Term);

    /// This candidate does not lead any more. Called at the end of each term that
    /// [`on_started_leading`](Self::on_started_leading) was called for, also if that has not come
    /// back: a program that must be sure may end itself here.
    fn on_stopped_leading(&self) {}

    /// Another holder of the lease was seen, this candidate included; empty for nobody.
    fn on_new_leader(&self, _identity: &str) {}
}

/// A term of leadership, as [`LeaderCallbacks::on_started_leading`] sees it.
#[derive(Clone, Debug)]
pub struct Term {
    token: u64,
    state: Arc<TermState>,
}

/// How far a term has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody was told of it yet.
    Ahead,
    /// `on_started_leading` is called.
    Begun,
    Over {
        begun: bool,
    },
}

/// How a term is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) reason: StopReason,
    /// When what works in it must be killed at the latest.
    pub(super) kill_at: Instant,
}

/// A term at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    phase: Phase,
    /// Until when it lasts, unless that is extended; also while it is being stopped politely.
    pub(super) until: Instant,
    /// Set once it has ended.
    pub(super) stop: Option<Stop>,
}

/// Told of every change of a term, by the owner of the election: it must not block.
type Waker = Box<dyn Fn() + Send>;

struct TermState {
    view: Monitor<View>,
    waker: Mutex<Option<Waker>>,
}

impl fmt::Debug for TermState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TermState")
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}

impl Term {
    pub(super) fn new(token: u64, until: Instant) -> Self {
        let view = View {
            phase: Phase::Ahead,
            until,
            stop: None,
        };
        Term {
            token,
            state: Arc::new(TermState {
                view: Monitor::new(view),
                waker: Mutex::new(None),
            }),
        }
    }

    /// The fencing token: higher than that of every term before. Hand it to whatever the leader
    /// writes to, and have that refuse lower ones.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Until when this candidate leads, unless the term is extended or ends early.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.lock().until
    }

    /// Whether the term has ended: stop working.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.lock().phase, Phase::Over { .. })
    }

    /// Why the term has ended, once it has.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.lock().stop.map(|stop| stop.reason)
    }

    /// Waits until the term has ended.
    pub fn wait_until_over(&self) {
        let running = |view: &mut View| !matches!(view.phase, Phase::Over { .. });
        drop(self.state.view.wait_while(running));
    }

    /// How it is.
    pub(super) fn view(&self) -> View {
        *self.lock()
    }

    /// Has `waker` called after every change from now on.
    pub(super) fn wake(&self, waker: impl Fn() + Send + 'static) {
        *self.lock_waker() = Some(Box::new(waker));
    }

    pub(super) fn extend(&self, until: Instant) {
        self.change(|view| view.until = until);
    }

    /// The term begins, unless it is over already.
    fn begin(&self) -> bool {
        let mut view = self.lock();
        if view.phase == Phase::Ahead {
            view.phase = Phase::Begun;
        }
        view.phase == Phase::Begun
    }

    /// Ends it, or has it end sooner. Returns whether it was not ended before.
    pub(super) fn end(&self, stop: Stop) -> bool {
        self.change(|view| {
            let (begun, first) = match view.phase {
                Phase::Ahead => (false, true),
                Phase::Begun => (true, true),
                Phase::Over { begun } => (begun, false),
            };
            view.phase = Phase::Over { begun };
            view.stop = Some(stop);
            first
        })
    }

    /// Whether it had begun when it ended.
    fn had_begun(&self) -> bool {
        self.lock().phase == Phase::Over { begun: true }
    }

    fn change<R>(&self, change: impl FnOnce(&mut View) -> R) -> R {
        let result = self.state.view.change(change);
        if let Some(waker) = &*self.lock_waker() {
            waker();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.state.view.lock()
    }

    fn lock_waker(&self) -> MutexGuard<'_, Option<Waker>> {
        let waker = &self.state.waker;
        waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A callback that is called on the one thread for those that should be short.
enum Call {
    StoppedLeading(Term),
    NewLeader(String),
}

/// The callbacks and their threads.
pub(super) struct Caller {
    callbacks: Arc<dyn LeaderCallbacks>,
    /// `None` once no further call is to come.
    calls: Option<SyncSender<Call>>,
    /// Disconnected when the thread of the short callbacks has ended.
    ended: Receiver<()>,
}

impl Caller {
    /// Starts the thread of the short callbacks.
    pub(super) fn start(callbacks: Arc<dyn LeaderCallbacks>) -> io::Result<Self> {
        let (calls, queue) = sync_channel(QUEUE);
        let (running, ended) = sync_channel(0);
        let worker = Arc::clone(&callbacks);
        thread::Builder::new()
            .name("callbacks".into())
            .spawn(move || {
                let _running: SyncSender<()> = running;
                call_all(&*worker, &queue);
            })?;
        Ok(Caller {
            callbacks,
            calls: Some(calls),
            ended,
        })
    }

    /// Waits until the callbacks that are due were called, at most for `patience`.
    pub(super) fn finish(&mut self, patience: Duration) {
        drop(self.calls.take());
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(patience) {
            log::warn!("a callback does not return: it is left behind");
        }
    }

    /// Starts a thread that leads, and calls `gone` when it is done.
    pub(super) fn started_leading(
        &self,
        term: Term,
        gone: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let callbacks = Arc::clone(&self.callbacks);
        thread::Builder::new()
            .name("leading".into())
            .spawn(move || {
                // A thread may be slow to start: what is over by then is not begun any more.
                if term.begin() {
                    guarded("on_started_leading", || callbacks.on_started_leading(&term));
                }
                gone();
            })
            .map(drop)
    }

    /// To be called once the term has ended.
    pub(super) fn stopped_leading(&self, term: Term) {
        self.call(Call::StoppedLeading(term));
    }

    pub(super) fn new_leader(&self, identity: String) {
        self.call(Call::NewLeader(identity));
    }

    fn call(&self, call: Call) {
        let Some(calls) = &self.calls else { return };
        if let Err(TrySendError::Full(_)) = calls.try_send(call) {
            log::warn!("a callback does not return: another one is left out");
        }
    }
}

fn call_all(callbacks: &dyn LeaderCallbacks, queue: &Receiver<Call>) {
    for call in queue {
        match call {
            Call::StoppedLeading(term) if !term.had_begun() => {}
            Call::StoppedLeading(_) => {
                guarded("on_stopped_leading", || callbacks.on_stopped_leading());
            }
            Call::NewLeader(identity) => {
                guarded("on_new_leader", || callbacks.on_new_leader(&identity));
            }
        }
    }
}

/// A callback that panics must not end the thread of those after it, nor count as still running.
fn guarded(name: &str, callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        log::error!("the callback {name} panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP: Stop = Stop {
        reason: StopReason::Cancelled,
        kill_at: Instant::BOOT,
    };

    fn term() -> Term {
        Term::new(7, Instant::BOOT)
    }

    #[test]
    fn a_term_that_was_over_before_it_began_is_not_begun() {
        let term = term();
        assert!(term.end(STOP));
        assert!(!term.begin());
        assert!(term.is_over() && !term.had_begun());
    }

    #[test]
    fn a_term_that_began_and_ended_had_begun() {
        let term = term();
        assert!(term.begin() && !term.is_over());
        assert!(term.end(STOP));
        assert!(!term.end(STOP));
        assert!(term.is_over() && term.had_begun());
        assert!(!term.begin(), "it does not begin again");
    }

    #[test]
    fn every_change_of_a_term_wakes_who_asked_for_it() {
        let (woken, wakings) = sync_channel(8);
        let term = term();
        term.wake(move || woken.send(()).unwrap());
        let later = Instant::BOOT + Duration::from_secs(1);
        term.extend(later);
        term.end(STOP);
        assert_eq!(wakings.try_iter().count(), 2);
        let view = term.view();
        assert_eq!((view.until, view.stop), (later, Some(STOP)));
    }
}
