//! The JSON documents of `/`, `/leader`, `/status` and of errors.
//!
//! Programs rely on the names: fields are added, and none changes its meaning. Durations are seconds
//! with a fraction. Times are RFC 3339 in UTC by this machine's clock, except those of the record and
//! the rate limit. Unknown values are null. The same thing has the same name in every document, in those of
//! the commands and in the webhook. `docs/http-api.md` describes the fields.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::knowledge::Leader;
use super::observed_terms::ObservedTerm;
use super::snapshot::{Leadership, Snapshot, SteppedDown};
use super::workload_counts::WorkloadCounts;
use crate::election::action::StopReason;
use crate::election::lock::Content;
use crate::election::time::Instant;
use crate::fmt;

/// Returns the document of `/`, which is that of the leader-elector sidecar.
pub(super) fn name(snapshot: &Snapshot) -> String {
    json!({ "name": holder(snapshot).unwrap_or_default() }).to_string()
}

/// Returns the document of an error.
pub(super) fn error(message: &str) -> String {
    json!({ "error": message }).to_string() + "\n"
}

/// Returns the document of `/step-down`.
pub(super) fn stepped_down(effect: SteppedDown) -> String {
    let document = json!({
        "steppingDown": effect.until.is_some(),
        "led": effect.led,
        "until": effect.until.and_then(fmt::utc),
        "kept": effect.kept,
    });
    document.to_string() + "\n"
}

/// Returns the document of `/leader`.
pub(super) fn leader(snapshot: &Snapshot) -> String {
    let leadership = snapshot.leadership();
    let mut document = json!({
        "leading": leadership.is_some(),
        "identity": snapshot.identity(),
        "holder": holder(snapshot),
    });
    if let Leader::Unknown { since } = snapshot.leader() {
        document["unknownSince"] = snapshot.time_at(since).into();
    }
    if let Some(leadership) = leadership {
        document["fencingToken"] = leadership.fencing_token.into();
        document["secondsLeft"] = seconds(leadership.time_left).into();
        document["validUntil"] = valid_until(snapshot, leadership).into();
    }
    document.to_string() + "\n"
}

/// Returns the identity of the leader; empty for nobody, `None` if it is unknown.
fn holder(snapshot: &Snapshot) -> Option<&str> {
    match snapshot.leader() {
        Leader::Known(holder) => Some(holder),
        Leader::Nobody => Some(""),
        Leader::Unknown { .. } => None,
    }
}

/// Returns the document of `/status`.
pub(super) fn status(snapshot: &Snapshot) -> String {
    let Snapshot {
        candidate,
        status,
        journal,
        store,
        ..
    } = snapshot;
    let content = snapshot.content();
    let ago = |then: Instant| seconds(snapshot.ago(then));
    let ahead = |then: Instant| seconds(then.since(snapshot.now));
    let rate_limited_until = status.rate_limited_until;
    let terms = journal.terms.newest_first();
    let document = json!({
        "identity": snapshot.identity(),
        "role": status.role.as_str(),
        "stopping": status.stopping,
        "ready": snapshot.check_ready().is_ok(),
        "leading": snapshot.is_leading(),
        "holder": holder(snapshot),
        "unknownSince": match snapshot.leader() {
            Leader::Unknown { since } => snapshot.time_at(since),
            _ => None,
        },
        "term": own_term(snapshot),
        "lease": lease(snapshot),
        "content": match content {
            None => "unknown",
            Some(Content::NeverWritten) => "neverWritten",
            Some(Content::Deleted) => "deleted",
            Some(Content::Corrupt(_)) => "corrupt",
            Some(Content::Record(_)) => "record",
        },
        "corruptReason": match content {
            Some(Content::Corrupt(reason)) => Some(&**reason),
            _ => None,
        },
        "record": content.and_then(Content::record),
        "paused": snapshot.is_paused(),
        "request": snapshot.request(),
        "acquiresIn": snapshot.acquire_at().map(ahead),
        "steppedDownUntil": snapshot.stepped_down_until().and_then(|until| snapshot.time_at(until)),
        "unreachableSince": snapshot.unreachable_since().and_then(|since| snapshot.time_at(since)),
        "answeredSecondsAgo": journal.answered_at.map(ago),
        "call": status.call.map(|call| json!({ "name": call.name, "seconds": ago(call.since) })),
        "consecutiveFailures": status.failures,
        "lastFailure": journal.last_failure.as_ref().map(|failure| json!({
            "message": failure.message,
            "secondsAgo": ago(failure.at),
        })),
        "historyScan": journal.history_scan,
        "sameNameSecondsAgo": snapshot.same_name_ago().map(seconds),
        "rateLimitedSeconds": (rate_limited_until > snapshot.now)
            .then(|| ahead(rate_limited_until)),
        "terms": terms.map(|observed| term(snapshot, observed)).collect::<Vec<_>>(),
        "requests": requests(snapshot),
        "rateLimit": store.rate_limit.map(|rate| json!({
            "limit": rate.limit,
            "remaining": rate.remaining,
            "resetsAt": fmt::utc(rate.resets_at),
        })),
        "accessTokenExpiresAt": store.access_token_expires_at.and_then(fmt::utc),
        "workload": candidate.workload.as_deref().map(workload),
        "lock": candidate.lock,
        "name": candidate.name,
        "settings": settings(snapshot),
        "version": env!("CARGO_PKG_VERSION"),
        "uptimeSeconds": ago(journal.started),
        "time": snapshot.time_at(snapshot.now),
    });
    // Indented for operators who use curl.
    format!("{document:#}\n")
}

