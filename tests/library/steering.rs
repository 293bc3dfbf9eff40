//! Elections with real threads on a lock in memory, steered by requests of operators.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use elector::election::action::Finish;
use elector::election::annotation::{HANDOVER, MOVED_TO, PAUSED, PREFERRED_HOLDER};
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::{LockError, ResourceLock};
use elector::lock::steering::{Done, Next, Request, Steering};
use elector::runtime::election::{ElectionError, Handle, LeaderElection};
use elector::runtime::{LeaderCallbacks, Term};
use elector::system::clock::BootClock;
use serde_json::{Value, json};

use crate::support::memory::{Store, StoreMode, config};
use crate::support::{AMPLE, eventually, never_for, record};

/// Lease of [`config`].
const LEASE: Duration = Duration::from_secs(2);

const POLL: Duration = Duration::from_millis(20);

/// Fencing tokens of the terms that began.
#[derive(Clone, Debug, Default)]
struct Terms(Arc<Mutex<Vec<u64>>>);

impl LeaderCallbacks for Terms {
    fn on_started_leading(&self, term: &Term) {
        self.0.lock().unwrap().push(term.fencing_token());
        term.wait_until_over();
    }
}

/// A candidate on threads.
struct Candidate {
    handle: Handle,
    terms: Terms,
    thread: Option<JoinHandle<Result<Finish, ElectionError>>>,
}

impl Candidate {
    fn start(store: &Store, config: LeaderElectionConfig) -> Candidate {
        let terms = Terms::default();
        let lock = Box::new(store.lock(&config.identity));
        let election = LeaderElection::new(config, lock, terms.clone()).unwrap();
        Candidate {
            handle: election.handle(),
            terms,
            thread: Some(thread::spawn(|| election.run())),
        }
    }

    fn leads(&self) -> Option<u64> {
        self.handle.status().leading.map(|term| term.fencing_token)
    }

    fn await_leading(&self) -> u64 {
        eventually("it leads", || self.leads().is_some());
        self.leads().unwrap()
    }

    fn await_observed(&self, leader: &str) {
        eventually("it observes the leader", || {
            self.handle.status().leader == leader
        });
    }

