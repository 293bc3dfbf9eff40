//! An election under real threads and the real clock.
//!
//! ```text
//!   timer thread ──┐                        ┌──▶ lock thread ─────▶ the store
//!   lock thread ───┤  one bounded   owner   ├──▶ callback thread
//!   leading thread ┼─▶  queue of  ─▶ thread ┼──▶ leading thread, one a term
//!   Handle::stop ──┘    events              └──▶ timer
//! ```
//!
//! The owner of the [`LeaderElector`] is the timer as well: it never does anything that may block,
//! so that a request that hangs or a callback that does not return cannot delay stepping down.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::callbacks::{CallbackThreads, LeaderCallbacks, Stop, Term};
use super::lock_thread::{self, LockCall, LockResult};
use super::notices::Reporter;
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

/// Few events can be under way at once: each sender has at most one or two.
const QUEUE: usize = 64;

/// A write that is refused this often in a row, before any was taken, shows that this process may
/// not write at all.
const REFUSED_WRITES: u32 = 2;

/// How long the end waits for the callbacks that are due, so that whoever ran the election has heard
/// that a term is over before it ends. One that does not return is left behind.
const LAST_CALLBACKS: Duration = Duration::from_secs(1);

enum Event {
    Timer,
    /// What came of a call, and how far apart a candidate's looks are to be.
    Lock(LockResult, Duration),
    /// The workload of the term has stopped.
    WorkloadStopped,
    Cancel,
    StepDown,
}

/// Why an election could not be begun.
#[non_exhaustive]
#[derive(Debug)]
pub enum ElectionError {
    /// The configuration breaks rules.
    Config(Vec<ConfigError>),
    /// The store does not let this candidate take part: a person has to mend something first.
    Lock(LockError),
    /// The system gave no thread or timer.
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
                write!(f, "the system gives no further thread or timer: {error}")
            }
        }
    }
}

impl std::error::Error for ElectionError {}

impl From<io::Error> for ElectionError {
    fn from(error: io::Error) -> Self {
        ElectionError::System(error)
    }
}

/// What is shared with the handles.
struct Shared {
    seen: Mutex<Seen>,
    lock: String,
    /// It was asked to stop. The event only wakes the owner: it may find no room, and this does.
    stopping: AtomicBool,
    /// It was asked to because what was to run has ended.
    workload_ended: AtomicBool,
}

/// What the owner leaves for those who look in. Whoever locks it comes back at once.
struct Seen {
    status: Status,
    journal: Journal,
}

/// Stops an election from another thread, and shows how it is.
#[derive(Clone)]
pub struct Handle {
    events: SyncSender<Event>,
    shared: Arc<Shared>,
}

