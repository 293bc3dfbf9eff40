//! Tests `LeaderElection` with real threads on a lock in memory: callbacks and calls that block, panic or fail
//! delay nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::memory::{Store, StoreMode, config};
use crate::support::{PATIENCE, eventually, never_for};
use elector::election::action::Finish;
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::LockError;
use elector::runtime::election::{ElectionError, Handle, LeaderElection};
use elector::runtime::{LeaderCallbacks, Term};
use elector::system::clock::BootClock;

const LEASE: Duration = Duration::from_secs(2);

/// Behaviour of the callbacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CallbackMode {
    /// The workload ends with the term.
    #[default]
    Works,
    /// The callback returns immediately.
    ReturnsEarly,
    /// The workload runs until the test ends it.
    OutlastsTerm,
    /// `on_new_leader` blocks until the test ends it.
    BlocksOnNewLeader,
    /// Every callback panics.
    Panics,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Started(u64),
    Stopped,
    NewLeader(String),
}

type Calls = Arc<Mutex<Vec<Call>>>;

struct Callbacks {
    calls: Calls,
    term: Arc<Mutex<Option<Term>>>,
    mode: CallbackMode,
    released: Arc<AtomicBool>,
}

impl Callbacks {
    fn record(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
        assert!(
            self.mode != CallbackMode::Panics,
            "the test's callback panics"
        );
    }

    fn block(&self) {
        eventually("the test lets it go", || {
            self.released.load(Ordering::SeqCst)
        });
    }
}

impl LeaderCallbacks for Callbacks {
    fn on_started_leading(&self, term: &Term) {
        *self.term.lock().unwrap() = Some(term.clone());
        self.record(Call::Started(term.fencing_token()));
        match self.mode {
            CallbackMode::ReturnsEarly => {}
            CallbackMode::OutlastsTerm => self.block(),
            _ => term.wait_until_over(),
        }
    }

    fn on_stopped_leading(&self) {
        self.record(Call::Stopped);
    }

    fn on_new_leader(&self, identity: &str) {
        self.record(Call::NewLeader(identity.to_owned()));
        if self.mode == CallbackMode::BlocksOnNewLeader {
            self.block();
        }
    }
}

type Ending = Result<Finish, ElectionError>;

/// An election on a thread.
struct Running {
    handle: Handle,
    calls: Calls,
    term: Arc<Mutex<Option<Term>>>,
    released: Arc<AtomicBool>,
    thread: Option<JoinHandle<Ending>>,
}

fn prepare(
    config: LeaderElectionConfig,
    store: &Store,
    mode: CallbackMode,
) -> (LeaderElection, Running) {
    let calls = Calls::default();
    let term = Arc::default();
    let released = Arc::default();
    let lock = store.lock(&config.identity);
    let callbacks = Callbacks {
        calls: Arc::clone(&calls),
        term: Arc::clone(&term),
        mode,
        released: Arc::clone(&released),
    };
    let election = LeaderElection::new(config, Box::new(lock), callbacks).unwrap();
    let running = Running {
        handle: election.handle(),
        calls,
        term,
        released,
        thread: None,
    };
    (election, running)
}

fn run_with(config: LeaderElectionConfig, store: &Store, mode: CallbackMode) -> Running {
    let (election, mut running) = prepare(config, store, mode);
    running.thread = Some(thread::spawn(|| election.run()));
    running
}

fn run(store: &Store, mode: CallbackMode) -> Running {
    run_with(config("me"), store, mode)
}

impl Running {
    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    fn await_call(&self, wanted: &Call) {
        eventually(&format!("{wanted:?} is called"), || {
            self.calls().contains(wanted)
        });
    }

    fn term(&self) -> Term {
        self.term.lock().unwrap().clone().unwrap()
    }

    fn await_term(&self, token: u64) -> Term {
        self.await_call(&Call::Started(token));
        self.term()
    }

    fn ending(&mut self) -> Ending {
        let thread = self.thread.take().unwrap();
        eventually("the election ends", || thread.is_finished());
        thread.join().unwrap()
    }

