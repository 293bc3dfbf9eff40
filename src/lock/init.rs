//! Steps of `elector init` that every kind of lock takes.

use std::thread;
use std::time::Duration;

use crate::election::annotation::MOVED_TO;
use crate::election::lock::{LockError, Observed, ResourceLock};
use crate::election::record::LeaderElectionRecord;
use crate::fmt::one_line;
use crate::lock::admin::CALL_TIMEOUT;
use crate::system::clock;

/// Pause after a call without a usable answer.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Reads until there is a usable answer, at most `attempts` times in a row.
pub(super) fn read_patiently(
    lock: &mut impl ResourceLock,
    attempts: u32,
) -> Result<Observed, LockError> {
    let mut failures = 0;
    loop {
        match lock.get(CALL_TIMEOUT) {
            // A long history takes several calls.
            Err(LockError::Unfinished(_)) => failures = 0,
            Err(LockError::Unavailable(_)) if failures + 1 < attempts => {
                failures += 1;
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

/// Returns a record without a holder, written now.
pub(super) fn free_record(fencing_token: u64) -> LeaderElectionRecord {
    LeaderElectionRecord::without_holder(fencing_token, clock::utc_timestamp())
}

/// Returns whether a new checkpoint may replace a record with a lower fencing token: no elector has acquired
/// it, or the election has moved away.
pub(super) fn is_replaceable(record: &LeaderElectionRecord, foreign: bool) -> bool {
    let unused = record.released_by().is_empty() || record.annotation(MOVED_TO).is_some();
    record.holder_identity.is_empty() && !foreign && unused
}

/// Returns the error for a place whose record has a lower fencing token than the new one must have.
pub(super) fn token_too_low(place: &str, fencing_token: u64, least: u64) -> LockError {
    LockError::Refused(format!(
        "{place} holds a record with fencing token {fencing_token}, below {least}, which the tokens here \
         must reach; name another place"
    ))
}

/// Returns the message that a place needs no record, because it holds one.
pub(super) fn nothing_to_do(
    place: &str,
    fencing_token: u64,
    record: &LeaderElectionRecord,
) -> String {
    let holder = match record.holder_identity.as_str() {
        "" => "without a holder".to_owned(),
        holder => format!("held by {}", one_line(holder)),
    };
    format!("nothing to do: {place} holds a record, fencing token {fencing_token}, {holder}")
}
