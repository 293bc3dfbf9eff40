//! The JSON documents of `/`, `/leader`, `/status` and of errors.
//!
//! Programs rely on the names: fields are added, and none changes its meaning. Durations are seconds
//! with a fraction. Times are RFC 3339 in UTC by this machine's clock, except those of the record and
//! the rate limit. Unknown values are null.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::observed_terms::ObservedTerm;
use super::snapshot::Snapshot;
use super::workload_counts::WorkloadCounts;
use crate::election::lock::Content;
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;
use crate::fmt;

/// Document of `/leader`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LeaderDocument<'a> {
    leading: bool,
    identity: &'a str,
    leader: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fencing_token: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<f64>,
}

/// Document of `/status`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusDocument<'a> {
    identity: &'a str,
    role: &'static str,
    /// The candidate was told to stop or to step down.
    stopping: bool,
    ready: bool,
    leading: bool,
    leader: &'a str,
    /// This candidate's term, while it leads.
    term: Option<OwnTermFields>,
    lease: Option<LeaseFields<'a>>,
    /// `neverWritten`, `deleted`, `corrupt`, `record`, or `unknown` before the first answer.
    content: &'static str,
    corrupt_reason: Option<&'a str>,
    record: Option<&'a LeaderElectionRecord>,
    /// Seconds until this candidate acquires the lease, unless a read shows a change before.
    acquires_in: Option<f64>,
    answered_seconds_ago: Option<f64>,
    call: Option<CallFields>,
    consecutive_failures: u32,
    /// Last call that failed, also if later ones succeeded.
    last_failure: Option<FailureFields<'a>>,
    /// Progress of a history scan under way.
    history_scan: Option<&'a str>,
    rate_limited_seconds: Option<f64>,
    terms: Vec<TermFields<'a>>,
    requests: RequestFields,
    rate_limit: Option<RateLimitFields>,
    workload: Option<WorkloadFields>,
    lock: &'a str,
    settings: SettingsFields,
    version: &'static str,
    uptime_seconds: f64,
    /// Time of this document.
    time: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OwnTermFields {
    fencing_token: u64,
    since: Option<String>,
    seconds: Option<f64>,
    seconds_left: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LeaseFields<'a> {
    holder: &'a str,
    fencing_token: u64,
    /// Time at which the record in effect was first observed.
    observed_since: Option<String>,
    seconds: f64,
    seconds_left: f64,
}