    fn stop(&mut self) -> Finish {
        self.handle.stop();
        self.ending().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.released.store(true, Ordering::SeqCst);
        self.handle.stop();
    }
}

#[test]
fn candidate_leads_renews_and_releases() {
    let store = Store::default();
    let mut running = run(&store, CallbackMode::Works);
    let term = running.await_term(0);
    running.await_call(&Call::NewLeader("me".into()));
    let until = term.valid_until();
    eventually("it renews", || store.writes().len() >= 4);
    eventually("the term is extended", || term.valid_until() > until);
    let status = running.handle.status();
    assert_eq!(status.leader, "me");
    assert_eq!(status.leading.unwrap().fencing_token, 0);
    assert_eq!(running.stop(), Finish::Stopped);
    assert!(term.is_over());
    assert_eq!(store.holder(), "");
    assert_eq!(store.events(), ["me became leader", "me stopped leading"]);
    let calls: Vec<_> = running
        .calls()
        .into_iter()
        .filter(|call| *call != Call::Started(0))
        .collect();
    let new_leader = |name: &str| Call::NewLeader(name.into());
    assert_eq!(calls, [new_leader("me"), Call::Stopped, new_leader("")]);
}

#[test]
fn callbacks_finish_before_run_returns() {
    for release in [true, false] {
        let store = Store::default();
        let config = LeaderElectionConfig {
            release_on_cancel: release,
            ..config("me")
        };
        let mut running = run_with(config, &store, CallbackMode::Works);
        running.await_term(0);
        assert_eq!(running.stop(), Finish::Stopped);
        let calls = running.calls();
        assert!(calls.contains(&Call::Stopped), "{calls:?}");
        assert_eq!(store.holder().is_empty(), release);
    }
}

#[test]
fn hanging_call_does_not_extend_term() {
    let store = Store::default();
    let mut running = run(&store, CallbackMode::Works);
    let term = running.await_term(0);
    store.set_mode(StoreMode::Hangs);
    term.wait_until_over();
    running.await_call(&Call::Stopped);
    assert_eq!(running.handle.check(LEASE), Ok(()), "it stepped down");
    // The status follows the end of the term.
    let handle = running.handle.clone();
    eventually("it knows that", || handle.status().leading.is_none());
    let status = handle.status();
    let call = status.call.expect("the call is still under way");
    let now = BootClock::now();
    assert_eq!(status.check("memory", now, LEASE), Ok(()));
    let later = call.overdue_at + Duration::from_secs(31);
    assert!(status.check("memory", later, LEASE).is_err());
    assert_eq!(running.stop(), Finish::NotReleased);
    store.set_mode(StoreMode::Works);
}

#[test]
fn late_call_result_is_used() {
    let store = Store::default();
    let mut running = run(&store, CallbackMode::Works);
    let term = running.await_term(0);
    store.set_mode(StoreMode::Hangs);
    term.wait_until_over();
    store.set_mode(StoreMode::Works);
    running.await_term(1);
    assert_eq!(running.stop(), Finish::Stopped);
}

#[test]
fn nothing_is_written_before_workload_stopped() {
    let store = Store::default();
    let mut running = run(&store, CallbackMode::OutlastsTerm);
    let term = running.await_term(0);
    store.set_mode(StoreMode::Fails(LockError::Unavailable("away".into())));
    term.wait_until_over();
    let writes = store.writes().len();
    store.set_mode(StoreMode::Works);
    never_for(LEASE * 3 / 2, "it writes", || store.writes().len() > writes);
    running.released.store(true, Ordering::SeqCst);
    running.await_term(1);
    assert_eq!(running.stop(), Finish::Stopped);
    assert_eq!(store.holder(), "");
}

