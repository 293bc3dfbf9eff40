//! An election with real threads and the real clock.
//!
//! ```text
//!   timer thread ──┐                        ┌──▶ lock thread ─────▶ the store
//!   lock thread ───┤  one bounded   owner   ├──▶ callback thread
//!   leading thread ┼─▶  queue of  ─▶ thread ┼──▶ leading thread, one a term
//!   Handle::stop ──┘    events              └──▶ timer
//! ```
//!
//! The owner of the [`LeaderElector`] never does anything that may block. So a request that hangs or a
//! callback that does not return cannot delay the leadership deadline.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::callbacks::{CallbackThreads, LeaderCallbacks, Stop, Term};
use super::lock_thread::{self, LockCall, LockResult};
use super::notices::Reporter;
use super::startup_check::StartupCheck;
use super::timer_thread::TimerThread;
use super::transitions::Transitions;
use crate::election::action::{Action, Finish, StopReason};
use crate::election::config::{ConfigError, LeaderElectionConfig};
use crate::election::elector::LeaderElector;
use crate::election::lock::{LockError, ResourceLock};
use crate::election::record::LeaderElectionRecord;
use crate::election::status::{Status, Unhealthy};
use crate::election::time::Instant;
use crate::observe::journal::Journal;
use crate::system::clock::{BootClock, utc_timestamp};

pub use super::transitions::Transition;

/// Largest number of queued events. Each sender has at most one or two under way.
const QUEUE_LENGTH: usize = 64;

/// Number of permanent errors of writes, before any write succeeded, that end the election. Why: they show
/// that this process may not write at all.
const MAX_REFUSED_WRITES: u32 = 2;

/// Longest wait for due callbacks when the election ends, so that the caller hears of the end of its term
/// first.
const LAST_CALLBACKS: Duration = Duration::from_secs(1);

/// Input of the owner thread.
enum Event {
    Timer,
    /// Result of a call, and the store's minimal interval between polls.
    Lock(LockResult, Duration),
    /// The workload of the term has stopped.
    WorkloadStopped,
    Stop,
    /// A request to step down for this long, by default one lease.
    StepDown(Option<Duration>),
}

/// Error that ends an election.
#[non_exhaustive]
#[derive(Debug)]
pub enum ElectionError {
    /// The configuration breaks rules.
    Config(Vec<ConfigError>),
    /// The store does not let this candidate take part until an operator fixes something.
    Lock(LockError),
    /// The system has no thread or timer left.
    System(io::Error),
}

impl fmt::Display for ElectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ElectionError::Config(errors) => {
                let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            ElectionError::Lock(error) => error.fmt(f),
            ElectionError::System(error) => {
                write!(f, "no thread or timer left: {error}")
            }
        }
    }
}

impl std::error::Error for ElectionError {}

impl From<LockError> for ElectionError {
    fn from(error: LockError) -> ElectionError {
        ElectionError::Lock(error)
    }
}

impl From<io::Error> for ElectionError {
    fn from(error: io::Error) -> Self {
        ElectionError::System(error)
    }
}

/// State shared with the handles.
struct Shared {
    view: Mutex<View>,
    lock: String,
    /// Reason to stop the election, once there is one. [`Event::Stop`] only wakes the owner, and is
    /// dropped if the queue is full.
    stop: OnceLock<StopReason>,
}

/// The owner's state as handles see it. It is locked only briefly.
struct View {
    status: Status,
    journal: Journal,
}

/// Stops an election from another thread, and shows its status.
#[derive(Clone)]
pub struct Handle {
    events: SyncSender<Event>,
    shared: Arc<Shared>,
}

impl Handle {
    /// Stops the election: the workload first, then the lease is released. Does not wait for that.
    pub fn stop(&self) {
        self.stop_because(StopReason::Cancelled);
    }

    /// Stops the election as [`stop`](Self::stop) does, for another reason. The first reason counts.
    pub(super) fn stop_because(&self, reason: StopReason) {
        let _ = self.shared.stop.set(reason);
        // If the queue is full, another event wakes the owner. If the election has ended, nothing must.
        let _ = self.events.try_send(Event::Stop);
    }

