//! A lock in memory with a compare-and-swap. Its calls can be made to fail, hang or panic.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test helper, of which every test uses another part"
)]

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use elector::election::annotation::Annotation;
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::{Content, LockError, Observed, ResourceLock, Written};
use elector::election::record::LeaderElectionRecord;
use serde_json::Value;

/// Returns timings with a lease of 2 s.
pub fn config(identity: &str) -> LeaderElectionConfig {
    LeaderElectionConfig {
        lease_duration: Duration::from_secs(2),
        renew_deadline: Duration::from_millis(1200),
        retry_period: Duration::from_millis(400),
        poll_period: Duration::from_millis(50),
        termination_grace: Duration::from_millis(200),
        stop_timeout: Duration::from_millis(500),
        takeover_stagger: Duration::ZERO,
        ..LeaderElectionConfig::new(identity)
    }
}

/// Behaviour of calls.
#[derive(Clone, Debug, Default)]
pub enum StoreMode {
    #[default]
    Works,
    Fails(LockError),
    /// Writes fail, reads succeed.
    RefusesWrites(LockError),
    Hangs,
    Panics,
}

#[derive(Debug, Default)]
struct Inner {
    record: Option<Arc<LeaderElectionRecord>>,
    version: u64,
    writer: Option<(u64, u64)>,
    /// Whether the writer has renewed since its claim, and wrote last.
    renewed: bool,
    mode: StoreMode,
    locks: u64,
    writes: Vec<LeaderElectionRecord>,
    calls: u64,
    events: Vec<String>,
}

/// Store that several locks share.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<(Mutex<Inner>, Condvar)>);

impl Store {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.0.lock().unwrap()
    }

    pub fn lock(&self, identity: &str) -> MemoryLock {
        let mut inner = self.inner();
        inner.locks += 1;
        MemoryLock {
            store: self.clone(),
            identity: identity.to_owned(),
            process: inner.locks,
            calls: 0,
            seen: None,
        }
    }

    pub fn set_mode(&self, mode: StoreMode) {
        self.inner().mode = mode;
        self.0.1.notify_all();
    }

    pub fn holder(&self) -> String {
        let record = self.inner().record.clone();
        record.map_or(String::new(), |record| record.holder_identity.clone())
    }

    pub fn writes(&self) -> Vec<LeaderElectionRecord> {
        self.inner().writes.clone()
    }

    pub fn calls(&self) -> u64 {
        self.inner().calls
    }

    pub fn events(&self) -> Vec<String> {
        self.inner().events.clone()
    }

    /// Returns the record, its version, and whether a lock wrote it.
    pub fn stored(&self) -> (Option<Arc<LeaderElectionRecord>>, u64, bool) {
        let inner = self.inner();
        (inner.record.clone(), inner.version, inner.writer.is_some())
    }

    /// Writes a record without a lock, if `version` is the current one.
    pub fn replace(&self, version: u64, record: &LeaderElectionRecord) -> Result<(), LockError> {
        let mut inner = self.enter(true)?;
        if inner.version != version {
            return Err(LockError::Conflict);
        }
        inner.version += 1;
        inner.record = Some(Arc::new(record.clone()));
        inner.writer = None;
        inner.renewed = false;
        inner.writes.push(record.clone());
        Ok(())
    }

    /// Begins a call. Returns the error if calls fail, and blocks while they hang.
    fn enter(&self, write: bool) -> Result<MutexGuard<'_, Inner>, LockError> {
        let mut inner = self.inner();
        inner.calls += 1;
        let mut inner = self
            .0
            .1
            .wait_while(inner, |inner| matches!(inner.mode, StoreMode::Hangs))
            .unwrap();
        match inner.mode.clone() {
            StoreMode::Fails(error) => Err(error),
            StoreMode::RefusesWrites(error) if write => Err(error),
            StoreMode::Panics => {
                // Releases the mutex first, because a panic would poison it.
                inner.version += 0;
                drop(inner);
                panic!("the test's lock panics")
            }
            _ => Ok(inner),
        }
    }
}

#[derive(Debug)]
pub struct MemoryLock {
    store: Store,
    identity: String,
    process: u64,
    calls: u64,
    seen: Option<u64>,
}

impl MemoryLock {
    fn write(&mut self, record: &LeaderElectionRecord) -> Result<Written, LockError> {
        self.calls += 1;
        let mut inner = self.store.enter(true)?;
        if self.seen != Some(inner.version) {
            return Err(LockError::Conflict);
        }
        inner.version += 1;
        let writer = inner.writer.map(|(process, _)| process);
        let token = inner.record.as_ref().map(|old| old.leader_transitions);
        inner.renewed = writer == Some(self.process) && token == Some(record.leader_transitions);
        inner.record = Some(Arc::new(record.clone()));
        inner.writer = Some((self.process, self.calls));
        inner.writes.push(record.clone());
        self.seen = Some(inner.version);
        Ok(Written::default())
    }
}

impl ResourceLock for MemoryLock {
    fn get(&mut self, _: Duration) -> Result<Observed, LockError> {
        let inner = self.store.enter(false)?;
        self.seen = Some(inner.version);
        let tokens = inner.writes.iter().map(|record| record.leader_transitions);
        let held = inner.writer.filter(|_| {
            let record = inner.record.as_ref();
            record.is_some_and(|record| !record.holder_identity.is_empty())
        });
        Ok(Observed {
            content: match &inner.record {
                Some(record) => Content::Record(Arc::clone(record)),
                None => Content::NeverWritten,
            },
            resource_version: inner.version,
            mine: inner
                .writer
                .and_then(|(process, call)| (process == self.process).then_some(call)),
            renew_id: held.map(|(process, call)| format!("{process}-{call}").into()),
            renewed: held.is_some() && inner.renewed,
            foreign_wait: match (&inner.record, inner.writer) {
                (Some(record), None) => Some(record.lease_duration()),
                _ => None,
            },
            highest_fencing_token: tokens.max(),
            ..Observed::default()
        })
    }

    fn create(&mut self, record: &LeaderElectionRecord, _: Duration) -> Result<Written, LockError> {
        self.write(record)
    }

    fn update(&mut self, record: &LeaderElectionRecord, _: Duration) -> Result<Written, LockError> {
        self.write(record)
    }

    fn annotate(&mut self, annotation: &Annotation, _: Duration) -> Result<Written, LockError> {
        let mut inner = self.store.enter(true)?;
        if self.seen != Some(inner.version) {
            return Err(LockError::Conflict);
        }
        let mut record = inner.record.as_deref().cloned().unwrap_or_default();
        for (name, value) in annotation {
            match value {
                Value::Null => record.other.remove(name),
                value => record.other.insert(name.clone(), value.clone()),
            };
        }
        inner.version += 1;
        inner.record = Some(Arc::new(record));
        inner.renewed = false;
        self.seen = Some(inner.version);
        Ok(Written::default())
    }

    fn confirm_delay(&self) -> Option<Duration> {
        None
    }

    fn record_event(&mut self, event: &str) {
        self.store.inner().events.push(event.to_owned());
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn describe(&self) -> String {
        "memory".into()
    }
}
