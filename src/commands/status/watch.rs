//! `elector status --watch`: a line for each change of the leader or of the lease's state.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use super::LockStatus;
use crate::commands::command::{CommandResult, print_more};
use crate::commands::settings::Settings;
use crate::election::lock::LockError;
use crate::fmt::utc;
use crate::lock::inspection::LeaseState;
use crate::system::clock;

/// What a line shows. Another line follows when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shown {
    Lease {
        state: LeaseState,
        holder: String,
        fencing_token: Option<u64>,
        request: Option<String>,
    },
    Unreachable,
}

/// Shows changes until standard output is closed, or the process is stopped.
pub(super) fn run(settings: &Settings, json: bool) -> CommandResult {
    let mut admin = settings.lock.backend().admin(&settings.election)?;
    let mut shown = None;
    loop {
        let status = LockStatus::read(&mut *admin, settings.election.lease_duration);
        let pause = match &status {
            Err(LockError::RateLimited { retry_after, .. }) => *retry_after,
            _ => Duration::ZERO,
        };
        let (now, line) = match &status {
            Ok(status) => (lease(status), line(status, json)),
            Err(error) => (Shown::Unreachable, unreachable(error, json)),
        };
        match status {
            // Waiting does not help.
            Err(error) if shown.is_none() && error.is_permanent() => return Err(error.into()),
            _ => {}
        }
        if shown.as_ref() != Some(&now) {
            if !print_more(&line)? {
                return Ok(ExitCode::SUCCESS);
            }
            shown = Some(now);
        }
        // As often as a leader renews: on a gist, each read costs a request.
        thread::sleep(settings.election.retry_period.max(pause));
    }
}

fn lease(status: &LockStatus) -> Shown {
    Shown::Lease {
        state: status.record.state(),
        holder: status.record.content.holder().to_owned(),
        fencing_token: status.record.fencing_token,
        request: status.request(),
    }
}

fn line(status: &LockStatus, json: bool) -> String {
    if json {
        return status.json();
    }
    let record = &status.record;
    let token = match record.fencing_token {
        Some(token) => format!(", fencing token {token}"),
        None => String::new(),
    };
    let request = match status.request() {
        Some(request) => format!("; {request}"),
        None => String::new(),
    };
    let (now, summary) = (now(record.read_at), record.summary());
    format!("{now}  {summary}{token}{request}\n")
}

fn unreachable(error: &LockError, json: bool) -> String {
    let time = now(None);
    match json {
        true => format!(
            "{}\n",
            serde_json::json!({"time": time, "error": error.to_string()})
        ),
        false => format!("{time}  unknown: {error}\n"),
    }
}

/// Returns the store's time, or else this machine's.
fn now(read_at: Option<i64>) -> String {
    read_at.and_then(utc).unwrap_or_else(clock::utc_timestamp)
}
