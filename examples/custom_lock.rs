//! A lock of your own: the record is kept in memory, and two candidates in one process share it.
//!
//! `cargo run --example custom_lock`

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use elector::{
    Content, Handle, LeaderCallbacks, LeaderElection, LeaderElectionConfig, LeaderElectionRecord,
    LockError, Observed, ResourceLock, Term, Written,
};

/// State that both candidates share: the record, its version, and the write that made it.
#[derive(Default)]
struct Store {
    record: Option<Arc<LeaderElectionRecord>>,
    version: u64,
    writer: (String, u64),
}

/// One candidate's access to the store.
struct MemoryLock {
    identity: String,
    store: Arc<Mutex<Store>>,
    /// Version that this candidate last read or wrote.
    known: u64,
    /// Number of this candidate's writes, failed ones included.
    writes: u64,
}

impl MemoryLock {
    fn write(&mut self, record: &LeaderElectionRecord) -> Result<Written, LockError> {
        self.writes += 1;
        let mut store = lock(&self.store);
        if store.version != self.known {
            return Err(LockError::Conflict);
        }
        store.record = Some(Arc::new(record.clone()));
        store.version += 1;
        store.writer = (self.identity.clone(), self.writes);
        self.known = store.version;
        Ok(Written::default())
    }
}

impl ResourceLock for MemoryLock {
    fn get(&mut self, _timeout: Duration) -> Result<Observed, LockError> {
        let store = lock(&self.store);
        self.known = store.version;
        let record = store.record.clone();
        Ok(Observed {
            highest_fencing_token: record.as_ref().map(|record| record.leader_transitions),
            content: record.map_or(Content::NeverWritten, Content::Record),
            resource_version: store.version,
            mine: (store.writer.0 == self.identity).then_some(store.writer.1),
            ..Observed::default()
        })
    }

    fn create(&mut self, record: &LeaderElectionRecord, _: Duration) -> Result<Written, LockError> {
        self.write(record)
    }

    fn update(&mut self, record: &LeaderElectionRecord, _: Duration) -> Result<Written, LockError> {
        self.write(record)
    }

    fn confirm_delay(&self) -> Option<Duration> {
        None // A write that this store acknowledged is never lost.
    }

    fn record_event(&mut self, event: &str) {
        println!("event: {event}");
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn describe(&self) -> String {
        "a record in memory".to_owned()
    }
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Work(&'static str);

impl LeaderCallbacks for Work {
    fn on_started_leading(&self, term: &Term) {
        println!("{} leads, fencing token {}", self.0, term.fencing_token());
        term.wait_until_over();
    }
}

fn start(name: &'static str, store: &Arc<Mutex<Store>>) -> (Handle, thread::JoinHandle<()>) {
    let lock = MemoryLock {
        identity: name.to_owned(),
        store: Arc::clone(store),
        known: 0,
        writes: 0,
    };
    let config = LeaderElectionConfig {
        lease_duration: Duration::from_secs(4),
        renew_deadline: Duration::from_secs(2),
        retry_period: Duration::from_millis(500),
        poll_period: Duration::from_millis(200),
        termination_grace: Duration::from_millis(200),
        ..LeaderElectionConfig::new(name)
    };
    let election = LeaderElection::new(config, Box::new(lock), Work(name)).expect("a valid config");
    let handle = election.handle();
    let thread = thread::spawn(move || {
        election.run().expect("the election ends well");
    });
    (handle, thread)
}

fn main() {
    let store = Arc::new(Mutex::new(Store::default()));
    let napoleon = start("napoleon", &store);
    thread::sleep(Duration::from_secs(2));
    let cleopatra = start("cleopatra", &store);
    thread::sleep(Duration::from_secs(2));
    napoleon.0.stop();
    napoleon.1.join().expect("no panic");
    thread::sleep(Duration::from_secs(2));
    cleopatra.0.stop();
    cleopatra.1.join().expect("no panic");
}
