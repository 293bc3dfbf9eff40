//! The thread that talks to the store, so that a request that hangs holds up nothing else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::election::lock::{LockError, Observed, ResourceLock, Written};
use crate::election::record::LeaderElectionRecord;

/// The elector makes one call at a time; the rest is room for events, which may be left out.
const QUEUE: usize = 16;

/// A call to the store.
pub(super) enum LockCall {
    Get(Duration),
    Create(LeaderElectionRecord, Duration),
    Update(LeaderElectionRecord, Duration),
    Event(String),
}

/// What came of it.
pub(super) enum LockResult {
    Got(Result<Observed, LockError>),
    Wrote(Result<Written, LockError>),
}

/// Starts the thread. It ends once the sender is dropped and the call under way has come back. With
/// each result `answer` gets the lock's shortest poll interval.
pub(super) fn start(
    mut lock: Box<dyn ResourceLock + Send>,
    mut answer: impl FnMut(LockResult, Duration) + Send + 'static,
) -> io::Result<SyncSender<LockCall>> {
    let (calls, queue): (_, Receiver<LockCall>) = sync_channel(QUEUE);
    thread::Builder::new().name("lock".into()).spawn(move || {
        for call in queue {
            if let Some(result) = carry_out(&mut *lock, call) {
                let interval = guarded(|| lock.min_poll_interval());
                answer(result, interval.unwrap_or_default());
            }
        }
    })?;
    Ok(calls)
}

/// Makes the call. A lock that panics must not leave the elector waiting for its answer for ever.
fn carry_out(lock: &mut dyn ResourceLock, call: LockCall) -> Option<LockResult> {
    match call {
        LockCall::Get(timeout) => {
            let result = guarded(|| lock.get(timeout));
            Some(LockResult::Got(result.unwrap_or_else(|| {
                Err(LockError::Unavailable("the lock panicked".into()))
            })))
        }
        LockCall::Create(record, timeout) => Some(wrote(guarded(|| lock.create(&record, timeout)))),
        LockCall::Update(record, timeout) => Some(wrote(guarded(|| lock.update(&record, timeout)))),
        LockCall::Event(event) => {
            guarded(|| lock.record_event(&event));
            None
        }
    }
}

fn wrote(result: Option<Result<Written, LockError>>) -> LockResult {
    LockResult::Wrote(
        result.unwrap_or_else(|| Err(LockError::OutcomeUnknown("the lock panicked".into()))),
    )
}

fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}
