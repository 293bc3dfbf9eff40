//! The page's section on the candidate that serves it: its role, requests and workload.

use std::fmt::Write;

use super::format::{count, name, span};
use crate::election::lock::Content;
use crate::election::status::RoleName;
use crate::fmt;
use crate::observe::snapshot::Snapshot;
use crate::observe::workload_counts::{Health, WorkloadCounts};

pub(super) fn section(snapshot: &Snapshot) -> String {
    let mut rows = String::new();
    let mut row = |title: &str, html: String| {
        // Writing to a String cannot fail.
        let _ = write!(rows, "<dt>{title}</dt><dd>{html}</dd>");
    };
    let class = if snapshot.is_leading() {
        " leading"
    } else {
        ""
    };
    let role = format!("<span class=\"chip{class}\">{}</span>", role(snapshot));
    row("Name", format!("{} {role}", name(snapshot.identity())));
    row("Last read", last_read(snapshot));
    row("Requests", requests(snapshot));
    if let Some(workload) = &snapshot.candidate.workload {
        let starts = count(workload.starts(), "start");
        row("Workload", format!("{} · {starts}", state_of(workload)));
    }
    format!("<h2>This candidate</h2><dl>{rows}</dl>")
}

fn role(snapshot: &Snapshot) -> &'static str {
    match snapshot.status.role {
        RoleName::Candidate => "standby",
        RoleName::Acquiring => "acquiring",
        RoleName::Leader if snapshot.status.stopping => "stopping",
        RoleName::Leader if snapshot.is_leading() => "leading",
        RoleName::Leader => "past its leadership deadline",
        RoleName::Leaving => "releasing the lease",
        RoleName::Finished => "finished",
    }
}

fn state_of(workload: &WorkloadCounts) -> &'static str {
    match (workload.is_running(), workload.health()) {
        (true, Health::Unchecked) => "running",
        (true, Health::Starting) => "running, no answer to the health check yet",
        (true, Health::Healthy) => "running, healthy",
        (true, Health::Unhealthy) => "<span class=\"bad\">unhealthy, being stopped</span>",
        (false, Health::Unhealthy) => "<span class=\"bad\">stopped, it was unhealthy</span>",
        (false, _) => "not running",
    }
}

fn last_read(snapshot: &Snapshot) -> String {
    let Some(answered) = snapshot.journal.answered_at else {
        return "none yet".to_owned();
    };
    let result = match snapshot.content() {
        Some(Content::Record(record)) if record.holder_identity.is_empty() => {
            "a released lease".to_owned()
        }
        Some(Content::Record(record)) if record.holder_identity == snapshot.identity() => {
            "its own record".to_owned()
        }
        Some(Content::Record(record)) => format!("the record of {}", name(&record.holder_identity)),
        Some(Content::Deleted) => "a deleted record".to_owned(),
        Some(Content::Corrupt(_)) => "a corrupt record".to_owned(),
        Some(Content::NeverWritten) | None => "no record".to_owned(),
    };
    format!("{} ago: {result}", span(snapshot.ago(answered)))
}

fn requests(snapshot: &Snapshot) -> String {
    let store = &snapshot.store;
    let answers: u64 = store.answers.values().sum();
    let mut text = format!(
        "{}, of which {} unchanged",
        count(answers, "answer"),
        fmt::count(store.not_modified)
    );
    if store.unanswered > 0 {
        let _ = write!(text, " · {} unanswered", fmt::count(store.unanswered));
    }
    if let Some(rate) = store.rate_limit {
        let (remaining, limit) = (fmt::count(rate.remaining), fmt::count(rate.limit));
        let _ = write!(text, " · {remaining} of {limit} requests left");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::observe::snapshot::tests::{at, lead_until, snapshot};

    #[test]
    fn leader_leads_until_leadership_deadline() {
        let mut snapshot = snapshot();
        lead_until(&mut snapshot, at(70_000));
        assert!(section(&snapshot).contains(">leading</span>"));
        snapshot.now = at(70_000);
        assert!(section(&snapshot).contains(">past its leadership deadline</span>"));
    }

    #[test]
    fn ill_health_is_shown_after_stop() {
        let mut snapshot = snapshot();
        let workload = Arc::new(WorkloadCounts::default());
        Arc::make_mut(&mut snapshot.candidate).workload = Some(Arc::clone(&workload));
        workload.started();
        workload.set_health(Health::Unhealthy);
        assert!(section(&snapshot).contains("unhealthy, being stopped"));
        workload.ended(Some(143));
        assert!(section(&snapshot).contains("stopped, it was unhealthy"));
    }
}
