//! Fast restart: the lock of a candidate that knows its earlier processes by a state file.
//!
//! ```text
//!   get ────▶ take the file's lock, if not taken yet ──▶ the lock's get ──▶ is the holder a predecessor?
//!   update ─▶ note the new leadership deadline ───────▶ the lock's update
//! ```
//!
//! [`restart`](crate::workload::restart) judges the file. A process that does not have the file's lock takes
//! part like any other, and tries again before each read. A step-down in the file reaches the election before
//! the result of the read, with or without the lock, so nothing is claimed against it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::election::Handle;
use crate::election::annotation::Annotation;
use crate::election::config::LeaderElectionConfig;
use crate::election::lock::{Content, LockError, Observed, ResourceLock, Written};
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;
use crate::fmt::one_line;
use crate::system::clock::{BootClock, unix_millis};
use crate::workload::restart::{Predecessors, State, Taken, time_left};
use crate::workload::state_file::{StateError, StateFile, StatePath};

/// The state file of this process, which several threads use.
#[derive(Clone)]
pub struct Restart(Arc<Shared>);

struct Shared {
    path: StatePath,
    /// Name of this process in its writes.
    process: String,
    lease: Duration,
    renew_deadline: Duration,
    /// Whether this process starts a program, which may outlive it.
    has_workload: bool,
    election: OnceLock<Handle>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// The file and its content, once this process has the lock.
    file: Option<(StateFile, State)>,
    /// Dead predecessors.
    predecessors: Option<Predecessors>,
    /// Whether the file was empty when this process got its lock.
    is_new: bool,
    /// Whether programs may rely on the leadership deadline; also noted without the lock.
    followed: bool,
    /// Latest leadership deadline; also noted without the lock.
    leads_until: Option<Instant>,
    /// Time until which an operator prevents claims, as in the file, once one has asked this process or an
    /// earlier one; also noted without the lock.
    stepped_down_until: Option<i64>,
    tried: bool,
    /// Reason that was logged last.
    logged: Option<String>,
}

/// What determines whether a process may resume.
#[derive(Debug)]
pub struct RestartConfig {
    /// Directory of the state file.
    pub directory: PathBuf,
    /// Name of this process in its writes.
    pub process: String,
    /// Whether this process starts a program.
    pub has_workload: bool,
    /// Whether programs read the leader file.
    pub followed: bool,
}

impl Restart {
    /// Returns the state file of a candidate for `lock`, as messages name it. Opens nothing.
    #[must_use]
    pub fn new(config: RestartConfig, lock: &str, election: &LeaderElectionConfig) -> Restart {
        Restart(Arc::new(Shared {
            path: StatePath::new(&config.directory, lock, &election.identity),
            process: config.process,
            lease: election.lease_duration,
            renew_deadline: election.renew_deadline,
            has_workload: config.has_workload,
            election: OnceLock::new(),
            held: Mutex::new(Held {
                followed: config.followed,
                ..Held::default()
            }),
        }))
    }

    /// Returns a lock that knows dead predecessors.
    #[must_use]
    pub fn over(&self, lock: Box<dyn ResourceLock + Send>) -> Box<dyn ResourceLock + Send> {
        Box::new(RestartLock {
            lock,
            restart: self.clone(),
            judged: false,
        })
    }

    /// Connects the election, before it begins.
    pub fn set_election(&self, election: Handle) {
        let _ = self.0.election.set(election);
    }

    /// Calls `ask`, which asks the election to step down, and notes `until`, in milliseconds since 1970, for
    /// later processes. Returns whether the file says so; `None` if `ask` fails.
    pub fn step_down(&self, until: i64, ask: impl FnOnce() -> bool) -> Option<bool> {
        let mut held = self.held();
        ask().then(|| {
            held.stepped_down_until = Some(until);
            held.change(|state| {
                state.stepped_down_until = until;
                true
            })
        })
    }

    /// Steps down as an operator asked an earlier process, unless one has asked this process.
    fn resume_step_down(&self, held: &mut Held, until: i64) {
        let left = time_left(until, unix_millis());
        if held.stepped_down_until.is_none()
            && !left.is_zero()
            && let Some(election) = self.0.election.get()
        {
            held.stepped_down_until = Some(until);
            election.resume_step_down(left);
        }
    }

    /// Notes that a program beside the elector may rely on the present leadership deadline. Call this
    /// before it is told.
    pub fn note_followed(&self) {
        let mut held = self.held();
        held.followed = true;
        held.change(|state| {
            let noted = state.followed;
            state.followed = true;
            !noted
        });
    }