fn own_term(snapshot: &Snapshot) -> Option<Value> {
    let leadership = snapshot.leadership()?;
    let since = snapshot.journal.leading_since;
    Some(json!({
        "fencingToken": leadership.fencing_token,
        "since": since.and_then(|since| snapshot.time_at(since)),
        "seconds": since.map(|since| seconds(snapshot.ago(since))),
        "secondsLeft": seconds(leadership.time_left),
        "validUntil": valid_until(snapshot, leadership),
    }))
}

/// Returns the leadership deadline in seconds since boot, as in the leader file.
fn valid_until(snapshot: &Snapshot, leadership: Leadership) -> f64 {
    seconds((snapshot.now + leadership.time_left).since_boot())
}

fn lease(snapshot: &Snapshot) -> Option<Value> {
    let lease = snapshot.lease()?;
    if lease.valid_until <= snapshot.now {
        return None;
    }
    let effective = snapshot.journal.effective.as_ref()?;
    Some(json!({
        "holder": lease.record.holder_identity,
        "fencingToken": lease.record.leader_transitions,
        "observedSince": snapshot.time_at(effective.known_since),
        "leaseSeconds": seconds(lease.duration),
        "secondsLeft": seconds(lease.valid_until.since(snapshot.now)),
    }))
}

fn term(snapshot: &Snapshot, term: &ObservedTerm) -> Value {
    let end = snapshot.end_of(term);
    json!({
        "holder": term.holder,
        "fencingToken": term.fencing_token,
        "mine": term.mine,
        "from": snapshot.time_at(term.from),
        "acquireTime": term.acquire_time,
        "to": end.and_then(|end| snapshot.time_at(end.at)),
        "toLatest": end.and_then(|end| snapshot.time_at(end.latest)),
        "endReason": end.map(|end| end.reason.as_str()),
        "stopReason": end.and_then(|end| end.reason.stop_reason()).map(StopReason::as_str),
        "seconds": seconds(end.map_or(snapshot.now, |end| end.at).since(term.from)),
    })
}

fn requests(snapshot: &Snapshot) -> Value {
    let store = &snapshot.store;
    let answers = store.answers.iter();
    let answers = answers.map(|((method, status), count)| (format!("{method} {status}"), *count));
    json!({
        "answers": answers.collect::<BTreeMap<_, _>>(),
        "unanswered": store.unanswered,
        "notModified": store.not_modified,
        "conflicts": snapshot.journal.conflicts,
        "historyScan": store.history_scan_requests,
        "heldBack": store.held_back,
        "failedCalls": snapshot.journal.failed_calls.values().sum::<u64>(),
    })
}

fn workload(counts: &WorkloadCounts) -> Value {
    json!({
        "running": counts.is_running(),
        "health": counts.health().as_str(),
        "starts": counts.starts(),
        "exits": BTreeMap::from(counts.exits()),
    })
}

fn settings(snapshot: &Snapshot) -> Value {
    let config = &snapshot.candidate.config;
    json!({
        "leaseDurationSeconds": seconds(config.lease_duration),
        "renewDeadlineSeconds": seconds(config.renew_deadline),
        "retryPeriodSeconds": seconds(config.retry_period),
        "pollPeriodSeconds": seconds(config.poll_period),
        "confirmDelaySeconds": snapshot.candidate.confirm_delay.map(seconds),
        "terminationGraceSeconds": seconds(config.termination_grace),
        "stopTimeoutSeconds": seconds(config.stop_timeout),
        "releaseOnCancel": config.release_on_cancel,
        "exitOnLostLease": config.exit_on_lost_lease,
    })
}

/// Returns a duration in seconds, cut to milliseconds.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}
