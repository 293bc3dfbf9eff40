//! Metrics in Prometheus' text format, version 0.0.4.
//!
//! Two names are client-go's, so that dashboards for its leader election work; all others begin with
//! `elector_`. Every sample has the label `name`, the name of the lease, because one Prometheus may
//! scrape several elections. Unknown values are left out, but counters exist from the start.
//! `hack/monitoring` has rules and a dashboard.

use std::fmt::{Display, Write};

use time::OffsetDateTime;

use super::journal::{BUCKETS, RenewalTimes};
use super::knowledge::Leader;
use super::observed_terms::cut;
use super::snapshot::Snapshot;
use super::workload_counts::{Health, WorkloadCounts};
use crate::election::lock::Content;
use crate::election::time::Instant;

/// Content type of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Name, kind and help of each metric.
const METRICS: &str = "\
leader_election_master_status gauge Whether this candidate leads (1) or not (0).
leader_election_slowpath_total counter Renewals that needed a read before.
elector_leader_info gauge Leader as this candidate knows it; the value is 1. Left out while it knows none.
elector_no_leader_seconds gauge Time since this candidate last knew a leader, or since its start; 0 while it knows one. Left out while it polls too rarely to know.
elector_terms_started_total counter Terms of this candidate that started.
elector_terms_stopped_total counter Terms of this candidate that stopped, by reason.
elector_ready gauge Whether /readyz reports ready.
elector_consecutive_failures gauge Calls to the store that failed since the last one that succeeded.
elector_failed_calls_total counter Calls to the store that failed, by this candidate's role and reason; a call can be several requests, or none.
elector_last_answer_timestamp_seconds gauge Time of the store's last answer about the record; 0 before the first.
elector_conflicts_total counter Writes that lost to another candidate's write.
elector_same_name gauge Whether another process under this candidate's name wrote within the last hour.
elector_paused gauge Whether the record says that the election is paused (1) or not (0).
elector_stepped_down_until_timestamp_seconds gauge Time until which an operator keeps this candidate from acquiring the lease; 0 if no operator does.
elector_lease_remaining_seconds gauge For a leader, time until its leadership deadline; for a standby, until the lease expires; 0 without a holder.
elector_lease_duration_seconds gauge Setting LEASE_DURATION.
elector_poll_period_seconds gauge Setting POLL_PERIOD.
elector_fencing_token gauge Fencing token of the effective record, which rises with each term of the election.
elector_renew_duration_seconds histogram Duration of a leader's renewals, failed ones included.
elector_requests_total counter Answered requests to the store, by method and status.
elector_unanswered_requests_total counter Requests to the store without an answer.
elector_not_modified_total counter Answers of the store that the record has not changed.
elector_history_scan_requests_total counter Requests for revisions and pages of the record's history.
elector_held_back_requests_total counter Requests that were not sent because of the store's rate limit.
elector_rate_limited_seconds gauge Time until the store accepts requests again; 0 if it does now.
elector_rate_limit_requests gauge Requests that the store permits per window, shared by all programs of the account.
elector_rate_limit_remaining_requests gauge Requests left in the current window, as last reported.
elector_rate_limit_reset_timestamp_seconds gauge End of the current window, by the store's clock.
elector_access_token_expiration_timestamp_seconds gauge Expiration of the access token, as last reported by the store.
elector_workload_running gauge Whether the workload runs (1) or not (0).
elector_workload_healthy gauge Whether the workload runs and has passed a health check (1), or not (0); left out before its first run and without WORKLOAD_HEALTH_URL.
elector_workload_starts_total counter Starts of the workload.
elector_workload_exits_total counter Exits of the workload by exit code: 126 not executable, 127 not found, 128+n killed by signal n.
elector_uptime_seconds gauge Time since the start of this process, including suspended time.
elector_build_info gauge Version of the program; the value is 1.
";

/// The text of all metrics. Writing to it cannot fail.
struct MetricsText {
    text: String,
    /// Label of every sample.
    name: String,
}

impl MetricsText {
    fn new(lease_name: &str) -> MetricsText {
        MetricsText {
            text: String::new(),
            name: escaped(lease_name),
        }
    }

    /// Starts a metric of [`METRICS`]; its samples follow.
    fn metric(&mut self, name: &str) {
        for line in METRICS.lines() {
            let mut words = line.splitn(3, ' ');
            if words.next() == Some(name)
                && let (Some(kind), Some(help)) = (words.next(), words.next())
            {
                let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            }
        }
    }