#[test]
fn stuck_workload_keeps_lease_until_timeout() {
    let store = Store::default();
    let mut running = run(&store, CallbackMode::OutlastsTerm);
    let term = running.await_term(0);
    let asked = Instant::now();
    running.handle.stop();
    term.wait_until_over();
    let writes = store.writes().len();
    eventually("it renews while it waits", || store.writes().len() > writes);
    assert_eq!(running.ending().unwrap(), Finish::WorkloadStuck);
    let times = config("me");
    assert!(asked.elapsed() >= times.stop_timeout + times.termination_grace);
    assert_eq!(store.holder(), "me", "nothing was released");
}

#[test]
fn early_return_does_not_end_term() {
    let store = Store::default();
    let mut running = run(&store, CallbackMode::ReturnsEarly);
    let term = running.await_term(0);
    let writes = store.writes().len();
    eventually("it renews", || store.writes().len() > writes + 3);
    assert!(!term.is_over());
    assert_eq!(running.stop(), Finish::Stopped);
    assert_eq!(store.holder(), "");
}

#[test]
fn blocking_callback_delays_nothing() {
    let store = Store::default();
    let mut running = run(&store, CallbackMode::BlocksOnNewLeader);
    let term = running.await_term(0);
    eventually("it renews", || store.writes().len() >= 4);
    store.set_mode(StoreMode::Fails(LockError::Unavailable("away".into())));
    term.wait_until_over();
    store.set_mode(StoreMode::Works);
    running.await_term(1);
    assert_eq!(running.stop(), Finish::Stopped);
    assert_eq!(store.holder(), "");
}

#[test]
fn panicking_callback_ends_nothing() {
    let store = Store::default();
    let mut running = run(&store, CallbackMode::Panics);
    running.await_term(0);
    eventually("it renews", || store.writes().len() >= 4);
    assert_eq!(running.handle.status().leading.unwrap().fencing_token, 0);
    assert_eq!(running.stop(), Finish::Stopped);
    assert_eq!(store.holder(), "");
    let calls = running.calls();
    assert!(calls.contains(&Call::Stopped), "{calls:?}");
}

#[test]
fn panicking_lock_counts_as_failure() {
    let store = Store::default();
    let mut running = run(&store, CallbackMode::Works);
    let term = running.await_term(0);
    store.set_mode(StoreMode::Panics);
    term.wait_until_over();
    store.set_mode(StoreMode::Works);
    running.await_term(1);
    assert_eq!(running.stop(), Finish::Stopped);
}

#[test]
fn concurrent_stops_release_once() {
    let store = Store::default();
    let mut running = run(&store, CallbackMode::Works);
    running.await_term(0);
    thread::scope(|scope| {
        for _ in 0..100 {
            let handle = running.handle.clone();
            scope.spawn(move || handle.stop());
        }
    });
    assert_eq!(running.ending().unwrap(), Finish::Stopped);
    // A stop after the end must not block either.
    for _ in 0..100 {
        running.handle.stop();
    }
    let released = store.writes();
    let released = released.iter().filter(|r| r.holder_identity.is_empty());
    assert_eq!(released.count(), 1);
}

#[test]
fn election_stopped_before_run_never_leads() {
    let store = Store::default();
    let (election, running) = prepare(config("me"), &store, CallbackMode::Works);
    let (done, stopped) = channel();
    let handle = running.handle.clone();
    // More often than the event queue is long.
    thread::spawn(move || {
        for _ in 0..200 {
            handle.stop();
        }
        done.send(()).unwrap();
    });
    let stopped = stopped.recv_timeout(PATIENCE);
    assert_eq!(stopped, Ok(()), "stopping blocks before there is a run");
    assert_eq!(election.run().unwrap(), Finish::Stopped);
    assert_eq!(store.writes().len(), 0);
    assert!(!running.calls().contains(&Call::Started(0)));
}

#[test]
fn election_can_be_dropped_before_run() {
    let store = Store::default();
    let (election, running) = prepare(config("me"), &store, CallbackMode::Works);
    drop(election);
    running.handle.stop();
    assert_eq!(running.handle.check(LEASE), Ok(()));
    assert_eq!(store.calls(), 0);
}

