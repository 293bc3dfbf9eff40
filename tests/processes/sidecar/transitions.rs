//! Tests transitions and the leader file on a lock in memory, with a workload that the test ends.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tempfile::TempDir;

use elector::election::action::Finish;
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::LockError;
use elector::runtime::election::{Handle, LeaderElection, Transition};
use elector::runtime::sidecar::Sidecar;
use elector::runtime::{LeaderCallbacks, Term};

use crate::support::eventually;
use crate::support::file_names;
use crate::support::memory::{Store, StoreMode, config};

/// A workload that runs until the term is over and the test lets it end.
struct Work {
    begun: Arc<AtomicBool>,
    let_end: Arc<AtomicBool>,
}

impl LeaderCallbacks for Work {
    fn on_started_leading(&self, term: &Term) {
        self.begun.store(true, Ordering::SeqCst);
        term.wait_until_over();
        eventually("the test lets it end", || {
            self.let_end.load(Ordering::SeqCst)
        });
    }
}

/// An election with a leader file.
struct Stage {
    store: Store,
    folder: TempDir,
    path: PathBuf,
    handle: Handle,
    begun: Arc<AtomicBool>,
    let_end: Arc<AtomicBool>,
    reported: Arc<Mutex<Vec<Transition>>>,
    thread: Option<JoinHandle<Finish>>,
}

impl Stage {
    fn start(works_on: bool, config: LeaderElectionConfig) -> Stage {
        let (store, folder) = (Store::default(), tempfile::tempdir().unwrap());
        let (begun, let_end) = (Arc::default(), Arc::new(AtomicBool::new(!works_on)));
        let path = folder.path().join("leader");
        let sidecar = Sidecar::start(&config.identity, Some(&path), None).unwrap();
        let work = Work {
            begun: Arc::clone(&begun),
            let_end: Arc::clone(&let_end),
        };
        let lock = store.lock(&config.identity);
        let mut election = LeaderElection::new(config, Box::new(lock), work).unwrap();
        let handle = election.handle();
        let reported = Arc::new(Mutex::new(Vec::new()));
        let reporter = Arc::clone(&reported);
        sidecar.follow(&mut election);
        election.on_transition(move |transition| reporter.lock().unwrap().push(transition.clone()));
        let thread = thread::spawn(move || {
            let finish = election.run().unwrap();
            sidecar.finish();
            finish
        });
        Stage {
            store,
            folder,
            path,
            handle,
            begun,
            let_end,
            reported,
            thread: Some(thread),
        }
    }

    fn leading(works_on: bool) -> Stage {
        // Long enough for the workload to stop.
        let config = LeaderElectionConfig {
            stop_timeout: Duration::from_secs(60),
            ..config("me")
        };
        let stage = Stage::start(works_on, config);
        stage.await_leading();
        stage
    }

    /// Waits for the file and the workload, in any order, because each has its own thread.
    fn await_leading(&self) {
        eventually("the file is there", || self.path.exists());
        eventually("the work begins", || self.begun.load(Ordering::SeqCst));
    }

    /// Returns the names of the transitions so far, consecutive renewals as one.
    fn names(&self) -> Vec<String> {
        let reported = self.reported.lock().unwrap();
        let mut names: Vec<String> = reported.iter().map(name).collect();
        names.dedup();
        names
    }

    fn until(&self) -> Option<f64> {
        let text = fs::read_to_string(&self.path).ok()?;
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        line["validUntil"].as_f64()
    }

    fn let_end(&self) {
        self.let_end.store(true, Ordering::SeqCst);
    }

    fn finish(&mut self) -> Finish {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.let_end();
        self.store.set_mode(StoreMode::Works);
        self.handle.stop();
    }
}

fn name(transition: &Transition) -> String {
    match transition {
        Transition::StartedLeading { fencing_token, .. } => format!("started {fencing_token}"),
        Transition::Renewed { .. } => "renewed".into(),
        Transition::StoppedLeading {
            fencing_token,
            detail,
            ..
        } => format!("stopped {fencing_token}: {detail}"),
        Transition::TermOver { fencing_token } => format!("over {fencing_token}"),
        Transition::NewLeader {
            identity,
            fencing_token,
        } => format!("leader {identity} {fencing_token:?}"),
        other => panic!("{other:?} is not known here"),
    }
}