    /// Adds a sample of the metric started last.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "{name}{{name=\"{}\"", self.name);
        for (label, value) in labels {
            let _ = write!(self.text, ",{label}=\"{}\"", escaped(value));
        }
        let _ = writeln!(self.text, "}} {value}");
    }

    /// Adds a metric with one sample.
    fn value(&mut self, name: &str, value: impl Display) {
        self.metric(name);
        self.sample(name, &[], value);
    }

    /// Adds a metric with a sample for each value of a label.
    fn values(&mut self, name: &str, label: &str, samples: &[(&str, u64)]) {
        self.metric(name);
        for (label_value, value) in samples {
            self.sample(name, &[(label, label_value)], value);
        }
    }
}

/// Escapes a label's value.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Returns all metrics.
pub(super) fn text(snapshot: &Snapshot) -> String {
    let mut text = MetricsText::new(&snapshot.candidate.lease_name);
    election(&mut text, snapshot);
    lease(&mut text, snapshot);
    renewals(&mut text, &snapshot.journal.renewals);
    requests(&mut text, snapshot);
    if let Some(counts) = &snapshot.candidate.workload {
        workload(&mut text, counts);
    }
    let uptime = snapshot.ago(snapshot.journal.started);
    text.value("elector_uptime_seconds", uptime.as_secs_f64());
    let version = env!("CARGO_PKG_VERSION");
    text.values("elector_build_info", "version", &[(version, 1)]);
    text.text
}

fn election(text: &mut MetricsText, snapshot: &Snapshot) {
    let (status, journal) = (&snapshot.status, &snapshot.journal);
    let leads = u8::from(snapshot.is_leading());
    text.value("leader_election_master_status", leads);
    text.value("leader_election_slowpath_total", status.slow_paths);
    if let Leader::Known(leader) = snapshot.leader() {
        text.values("elector_leader_info", "holder", &[(cut(leader), 1)]);
    }
    if let Some(time) = snapshot.time_without_leader() {
        text.value("elector_no_leader_seconds", time.as_secs_f64());
    }
    text.value("elector_terms_started_total", journal.terms_started);
    let stopped: Vec<_> = journal
        .terms_stopped
        .iter()
        .map(|(reason, count)| (*reason, *count))
        .collect();
    text.values("elector_terms_stopped_total", "reason", &stopped);
    let ready = u8::from(snapshot.check_ready().is_ok());
    text.value("elector_ready", ready);
    text.value("elector_consecutive_failures", status.failures);
    let failed = "elector_failed_calls_total";
    text.metric(failed);
    for ((role, reason), count) in &journal.failed_calls {
        text.sample(failed, &[("role", role), ("reason", reason)], count);
    }
    text.value(
        "elector_last_answer_timestamp_seconds",
        unix_time(snapshot, journal.answered_at),
    );
    text.value("elector_conflicts_total", journal.conflicts);
    let same_name = u8::from(snapshot.same_name_ago().is_some());
    text.value("elector_same_name", same_name);
    text.value("elector_paused", u8::from(snapshot.is_paused()));
    text.value(
        "elector_stepped_down_until_timestamp_seconds",
        unix_time(snapshot, snapshot.stepped_down_until()),
    );
}

/// Returns an instant in seconds since 1970; 0 for none.
fn unix_time(snapshot: &Snapshot, at: Option<Instant>) -> i64 {
    let time = at.and_then(|at| snapshot.wall_at(at));
    time.map_or(0, OffsetDateTime::unix_timestamp)
}

fn lease(text: &mut MetricsText, snapshot: &Snapshot) {
    let lease = snapshot.lease();
    let left = lease.map_or(0.0, |lease| {
        lease.valid_until.since(snapshot.now).as_secs_f64()
    });
    text.value("elector_lease_remaining_seconds", left);
    let config = &snapshot.candidate.config;
    let (lease, poll) = (config.lease_duration, config.poll_period);
    text.value("elector_lease_duration_seconds", lease.as_secs_f64());
    text.value("elector_poll_period_seconds", poll.as_secs_f64());
    if let Some(record) = snapshot.content().and_then(Content::record) {
        text.value("elector_fencing_token", record.leader_transitions);
    }
}

fn renewals(text: &mut MetricsText, renewals: &RenewalTimes) {
    text.metric("elector_renew_duration_seconds");
    let bucket = "elector_renew_duration_seconds_bucket";
    let mut cumulative = 0;
    for (bound, count) in BUCKETS.iter().zip(renewals.counts) {
        cumulative += count;
        text.sample(bucket, &[("le", &bound.to_string())], cumulative);
    }
    text.sample(bucket, &[("le", "+Inf")], renewals.count);
    text.sample("elector_renew_duration_seconds_sum", &[], renewals.sum);
    text.sample("elector_renew_duration_seconds_count", &[], renewals.count);
}

