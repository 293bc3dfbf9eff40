//! Metrics in Prometheus' text format, version 0.0.4.
//!
//! Two names are client-go's, so that dashboards for its leader election work; all others begin with
//! `elector_`. Unknown values are left out.

use std::fmt::{Display, Write};

use super::journal::BUCKETS;
use super::snapshot::Snapshot;
use super::workload_counts::WorkloadCounts;

/// Content type of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text of all metrics. Writing to it cannot fail.
#[derive(Default)]
struct MetricsText(String);

impl MetricsText {
    /// Starts a metric of the given kind; its samples follow.
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a sample of the metric started last.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (n, (label, value)) in labels.iter().enumerate() {
            let open = if n == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{}\"", escaped(value));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    /// Adds a gauge with one sample.
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.metric(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// Adds a counter with one sample.
    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.metric(name, "counter", help);
        self.sample(name, &[], value);
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
    let mut text = MetricsText::default();
    election(&mut text, snapshot);
    lease(&mut text, snapshot);
    renewals(&mut text, snapshot);
    requests(&mut text, snapshot);
    rate_limit(&mut text, snapshot);
    if let Some(counts) = &snapshot.candidate.workload {
        workload(&mut text, counts);
    }
    text.gauge(
        "elector_uptime_seconds",
        "Time since the start of this process, including suspended time.",
        snapshot.ago(snapshot.journal.started).as_secs_f64(),
    );
    let name = "elector_build_info";
    text.metric(name, "gauge", "Version of the program; the value is 1.");
    text.sample(name, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.0
}

fn election(text: &mut MetricsText, snapshot: &Snapshot) {
    let labels = [("name", snapshot.candidate.lease_name.as_str())];
    let journal = &snapshot.journal;
    let name = "leader_election_master_status";
    let help = "Whether this candidate leads (1) or not (0), by the name of the lease.";
    text.metric(name, "gauge", help);
    text.sample(name, &labels, u8::from(snapshot.is_leading()));
    let name = "leader_election_slowpath_total";
    let help = "Renewals that needed a read before, by the name of the lease.";
    text.metric(name, "counter", help);
    text.sample(name, &labels, snapshot.status.slow_paths);
    let name = "elector_transitions_total";
    let help = "Transitions: this candidate's terms started and stopped, and observed changes of the holder.";
    text.metric(name, "counter", help);
    for (event, count) in [
        ("started_leading", journal.terms_started),
        ("stopped_leading", journal.terms_stopped),
        ("new_leader", journal.holder_changes),
    ] {
        text.sample(name, &[("event", event)], count);
    }
    text.gauge(
        "elector_ready",
        "Whether /readyz reports ready.",
        u8::from(snapshot.check_ready().is_ok()),
    );
    text.gauge(
        "elector_consecutive_failures",
        "Calls to the store that failed since the last one that succeeded.",
        snapshot.status.failures,
    );
    text.counter(
        "elector_failed_calls_total",
        "Calls to the store that failed; a call can be several requests, or none.",
        journal.failed_calls,
    );
    text.counter(
        "elector_conflicts_total",
        "Writes that lost to another candidate's write.",
        journal.conflicts,
    );
}

fn lease(text: &mut MetricsText, snapshot: &Snapshot) {
    let lease = snapshot.lease();
    let left = lease.map_or(0.0, |lease| {
        lease.valid_until.since(snapshot.now).as_secs_f64()
    });
    text.gauge(
        "elector_lease_remaining_seconds",
        "For a leader, time until its leadership deadline; for a standby, until the lease expires; 0 without a holder.",
        left,
    );
    if let Some(lease) = lease {
        text.gauge(
            "elector_fencing_token",
            "Fencing token of the record in effect.",
            lease.record.leader_transitions,
        );
    }
}

fn renewals(text: &mut MetricsText, snapshot: &Snapshot) {
    let renewals = &snapshot.journal.renewals;
    text.metric(
        "elector_renew_duration_seconds",
        "histogram",
        "Duration of a leader's renewals, failed ones included.",
    );
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
    let help = "Answered requests to the store, by method and status.";
    text.metric(name, "counter", help);
    for ((method, status), count) in &store.answers {
        let labels = [("method", *method), ("status", &status.to_string())];
        text.sample(name, &labels, count);
    }
    text.counter(
        "elector_unanswered_requests_total",
        "Requests to the store without an answer.",
        store.unanswered,
    );
    text.counter(
        "elector_not_modified_total",
        "Answers of the store that the record has not changed.",
        store.not_modified,
    );
    text.counter(
        "elector_history_scan_requests_total",
        "Requests for revisions and pages of the record's history.",
        store.history_scan_requests,
    );
    text.counter(
        "elector_held_back_requests_total",
        "Requests that were not sent because of the store's rate limit.",
        store.held_back,
    );
}

fn rate_limit(text: &mut MetricsText, snapshot: &Snapshot) {
    let limited_until = snapshot.status.rate_limited_until;
    text.gauge(
        "elector_rate_limited_seconds",
        "Time until the store accepts requests again; 0 if it does now.",
        limited_until.since(snapshot.now).as_secs_f64(),
    );
    let Some(rate) = snapshot.store.rate_limit else {
        return;
    };
    text.gauge(
        "elector_rate_limit_requests",
        "Requests that the store permits per window, shared by all programs of the account.",
        rate.limit,
    );
    text.gauge(
        "elector_rate_limit_remaining_requests",
        "Requests left in the current window, as last reported.",
        rate.remaining,
    );
    text.gauge(
        "elector_rate_limit_reset_timestamp_seconds",
        "End of the current window, by the store's clock.",
        rate.resets_at,
    );
}

fn workload(text: &mut MetricsText, counts: &WorkloadCounts) {
    text.gauge(
        "elector_workload_running",
        "Whether the workload runs (1) or not (0).",
        u8::from(counts.is_running()),
    );
    text.counter(
        "elector_workload_starts_total",
        "Starts of the workload.",
        counts.starts(),
    );
    let name = "elector_workload_exits_total";
    let help = "Exits of the workload by exit code: 126 not executable, 127 not found, 128+n killed by signal n.";
    text.metric(name, "counter", help);
    for (codes, count) in counts.exits() {
        text.sample(name, &[("code", codes)], count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let mut text = MetricsText::default();
        text.metric("x", "gauge", "A thing.");
        text.sample("x", &[("a", "b\"c\\d\ne"), ("f", "ü")], 1.5);
        assert_eq!(
            text.0,
            "# HELP x A thing.\n# TYPE x gauge\nx{a=\"b\\\"c\\\\d\\ne\",f=\"ü\"} 1.5\n"
        );
    }
}