#[test]
fn graceful_stop_keeps_renewing_leader_file() {
    let mut stage = Stage::leading(true);
    stage.handle.stop();
    eventually("the workload is stopped", || {
        stage
            .names()
            .contains(&"stopped 0: asked to stop".to_owned())
    });
    let before = stage.until().expect("the lease is kept alive");
    eventually("renewals are reported", || {
        stage.until().is_some_and(|until| until > before)
    });
    assert!(!stage.names().contains(&"over 0".to_owned()));
    stage.let_end();
    assert_eq!(stage.finish(), Finish::Stopped);
    assert_eq!(file_names(&stage.folder), [""; 0]);
    let names = stage.names();
    let stop = names.iter().position(|name| name.starts_with("stopped"));
    let (before, after) = names.split_at(stop.unwrap());
    assert_eq!(before[..2], ["started 0", "leader me Some(0)"]);
    assert_eq!(
        after,
        [
            "stopped 0: asked to stop",
            "renewed",
            "over 0",
            "leader  None"
        ]
    );
}

#[test]
fn lost_lease_ends_term_before_workload() {
    let stage = Stage::leading(true);
    stage
        .store
        .set_mode(StoreMode::Fails(LockError::Unavailable("away".into())));
    eventually("the file is removed", || !stage.path.exists());
    eventually("it is reported", || {
        stage.names().contains(&"over 0".to_owned())
    });
    let names: Vec<_> = stage
        .names()
        .into_iter()
        .filter(|name| name != "renewed")
        .map(|name| match name.split_once(" calls failed since ") {
            Some(_) => "stopped 0".to_owned(),
            None => name,
        })
        .collect();
    assert_eq!(
        names,
        ["started 0", "leader me Some(0)", "stopped 0", "over 0"]
    );
    stage.store.set_mode(StoreMode::Works);
    stage.let_end();
    eventually("the next term is reported", || {
        stage.names().contains(&"started 1".to_owned())
    });
}

#[test]
fn lost_lease_cuts_graceful_stop_short() {
    let stage = Stage::leading(true);
    stage.handle.stop();
    eventually("the workload is stopped", || {
        stage
            .names()
            .contains(&"stopped 0: asked to stop".to_owned())
    });
    stage
        .store
        .set_mode(StoreMode::Fails(LockError::Unavailable("away".into())));
    eventually("the file is removed", || !stage.path.exists());
    eventually("it is reported", || {
        stage.names().contains(&"over 0".to_owned())
    });
}

#[test]
fn stuck_workload_leaves_no_file() {
    let mut stage = Stage::start(true, config("me"));
    stage.await_leading();
    stage.handle.stop();
    assert_eq!(stage.finish(), Finish::WorkloadStuck);
    assert_eq!(file_names(&stage.folder), [""; 0]);
}

#[test]
fn each_term_of_leader_is_announced() {
    let stage = Stage::leading(false);
    let mut other =
        LeaderElection::new(config("other"), Box::new(stage.store.lock("other")), Idle).unwrap();
    let (sender, transitions) = channel();
    other.on_transition(move |transition| drop(sender.send(transition.clone())));
    let handle = other.handle();
    let (done, ended) = channel();
    thread::spawn(move || done.send(other.run().unwrap()).unwrap());
    let mut reported = Vec::new();
    let mut await_transition = |wanted: &str| {
        eventually(wanted, || {
            reported.extend(transitions.try_iter().map(|transition| name(&transition)));
            reported.contains(&wanted.to_owned())
        });
    };
    await_transition("leader me Some(0)");
    // After an outage the same candidate leads in another term.
    stage
        .store
        .set_mode(StoreMode::RefusesWrites(LockError::Unavailable(
            "away".into(),
        )));
    eventually("it lost the lease", || {
        stage.names().contains(&"over 0".to_owned())
    });
    stage.store.set_mode(StoreMode::Works);
    await_transition("leader me Some(1)");
    stage.handle.stop();
    await_transition("leader other Some(2)");
    handle.stop();
    ended.recv().unwrap();
    await_transition("leader  None");
    assert!(
        !reported.contains(&"leader me None".to_owned()),
        "{reported:?}"
    );
}

/// Callbacks without a workload.
struct Idle;

impl LeaderCallbacks for Idle {
    fn on_started_leading(&self, term: &Term) {
        term.wait_until_over();
    }
}