    /// Calls `use_it` with the file, if this process has its lock.
    pub fn with_file<T>(&self, use_it: impl FnOnce(Option<&StateFile>) -> T) -> T {
        let held = self.held();
        use_it(held.file.as_ref().map(|(file, _)| file))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a leadership deadline before it is announced.
    fn note_deadline(&self, valid_until: Instant) {
        let mut held = self.held();
        held.leads_until = held.leads_until.max(Some(valid_until));
        held.change(|state| {
            state.extend(valid_until);
            true
        });
    }

    /// Takes the file's lock, unless this process has it or cannot use the file.
    fn take(&self) {
        let shared = &*self.0;
        let mut held = self.held();
        if held.file.is_some() {
            return;
        }
        let at_first_try = !std::mem::replace(&mut held.tried, true);
        let file = match shared.path.take(true) {
            Ok(file) => file,
            Err(StateError::Held { stepped_down_until }) => {
                self.resume_step_down(&mut held, stepped_down_until);
                held.log("a living process holds the lock of the state file");
                return;
            }
            Err(StateError::Missing) => return,
            Err(StateError::Unusable(why)) => {
                held.log(&why);
                return;
            }
        };
        self.resume_step_down(&mut held, file.stepped_down_until());
        let taken = Taken {
            at: BootClock::now(),
            at_first_try,
            lease: shared.lease,
        };
        let judged = file.judge(taken);
        held.is_new = judged == Ok(None);
        let predecessors = judged.unwrap_or_else(|why| {
            held.log(&format!("{:?}: {why}", shared.path.path));
            None
        });
        let mut state = State::new(
            file.place.clone(),
            (&shared.process, std::process::id()),
            predecessors.as_ref(),
            !shared.has_workload,
        );
        state.followed = held.followed;
        state.stepped_down_until = held.stepped_down_until.unwrap_or_default();
        if let Some(valid_until) = held.leads_until {
            state.extend(valid_until);
        }
        if let Err(error) = file.write(&state) {
            held.log(&format!("STATE_DIR: cannot write the file: {error}"));
            return;
        }
        held.predecessors = predecessors;
        held.file = Some((file, state));
    }
}

impl Held {
    /// Changes the content of the file, if this process has its lock and `change` returns true. Returns
    /// whether the file has that content.
    fn change(&mut self, change: impl FnOnce(&mut State) -> bool) -> bool {
        let Some((file, state)) = &mut self.file else {
            return false;
        };
        if change(state)
            && let Err(error) = file.write(state)
        {
            self.log(&format!("STATE_DIR: cannot write the file: {error}"));
            return false;
        }
        true
    }

    /// Logs why this process waits like any other, once for each reason.
    fn log(&mut self, why: &str) {
        if self.logged.as_deref() != Some(why) {
            log::info!(event = "not_resuming", reason = why; "not resuming the term of an earlier process");
            self.logged = Some(why.to_owned());
        }
    }
}

/// Lock that marks the records of dead predecessors.
struct RestartLock {
    lock: Box<dyn ResourceLock + Send>,
    restart: Restart,
    /// Whether the record of a first read was judged.
    judged: bool,
}

impl RestartLock {
    fn mark(&mut self, observed: &mut Observed) {
        let mut held = self.restart.held();
        if std::mem::take(&mut held.is_new)
            && observed.mine.is_none()
            && observed.content.holder() == self.lock.identity()
        {
            held.log("the state file is new, so it names no earlier process");
        }
        let Some(known) = &held.predecessors else {
            return;
        };
        known.mark(observed);
        if std::mem::replace(&mut self.judged, true) {
            return;
        }
        match (&observed.content, observed.predecessor) {
            (_, Some(_)) => {
                log::info!(
                    event = "resuming", processes = known.processes.len();
                    "an earlier process of this candidate is dead, so its lease need not expire"
                );
            }
            (Content::Record(record), None) if !record.holder_identity.is_empty() => {
                let holder = one_line(&record.holder_identity);
                held.log(&format!(
                    "the last write of {holder} is not of a dead process here"
                ));
            }
            _ => {}
        }
    }

    /// Notes the latest leadership deadline that a write of a holder can lead to.
    fn note(&self, record: &LeaderElectionRecord) {
        if !record.holder_identity.is_empty() {
            let valid_until = BootClock::now() + self.restart.0.renew_deadline;
            self.restart.note_deadline(valid_until);
        }
    }
}

impl ResourceLock for RestartLock {
    fn get(&mut self, timeout: Duration) -> Result<Observed, LockError> {
        self.restart.take();
        let mut observed = self.lock.get(timeout)?;
        self.mark(&mut observed);
        Ok(observed)
    }

    fn create(
        &mut self,
        record: &LeaderElectionRecord,
        timeout: Duration,
    ) -> Result<Written, LockError> {
        self.note(record);
        self.lock.create(record, timeout)
    }

    fn update(
        &mut self,
        record: &LeaderElectionRecord,
        timeout: Duration,
    ) -> Result<Written, LockError> {
        self.note(record);
        self.lock.update(record, timeout)
    }

    fn annotate(
        &mut self,
        annotation: &Annotation,
        timeout: Duration,
    ) -> Result<Written, LockError> {
        self.lock.annotate(annotation, timeout)
    }

    fn confirm_delay(&self) -> Option<Duration> {
        self.lock.confirm_delay()
    }

    fn min_poll_interval(&self) -> Duration {
        self.lock.min_poll_interval()
    }

    fn record_event(&mut self, event: &str) {
        self.lock.record_event(event);
    }

    fn identity(&self) -> &str {
        self.lock.identity()
    }

    fn describe(&self) -> String {
        self.lock.describe()
    }
}