    /// Lets other candidates lead for `period`, by default one lease: a leader stops its workload and
    /// releases the lease, and this candidate does not acquire it. A `period` of zero ends that. Returns
    /// `false` if the election has ended, or is too busy to be asked.
    #[must_use]
    pub fn step_down(&self, period: Option<Duration>) -> bool {
        self.events.try_send(Event::StepDown(period)).is_ok()
    }

    /// Steps down as [`step_down`](Self::step_down) does, but waits for a full queue. A read that returns
    /// afterwards is handled later.
    pub(super) fn resume_step_down(&self, period: Duration) {
        let _ = self.events.send(Event::StepDown(Some(period)));
    }

    /// Returns the current status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.view().status.clone()
    }

    /// Returns the current status and the journal.
    #[must_use]
    pub fn snapshot(&self) -> (Status, Journal) {
        let view = self.view();
        (view.status.clone(), view.journal.clone())
    }

    /// Returns the name of the lock, for display.
    #[must_use]
    pub fn describe(&self) -> &str {
        &self.shared.lock
    }

    /// Checks the health as client-go's `HealthzAdaptor` does.
    ///
    /// # Errors
    /// If this candidate's own lease expired more than `tolerance` ago, or a call to the store does not
    /// return.
    pub fn check(&self, tolerance: Duration) -> Result<(), Unhealthy> {
        self.view()
            .status
            .check(&self.shared.lock, BootClock::now(), tolerance)
    }

    fn view(&self) -> MutexGuard<'_, View> {
        let view = &self.shared.view;
        view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Election in which this process is one candidate.
///
/// # Examples
/// ```no_run
/// # use elector::{AccessTokenSource, GistOptions, LeaderCallbacks, LeaderElection};
/// # use elector::{LeaderElectionConfig, Term};
/// struct Work;
///
/// impl LeaderCallbacks for Work {
///     fn on_started_leading(&self, term: &Term) {
///         println!("leading, fencing token {}", term.fencing_token());
///         term.wait_until_over();
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = LeaderElectionConfig::new("napoleon");
/// let access_token = AccessTokenSource::File("/run/secrets/gist-token".into());
/// let lock = GistOptions::new("1fa0cfa3f1f0d1a4c7e7a5b2e0d3c9f8", access_token)?.open(&config)?;
/// let election = LeaderElection::new(config, Box::new(lock), Work)?;
/// let handle = election.handle();
/// std::thread::spawn(move || election.run());
/// handle.stop(); // from any thread: the work stops, then the lease is released
/// # Ok(())
/// # }
/// ```
pub struct LeaderElection {
    config: LeaderElectionConfig,
    lock: Box<dyn ResourceLock + Send>,
    callbacks: Arc<dyn LeaderCallbacks>,
    handle: Handle,
    events: Receiver<Event>,
    transitions: Transitions,
}

impl LeaderElection {
    /// Creates an election over `lock`. It begins with [`run`](Self::run).
    ///
    /// # Errors
    /// [`ElectionError::Config`] if `config` breaks a rule.
    pub fn new(
        config: LeaderElectionConfig,
        lock: Box<dyn ResourceLock + Send>,
        callbacks: impl LeaderCallbacks,
    ) -> Result<Self, ElectionError> {
        config
            .validate(lock.confirm_delay())
            .map_err(ElectionError::Config)?;
        let (sender, events) = sync_channel(QUEUE_LENGTH);
        let shared = Shared {
            view: Mutex::new(View {
                status: Status::default(),
                journal: Journal::new(BootClock::now()),
            }),
            lock: lock.describe(),
            stop: OnceLock::new(),
        };
        Ok(LeaderElection {
            config,
            lock,
            callbacks: Arc::new(callbacks),
            handle: Handle {
                events: sender,
                shared: Arc::new(shared),
            },
            events,
            transitions: Transitions::default(),
        })
    }

    /// Calls `listener` for every transition, in order, on the election's own thread. It must not
    /// block: the leadership deadline depends on that thread.
    pub fn on_transition(&mut self, listener: impl FnMut(&Transition) + Send + 'static) {
        self.transitions.listen(Box::new(listener));
    }

