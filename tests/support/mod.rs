//! Helpers that several tests share: waiting with a deadline, processes and gists to test on, a lock in
//! memory, a raw HTTP client.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses only a part"
)]

pub mod authority;
pub mod cell;
pub mod memory;
pub mod process;
pub mod server;
pub mod tools;
pub mod wire;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use elector::election::lock::LockError;
use elector::election::record::LeaderElectionRecord;
use serde_json::Value;

/// Deadline of every wait. It suffices on a busy machine; a test that reaches it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Time limit of a call of a lock: ample for a busy machine.
pub const AMPLE: Duration = Duration::from_secs(10);

/// Time between two checks of a condition.
const POLL: Duration = Duration::from_millis(5);

/// Returns a record with this holder and fencing token, and a lease of 15 s.
pub fn record(holder: &str, token: u64) -> LeaderElectionRecord {
    LeaderElectionRecord {
        holder_identity: holder.to_owned(),
        lease_duration_seconds: 15,
        acquire_time: "2026-11-22T10:00:00Z".to_owned(),
        renew_time: "2026-11-22T10:00:00Z".to_owned(),
        leader_transitions: token,
        ..LeaderElectionRecord::default()
    }
}

/// Returns the fields in which two records differ, in their order.
pub fn changed_fields(before: &Value, after: &Value) -> Vec<String> {
    let names = before.as_object().unwrap().keys();
    let mut names: Vec<_> = names.chain(after.as_object().unwrap().keys()).collect();
    names.sort();
    names.dedup();
    let changed = names
        .into_iter()
        .filter(|&name| before.get(name) != after.get(name));
    changed.cloned().collect()
}

/// Returns the name of an error's kind.
pub fn kind(error: &LockError) -> &'static str {
    match error {
        LockError::NotFound(_) => "not found",
        LockError::Conflict => "conflict",
        LockError::Unauthorized(_) => "unauthorized",
        LockError::RateLimited { .. } => "rate limited",
        LockError::Unavailable(_) => "unavailable",
        LockError::OutcomeUnknown(_) => "unknown",
        LockError::Refused(_) => "refused",
        LockError::Unfinished(_) => "unfinished",
        _ => "other",
    }
}

/// Waits until the condition holds. Use this instead of a fixed sleep.
///
/// # Panics
///
/// If the condition does not hold within [`PATIENCE`].
#[track_caller]
pub fn eventually(condition: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "not within {PATIENCE:?}: {condition}"
        );
        thread::sleep(POLL);
    }
}

/// Checks for this long that the condition does not hold.
///
/// # Panics
///
/// As soon as the condition holds.
#[track_caller]
pub fn never_for(time: Duration, condition: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        assert!(!holds(), "must not happen: {condition}");
        thread::sleep(POLL);
    }
}

/// Runs the test for each case, up to five simultaneously, because the cases spend their time waiting.
pub fn for_each<T: Sync>(cases: &[T], test: impl Fn(&T) + Sync) {
    for some in cases.chunks(5) {
        thread::scope(|scope| {
            for case in some {
                scope.spawn(|| test(case));
            }
        });
    }
}

/// Returns the sorted names of the files in a folder.
pub fn file_names(folder: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