impl Handle {
    /// Asks the election to stop: the workload first, then the lease is given back.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Without waiting for room: where there is none, other events wake the owner, if it runs. An
        // election that has ended does not listen any more, and needs not to.
        let _ = self.events.try_send(Event::Cancel);
    }

    /// Asks the election to stop because what was to run while this candidate leads has ended.
    pub(super) fn workload_ended(&self) {
        self.shared.workload_ended.store(true, Ordering::Release);
        self.stop();
    }

    /// Asks a leader to let another candidate lead: its workload ends, the lease is given back, and it
    /// claims nothing for a lease. Returns whether it leads, by what is known here; one that does not
    /// is not asked.
    #[must_use]
    pub fn step_down(&self) -> bool {
        let leads = self.seen().status.leading.is_some();
        leads && self.events.try_send(Event::StepDown).is_ok()
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.seen().status.clone()
    }

    /// How it is, and what it did and saw so far.
    #[must_use]
    pub fn look(&self) -> (Status, Journal) {
        let seen = self.seen();
        (seen.status.clone(), seen.journal.clone())
    }

    /// Where the record is kept, for people.
    #[must_use]
    pub fn describe(&self) -> &str {
        &self.shared.lock
    }

    /// Whether it is healthy, as client-go's `HealthzAdaptor` says it: a lease of our own that ran
    /// out more than `tolerance` ago is not, nor is a call to the store that does not come back.
    ///
    /// # Errors
    /// Says why it is not healthy.
    pub fn check(&self, tolerance: Duration) -> Result<(), Unhealthy> {
        self.seen()
            .status
            .check(&self.shared.lock, BootClock::now(), tolerance)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        let seen = &self.shared.seen;
        seen.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// An election that is decided in `lock`. Nothing is done before [`run`](Self::run).
    ///
    /// # Errors
    /// [`ElectionError::Config`] when `config` breaks a rule.
    pub fn new(
        config: LeaderElectionConfig,
        lock: Box<dyn ResourceLock + Send>,
        callbacks: impl LeaderCallbacks,
    ) -> Result<Self, ElectionError> {
        config
            .validate(lock.confirm_delay())
            .map_err(ElectionError::Config)?;
        let (sender, events) = sync_channel(QUEUE);
        let shared = Shared {
            seen: Mutex::new(Seen {
                status: Status::default(),
                journal: Journal::new(BootClock::now()),
            }),
            lock: lock.describe(),
            stopping: AtomicBool::new(false),
            workload_ended: AtomicBool::new(false),
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

    /// Stops the election from another thread, and shows how it is.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stands for election until it is stopped, or loses the lease and is configured to end then.
    /// The calling thread becomes the owner of the election's state.
    ///
    /// # Errors
    /// [`ElectionError::Lock`] when the store does not let this candidate take part at all, as its
    /// first answers show; later failures are tried again for ever.
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
    /// The last term; it may be over.
    term: Option<Term>,
    transitions: Transitions,
    entrance: Entrance,
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
            entrance: Entrance::default(),
            reporter,
            handle,
            events,
        })
    }

    fn run(mut self) -> Result<Finish, ElectionError> {
        loop {
            self.act()?;
            self.handle.seen().status = self.elector.status();
            if let Some(finish) = self.elector.finished() {
                self.callbacks.finish(LAST_CALLBACKS);
                return Ok(finish);
            }
            self.timer.set(self.elector.poll_timeout())?;
            // This owner holds a sender itself, so that there always is another event to come.
            if let Ok(event) = self.events.recv() {
                self.handle_event(event)?;
            }
        }
    }

    fn handle_event(&mut self, event: Event) -> Result<(), ElectionError> {
        let now = BootClock::now();
        self.elector.handle_timeout(now);
        let shared = &self.handle.shared;
        if shared.stopping.load(Ordering::Acquire) {
            match shared.workload_ended.load(Ordering::Acquire) {
                true => self.elector.handle_workload_ended(now),
                false => self.elector.handle_cancel(now),
            }
        }
        match event {
            Event::Timer | Event::Cancel => {}
            Event::StepDown => {
                if self.elector.handle_step_down(now) {
                    log::info!(event = "stepping_down"; "stepping down on request");
                }
            }
            Event::WorkloadStopped => self.elector.handle_workload_gone(now),
            Event::Lock(LockResult::Got(result), interval) => {
                self.handle.seen().journal.read_finished(now, &result);
                self.entrance.check_get(result.as_ref().err())?;
                if let Ok(observed) = &result {
                    self.reporter.succeeded(now, false);
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
                self.handle.seen().journal.write_finished(now, &result);
                self.entrance.check_write(result.as_ref().err())?;
                if matches!(result, Ok(_) | Err(LockError::Conflict)) {
                    self.reporter.succeeded(now, true);
                }
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
                // An event that finds no room is left out.
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
                        self.transitions.renewed(term.fencing_token(), until);
                    }
                }
                Action::StopLeading { reason, kill_at } => {
                    self.stop_leading(Stop { reason, kill_at });
                }
                Action::NewLeader(identity) => {
                    self.handle.seen().journal.holder_changed();
                    let leads = self.elector.is_leader();
                    self.transitions.new_leader(&identity, leads);
                    self.callbacks.new_leader(identity);
                }
                Action::Notice(notice) => {
                    let now = BootClock::now();
                    self.handle.seen().journal.notice(now, &notice);
                    self.reporter.notice(now, &notice);
                }
            }
        }
        self.transitions.settle(self.elector.is_leader());
        Ok(())
    }

    fn note_write(&self, record: &LeaderElectionRecord) {
        let renewal = self.elector.is_leader();
        let mut seen = self.handle.seen();
        seen.journal
            .write_started(BootClock::now(), record, renewal);
    }

    fn write(&mut self, call: LockCall) {
        if self.calls.try_send(call).is_err() {
            self.elector.handle_wrote(BootClock::now(), Err(busy()));
        }
    }

    fn start_leading(&mut self, token: u64, until: Instant) -> Result<(), ElectionError> {
        let identity = self.elector.identity();
        let mut seen = self.handle.seen();
        seen.journal
            .started_leading(BootClock::now(), identity, token);
        drop(seen);
        let term = Term::new(token, until);
        let events = self.handle.events.clone();
        self.term = Some(term.clone());
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
            self.transitions.stopped(fencing_token, reason);
        }
        term.end(stop);
        if first {
            let now = BootClock::now();
            let mut seen = self.handle.seen();
            seen.journal.stopped_leading(now, fencing_token, reason);
            drop(seen);
            self.callbacks.stopped_leading(term.clone());
            self.transitions.settle(self.elector.is_leader());
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Whatever ends the election ends the term.
        self.stop_leading(Stop {
            reason: StopReason::Cancelled,
            kill_at: BootClock::now(),
        });
    }
}

/// Watches the first calls: what a person has to mend is said at once, instead of tried for ever.
#[derive(Debug, Default)]
struct Entrance {
    looked: bool,
    wrote: bool,
    refused_writes: u32,
}

impl Entrance {
    fn check_get(&mut self, error: Option<&LockError>) -> Result<(), ElectionError> {
        match error {
            None => self.looked = true,
            Some(error) if !self.looked && error.is_permanent() => {
                return Err(ElectionError::Lock(error.clone()));
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn check_write(&mut self, error: Option<&LockError>) -> Result<(), ElectionError> {
        match error {
            None | Some(LockError::Conflict) => self.wrote = true,
            Some(error) if !self.wrote && error.is_permanent() => {
                self.refused_writes += 1;
                if self.refused_writes >= REFUSED_WRITES {
                    return Err(ElectionError::Lock(error.clone()));
                }
            }
            Some(_) => {}
        }
        Ok(())
    }
}

fn busy() -> LockError {
    LockError::Unavailable("the lock's thread is busy".into())
}