    /// Returns a handle for other threads.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs for election until it is stopped, or until it loses the lease and is configured to end then.
    /// The calling thread becomes the owner of the election's state.
    ///
    /// # Errors
    /// [`ElectionError::Lock`] if the first calls show that the store does not let this candidate take part.
    /// Later failures are retried without end.
    pub fn run(self) -> Result<Finish, ElectionError> {
        Owner::start(self)?.run()
    }
}

/// The thread that owns the state.
struct Owner {
    elector: LeaderElector,
    calls: SyncSender<LockCall>,
    callbacks: CallbackThreads,
    timer: TimerThread,
    /// The latest term, which may be over.
    term: Option<Term>,
    transitions: Transitions,
    first_reads: StartupCheck,
    first_writes: StartupCheck,
    reporter: Reporter,
    handle: Handle,
    events: Receiver<Event>,
}

impl Owner {
    fn start(election: LeaderElection) -> Result<Self, ElectionError> {
        let LeaderElection {
            config,
            lock,
            callbacks,
            handle,
            events,
            transitions,
        } = election;
        let confirmation = lock.confirm_delay();
        let reporter = Reporter::new(config.lease_duration);
        let (sender, alarm) = (handle.events.clone(), handle.events.clone());
        let calls = lock_thread::start(lock, move |result, advice| {
            let _ = sender.send(Event::Lock(result, advice));
        })?;
        Ok(Owner {
            elector: LeaderElector::new(config, confirmation, BootClock::now()),
            calls,
            callbacks: CallbackThreads::start(callbacks)?,
            timer: TimerThread::start(move || alarm.send(Event::Timer).is_ok())?,
            term: None,
            transitions,
            first_reads: StartupCheck::new(1),
            first_writes: StartupCheck::new(MAX_REFUSED_WRITES),
            reporter,
            handle,
            events,
        })
    }

    fn run(mut self) -> Result<Finish, ElectionError> {
        loop {
            self.act()?;
            self.handle.view().status = self.elector.status();
            if let Some(finish) = self.elector.finished() {
                self.callbacks.finish(LAST_CALLBACKS);
                return Ok(finish);
            }
            self.timer.set(self.elector.poll_timeout())?;
            // It cannot fail, because this owner holds a sender itself.
            if let Ok(event) = self.events.recv() {
                self.handle_event(event)?;
            }
        }
    }

    fn handle_event(&mut self, event: Event) -> Result<(), ElectionError> {
        let now = BootClock::now();
        self.elector.handle_timeout(now);
        if let Some(reason) = self.handle.shared.stop.get() {
            self.elector.handle_stop(now, *reason);
        }
        match event {
            Event::Timer | Event::Stop => {}
            Event::StepDown(period) => {
                self.elector.handle_step_down(now, period);
                let until = self.elector.status().stepped_down_until;
                match until.since(now).as_secs() {
                    0 => log::info!(event = "step_down_ended"; "step-down ended on request"),
                    seconds => {
                        log::info!(event = "stepping_down", seconds; "stepping down on request");
                    }
                }
            }
            Event::WorkloadStopped => self.elector.handle_workload_stopped(now),
            Event::Lock(LockResult::Got(result), interval) => {
                self.handle.view().journal.read_finished(now, &result);
                self.first_reads.check(&result)?;
                if result.is_err() && self.first_writes.has_failed() {
                    // A lock whose first write has shown that it cannot be used may refuse reads too.
                    self.first_writes.check(&result)?;
                }
                if let Ok(observed) = &result {
                    self.reporter.failures.answered(now, false);
                    let leads = self.elector.is_leader();
                    self.reporter.observed(now, observed, leads);
                    self.transitions.observed(observed);
                }
                self.elector.handle_min_poll_interval(interval);
                self.elector.handle_got(now, result);
                if !self.elector.is_leader() {
                    self.reporter.poll_pause(now, interval);
                }
            }
            Event::Lock(LockResult::Wrote(result), interval) => {
                self.handle.view().journal.write_finished(now, &result);
                self.first_writes.check(&result)?;
                if matches!(result, Ok(_) | Err(LockError::Conflict)) {
                    self.reporter.failures.answered(now, true);
                }
                self.elector.handle_min_poll_interval(interval);
                self.elector.handle_wrote(now, result);
            }
            Event::Lock(LockResult::Annotated(result), interval) => {
                self.elector.handle_min_poll_interval(interval);
                self.elector.handle_wrote(now, result);
            }
        }
        Ok(())
    }

