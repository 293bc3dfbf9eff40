//! A second kind of lock, in memory, behind the interface that the program uses: election, endpoints,
//! `status`, `doctor` and `depose`.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use elector::commands::depose::depose;
use elector::commands::doctor::examine;
use elector::commands::status::LockStatus;
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::{Content, LockError};
use elector::election::record::LeaderElectionRecord;
use elector::lock::admin::{Admin, Checks, Finding, Initialized};
use elector::lock::backend::{Backend, OpenError, Opened, Times};
use elector::lock::inspection::InspectedRecord;
use elector::lock::stats::{StatsHandle, StoreStats};
use elector::observe::{CandidateInfo, ReadyWhen};
use elector::runtime::election::{Handle, LeaderElection};
use elector::runtime::endpoints::{LiveSource, serve};
use elector::runtime::{LeaderCallbacks, Term};
use serde_json::Value;

use crate::support::eventually;
use crate::support::memory::{Store, config};
use crate::support::wire::{exchange, request};

/// Lock in memory, as the settings would describe it.
#[derive(Debug)]
struct MemoryBackend {
    store: Store,
    stats: StatsHandle,
}

impl Backend for MemoryBackend {
    fn open(&self, election: &LeaderElectionConfig) -> Result<Opened, OpenError> {
        Ok(Opened {
            lock: Box::new(self.store.lock(&election.identity)),
            stats: self.stats.clone(),
            process: "p".to_owned(),
        })
    }

    fn admin(&self, _: &LeaderElectionConfig) -> Result<Box<dyn Admin>, OpenError> {
        Ok(Box::new(MemoryAdmin(self.store.clone())))
    }

    fn checks(&self) -> &'static [&'static str] {
        &["memory"]
    }

    fn lock(&self) -> String {
        "memory".to_owned()
    }

    fn lease_name(&self) -> String {
        "memory".to_owned()
    }

    fn secret_variables(&self) -> &'static [&'static str] {
        &[]
    }

    fn default_times(&self) -> Times {
        Times {
            lease_duration: Duration::from_secs(2),
            renew_deadline: Duration::from_secs(1),
            retry_period: Duration::from_millis(400),
            poll_period: Duration::from_millis(50),
        }
    }
}

struct MemoryAdmin(Store);

impl Admin for MemoryAdmin {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn stats(&self) -> StoreStats {
        StoreStats::default()
    }

    fn inspect(&mut self) -> Result<InspectedRecord, LockError> {
        let (record, version, written_by_lock) = self.0.stored();
        let token = record.as_ref().map(|record| record.leader_transitions);
        Ok(InspectedRecord {
            longest_lease: record
                .as_ref()
                .map_or(Duration::ZERO, |record| record.lease_duration()),
            content: record.map_or(Content::NeverWritten, Content::Record),
            refusal: None,
            foreign: !written_by_lock,
            checkpoint: false,
            fencing_token: token,
            version: version.to_string(),
            written_at: Some(1_800_000_000),
            read_at: Some(1_800_000_001),
            complete: true,
        })
    }

    fn replace(
        &mut self,
        inspected: &InspectedRecord,
        record: &LeaderElectionRecord,
    ) -> Result<(), LockError> {
        self.0.replace(inspected.version.parse().unwrap(), record)
    }

    fn check(&mut self) -> Checks {
        Checks {
            findings: vec![Finding::ok("memory", "there is enough")],
            record: self.inspect().ok(),
        }
    }

    fn race(&mut self) -> Finding {
        Finding::skipped("race")
    }

    fn init(
        &mut self,
        _least_token: u64,
        _report: &mut dyn FnMut(&str),
    ) -> Result<Initialized, LockError> {
        Err(LockError::Refused("memory needs no place".to_owned()))
    }
}

struct Work;

impl LeaderCallbacks for Work {
    fn on_started_leading(&self, term: &Term) {
        term.wait_until_over();
    }
}

/// Runs an election over a backend while `test` runs.
fn with_election(backend: &dyn Backend, test: impl FnOnce(Handle, StatsHandle)) {
    let config = config("napoleon");
    let opened = backend.open(&config).unwrap();
    let election = LeaderElection::new(config, opened.lock, Work).unwrap();
    let handle = election.handle();
    let running = thread::spawn(|| election.run());
    test(handle.clone(), opened.stats);
    handle.stop();
    running.join().unwrap().unwrap();
}

fn leads(handle: &Handle) -> bool {
    handle.status().leading.is_some()
}

#[test]
fn memory_backend_runs_election_and_endpoints() {
    let backend = MemoryBackend {
        store: Store::default(),
        stats: StatsHandle::default(),
    };
    with_election(&backend, |handle, stats| {
        eventually("it leads", || leads(&handle));
        stats.update(|stats| stats.unanswered = 7);
        let candidate = CandidateInfo {
            name: "memory".to_owned(),
            lock_page: None,
            lease_name: backend.lease_name(),
            lock: handle.describe().to_owned(),
            config: config("napoleon"),
            confirm_delay: backend.confirm_delay(),
            ready_when: ReadyWhen::Leader,
            workload: None,
        };
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let listen = address.to_string().parse().unwrap();
        let source = LiveSource::new(handle, stats, candidate, None);
        let _endpoints = serve(&listen, Arc::new(source)).unwrap();
        let get = |path| exchange(address, request("GET", path, &[], "")).unwrap();
        assert_eq!(get("/readyz").status, 200);
        let status = get("/status").json();
        assert_eq!(status["holder"], "napoleon", "{status:#}");
        let metrics = get("/metrics").text();
        assert!(metrics.contains("name=\"memory\""), "{metrics}");
    });
    assert_eq!(backend.store.holder(), "", "the lease was released");
}

#[test]
fn memory_backend_serves_commands() {
    let store = Store::default();
    let backend = MemoryBackend {
        store: store.clone(),
        stats: StatsHandle::default(),
    };
    let config = config("napoleon");
    let mut admin = backend.admin(&config).unwrap();
    let report = examine(&backend, &config).to_string();
    assert!(report.contains("no record was ever written"), "{report}");
    assert!(report.ends_with("Everything is ok.\n"), "{report}");
    let stopped = Arc::new(Mutex::new(String::new()));
    with_election(&backend, |handle, _| {
        eventually("it leads", || leads(&handle));
        let status = LockStatus::read(&mut *admin, config.lease_duration).unwrap();
        let json: Value = serde_json::from_str(&status.json()).unwrap();
        assert_eq!(json["holder"], "napoleon");
        assert_eq!(json["state"], "held");
        assert_eq!(json["lock"], "memory");
        let report = examine(&backend, &config);
        assert!(report.is_healthy(), "{report}");
        let history = admin.history(10, None);
        assert!(
            history
                .error
                .unwrap()
                .to_string()
                .contains("keeps no history")
        );
        // The leader renews: a write that comes between is a conflict.
        let before = store.writes().len();
        let deposed = loop {
            let mut admin = backend.admin(&config).unwrap();
            match depose(&mut *admin, &config, None, true) {
                Ok(text) => break text,
                Err(why) => assert!(why.contains("nothing was written"), "{why}"),
            }
        };
        *stopped.lock().unwrap() = deposed;
        assert!(store.writes().len() > before);
        eventually("it stops leading", || {
            let tokens = store.writes();
            tokens
                .last()
                .is_some_and(|record| record.leader_transitions > 0)
        });
    });
    let deposed = stopped.lock().unwrap().clone();
    assert!(deposed.starts_with("napoleon is deposed"), "{deposed}");
}