#[test]
fn election_runs_without_handle() {
    let store = Store::default();
    let (election, running) = prepare(config("me"), &store, CallbackMode::Works);
    let handle = election.handle();
    drop(handle);
    let thread = thread::spawn(|| election.run());
    running.await_term(0);
    eventually("it renews", || store.writes().len() >= 4);
    running.handle.clone().stop();
    assert_eq!(thread.join().unwrap().unwrap(), Finish::Stopped);
}

#[test]
fn concurrent_health_checks_succeed() {
    let store = Store::default();
    let mut running = run(&store, CallbackMode::Works);
    let until = Instant::now() + Duration::from_secs(2);
    thread::scope(|scope| {
        for _ in 0..4 {
            let handle = running.handle.clone();
            scope.spawn(move || {
                while Instant::now() < until {
                    assert_eq!(handle.check(Duration::from_secs(30)), Ok(()));
                    let _ = handle.status();
                    thread::yield_now();
                }
            });
        }
    });
    running.await_term(0);
    assert_eq!(running.stop(), Finish::Stopped);
}

fn refusals() -> [LockError; 3] {
    [
        LockError::NotFound("no gist".into()),
        LockError::Unauthorized("bad token".into()),
        LockError::Refused("other text".into()),
    ]
}

#[test]
fn permanent_error_ends_only_first_read() {
    for error in refusals() {
        let store = Store::default();
        store.set_mode(StoreMode::Fails(error.clone()));
        match run(&store, CallbackMode::Works).ending() {
            Err(ElectionError::Lock(reported)) => assert_eq!(reported, error),
            other => panic!("{other:?}"),
        }
        assert_eq!(store.calls(), 1);

        store.set_mode(StoreMode::Works);
        let mut running = run(&store, CallbackMode::Works);
        let term = running.await_term(0);
        store.set_mode(StoreMode::Fails(error));
        term.wait_until_over();
        let calls = store.calls();
        eventually("it tries on", || store.calls() > calls + 3);
        store.set_mode(StoreMode::Works);
        running.await_term(1);
        assert_eq!(running.stop(), Finish::Stopped);
    }
}

#[test]
fn two_refused_first_writes_end_election() {
    for error in refusals() {
        let store = Store::default();
        store.set_mode(StoreMode::RefusesWrites(error.clone()));
        match run(&store, CallbackMode::Works).ending() {
            Err(ElectionError::Lock(reported)) => assert_eq!(reported, error),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn unavailable_store_at_start_is_retried() {
    let store = Store::default();
    store.set_mode(StoreMode::Fails(LockError::Unavailable("away".into())));
    let mut running = run(&store, CallbackMode::Works);
    eventually("it tries on", || store.calls() > 5);
    store.set_mode(StoreMode::Works);
    running.await_term(0);
    assert_eq!(running.stop(), Finish::Stopped);
}

#[test]
fn lost_lease_ends_election_if_configured() {
    let store = Store::default();
    let config = LeaderElectionConfig {
        exit_on_lost_lease: true,
        ..config("me")
    };
    let mut running = run_with(config, &store, CallbackMode::Works);
    let term = running.await_term(0);
    store.set_mode(StoreMode::Fails(LockError::Unavailable("away".into())));
    assert_eq!(running.ending().unwrap(), Finish::LostLease);
    assert!(term.is_over());
}

#[test]
fn one_of_several_candidates_leads() {
    let store = Store::default();
    let mut running: Vec<_> = ["a", "b", "c"]
        .map(|name| run_with(config(name), &store, CallbackMode::Works))
        .into();
    for round in 0..3 {
        let leads = |one: &Running| one.handle.status().leading.is_some();
        eventually("one leads", || running.iter().any(leads));
        assert_eq!(running.iter().filter(|one| leads(one)).count(), 1);
        let leader = running.iter().position(leads).unwrap();
        let mut leader = running.remove(leader);
        assert_eq!(leader.await_term(round).fencing_token(), round);
        assert_eq!(leader.stop(), Finish::Stopped);
    }
}
