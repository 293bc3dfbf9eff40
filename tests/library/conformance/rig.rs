//! An elector in virtual time, with a lock in memory that has a true compare-and-swap.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses another part"
)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use elector::election::action::{Action, Finish, Notice, StopReason};
use elector::election::annotation::Annotation;
use elector::election::config::LeaderElectionConfig;
use elector::election::elector::LeaderElector;
use elector::election::lock::{Content, LockError, Observed, Written};
use elector::election::record::LeaderElectionRecord;
use elector::election::time::Instant;
use serde_json::Value;

/// Start of every test, long after boot so that no time is zero by accident.
pub const START: Instant = Instant::from_boot(Duration::from_secs(100_000));

pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Outcome of a call that does not simply succeed.
#[derive(Clone, Debug)]
pub enum CallOutcome {
    /// It is carried out, and answered after this time.
    After(Duration),
    /// It fails with this error, and is not carried out.
    Fails(LockError),
    /// It is carried out, but answered with this error.
    LandsThenFails(LockError),
    /// It is neither carried out nor answered.
    Hangs,
    /// It is a write that is acknowledged, but not carried out.
    Ignored,
}

/// The store: a record and its writer.
#[derive(Debug, Default)]
pub struct Store {
    pub content: Option<Content>,
    pub version: u64,
    /// Number of foreign writes that did not change the record.
    pub foreign_writes: u64,
    /// Process that wrote the content, and the number of its write.
    pub writer: Option<(u64, u64)>,
    /// Whether the writer has renewed since its claim.
    pub renewed: bool,
    /// Whether an annotation is the newest write.
    pub annotated: bool,
    pub foreign_wait: Option<Duration>,
    pub age: Option<Duration>,
    pub highest_fencing_token: Option<u64>,
    /// Earliest time of a claim over the record, if a dead predecessor wrote it.
    pub predecessor: Option<Instant>,
    /// The next read shows that the record before was lost.
    pub record_lost: bool,
}

impl Store {
    pub fn record(&self) -> LeaderElectionRecord {
        let record = self.content.as_ref().and_then(Content::record);
        record.cloned().expect("there is a record")
    }

    /// Writes as another process of the program would.
    pub fn put(&mut self, record: LeaderElectionRecord) {
        self.highest_fencing_token = self
            .highest_fencing_token
            .max(Some(record.leader_transitions));
        self.put_content(Content::Record(Arc::new(record)));
    }

    pub fn put_content(&mut self, content: Content) {
        self.content = Some(content);
        self.version += 1;
        self.writer = None;
        self.renewed = false;
        self.annotated = false;
        self.foreign_wait = None;
        self.predecessor = None;
        self.age = None;
    }
}

impl Store {
    /// Changes a field of the record as another process's annotation would; null removes it.
    pub fn annotate(&mut self, name: &str, value: Value) {
        let mut record = self.record();
        match value {
            Value::Null => record.other.remove(name),
            value => record.other.insert(name.to_owned(), value),
        };
        self.content = Some(Content::Record(Arc::new(record)));
        self.version += 1;
        self.annotated = true;
    }

    /// Writes as the process 9 would, with its write of this number.
    pub fn put_by_other(&mut self, record: LeaderElectionRecord, number: u64) {
        self.put(record);
        self.writer = Some((9, number));
        self.renewed = number > 1;
    }
}

pub type SharedStore = Rc<RefCell<Store>>;

pub fn record(holder: &str, lease_seconds: u64, transitions: u64) -> LeaderElectionRecord {
    LeaderElectionRecord {
        holder_identity: holder.into(),
        lease_duration_seconds: lease_seconds,
        acquire_time: "2026-01-01T00:00:00Z".into(),
        renew_time: "2026-01-01T00:00:00Z".into(),
        leader_transitions: transitions,
        ..LeaderElectionRecord::default()
    }
}

/// Timings of client-go's tests: a lease of 10 s.
pub fn config() -> LeaderElectionConfig {
    LeaderElectionConfig {
        lease_duration: seconds(10),
        renew_deadline: seconds(5),
        retry_period: seconds(2),
        poll_period: seconds(1),
        termination_grace: seconds(1),
        stop_timeout: seconds(4),
        takeover_stagger: Duration::ZERO,
        ..LeaderElectionConfig::new("baz")
    }
}

enum Answer {
    Got(Result<Observed, LockError>),
    Wrote(Result<Written, LockError>),
}

/// State of the store: version of the record, and number of other foreign writes.
type State = (u64, u64);