fn requests(text: &mut MetricsText, snapshot: &Snapshot) {
    let store = &snapshot.store;
    let name = "elector_requests_total";
    text.metric(name);
    for ((method, status), count) in &store.answers {
        let labels = [("method", *method), ("status", &status.to_string())];
        text.sample(name, &labels, count);
    }
    text.value("elector_unanswered_requests_total", store.unanswered);
    text.value("elector_not_modified_total", store.not_modified);
    let history = store.history_scan_requests;
    text.value("elector_history_scan_requests_total", history);
    text.value("elector_held_back_requests_total", store.held_back);
    let limited = snapshot.status.rate_limited_until.since(snapshot.now);
    text.value("elector_rate_limited_seconds", limited.as_secs_f64());
    if let Some(rate) = store.rate_limit {
        text.value("elector_rate_limit_requests", rate.limit);
        text.value("elector_rate_limit_remaining_requests", rate.remaining);
        let reset = rate.resets_at;
        text.value("elector_rate_limit_reset_timestamp_seconds", reset);
    }
    if let Some(expires_at) = store.access_token_expires_at {
        text.value(
            "elector_access_token_expiration_timestamp_seconds",
            expires_at,
        );
    }
}

fn workload(text: &mut MetricsText, counts: &WorkloadCounts) {
    let running = u8::from(counts.is_running());
    text.value("elector_workload_running", running);
    let health = counts.health();
    if health != Health::Unchecked {
        let healthy = u8::from(counts.is_running() && health == Health::Healthy);
        text.value("elector_workload_healthy", healthy);
    }
    text.value("elector_workload_starts_total", counts.starts());
    text.values("elector_workload_exits_total", "code", &counts.exits());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lock::stats::RateLimit;
    use crate::observe::snapshot::tests::{at, read, record, snapshot};

    #[test]
    fn label_values_are_escaped() {
        let mut text = MetricsText::new("a\"b");
        text.sample("x", &[("a", "b\"c\\d\ne"), ("f", "ü")], 1.5);
        assert_eq!(
            text.text,
            "x{name=\"a\\\"b\",a=\"b\\\"c\\\\d\\ne\",f=\"ü\"} 1.5\n"
        );
    }

    /// Metrics for a closer look that no alert and no panel needs.
    const ONLY_FOR_DIAGNOSIS: [&str; 4] = [
        "elector_history_scan_requests_total",
        "elector_not_modified_total",
        "elector_uptime_seconds",
        "leader_election_slowpath_total",
    ];

    #[test]
    fn rules_dashboard_and_docs_name_metrics() {
        let read = |file: &str| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            std::fs::read_to_string(path).unwrap()
        };
        let names: Vec<&str> = METRICS
            .lines()
            .filter_map(|it| it.split(' ').next())
            .collect();
        let files =
            ["rules.yaml", "dashboard.json"].map(|it| read(&format!("hack/monitoring/{it}")));
        let words = files
            .iter()
            .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
        let used: Vec<&str> = words
            .filter(|word| word.starts_with("elector_") || word.starts_with("leader_election_"))
            .map(|word| {
                let suffixes = ["_bucket", "_count", "_sum"];
                let series = suffixes.iter().find_map(|it| word.strip_suffix(it));
                series.unwrap_or(word)
            })
            .collect();
        for name in &used {
            assert!(names.contains(name), "{name} is not a metric");
        }
        let docs = read("docs/http-api.md");
        for name in &names {
            let diagnosis = ONLY_FOR_DIAGNOSIS.contains(name);
            assert_ne!(used.contains(name), diagnosis, "{name}");
            assert!(
                docs.contains(&format!("`{name}")),
                "docs/http-api.md lacks {name}"
            );
        }
    }

    #[test]
    fn every_metric_is_described_once() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(59_000), &record("other", 3));
        snapshot.store.rate_limit = Some(RateLimit {
            limit: 5_000,
            remaining: 4_000,
            resets_at: 0,
        });
        snapshot.store.access_token_expires_at = Some(1_800_000_000);
        let workload = WorkloadCounts::default();
        workload.set_health(Health::Starting);
        Arc::make_mut(&mut snapshot.candidate).workload = Some(Arc::new(workload));
        let text = text(&snapshot);
        for line in METRICS.lines() {
            let name = line.split(' ').next().unwrap();
            assert_eq!(
                text.matches(&format!("# HELP {name} ")).count(),
                1,
                "{name}"
            );
        }
        assert_eq!(text.matches("# HELP ").count(), METRICS.lines().count());
        // Every sample follows the description of its metric.
        let mut described = "";
        for line in text.lines() {
            match line.strip_prefix("# TYPE ") {
                Some(rest) => described = rest.split(' ').next().unwrap(),
                None => assert!(
                    line.starts_with('#') || line.starts_with(described),
                    "{line}"
                ),
            }
        }
    }
}
