//! Race of writers on a scratch place, which shows whether a server decides atomically between them.

use std::sync::{Arc, Barrier};
use std::thread;

use super::session::{Session, drive};
use crate::election::lock::LockError;
use crate::lock::admin::Finding;
use crate::lock::store::{Snapshot, Step, Store, Version};

/// Number of writers that race.
const WRITERS: usize = 8;

/// Number of races.
const ROUNDS: usize = 20;

/// Name of the check.
const CHECK: &str = "race";

/// Lets writers race in the scratch place of `admin`'s kind. Each round must have at most one winner, whose value
/// is stored afterwards.
pub(super) fn run(admin: &Session) -> Finding {
    let kind = admin.kind.scratch();
    let place = kind.store().describe();
    let scratch = Session::open(kind, &admin.election);
    let mut scratch = match scratch {
        Ok(scratch) => scratch,
        Err(error) => return Finding::fail(CHECK, error.to_string()),
    };
    let mut won = 0;
    for round in 0..ROUNDS {
        match one_round(&mut scratch, round) {
            Ok(winner) => won += usize::from(winner),
            Err(problem) => return Finding::fail(CHECK, problem),
        }
    }
    let text = format!(
        "{WRITERS} writers raced {ROUNDS} times in {place}: one won {won} times, never two; delete that \
         place if you do not race again"
    );
    match won * 2 < ROUNDS {
        true => Finding::warn(CHECK, format!("{text}; the server refuses many writes")),
        false => Finding::ok(CHECK, text),
    }
}

/// Runs one race. Returns whether a writer won.
fn one_round(scratch: &mut Session, round: usize) -> Result<bool, String> {
    let place = scratch.store.describe();
    let read = |scratch: &mut Session| match scratch.read() {
        Ok((snapshot, _)) => Ok(snapshot),
        Err(error) => Err(format!("{place}: {error}")),
    };
    let before = read(scratch)?;
    let results = race(scratch, &before, round)?;
    let after = read(scratch)?;
    let stored = after.value.as_deref();
    let mut winners = Vec::new();
    for (writer, result) in results.iter().enumerate() {
        let is_stored = stored == Some(value(round, writer).as_bytes());
        match result {
            Ok(_) => winners.push((writer, is_stored)),
            Err(LockError::OutcomeUnknown(_)) if is_stored => winners.push((writer, true)),
            Err(LockError::Conflict | LockError::OutcomeUnknown(_)) => {}
            Err(LockError::RateLimited { .. } | LockError::Unavailable(_)) => {}
            Err(error) => return Err(format!("{place}: {error}")),
        }
    }
    match winners[..] {
        [] => Ok(false),
        [(_, true)] => Ok(true),
        _ => Err(format!(
            "{place}: the server told {} of {WRITERS} writers that they won, so two candidates could \
             lead; use another server, or a version of this one that honours conditional writes",
            winners.len()
        )),
    }
}

/// Lets all writers write over the same version.
fn race(
    scratch: &Session,
    before: &Snapshot,
    round: usize,
) -> Result<Vec<Result<Version, LockError>>, String> {
    let start = Barrier::new(WRITERS);
    let (kind, election) = (&scratch.kind, &scratch.election);
    let writer = |writer| {
        let mut admin = Session::open(Arc::clone(kind), election);
        if let Ok(admin) = &mut admin {
            // A store may need to know what it writes over.
            let _ = admin.read();
        }
        start.wait();
        let mut admin = admin.map_err(|error| LockError::Refused(error.to_string()))?;
        let value = value(round, writer);
        let step = admin.store.write(before.version.as_ref(), value.as_bytes());
        match drive(&mut *admin.store, &mut admin.exchange, step) {
            Step::Wrote(result) => result,
            _ => Err(LockError::Unavailable("internal error".to_owned())),
        }
    };
    thread::scope(|scope| {
        let writer = &writer;
        let threads: Vec<_> = (0..WRITERS)
            .map(|number| scope.spawn(move || writer(number)))
            .collect();
        let results = threads.into_iter().map(|thread| thread.join());
        let results: Result<Vec<_>, _> = results.collect();
        results.map_err(|_| "internal error: a writer panicked".to_owned())
    })
}

/// Returns a record that only this writer writes. It names no holder and has no ids.
fn value(round: usize, writer: usize) -> String {
    format!(
        r#"{{"holderIdentity":"","leaseDurationSeconds":1,"acquireTime":null,"renewTime":null,"leaderTransitions":{},"race":"{round}-{writer}"}}"#,
        round * WRITERS + writer
    )
}