    fn terms(&self) -> Vec<u64> {
        self.terms.0.lock().unwrap().clone()
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts a leader and standbys that have observed it.
fn start(store: &Store, names: &[&str]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for &name in names {
        let candidate = Candidate::start(store, config(name));
        match candidates.is_empty() {
            true => drop(candidate.await_leading()),
            false => candidate.await_observed(names[0]),
        }
        candidates.push(candidate);
    }
    candidates
}

/// Follows a request until it is done.
fn request(store: &Store, request: Request) -> Result<Done, String> {
    let mut lock = store.lock("operator");
    let mut steering = Steering::new(request, lock.confirm_delay(), POLL, LEASE);
    let mut at = BootClock::now();
    loop {
        thread::sleep(at.since(BootClock::now()));
        let sent_at = BootClock::now();
        let result = lock.get(AMPLE);
        let mut next = steering.handle_got(BootClock::now(), sent_at, result)?;
        while let Next::Annotate(annotation) = &next {
            let result = lock.annotate(annotation, AMPLE);
            next = steering.handle_annotated(BootClock::now(), result)?;
        }
        match next {
            Next::Done(done) => return Ok(done),
            Next::ReadAt(then) => at = then,
            Next::Annotate(_) => {}
        }
    }
}

fn pause() -> Request {
    Request::Pause {
        field: PAUSED,
        value: json!({"by": "ops", "reason": "migration"}),
    }
}

fn hand_over(to: &str) -> Request {
    Request::HandOver {
        to: to.to_owned(),
        asked: json!({"by": "ops"}),
    }
}

fn field(store: &Store, name: &str) -> Value {
    let (record, ..) = store.stored();
    record.unwrap().other.get(name).cloned().unwrap_or_default()
}

#[test]
fn nobody_leads_until_resumed() {
    let store = Store::default();
    let candidates = start(&store, &["first", "second"]);
    assert_eq!(request(&store, pause()), Ok(Done::Paused));
    assert_eq!(store.holder(), "");
    assert_eq!(field(&store, "stopReason"), "paused");
    never_for(2 * LEASE, "a candidate acquires", || {
        !store.holder().is_empty()
    });
    assert_eq!(request(&store, pause()), Ok(Done::Paused), "again");
    assert!(
        request(&store, hand_over(""))
            .unwrap_err()
            .contains("migration")
    );
    assert_eq!(request(&store, Request::Resume), Ok(Done::Resumed));
    eventually("a candidate leads", || {
        candidates.iter().any(|one| one.leads() == Some(1))
    });
    assert_eq!(field(&store, PAUSED), Value::Null);
    let nothing = request(&store, Request::Resume);
    assert!(matches!(nothing, Ok(Done::Nothing(_))), "{nothing:?}");
}

#[test]
fn moved_election_is_not_resumed() {
    let store = Store::default();
    let _candidates = start(&store, &["first"]);
    let moved = Request::Pause {
        field: MOVED_TO,
        value: "lease:jobs/report".into(),
    };
    assert_eq!(request(&store, moved), Ok(Done::Paused));
    let why = request(&store, Request::Resume).unwrap_err();
    assert!(why.contains("lease:jobs/report"), "{why}");
    never_for(LEASE, "it acquires", || !store.holder().is_empty());
}

#[test]
fn dead_leader_expires_under_pause() {
    let store = Store::default();
    let mut dead = store.lock("dead");
    dead.get(AMPLE).unwrap();
    let held = elector::LeaderElectionRecord {
        lease_duration_seconds: LEASE.as_secs(),
        ..record("dead", 7)
    };
    dead.create(&held, AMPLE).unwrap();
    let standby = Candidate::start(&store, config("standby"));
    standby.await_observed("dead");
    let paused_at = BootClock::now();
    assert_eq!(request(&store, pause()), Ok(Done::Paused));
    assert!(BootClock::now() >= paused_at + LEASE);
    never_for(LEASE, "it acquires", || store.holder() != "dead");
    assert_eq!(request(&store, Request::Resume), Ok(Done::Resumed));
    assert_eq!(standby.await_leading(), 8);
}

#[test]
fn pause_survives_outage() {
    let store = Store::default();
    let candidates = start(&store, &["first"]);
    let outage = LockError::Unavailable("outage".to_owned());
    store.set_mode(StoreMode::RefusesWrites(outage));
    thread::scope(|scope| {
        let paused = scope.spawn(|| request(&store, pause()));
        never_for(LEASE / 4, "it is paused", || paused.is_finished());
        store.set_mode(StoreMode::Works);
        assert_eq!(paused.join().unwrap(), Ok(Done::Paused));
    });
    assert_eq!(candidates[0].leads(), None);
    let text = "no such place".to_owned();
    store.set_mode(StoreMode::Fails(LockError::NotFound(text.clone())));
    assert_eq!(request(&store, pause()), Err(text));
}

#[test]
fn named_candidate_leads_next() {
    let store = Store::default();
    let candidates = start(&store, &["first", "second", "third"]);
    let done = request(&store, hand_over("third"));
    assert_eq!(done, Ok(Done::Asked("first".to_owned())));
    assert_eq!(candidates[2].await_leading(), 1);
    for name in [HANDOVER, PREFERRED_HOLDER] {
        assert_eq!(field(&store, name), Value::Null, "{name}");
    }
    never_for(2 * LEASE, "another candidate leads", || {
        store.holder() != "third"
    });
    let terms: Vec<_> = candidates.iter().map(Candidate::terms).collect();
    assert_eq!(terms, [vec![0], vec![], vec![1]]);
    let done = request(&store, hand_over("third"));
    assert_eq!(done, Ok(Done::Nothing("third leads already".to_owned())));
}

#[test]
fn handover_to_anybody_excludes_leader() {
    let store = Store::default();
    let candidates = start(&store, &["first", "second"]);
    for (token, next) in [(1, 1), (2, 0)] {
        request(&store, hand_over("")).unwrap();
        assert_eq!(candidates[next].await_leading(), token);
    }
}

#[test]
fn absent_candidate_costs_one_lease() {
    let store = Store::default();
    let candidates = start(&store, &["first", "second"]);
    request(&store, hand_over("nobody")).unwrap();
    eventually("the leader releases", || store.holder().is_empty());
    assert_eq!(field(&store, PREFERRED_HOLDER), "nobody");
    eventually("a candidate leads", || {
        candidates.iter().any(|one| one.leads() == Some(1))
    });
    assert_eq!(field(&store, PREFERRED_HOLDER), Value::Null);
}

fn preferred(name: &str) -> LeaderElectionConfig {
    LeaderElectionConfig {
        preferred: true,
        failback_after: Some(LEASE),
        ..config(name)
    }
}

#[test]
fn preferred_candidate_leads_again() {
    let store = Store::default();
    let second = start(&store, &["second"]).remove(0);
    let first = Candidate::start(&store, preferred("first"));
    assert_eq!(first.await_leading(), 1);
    assert_eq!(second.terms(), [0]);
    assert_eq!(field(&store, "holderPreferred"), true);
    never_for(2 * LEASE, "it loses the lease", || {
        store.holder() != "first"
    });
}

#[test]
fn preferred_leader_is_left_alone() {
    let store = Store::default();
    let first = Candidate::start(&store, preferred("first"));
    first.await_leading();
    let second = Candidate::start(&store, preferred("second"));
    second.await_observed("first");
    never_for(3 * LEASE, "it is asked", || {
        store.holder() != "first" || !field(&store, HANDOVER).is_null()
    });
}
