//! The page's section on the candidate that serves it: its role, its next step and its problems.

use std::fmt::Write;

use super::format::{count, escaped, left, name, span, time};
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
    row("Next", next_step(snapshot));
    row("Last read", last_read(snapshot));
    if snapshot.status.failures > 0
        && let Some(failure) = &snapshot.journal.last_failure
    {
        let times = match snapshot.status.failures {
            1 => String::new(),
            times => format!("{times} failures in a row: "),
        };
        let message = escaped(&failure.message);
        row(
            "Problem",
            format!("<span class=\"warn\">{times}{message}</span>"),
        );
    }
    if let Some(ago) = snapshot.same_name_ago() {
        row(
            "Same name",
            format!(
                "<span class=\"bad\">another process uses this name, its last write was {} ago: give \
                 each candidate another LEADER_NAME</span>",
                span(ago)
            ),
        );
    }
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

/// Returns what this candidate does next, as a clause without its subject.
pub(super) fn next_step(snapshot: &Snapshot) -> String {
    let status = &snapshot.status;
    if snapshot.is_standby()
        && let Some(until) = snapshot.stepped_down_until()
        && let Some(until) = snapshot.wall_at(until)
    {
        let until = time(until, snapshot.wall);
        return format!("will not acquire until {until}, stepped down by an operator");
    }
    if snapshot.is_standby() && snapshot.is_paused() {
        return "does not acquire the lease while the election is paused".to_owned();
    }
    if status.rate_limited_until > snapshot.now {
        let wait = left(status.rate_limited_until.since(snapshot.now));
        return format!(
            "<span class=\"warn\">rate limited: the store accepts requests in {wait}</span>"
        );
    }
    if let Some(at) = snapshot.acquire_at() {
        if at > snapshot.now {
            let unless = match snapshot.lease() {
                Some(_) => "unless it is renewed",
                None => "unless another candidate does",
            };
            let condition = match snapshot.unreachable_since() {
                Some(_) => " if the store answers",
                None => "",
            };
            let wait = left(at.since(snapshot.now));
            return format!("acquires the lease in {wait}{condition}, {unless}");
        }
        return match status.failures {
            0 => "acquires the lease now".to_owned(),
            _ => {
                "acquires the lease when the store answers, unless another candidate leads by then"
                    .to_owned()
            }
        };
    }
    match status.role {
        RoleName::Leader if !status.stopping => "renews the lease",
        RoleName::Acquiring => "confirms its claim by a second write",
        RoleName::Candidate if snapshot.is_standby() => "reads the lease",
        RoleName::Finished => "nothing: it has left the election",
        _ => "stops and releases the lease",
    }
    .to_owned()
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
        Some(Content::Record(record)) => {
            let owner = if record.holder_identity == snapshot.identity() {
                "its own record".to_owned()
            } else {
                format!("the record of {}", name(&record.holder_identity))
            };
            format!("{owner}, fencing token {}", record.leader_transitions)
        }
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
    use crate::observe::journal::CallFailure;
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
    fn stepped_down_standby_says_until_when() {
        let mut snapshot = snapshot();
        snapshot.status.stepped_down_until = at(60_000);
        assert_eq!(next_step(&snapshot), "reads the lease");
        snapshot.status.stepped_down_until = at(70_000);
        let next = next_step(&snapshot);
        assert!(next.starts_with("will not acquire until <time"), "{next}");
        assert!(
            next.ends_with("</time>, stepped down by an operator"),
            "{next}"
        );
        assert!(next.contains(">10:02:41 UTC<"), "{next}");
        snapshot.status.role = RoleName::Leader;
        snapshot.status.stopping = true;
        assert_eq!(next_step(&snapshot), "stops and releases the lease");
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

    #[test]
    fn same_name_is_a_red_row() {
        let mut snapshot = snapshot();
        assert!(!section(&snapshot).contains("class=\"bad\""));
        snapshot.status.same_name = Some(at(56_000));
        let html = section(&snapshot);
        assert!(
            html.contains("<span class=\"bad\">another process uses this name"),
            "{html}"
        );
        assert!(html.contains("was 4s ago"), "{html}");
    }

    #[test]
    fn problem_is_shown_while_it_lasts() {
        let mut snapshot = snapshot();
        snapshot.journal.last_failure = Some(CallFailure {
            at: at(1),
            message: "reading the lease failed: <no route>".into(),
            unreachable: true,
        });
        assert!(!section(&snapshot).contains("no route"));
        snapshot.status.failures = 3;
        let html = section(&snapshot);
        assert!(
            html.contains("3 failures in a row: reading the lease failed: &lt;no route&gt;"),
            "{html}"
        );
        snapshot.status.rate_limited_until = at(90_000);
        assert!(section(&snapshot).contains("rate limited: the store accepts requests in"));
    }
}