#[derive(Serialize)]
struct CallFields {
    name: &'static str,
    seconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailureFields<'a> {
    message: &'a str,
    seconds_ago: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TermFields<'a> {
    holder: &'a str,
    fencing_token: u64,
    /// Whether it is a term of this process.
    mine: bool,
    from: Option<String>,
    /// Start by the holder's clock, if it was not observed.
    acquire_time: Option<&'a str>,
    to: Option<String>,
    end_reason: Option<&'static str>,
    seconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestFields {
    /// By method and status, as in `"GET 304"`.
    answers: BTreeMap<String, u64>,
    unanswered: u64,
    not_modified: u64,
    conflicts: u64,
    history_scan: u64,
    held_back: u64,
    failed_calls: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RateLimitFields {
    limit: u64,
    remaining: u64,
    /// By the store's clock.
    resets_at: Option<String>,
}

#[derive(Serialize)]
struct WorkloadFields {
    running: bool,
    starts: u64,
    /// By classes of exit codes.
    exits: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SettingsFields {
    lease_duration_seconds: f64,
    renew_deadline_seconds: f64,
    retry_period_seconds: f64,
    poll_period_seconds: f64,
    confirm_delay_seconds: Option<f64>,
    termination_grace_seconds: f64,
    stop_timeout_seconds: f64,
    release_on_cancel: bool,
    exit_on_lost_lease: bool,
}

/// Returns the document of `/`, which is that of the leader-elector sidecar.
pub(super) fn name(snapshot: &Snapshot) -> String {
    text(&BTreeMap::from([("name", snapshot.leader())]))
}

/// Returns the document of an error.
pub(super) fn error(message: &str) -> String {
    text(&BTreeMap::from([("error", message)])) + "\n"
}

/// Returns the document of `/leader`.
pub(super) fn leader(snapshot: &Snapshot) -> String {
    let leadership = snapshot.leadership();
    text(&LeaderDocument {
        leading: leadership.is_some(),
        identity: snapshot.identity(),
        leader: snapshot.leader(),
        fencing_token: leadership.map(|leadership| leadership.fencing_token),
        seconds_left: leadership.map(|leadership| seconds(leadership.time_left)),
    }) + "\n"
}

/// Returns the document of `/status`.
pub(super) fn status(snapshot: &Snapshot) -> String {
    let Snapshot {
        candidate,
        status,
        journal,
        ..
    } = snapshot;
    let content = snapshot.content();
    let ago = |then: Instant| seconds(snapshot.ago(then));
    let ahead = |then: Instant| seconds(then.since(snapshot.now));
    let rate_limited_until = status.rate_limited_until;
    let terms = journal.terms.newest_first();
    let document = StatusDocument {
        identity: snapshot.identity(),
        role: status.role.as_str(),
        stopping: status.stopping,
        ready: snapshot.check_ready().is_ok(),
        leading: snapshot.is_leading(),
        leader: snapshot.leader(),
        term: own_term(snapshot),
        lease: lease(snapshot),
        content: match content {
            None => "unknown",
            Some(Content::NeverWritten) => "neverWritten",
            Some(Content::Deleted) => "deleted",
            Some(Content::Corrupt(_)) => "corrupt",
            Some(Content::Record(_)) => "record",
        },
        corrupt_reason: match content {
            Some(Content::Corrupt(reason)) => Some(reason),
            _ => None,
        },
        record: content.and_then(Content::record),
        acquires_in: snapshot.acquire_at().map(ahead),
        answered_seconds_ago: journal.answered_at.map(ago),
        call: status.call.map(|call| CallFields {
            name: call.name,
            seconds: ago(call.since),
        }),
        consecutive_failures: status.failures,
        last_failure: journal.last_failure.as_ref().map(|failure| FailureFields {
            message: &failure.message,
            seconds_ago: ago(failure.at),
        }),
        history_scan: journal.history_scan.as_deref(),
        rate_limited_seconds: (rate_limited_until > snapshot.now)
            .then(|| ahead(rate_limited_until)),
        terms: terms.map(|observed| term(snapshot, observed)).collect(),
        requests: requests(snapshot),
        rate_limit: snapshot.store.rate_limit.map(|rate| RateLimitFields {
            limit: rate.limit,
            remaining: rate.remaining,
            resets_at: fmt::utc(rate.resets_at),
        }),
        workload: candidate.workload.as_deref().map(workload),
        lock: &candidate.lock,
        settings: settings(snapshot),
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: ago(journal.started),
        time: snapshot.time_at(snapshot.now),
    };
    // Indented for operators who use curl.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

fn own_term(snapshot: &Snapshot) -> Option<OwnTermFields> {
    let leadership = snapshot.leadership()?;
    let since = snapshot.journal.leading_since;
    Some(OwnTermFields {
        fencing_token: leadership.fencing_token,
        since: since.and_then(|since| snapshot.time_at(since)),
        seconds: since.map(|since| seconds(snapshot.ago(since))),
        seconds_left: seconds(leadership.time_left),
    })
}

fn lease(snapshot: &Snapshot) -> Option<LeaseFields<'_>> {
    let lease = snapshot.lease()?;
    let effective = snapshot.journal.effective.as_ref()?;
    Some(LeaseFields {
        holder: &lease.record.holder_identity,
        fencing_token: lease.record.leader_transitions,
        observed_since: snapshot.time_at(effective.known_since),
        seconds: seconds(lease.duration),
        seconds_left: seconds(lease.valid_until.since(snapshot.now)),
    })
}

fn term<'a>(snapshot: &Snapshot, term: &'a ObservedTerm) -> TermFields<'a> {
    let end = term.end.map_or(snapshot.now, |end| end.at);
    TermFields {
        holder: &term.holder,
        fencing_token: term.fencing_token,
        mine: term.mine,
        from: snapshot.time_at(term.from),
        acquire_time: term.acquire_time.as_deref(),
        to: term.end.and_then(|end| snapshot.time_at(end.at)),
        end_reason: term.end.map(|end| end.reason.as_str()),
        seconds: seconds(end.since(term.from)),
    }
}

fn requests(snapshot: &Snapshot) -> RequestFields {
    let store = &snapshot.store;
    let answers = store.answers.iter();
    RequestFields {
        answers: answers
            .map(|((method, status), count)| (format!("{method} {status}"), *count))
            .collect(),
        unanswered: store.unanswered,
        not_modified: store.not_modified,
        conflicts: snapshot.journal.conflicts,
        history_scan: store.history_scan_requests,
        held_back: store.held_back,
        failed_calls: snapshot.journal.failed_calls,
    }
}

fn workload(counts: &WorkloadCounts) -> WorkloadFields {
    WorkloadFields {
        running: counts.is_running(),
        starts: counts.starts(),
        exits: counts.exits().into(),
    }
}

fn settings(snapshot: &Snapshot) -> SettingsFields {
    let config = &snapshot.candidate.config;
    SettingsFields {
        lease_duration_seconds: seconds(config.lease_duration),
        renew_deadline_seconds: seconds(config.renew_deadline),
        retry_period_seconds: seconds(config.retry_period),
        poll_period_seconds: seconds(config.poll_period),
        confirm_delay_seconds: snapshot.candidate.confirm_delay.map(seconds),
        termination_grace_seconds: seconds(config.termination_grace),
        stop_timeout_seconds: seconds(config.stop_timeout),
        release_on_cancel: config.release_on_cancel,
        exit_on_lost_lease: config.exit_on_lost_lease,
    }
}

/// Returns a duration in seconds, cut to milliseconds.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

/// Serializes a document; cannot fail, because every key is text.
fn text(document: &impl Serialize) -> String {
    serde_json::to_string(document).unwrap_or_default()
}
