//! Gist locks on a gist service, with a clock that tests can set forward.

use std::cell::Cell;
use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::{Duration, Instant as Monotonic};

use elector::election::config::LeaderElectionConfig;
use elector::election::lock::{Content, LockError, Observed, ResourceLock};
use elector::election::record::LeaderElectionRecord;
use elector::election::time::Instant;
use elector::emulator::{Faults, GistService, Options};
use elector::lock::gist::budget::Budget;
use elector::lock::gist::client::{ClientConfig, GistClient, WriteLimits, check_api_url};
use elector::lock::gist::protocol::ProtocolConfig;
use elector::lock::gist::{GistLock, GistLockConfig};
use elector::net::{AccessTokenSource, ProxySettings};

/// Timeout, long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const FILE: &str = "leader.json";

/// Renew deadline; an answer counts as stale for half of it.
pub(crate) const RENEW_DEADLINE: Duration = Duration::from_secs(10);

pub(crate) type Lock = GistLock;

static START: LazyLock<Monotonic> = LazyLock::new(Monotonic::now);

thread_local! {
    static AHEAD: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Returns the time of a running clock, which each test can set forward.
pub(crate) fn now() -> Instant {
    Instant::from_boot(Duration::from_secs(1000) + START.elapsed() + AHEAD.get())
}

pub(crate) fn put_clock_forward(by: Duration) {
    AHEAD.set(AHEAD.get() + by);
}

/// Gist with a separate service.
pub(crate) struct Rig {
    pub(crate) service: GistService,
    pub(crate) id: String,
}

impl Rig {
    /// Creates a gist with an empty object in it.
    pub(crate) fn new() -> Rig {
        Rig::with(&[(FILE, "{}")])
    }

    pub(crate) fn with(files: &[(&str, &str)]) -> Rig {
        Rig::start(files, Options::default())
    }

    pub(crate) fn start(files: &[(&str, &str)], options: Options) -> Rig {
        let service = GistService::start(options).unwrap();
        let id = service.create_gist(files).unwrap();
        Rig { service, id }
    }

    pub(crate) fn faults(&self, json: &str) {
        let faults = Faults::from_json(json.as_bytes()).unwrap();
        self.service.set_faults(faults);
    }

    pub(crate) fn heal(&self) {
        self.faults("{}");
    }

    /// Creates a lock on the usual file for a process with this name.
    pub(crate) fn lock(&self, process: &str) -> Lock {
        self.lock_on(process, Some(FILE))
    }

    pub(crate) fn lock_on(&self, process: &str, file: Option<&str>) -> Lock {
        lock(&self.service, &self.id, process, file)
    }

    /// Returns the first observation of a new lock.
    pub(crate) fn read_afresh(&self) -> Observed {
        get(&mut self.lock("fresh"))
    }

    /// Makes a foreign write.
    pub(crate) fn paste(&self, text: &str) {
        self.service
            .edit(&self.id, |files| {
                files.insert(FILE.into(), text.into());
            })
            .unwrap();
    }

    /// Returns the text of the file.
    pub(crate) fn text(&self) -> String {
        self.service.history(&self.id)[0].files[FILE].clone()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    /// Returns the number of revisions.
    pub(crate) fn depth(&self) -> usize {
        self.service.history(&self.id).len()
    }

    /// Runs `act` and counts its requests.
    pub(crate) fn counting<T>(&self, act: impl FnOnce() -> T) -> (T, u64) {
        let before = self.service.requests().total();
        let done = act();
        (done, self.service.requests().total() - before)
    }

    pub(crate) fn patches(&self) -> u64 {
        self.service.requests().of("PATCH", "", "")
    }
}

pub(crate) fn lock(service: &GistService, id: &str, process: &str, file: Option<&str>) -> Lock {
    let client = GistClient::new(ClientConfig {
        api_url: check_api_url(&service.url(), false).unwrap(),
        gist_id: id.parse().unwrap(),
        file: file.map(Into::into),
        access_token: AccessTokenSource::Value("ghp_notasecret".into()),
        ca_file: None,
        proxy: ProxySettings::default(),
        write_limits: WriteLimits::github(&LeaderElectionConfig::new("baz")),
        clock: Box::new(now),
    });
    let config = GistLockConfig {
        identity: format!("{process}/identity"),
        protocol: ProtocolConfig {
            process: process.into(),
            file: file.map(Into::into),
            renew_deadline: RENEW_DEADLINE,
            budget: Budget::new(&LeaderElectionConfig::new("baz")),
        },
        confirm_delay: Duration::from_secs(2),
    };
    GistLock::new(config, client.unwrap(), now)
}

/// Returns a record with a lease of 15 s.
pub(crate) fn record(holder: &str, token: u64) -> LeaderElectionRecord {
    LeaderElectionRecord {
        holder_identity: holder.into(),
        lease_duration_seconds: 15,
        leader_transitions: token,
        ..LeaderElectionRecord::default()
    }
}

/// Returns the text of a foreign record.
pub(crate) fn plain(holder: &str, lease: u64, token: u64) -> String {
    format!(
        r#"{{"holderIdentity":"{holder}","leaseDurationSeconds":{lease},"acquireTime":"2026-11-22T10:00:00Z","renewTime":"2026-11-22T10:04:08Z","leaderTransitions":{token}}}"#
    )
}

#[track_caller]
pub(crate) fn get(lock: &mut Lock) -> Observed {
    lock.get(PATIENCE).unwrap()
}

/// Reads until the scan ends.
#[track_caller]
pub(crate) fn settled(lock: &mut Lock) -> Observed {
    for _ in 0..60 {
        match try_get(lock) {
            Ok(observed) => return observed,
            Err(LockError::Unavailable(_) | LockError::Unfinished(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("the walk does not end: {:?}", try_get(lock));
}

pub(crate) fn try_get(lock: &mut Lock) -> Result<Observed, LockError> {
    lock.get(PATIENCE)
}

#[track_caller]
pub(crate) fn update(lock: &mut Lock, holder: &str, token: u64) {
    try_update(lock, holder, token).unwrap();
}

pub(crate) fn try_update(lock: &mut Lock, holder: &str, token: u64) -> Result<(), LockError> {
    lock.update(&record(holder, token), PATIENCE).map(drop)
}

#[track_caller]
pub(crate) fn create(lock: &mut Lock, holder: &str, token: u64) {
    lock.create(&record(holder, token), PATIENCE).unwrap();
}

/// Returns the holder and the fencing token.
#[track_caller]
pub(crate) fn held(observed: &Observed) -> (&str, u64) {
    let Content::Record(record) = &observed.content else {
        panic!("no record: {observed:?}");
    };
    (&record.holder_identity, record.leader_transitions)
}

#[track_caller]
pub(crate) fn assert_unknown<T: Debug>(result: Result<T, LockError>) -> String {
    match result {
        Err(LockError::OutcomeUnknown(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, LockError>) -> String {
    match result {
        Err(LockError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Asserts that a long history was not read to its end; returns the error's text.
#[track_caller]
pub(crate) fn assert_unfinished<T: Debug>(result: Result<T, LockError>) -> String {
    match result {
        Err(LockError::Unfinished(why)) => why,
        other => panic!("{other:?}"),
    }
}