    fn act(&mut self) -> Result<(), ElectionError> {
        while let Some(action) = self.elector.poll_action(BootClock::now(), utc_timestamp) {
            match action {
                Action::Get { timeout } => {
                    if self.calls.try_send(LockCall::Get(timeout)).is_err() {
                        self.elector.handle_got(BootClock::now(), Err(busy()));
                    }
                }
                Action::Create { record, timeout } => {
                    self.note_write(&record);
                    self.write(LockCall::Create(record, timeout));
                }
                Action::Update { record, timeout } => {
                    self.note_write(&record);
                    self.write(LockCall::Update(record, timeout));
                }
                Action::Annotate {
                    annotation,
                    timeout,
                } => {
                    log::info!(event = "asking_for_handover"; "asking the leader to hand over");
                    self.write(LockCall::Annotate(annotation, timeout));
                }
                // If the lock thread is busy, the event is dropped.
                Action::Event(event) => drop(self.calls.try_send(LockCall::Event(event))),
                Action::StartLeading {
                    fencing_token,
                    valid_until,
                } => {
                    self.start_leading(fencing_token, valid_until)?;
                }
                Action::ExtendLease { valid_until: until } => {
                    if let Some(term) = &self.term {
                        term.extend(until);
                        self.reporter.failures.renewed();
                        self.transitions.renewed(term.fencing_token(), until);
                    }
                }
                Action::StopLeading { reason, kill_at } => {
                    self.stop_leading(Stop { reason, kill_at });
                }
                Action::NewLeader(identity) => {
                    let leads = self.elector.is_leader();
                    self.transitions.new_leader(&identity, leads);
                    self.callbacks.new_leader(identity);
                }
                Action::Notice(notice) => {
                    let now = BootClock::now();
                    self.handle.view().journal.notice(now, &notice);
                    self.reporter.notice(now, &notice);
                }
            }
        }
        self.transitions.settle(self.elector.is_leader());
        Ok(())
    }

    fn note_write(&self, record: &LeaderElectionRecord) {
        let renewal = self.elector.is_leader();
        let mut view = self.handle.view();
        view.journal
            .write_started(BootClock::now(), record, renewal);
    }

    fn write(&mut self, call: LockCall) {
        if self.calls.try_send(call).is_err() {
            self.elector.handle_wrote(BootClock::now(), Err(busy()));
        }
    }

    fn start_leading(&mut self, token: u64, until: Instant) -> Result<(), ElectionError> {
        let (now, identity) = (BootClock::now(), self.elector.identity());
        let mut view = self.handle.view();
        view.journal.started_leading(now, identity, token);
        drop(view);
        let term = Term::new(token, until);
        let events = self.handle.events.clone();
        self.term = Some(term.clone());
        self.reporter.failures.renewed();
        self.transitions.started(token, until);
        self.callbacks.started_leading(term, move || {
            log::info!(
                event = "workload_stopped", fencing_token = token, uptime:% = BootClock::now();
                "workload stopped"
            );
            let _ = events.send(Event::WorkloadStopped);
        })?;
        Ok(())
    }

    /// Ends the term, or makes an ended one stop sooner.
    fn stop_leading(&mut self, stop: Stop) {
        let Some(term) = &self.term else { return };
        let (fencing_token, reason) = (term.fencing_token(), stop.reason);
        let first = !term.is_over();
        if first {
            // Before the workload hears of it, so that the log is in order.
            let status = self.elector.status();
            let failures = &self.reporter.failures;
            let detail = failures.stop_detail(BootClock::now(), reason, &status);
            self.transitions.stopped(fencing_token, reason, detail);
        }
        term.end(stop);
        if first {
            let now = BootClock::now();
            let mut view = self.handle.view();
            view.journal.stopped_leading(now, fencing_token, reason);
            drop(view);
            self.callbacks.stopped_leading();
            self.transitions.settle(self.elector.is_leader());
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // An election that ends with an error must end its term too.
        self.stop_leading(Stop {
            reason: StopReason::Cancelled,
            kill_at: BootClock::now(),
        });
    }
}

fn busy() -> LockError {
    LockError::Unavailable("the lock thread is busy".into())
}

#[cfg(test)]
mod tests;
