//! What is told as JSON: the documents of `/`, `/leader` and `/status`.
//!
//! The names are a promise to programs: fields are added, and none changes its meaning. Durations are
//! seconds, with a fraction; times are RFC 3339 in UTC by this machine's clock, but for those of the
//! record, which come from its holder's. What is not known is null.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::terms::Term;
use super::view::{Leads, View};
use super::workload::{ExitClass, WorkloadCounts};
use crate::election::lock::Content;
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;

/// The document of `/`: that of the leader-elector sidecar.
#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

/// The document of what is refused.
#[derive(Serialize)]
struct Error<'a> {
    error: &'a str,
}

/// The document of `/leader`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", untagged)]
enum Leader<'a> {
    #[serde(rename_all = "camelCase")]
    Here {
        leader: bool,
        identity: &'a str,
        token: u64,
        seconds_left: f64,
    },
    Elsewhere {
        leader: bool,
        identity: &'a str,
        name: &'a str,
    },
}

/// The document of `/status`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    /// This candidate's name.
    identity: &'a str,
    /// candidate, claimant, leader, leaving or finished.
    role: &'static str,
    /// It is giving up its term, or the election.
    stopping: bool,
    ready: bool,
    /// Who leads, as at `/`.
    leader: &'a str,
    leading: Option<Leading>,
    lease: Option<Lease<'a>>,
    /// absent, gone, unreadable, record, or unknown before the first answer.
    content: &'static str,
    /// Why it is unreadable.
    unreadable: Option<&'a str>,
    record: Option<&'a LeaderElectionRecord>,
    /// In how many seconds this candidate takes the lease, unless something else is seen before.
    takes_lease_in: Option<f64>,
    /// How long ago the store last said what is in effect.
    answered_seconds_ago: Option<f64>,
    call: Option<Call>,
    /// How many calls failed in a row.
    failures: u32,
    /// The last one that did, also if others were answered since.
    last_failure: Option<Failure<'a>>,
    /// How far the reading of a long history is.
    reading: Option<&'a str>,
    /// For how long the store wants no call.
    throttled_seconds: Option<f64>,
    terms: Vec<TermSeen<'a>>,
    requests: Requests,
    rate_limit: Option<RateLimit>,
    workload: Option<Workload>,
    lock: &'a str,
    settings: Settings,
    version: &'static str,
    uptime_seconds: f64,
    /// When this was said.
    time: Option<String>,
}

/// This candidate's own term.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Leading {
    token: u64,
    since: Option<String>,
    seconds: Option<f64>,
    seconds_left: f64,
}

/// The lease that somebody holds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lease<'a> {
    holder: &'a str,
    token: u64,
    /// Since when the record in effect is known.
    seen_since: Option<String>,
    seconds_left: f64,
    seconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    what: &'static str,
    seconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure<'a> {
    text: &'a str,
    seconds_ago: f64,
}

/// A term that was seen; the newest first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TermSeen<'a> {
    holder: &'a str,
    token: u64,
    /// It is one of this process's own.
    own: bool,
    /// When it began as seen from here.
    from: Option<String>,
    /// When it began by its holder's clock, where that was not seen from here.
    acquire_time: Option<&'a str>,
    to: Option<String>,
    /// released, ranOut, succeeded, overwritten; of one's own: stopped, steppedDown, workloadEnded, notRenewed,
    /// deposed.
    ended: Option<&'static str>,
    seconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Requests {
    /// Answers by method and status, as in `"GET 304"`.
    answers: BTreeMap<String, u64>,
    unanswered: u64,
    not_modified: u64,
    conflicts: u64,
    history_scan_requests: u64,
    held_back: u64,
    failed_calls: u64,
}

/// GitHub's, as last heard of.
#[derive(Serialize)]
struct RateLimit {
    limit: u64,
    remaining: u64,
    /// In seconds since the Unix epoch, by GitHub's clock.
    reset: i64,
}

