//! The program's callbacks, each on a thread that may block without delaying the election.

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

/// Callbacks that may wait behind one that does not return. Any more are skipped.
const QUEUE: usize = 64;

/// Callbacks that the election calls when leadership changes, as in client-go.
///
/// No callback can delay the election. If one does not return, later callbacks wait for it. Once the
/// queue is full, later ones are skipped with a warning.
pub trait LeaderCallbacks: Send + Sync + 'static {
    /// Called when this candidate starts to lead, on a separate thread that may do the leader's work.
    ///
    /// It must return soon after [`Term::is_over`] becomes true: until then this candidate neither
    /// releases the lease nor runs for election again. Returning earlier does not end the term.
    fn on_started_leading(&self, term: &Term);

    /// Called at the end of each term, even if [`on_started_leading`](Self::on_started_leading) has not
    /// returned, or was not called because the term ended before its thread ran. A program that must not
    /// continue may exit here.
    fn on_stopped_leading(&self) {}

    /// Called when the observed holder of the lease changes. The holder may be this candidate; it is
    /// empty if nobody holds the lease.
    fn on_new_leader(&self, _identity: &str) {}
}

/// One term of leadership, as passed to [`LeaderCallbacks::on_started_leading`].
///
/// # Examples
/// ```
/// # use std::time::Duration;
/// # fn write(_value: &str, _fencing_token: u64) {}
/// fn work(term: &elector::Term) {
///     while !term.is_over() {
///         write("value", term.fencing_token()); // refused if a later leader has written
///         std::thread::sleep(Duration::from_secs(1));
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Term {
    fencing_token: u64,
    shared: Arc<SharedTerm>,
}

/// Reason and deadline with which a term ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) reason: StopReason,
    /// Time by which all work of the term must have been killed.
    pub(super) kill_at: Instant,
}

/// Snapshot of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TermView {
    /// Leadership deadline. It may still be extended, also during a graceful shutdown.
    pub(super) valid_until: Instant,
    /// Set once the term has ended.
    pub(super) stop: Option<Stop>,
}

/// Function called after every change of a term, on the election's thread. It must not block.
type OnChange = Box<dyn Fn() + Send>;

struct SharedTerm {
    view: Monitor<TermView>,
    on_change: Mutex<Option<OnChange>>,
}

impl fmt::Debug for SharedTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTerm")
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}

impl Term {
    pub(super) fn new(fencing_token: u64, valid_until: Instant) -> Self {
        let view = TermView {
            valid_until,
            stop: None,
        };
        Term {
            fencing_token,
            shared: Arc::new(SharedTerm {
                view: Monitor::new(view),
                on_change: Mutex::new(None),
            }),
        }
    }

    /// Returns the fencing token, which is higher than that of every earlier term. Send it with every
    /// write of the leader, and let the receiver refuse lower ones.
    #[must_use]
    pub fn fencing_token(&self) -> u64 {
        self.fencing_token
    }

    /// Returns the leadership deadline: this candidate leads until then, unless the term is extended
    /// or ends early.
    #[must_use]
    pub fn valid_until(&self) -> Instant {
        self.lock().valid_until
    }

