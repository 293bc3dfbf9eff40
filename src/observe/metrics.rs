//! Metrics in Prometheus' text format, version 0.0.4.
//!
//! client-go's two names are kept, so that dashboards for its leader election work here; everything
//! else begins with `elector_`. What is not known is left out.

use std::fmt::{Display, Write};

use super::journal::BUCKETS;
use super::view::View;
use super::workload::{ExitClass, WorkloadCounts};

/// The content type of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes families of metrics one after the other.
#[derive(Default)]
struct Families {
    text: String,
    name: &'static str,
}

impl Families {
    /// Begins a family; its samples follow. Writing to a String cannot fail, here and below.
    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> &mut Self {
        self.name = name;
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self
    }

    fn gauge(&mut self, name: &'static str, help: &str) -> &mut Self {
        self.family(name, "gauge", help)
    }

    fn counter(&mut self, name: &'static str, help: &str) -> &mut Self {
        self.family(name, "counter", help)
    }

    /// A sample without labels.
    fn is(&mut self, value: impl Display) {
        self.sample("", &[], value);
    }

    /// A sample with labels.
    fn of(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.sample("", labels, value);
        self
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (n, (label, value)) in labels.iter().enumerate() {
            let open = if n == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{open}{label}=\"{}\"", escaped(value));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Everything.
pub(super) fn text(view: &View) -> String {
    let mut families = Families::default();
    election(&mut families, view);
    lease(&mut families, view);
    renewals(&mut families, view);
    requests(&mut families, view);
    rate_limit(&mut families, view);
    workload(&mut families, view.about.workload.as_deref());
    families
        .gauge(
            "elector_uptime_seconds",
            "How long this process stands for election, suspended time included.",
        )
        .is(view.ago(view.journal.started).as_secs_f64());
    families
        .gauge("elector_build_info", "The version that runs; always 1.")
        .of(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    families.text
}

fn election(families: &mut Families, view: &View) {
    let name = [("name", view.about.lease.as_str())];
    let journal = &view.journal;
    families
        .gauge(
            "leader_election_master_status",
            "Whether this candidate leads: 1 if it does, 0 if not. The name is that of the lease: the gist, and the file where one is set.",
        )
        .of(&name, u8::from(view.leads().is_some()));
    families
        .counter(
            "leader_election_slowpath_total",
            "How often a leader had to look before it could renew. The name is that of the lease.",
        )
        .of(&name, view.status.slow_paths);
    families
        .counter("elector_transitions_total", "Changes of leadership: this candidate began to lead, ceased to, or saw another holder of the lease (itself and nobody included).")
        .of(&[("event", "started_leading")], journal.started_leading)
        .of(&[("event", "stopped_leading")], journal.stopped_leading)
        .of(&[("event", "new_leader")], journal.new_leaders);
    families
        .gauge("elector_ready", "Whether /readyz says ready.")
        .is(u8::from(view.ready().is_ok()));
    families
        .gauge(
            "elector_consecutive_failures",
            "How many calls to the store failed in a row, up to now.",
        )
        .is(view.status.failures);
    families
        .counter(
            "elector_failed_calls_total",
            "How many calls to the store failed; a call may be several requests, or none.",
        )
        .is(journal.failed_calls);
    families
        .counter(
            "elector_conflicts_total",
            "How many writes met somebody else's, which came first.",
        )
        .is(journal.conflicts);
}

fn lease(families: &mut Families, view: &View) {
    let lease = view.lease();
    let left = lease.map_or(0.0, |lease| lease.until.since(view.now).as_secs_f64());
    families
        .gauge("elector_lease_remaining_seconds", "Until the lease runs out: one's own for a leader, which then stops; another's as seen by those who wait for it. 0 if nobody holds it.")
        .is(left);
    if let Some(lease) = lease {
        families
            .gauge(
                "elector_fencing_token",
                "The token of the term that the record in effect belongs to.",
            )
            .is(lease.record.leader_transitions);
    }
}

fn renewals(families: &mut Families, view: &View) {
    let renewals = &view.journal.renewals;
    families.family(
        "elector_renew_duration_seconds",
        "histogram",
        "How long a leader's renewals took, from the request until it was answered or had failed.",
    );
    let mut below = 0;
    for (bound, count) in BUCKETS.iter().zip(renewals.counts) {
        below += count;
        families.sample("_bucket", &[("le", &bound.to_string())], below);
    }
    families.sample("_bucket", &[("le", "+Inf")], renewals.count);
    families.sample("_sum", &[], renewals.sum);
    families.sample("_count", &[], renewals.count);
}

fn requests(families: &mut Families, view: &View) {
    let stats = &view.requests;
    families.counter(
        "elector_requests_total",
        "Answered requests to GitHub, by method and status.",
    );
    for ((method, status), count) in &stats.answers {
        let labels = [("method", *method), ("status", &status.to_string())];
        families.of(&labels, count);
    }
    families
        .counter(
            "elector_unanswered_requests_total",
            "Requests to GitHub that got no answer.",
        )
        .is(stats.unanswered);
    families
        .counter(
            "elector_not_modified_total",
            "Answers that nothing has changed (304), which cost nothing of the rate limit.",
        )
        .is(stats.not_modified);
    families
        .counter(
            "elector_history_scan_requests_total",
            "Requests for revisions and pages of the history.",
        )
        .is(stats.history_scan_requests);
    families
        .counter(
            "elector_held_back_total",
            "Requests that were not sent, because GitHub's limits did not permit it.",
        )
        .is(stats.held_back);
}

fn rate_limit(families: &mut Families, view: &View) {
    families
        .gauge(
            "elector_throttled_seconds",
            "For how long GitHub wants no request; 0 where it has nothing against one.",
        )
        .is(view.status.rate_limited_until.since(view.now).as_secs_f64());
    let Some(rate) = view.requests.rate_limit else {
        return;
    };
    families
        .gauge(
            "elector_rate_limit_requests",
            "How many requests an hour GitHub grants this user, over all its programs.",
        )
        .is(rate.limit);
    families
        .gauge(
            "elector_rate_limit_remaining_requests",
            "How many of them are left, as last heard of.",
        )
        .is(rate.remaining);
    families
        .gauge(
            "elector_rate_limit_reset_timestamp_seconds",
            "When all are there again, by GitHub's clock.",
        )
        .is(rate.resets_at);
}

fn workload(families: &mut Families, counts: Option<&WorkloadCounts>) {
    let Some(counts) = counts else { return };
    families
        .gauge("elector_workload_running", "Whether the workload runs.")
        .is(u8::from(counts.is_running()));
    families
        .counter(
            "elector_workload_starts_total",
            "How often the workload was started.",
        )
        .is(counts.starts());
    families.counter("elector_workload_exits_total", "How often the workload ended, by classes of exit codes: 126 cannot be executed, 127 not found, 128+n killed by signal n.");
    for class in ExitClass::ALL {
        families.of(&[("code", class.codes())], counts.exits(class));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_may_hold_anything() {
        let mut families = Families::default();
        families
            .gauge("x", "A thing.")
            .of(&[("a", "b\"c\\d\ne"), ("f", "ü")], 1.5);
        assert_eq!(
            families.text,
            "# HELP x A thing.\n# TYPE x gauge\nx{a=\"b\\\"c\\\\d\\ne\",f=\"ü\"} 1.5\n"
        );
    }
}