#[derive(Serialize)]
struct Workload {
    running: bool,
    starts: u64,
    /// By classes of exit codes.
    exits: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
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

/// Of `/`.
pub(super) fn name(leader: &str) -> String {
    text(&Name { name: leader })
}

/// Of what is refused.
pub(super) fn error(why: &str) -> String {
    text(&Error { error: why }) + "\n"
}

/// Of `/leader`.
pub(super) fn leader(identity: &str, leads: Option<Leads>, name: &str) -> String {
    text(&match leads {
        Some(leads) => Leader::Here {
            leader: true,
            identity,
            token: leads.token,
            seconds_left: seconds(leads.left),
        },
        None => Leader::Elsewhere {
            leader: false,
            identity,
            name,
        },
    }) + "\n"
}

/// Of `/status`.
pub(super) fn status(view: &View) -> String {
    let content = view.content();
    let ago = |then: Instant| seconds(view.ago(then));
    let ahead = |then: Instant| seconds(then.since(view.now));
    let throttled = view.status.rate_limited_until;
    let document = Status {
        identity: view.identity(),
        role: view.status.role.as_str(),
        stopping: view.status.stopping,
        ready: view.ready().is_ok(),
        leader: view.leader(),
        leading: leading(view),
        lease: lease(view),
        content: match content {
            None => "unknown",
            Some(Content::NeverWritten) => "absent",
            Some(Content::Deleted) => "gone",
            Some(Content::Corrupt(_)) => "unreadable",
            Some(Content::Record(_)) => "record",
        },
        unreadable: match content {
            Some(Content::Corrupt(why)) => Some(why),
            _ => None,
        },
        record: content.and_then(Content::record),
        takes_lease_in: view.acquire_at().map(ahead),
        answered_seconds_ago: view.journal.answered_at.map(ago),
        call: view.status.call.map(|call| Call {
            what: call.name,
            seconds: ago(call.since),
        }),
        failures: view.status.failures,
        last_failure: view.journal.last_failure.as_ref().map(|failure| Failure {
            text: &failure.text,
            seconds_ago: ago(failure.at),
        }),
        reading: view.journal.reading.as_deref(),
        throttled_seconds: (throttled > view.now).then(|| ahead(throttled)),
        terms: view
            .journal
            .terms
            .newest_first()
            .map(|seen| term(view, seen))
            .collect(),
        requests: requests(view),
        rate_limit: view.requests.rate_limit.map(|rate| RateLimit {
            limit: rate.limit,
            remaining: rate.remaining,
            reset: rate.resets_at,
        }),
        workload: view.about.workload.as_deref().map(workload),
        lock: &view.about.lock,
        settings: settings(view),
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: ago(view.journal.started),
        time: view.time_at(view.now),
    };
    // For people who ask with curl, too.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

fn leading(view: &View) -> Option<Leading> {
    let leads = view.leads()?;
    let since = view.journal.leading_since;
    Some(Leading {
        token: leads.token,
        since: since.and_then(|since| view.time_at(since)),
        seconds: since.map(|since| seconds(view.ago(since))),
        seconds_left: seconds(leads.left),
    })
}

fn lease(view: &View) -> Option<Lease<'_>> {
    let lease = view.lease()?;
    let known = view.journal.known.as_ref()?;
    Some(Lease {
        holder: &lease.record.holder_identity,
        token: lease.record.leader_transitions,
        seen_since: view.time_at(known.since),
        seconds_left: seconds(lease.until.since(view.now)),
        seconds: seconds(lease.of),
    })
}

fn term<'a>(view: &View, term: &'a Term) -> TermSeen<'a> {
    let end = term.end.map_or(view.now, |end| end.at);
    TermSeen {
        holder: &term.holder,
        token: term.token,
        own: term.own,
        from: view.time_at(term.from),
        acquire_time: term.acquire_time.as_deref(),
        to: term.end.and_then(|end| view.time_at(end.at)),
        ended: term.end.map(|end| end.how.as_str()),
        seconds: seconds(end.since(term.from)),
    }
}

fn requests(view: &View) -> Requests {
    let stats = &view.requests;
    let answers = stats.answers.iter();
    Requests {
        answers: answers
            .map(|((method, status), count)| (format!("{method} {status}"), *count))
            .collect(),
        unanswered: stats.unanswered,
        not_modified: stats.not_modified,
        conflicts: view.journal.conflicts,
        history_scan_requests: stats.history_scan_requests,
        held_back: stats.held_back,
        failed_calls: view.journal.failed_calls,
    }
}

fn workload(counts: &WorkloadCounts) -> Workload {
    let exits = ExitClass::ALL.map(|class| (class.codes(), counts.exits(class)));
    Workload {
        running: counts.is_running(),
        starts: counts.starts(),
        exits: exits.into_iter().collect(),
    }
}

fn settings(view: &View) -> Settings {
    let config = &view.about.config;
    Settings {
        lease_duration_seconds: seconds(config.lease_duration),
        renew_deadline_seconds: seconds(config.renew_deadline),
        retry_period_seconds: seconds(config.retry_period),
        poll_period_seconds: seconds(config.poll_period),
        confirm_delay_seconds: view.about.confirm_delay.map(seconds),
        termination_grace_seconds: seconds(config.termination_grace),
        stop_timeout_seconds: seconds(config.stop_timeout),
        release_on_cancel: config.release_on_cancel,
        exit_on_lost_lease: config.exit_on_lost_lease,
    }
}

/// In milliseconds at the finest: more is noise.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

/// These documents have text keys only, and cannot fail to be written.
fn text(document: &impl Serialize) -> String {
    serde_json::to_string(document).unwrap_or_default()
}