    /// Returns whether the term has ended. If so, stop working.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.lock().stop.is_some()
    }

    /// Returns why the term has ended, or `None` while it lasts.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.lock().stop.map(|stop| stop.reason)
    }

    /// Blocks until the term has ended.
    pub fn wait_until_over(&self) {
        let lasts = |view: &mut TermView| view.stop.is_none();
        drop(self.shared.view.wait_while(lasts));
    }

    /// Returns a snapshot of the term.
    pub(super) fn view(&self) -> TermView {
        *self.lock()
    }

    /// Sets the function that is called after every later change.
    pub(super) fn on_change(&self, on_change: impl Fn() + Send + 'static) {
        *self.lock_on_change() = Some(Box::new(on_change));
    }

    pub(super) fn extend(&self, valid_until: Instant) {
        self.change(|view| view.valid_until = valid_until);
    }

    /// Ends the term, or changes when its work must have been killed. Returns whether the term lasted
    /// until this call.
    pub(super) fn end(&self, stop: Stop) -> bool {
        self.change(|view| {
            let first = view.stop.is_none();
            view.stop = Some(stop);
            first
        })
    }

    fn change<R>(&self, change: impl FnOnce(&mut TermView) -> R) -> R {
        let result = self.shared.view.change(change);
        if let Some(on_change) = &*self.lock_on_change() {
            on_change();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, TermView> {
        self.shared.view.lock()
    }

    fn lock_on_change(&self) -> MutexGuard<'_, Option<OnChange>> {
        let on_change = &self.shared.on_change;
        on_change.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call for the shared `callbacks` thread.
type Callback = Box<dyn FnOnce(&dyn LeaderCallbacks) + Send>;

/// The program's callbacks and their threads.
pub(super) struct CallbackThreads {
    callbacks: Arc<dyn LeaderCallbacks>,
    /// `None` once no more callbacks are accepted.
    queue: Option<SyncSender<Callback>>,
    /// Disconnected once the `callbacks` thread has ended.
    ended: Receiver<()>,
}

impl CallbackThreads {
    /// Starts the `callbacks` thread, which makes all calls except `on_started_leading`.
    ///
    /// # Errors
    /// Returns an error if the system has no thread left.
    pub(super) fn start(callbacks: Arc<dyn LeaderCallbacks>) -> io::Result<Self> {
        let (sender, queue) = sync_channel::<Callback>(QUEUE);
        let (running, ended) = sync_channel(0);
        let worker = Arc::clone(&callbacks);
        thread::Builder::new()
            .name("callbacks".into())
            .spawn(move || {
                let _running: SyncSender<()> = running;
                for callback in queue {
                    catch_panic(|| callback(&*worker));
                }
            })?;
        Ok(CallbackThreads {
            callbacks,
            queue: Some(sender),
            ended,
        })
    }

    /// Waits until all queued callbacks have returned, for `timeout` at most.
    pub(super) fn finish(&mut self, timeout: Duration) {
        drop(self.queue.take());
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(timeout) {
            log::warn!(event = "callback_blocked"; "callback has not returned, no longer waiting for it");
        }
    }

    /// Starts a thread that calls `on_started_leading`, then `on_done`.
    ///
    /// # Errors
    /// Returns an error if the system has no thread left.
    pub(super) fn started_leading(
        &self,
        term: Term,
        on_done: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let callbacks = Arc::clone(&self.callbacks);
        thread::Builder::new()
            .name("leading".into())
            .spawn(move || {
                // The term may have ended before this thread got to run.
                if !term.is_over() {
                    catch_panic(|| callbacks.on_started_leading(&term));
                }
                on_done();
            })
            .map(drop)
    }

    /// Queues `on_stopped_leading`.
    pub(super) fn stopped_leading(&self) {
        self.enqueue(Box::new(|callbacks| callbacks.on_stopped_leading()));
    }

    /// Queues `on_new_leader`.
    pub(super) fn new_leader(&self, identity: String) {
        self.enqueue(Box::new(move |callbacks| {
            callbacks.on_new_leader(&identity);
        }));
    }

    fn enqueue(&self, callback: Callback) {
        let Some(queue) = &self.queue else { return };
        if let Err(TrySendError::Full(_)) = queue.try_send(callback) {
            log::warn!(event = "callback_blocked"; "callback has not returned, skipping a later one");
        }
    }
}

/// Runs a callback. Its panic must not end the thread that later callbacks need.
fn catch_panic(callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        log::error!(event = "callback_panicked"; "callback panicked");
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
    fn term_ends_once() {
        let term = term();
        assert!(!term.is_over());
        assert!(term.end(STOP));
        assert!(!term.end(STOP));
        assert!(term.is_over());
    }

    #[test]
    fn ended_term_is_not_begun() {
        struct Callbacks(SyncSender<&'static str>);

        impl LeaderCallbacks for Callbacks {
            fn on_started_leading(&self, _: &Term) {
                self.0.send("started leading").unwrap();
            }
        }

        let (sender, calls) = sync_channel(2);
        let callbacks = Arc::new(Callbacks(sender.clone()));
        let threads = CallbackThreads::start(callbacks).unwrap();
        let term = term();
        term.end(STOP);
        let on_done = move || sender.send("done").unwrap();
        threads.started_leading(term, on_done).unwrap();
        assert_eq!(calls.recv(), Ok("done"));
    }

    #[test]
    fn every_term_change_calls_on_change() {
        let (sender, changes) = sync_channel(8);
        let term = term();
        term.on_change(move || sender.send(()).unwrap());
        let later = Instant::BOOT + Duration::from_secs(1);
        term.extend(later);
        term.end(STOP);
        assert_eq!(changes.try_iter().count(), 2);
        let view = term.view();
        assert_eq!((view.valid_until, view.stop), (later, Some(STOP)));
    }
}