/// One elector, its lock and its clock.
pub struct Rig {
    pub elector: LeaderElector,
    pub store: SharedStore,
    pub now: Instant,
    process: u64,
    writes: u64,
    observed: Option<u64>,
    /// Newest state that an answer showed, and since when it is known.
    newest: Option<(State, Instant)>,
    /// State that the answer in flight shows.
    shown: State,
    pending: Option<(Instant, Option<Answer>)>,
    /// Outcomes of the next calls; once empty, calls succeed.
    pub outcomes: VecDeque<CallOutcome>,
    /// Outcome of writes once `outcomes` is empty.
    pub write_outcome: Option<CallOutcome>,
    /// Names of the calls made.
    pub ops: Vec<&'static str>,
    /// Timeout of each call.
    pub timeouts: Vec<Duration>,
    /// Time of each call.
    pub times: Vec<Instant>,
    pub events: Vec<String>,
    pub leaders: Vec<String>,
    pub notices: Vec<Notice>,
    pub annotations: Vec<Annotation>,
    pub started: Vec<(Instant, u64)>,
    pub stopped: Vec<(Instant, StopReason, Instant)>,
    pub until: Option<Instant>,
    /// Whether the workload stops as soon as it is told to.
    pub obedient: bool,
}

impl Rig {
    pub fn new(config: LeaderElectionConfig, confirmation: Option<Duration>) -> Rig {
        Rig::join(config, confirmation, SharedStore::default(), 1)
    }

    pub fn join(
        config: LeaderElectionConfig,
        confirmation: Option<Duration>,
        store: SharedStore,
        process: u64,
    ) -> Rig {
        config
            .validate(confirmation)
            .expect("a valid configuration");
        Rig {
            elector: LeaderElector::new(config, confirmation, START),
            store,
            now: START,
            process,
            writes: 0,
            observed: None,
            newest: None,
            shown: (0, 0),
            pending: None,
            outcomes: VecDeque::new(),
            write_outcome: None,
            ops: Vec::new(),
            timeouts: Vec::new(),
            times: Vec::new(),
            events: Vec::new(),
            leaders: Vec::new(),
            notices: Vec::new(),
            annotations: Vec::new(),
            started: Vec::new(),
            stopped: Vec::new(),
            until: None,
            obedient: true,
        }
    }

    /// Runs until `duration` has passed.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.run_until(end, |_| false);
        self.now = end;
        self.elector.handle_timeout(end);
        self.act();
    }

    /// Runs until `done` returns true, for at most an hour; panics otherwise.
    pub fn run_to(&mut self, done: impl Fn(&Rig) -> bool) {
        let end = self.now + seconds(3600);
        assert!(
            self.run_until(end, done),
            "condition never reached: {:?}",
            self.ops
        );
    }

    fn run_until(&mut self, end: Instant, done: impl Fn(&Rig) -> bool) -> bool {
        for _ in 0..1_000_000 {
            self.act();
            if done(self) {
                return true;
            }
            let answer = self
                .pending
                .as_ref()
                .and_then(|(at, answer)| answer.as_ref().map(|_| *at));
            let Some(wake) = [answer, self.elector.poll_timeout()]
                .into_iter()
                .flatten()
                .min()
            else {
                return false;
            };
            if wake > end {
                return false;
            }
            self.now = self.now.max(wake);
            self.elector.handle_timeout(self.now);
            self.deliver();
        }
        panic!("the elector is spinning: {:?}", self.notices.last());
    }

    fn deliver(&mut self) {
        if !matches!(&self.pending, Some((at, Some(_))) if *at <= self.now) {
            return;
        }
        let Some((_, Some(answer))) = self.pending.take() else {
            return;
        };
        match answer {
            Answer::Got(Ok(observed)) => {
                self.note_answer();
                let head_known_since = self.newest.map(|(_, since)| since);
                let observed = Observed {
                    head_known_since,
                    ..observed
                };
                self.elector.handle_got(self.now, Ok(observed));
            }
            Answer::Got(failed) => self.elector.handle_got(self.now, failed),
            Answer::Wrote(result) => {
                if result.is_ok() {
                    self.note_answer();
                }
                self.elector.handle_wrote(self.now, result);
            }
        }
    }

    /// Notes that an answer shows the current state of the store.
    fn note_answer(&mut self) {
        if self.newest.is_none_or(|(state, _)| state != self.shown) {
            self.newest = Some((self.shown, self.now));
        }
    }

    fn act(&mut self) {
        while let Some(action) = self
            .elector
            .poll_action(self.now, || "2026-11-22T10:00:00Z".into())
        {
            match action {
                Action::Get { timeout } => self.call("get", timeout, None),
                Action::Create { record, timeout } => self.call("create", timeout, Some(record)),
                Action::Update { record, timeout } => self.call("update", timeout, Some(record)),
                Action::Annotate {
                    annotation,
                    timeout,
                } => {
                    self.annotations.push(annotation.clone());
                    let answer = self.annotate(annotation);
                    self.ops.push("annotate");
                    self.timeouts.push(timeout);
                    self.times.push(self.now);
                    self.pending = Some((self.now, Some(Answer::Wrote(answer))));
                }
                Action::StartLeading {
                    fencing_token: token,
                    valid_until: until,
                } => {
                    self.started.push((self.now, token));
                    self.until = Some(until);
                }
                Action::ExtendLease { valid_until: until } => self.until = Some(until),
                Action::StopLeading { reason, kill_at } => {
                    self.stopped.push((self.now, reason, kill_at));
                    if self.obedient {
                        self.elector.handle_workload_stopped(self.now);
                    }
                }
                Action::NewLeader(leader) => self.leaders.push(leader),
                Action::Event(event) => self.events.push(event),
                Action::Notice(notice) => self.notices.push(notice),
            }
        }
    }

    fn call(&mut self, op: &'static str, timeout: Duration, record: Option<LeaderElectionRecord>) {
        assert!(self.pending.is_none(), "one call at a time");
        self.ops.push(op);
        self.timeouts.push(timeout);
        self.times.push(self.now);
        if record.is_some() {
            self.writes += 1;
        }
        let write_outcome = self.write_outcome.clone().filter(|_| record.is_some());
        let (delay, answer) = match self.outcomes.pop_front().or(write_outcome) {
            None => (Duration::ZERO, Some(self.carry_out(op, record))),
            Some(CallOutcome::After(delay)) => (delay, Some(self.carry_out(op, record))),
            Some(CallOutcome::Hangs) => (timeout, None),
            Some(CallOutcome::Ignored) => {
                (Duration::ZERO, Some(Answer::Wrote(Ok(Written::default()))))
            }
            Some(CallOutcome::Fails(error)) => (Duration::ZERO, Some(failed(op, error))),
            Some(CallOutcome::LandsThenFails(error)) => {
                self.carry_out(op, record);
                (Duration::ZERO, Some(failed(op, error)))
            }
        };
        self.pending = Some((self.now + delay, answer));
    }

    fn annotate(&mut self, annotation: Annotation) -> Result<Written, LockError> {
        let mut store = self.store.borrow_mut();
        if let Some(CallOutcome::Fails(error)) = &self.write_outcome {
            return Err(error.clone());
        }
        if self.observed != Some(store.version) {
            return Err(LockError::Conflict);
        }
        for (name, value) in annotation {
            store.annotate(&name, value);
        }
        Ok(Written::default())
    }

    fn carry_out(&mut self, op: &str, record: Option<LeaderElectionRecord>) -> Answer {
        let mut store = self.store.borrow_mut();
        let below = (store.version, store.foreign_writes);
        let Some(record) = record else {
            self.observed = Some(store.version);
            self.shown = below;
            return Answer::Got(Ok(observe(&mut store, self.process)));
        };
        let absent = !matches!(store.content, Some(Content::Record(_)));
        if self.observed != Some(store.version) || (op == "create" && !absent) {
            return Answer::Wrote(Err(LockError::Conflict));
        }
        let renewed = store
            .writer
            .is_some_and(|(process, _)| process == self.process)
            && store.record().leader_transitions == record.leader_transitions;
        store.put(record);
        store.writer = Some((self.process, self.writes));
        store.renewed = renewed;
        self.observed = Some(store.version);
        self.shown = (store.version, store.foreign_writes);
        let known = self.newest.filter(|(newest, _)| *newest == below);
        Answer::Wrote(Ok(Written {
            head_known_since: known.map(|(_, since)| since),
        }))
    }
}

fn failed(op: &str, error: LockError) -> Answer {
    if op == "get" {
        Answer::Got(Err(error))
    } else {
        Answer::Wrote(Err(error))
    }
}

fn observe(store: &mut Store, process: u64) -> Observed {
    let mine = store.writer.filter(|(writer, _)| *writer == process);
    let content = store.content.clone().unwrap_or(Content::NeverWritten);
    let held = !content.holder().is_empty();
    let mine = mine.filter(|_| held || !store.annotated);
    let renew_id = store.writer.filter(|_| held);
    Observed {
        renew_id: renew_id.map(|(process, number)| format!("p{process}-{number}").into()),
        renewed: held && store.renewed && !store.annotated,
        content,
        resource_version: store.version,
        mine: mine.map(|(_, number)| number),
        age: store.age,
        dated: store.age,
        foreign_wait: store.foreign_wait,
        record_lost: std::mem::take(&mut store.record_lost),
        highest_fencing_token: store.highest_fencing_token,
        predecessor: store.predecessor.filter(|_| mine.is_none()),
        ..Observed::default()
    }
}

pub fn unavailable() -> LockError {
    LockError::Unavailable("the store is unavailable".into())
}

pub fn outcome_unknown() -> LockError {
    LockError::OutcomeUnknown("no answer".into())
}

/// Returns how the election ended; panics if it did not.
pub fn finish(rig: &Rig) -> Finish {
    rig.elector.finished().expect("it has ended")
}
