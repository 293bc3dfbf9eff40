//! Problems and requests of operators, each as a marked line.

use std::fmt::Write;

use super::format::{countdown, escaped, moment, span};
use crate::election::lock::Content;
use crate::election::status::RoleName;
use crate::observe::knowledge::Leader;
use crate::observe::observed_terms::ObservedTerm;
use crate::observe::snapshot::Snapshot;

/// Kind of a line: a class of the style, and a mark that differs in shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An operator should act.
    Problem,
    /// An operator should act if it lasts.
    Warning,
    /// Somebody asked for it.
    Notice,
}

impl Kind {
    fn class(self) -> &'static str {
        match self {
            Kind::Problem => "bad",
            Kind::Warning => "warn",
            Kind::Notice => "soft",
        }
    }

    /// Returns the mark's path, in a box of 16 by 16: octagon, triangle, circle.
    fn path(self) -> &'static str {
        match self {
            Kind::Problem => "M5 1h6l4 4v6l-4 4H5l-4-4V5zM7 4v5h2V4zm0 6v2h2v-2z",
            Kind::Warning => "M8 1l7.5 14H.5zM7 6v4.5h2V6zm0 5.5v2h2v-2z",
            Kind::Notice => "M8 1a7 7 0 100 14A7 7 0 008 1zM7 4v2h2V4zm0 3v5h2V7z",
        }
    }
}

/// Returns a mark.
pub(super) fn mark(kind: Kind) -> String {
    let path = kind.path();
    format!(
        "<svg class=\"mark\" viewBox=\"0 0 16 16\" aria-hidden=\"true\"><path d=\"{path}\"/></svg>"
    )
}

/// Items of the list as HTML, the most urgent first.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, kind: Kind, title: &str, sentences: &str) {
        self.push(kind, &format!("<b>{title}.</b> {sentences}"));
    }

    fn push(&mut self, kind: Kind, html: &str) {
        let (class, mark) = (kind.class(), mark(kind));
        // Writing to a String cannot fail.
        let _ = write!(self.0, "<li class=\"{class}\">{mark}<p>{html}</p></li>");
    }
}

/// Returns the list as HTML; empty without problems and requests.
pub(super) fn list(snapshot: &Snapshot) -> String {
    let mut lines = Lines::default();
    if let Some(ago) = snapshot.same_name_ago() {
        let text = format!(
            "Another process uses this candidate's name. Its last write was {} ago. Give each candidate \
             its own LEADER_NAME.",
            span(ago)
        );
        lines.add(Kind::Problem, "Same name", &text);
    }
    add_term(snapshot, &mut lines);
    add_store(snapshot, &mut lines);
    if let Some(Content::Corrupt(reason)) = snapshot.content() {
        let html = format!("<b>Corrupt record:</b> {}.", escaped(reason));
        lines.push(Kind::Problem, &html);
    }
    add_request(snapshot, &mut lines);
    match lines.0.as_str() {
        "" => String::new(),
        items => format!("<ul class=\"lines\">{items}</ul>"),
    }
}

/// Adds problems of this candidate's own term.
fn add_term(snapshot: &Snapshot, lines: &mut Lines) {
    let status = &snapshot.status;
    let workload = snapshot.candidate.workload.as_ref();
    let runs = workload.is_some_and(|workload| workload.is_running());
    match (status.leading, snapshot.leadership()) {
        (Some(leading), None) if leading.valid_until <= snapshot.now => lines.add(
            Kind::Problem,
            "Past the leadership deadline",
            &format!(
                "This term should have ended at {}. If this lasts, restart the process.",
                moment(snapshot, leading.valid_until)
            ),
        ),
        (Some(_), None) => lines.add(Kind::Notice, "Stopping", &stopping(snapshot)),
        (Some(_), Some(leadership)) if status.failures > 0 => {
            let (kind, title) =
                match leadership.time_left < snapshot.candidate.config.renew_deadline / 2 {
                    true => (Kind::Problem, "About to stop"),
                    false => (Kind::Warning, "Renewals fail"),
                };
            lines.add(kind, title, &failures(snapshot));
        }
        (None, _) if status.role == RoleName::Candidate && runs => {
            let text = "The workload of this candidate's last term is being stopped.";
            lines.add(Kind::Warning, "Stopping", text);
        }
        _ => {}
    }
}

/// Describes why this leader stops.
fn stopping(snapshot: &Snapshot) -> String {
    let own = snapshot.journal.terms.last().filter(|term| term.mine);
    let reason = own.and_then(|term: &ObservedTerm| term.end?.reason.stop_reason());
    let reason = reason.map(|reason| format!(" ({reason})"));
    let reason = reason.unwrap_or_default();
    format!("The workload is being stopped{reason}.")
}

/// Adds problems of the store.
fn add_store(snapshot: &Snapshot, lines: &mut Lines) {
    let status = &snapshot.status;
    if status.rate_limited_until > snapshot.now {
        let mut text = format!(
            "The store accepts no request for {}, until {}.",
            countdown(status.rate_limited_until.since(snapshot.now)),
            moment(snapshot, status.rate_limited_until)
        );
        let mut kind = Kind::Warning;
        if status
            .leading
            .is_some_and(|leading| leading.valid_until < status.rate_limited_until)
        {
            kind = Kind::Problem;
            text.push_str(" This leader must stop before that.");
        }
        return lines.add(kind, "Rate limited", &text);
    }
    let is_unknown = matches!(snapshot.leader(), Leader::Unknown { .. });
    let kind = match is_unknown {
        true => Kind::Problem,
        false => Kind::Warning,
    };
    if let Some(since) = snapshot.unreachable_since() {
        // A leader's own line says so.
        if snapshot.is_leading() {
            return;
        }
        let failure = snapshot.journal.last_failure.as_ref();
        let title = match failure.is_none_or(|failure| failure.unreachable) {
            true => "Store unreachable",
            false => "Store refuses requests",
        };
        let since = moment(snapshot, since);
        return lines.add(
            kind,
            title,
            &format!("Since {since}: {}", failures(snapshot)),
        );
    }
    if status.failures > 0 && !snapshot.is_leading() {
        return lines.add(Kind::Warning, "Requests fail", &failures(snapshot));
    }
    let Some(answered) = snapshot.journal.answered_at else {
        return;
    };
    let age = snapshot.ago(answered);
    if age > snapshot.candidate.config.lease_duration {
        let text = format!("The last answer of the store is {} old.", span(age));
        lines.add(kind, "Old data", &text);
    }
}

/// Describes the last of some failures.
fn failures(snapshot: &Snapshot) -> String {
    let times = match snapshot.status.failures {
        1 => "1 failure".to_owned(),
        times => format!("{times} failures in a row"),
    };
    match &snapshot.journal.last_failure {
        Some(failure) => format!("{times}, the last one: {}.", escaped(&failure.message)),
        None => format!("{times}."),
    }
}

/// Adds what operators or preferred candidates ask for.
fn add_request(snapshot: &Snapshot, lines: &mut Lines) {
    let Some(request) = snapshot.request() else {
        return;
    };
    let request = escaped(&request);
    let html = match (
        request.strip_prefix("paused"),
        request.strip_prefix("moved"),
    ) {
        (Some(how), _) => format!("<b>Paused</b>{how}."),
        (None, Some(how)) => format!("<b>Moved</b>{how}."),
        (None, None) => format!("<b>Handover.</b> The leader was {request}."),
    };
    lines.push(Kind::Notice, &html);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::election::action::StopReason;
    use crate::observe::WorkloadCounts;
    use crate::observe::journal::CallFailure;
    use crate::observe::page::tests::annotated;
    use crate::observe::snapshot::tests::{at, lead_until, read, record, snapshot};

    /// Asserts that the list has one line of this kind, which begins so.
    fn assert_line(snapshot: &Snapshot, kind: Kind, begins: &str) {
        let html = list(snapshot);
        let line = format!(
            "<li class=\"{}\">{}<p><b>{begins}",
            kind.class(),
            mark(kind)
        );
        assert!(html.contains(&line), "{line} is not in {html}");
        assert_eq!(html.matches("<li").count(), 1, "{html}");
    }

    fn failing(snapshot: &mut Snapshot, failures: u32, unreachable: bool) {
        snapshot.status.failures = failures;
        snapshot.journal.last_failure = Some(CallFailure {
            at: at(1),
            message: "reading the lease failed: <no route>".into(),
            unreachable,
        });
    }

    #[test]
    fn calm_election_has_no_line() {
        let mut snapshot = snapshot();
        assert_eq!(list(&snapshot), "");
        read(&mut snapshot, at(59_000), &record("other", 7));
        assert_eq!(list(&snapshot), "");
        lead_until(&mut snapshot, at(70_000));
        assert_eq!(list(&snapshot), "");
    }

    #[test]
    fn same_name_is_a_problem() {
        let mut snapshot = snapshot();
        snapshot.status.same_name = Some(at(56_000));
        assert_line(
            &snapshot,
            Kind::Problem,
            "Same name.</b> Another process uses",
        );
        assert!(list(&snapshot).contains("was 4s ago"));
    }

    #[test]
    fn failing_leader_is_about_to_stop() {
        let mut snapshot = snapshot();
        lead_until(&mut snapshot, at(68_000));
        failing(&mut snapshot, 1, true);
        assert_line(
            &snapshot,
            Kind::Warning,
            "Renewals fail.</b> 1 failure, the last",
        );
        failing(&mut snapshot, 3, true);
        snapshot.now = at(61_000);
        let text = "About to stop.</b> 3 failures in a row, the last one: reading the lease failed: \
                    &lt;no route&gt;.";
        assert_line(&snapshot, Kind::Problem, text);
        snapshot.now = at(68_000);
        failing(&mut snapshot, 0, true);
        assert_line(
            &snapshot,
            Kind::Problem,
            "Past the leadership deadline.</b>",
        );
    }

    #[test]
    fn stopping_leader_says_why() {
        let mut snapshot = snapshot();
        lead_until(&mut snapshot, at(70_000));
        snapshot.status.stopping = true;
        let reason = StopReason::SteppedDown;
        snapshot.journal.stopped_leading(at(60_000), 4, reason);
        let text = "Stopping.</b> The workload is being stopped (asked to step down).";
        assert_line(&snapshot, Kind::Notice, text);
    }

    #[test]
    fn workload_outlives_its_term() {
        let mut snapshot = snapshot();
        let workload = Arc::new(WorkloadCounts::default());
        workload.started();
        Arc::make_mut(&mut snapshot.candidate).workload = Some(workload);
        assert_line(&snapshot, Kind::Warning, "Stopping.</b> The workload of");
    }

    #[test]
    fn unreachable_store_is_marked() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(58_000), &record("other", 7));
        failing(&mut snapshot, 1, true);
        assert_line(&snapshot, Kind::Warning, "Requests fail.</b> 1 failure");
        snapshot.now = at(63_000);
        snapshot.wall += Duration::from_secs(3);
        let since = "Store unreachable.</b> Since <time datetime=\"2026-11-22T10:02:29Z\">";
        assert_line(&snapshot, Kind::Warning, since);
        failing(&mut snapshot, 2, false);
        assert_line(&snapshot, Kind::Warning, "Store refuses requests.</b>");
        snapshot.now = at(90_000);
        assert_line(&snapshot, Kind::Problem, "Store refuses requests.</b>");
    }

    #[test]
    fn rate_limit_is_marked() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(58_000), &record("other", 7));
        failing(&mut snapshot, 1, false);
        snapshot.status.rate_limited_until = at(90_000);
        assert_line(
            &snapshot,
            Kind::Warning,
            "Rate limited.</b> The store accepts no",
        );
        assert!(list(&snapshot).contains("10:03:01 UTC"));
        let mut snapshot = self::snapshot();
        lead_until(&mut snapshot, at(70_000));
        snapshot.status.rate_limited_until = at(90_000);
        assert_line(&snapshot, Kind::Problem, "Rate limited.</b>");
    }

    #[test]
    fn old_answer_is_marked() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(5_000), &record("other", 7));
        snapshot.journal.answered_at = Some(at(29_000));
        let text = "Old data.</b> The last answer of the store is 31s old.";
        let html = list(&snapshot).replace('\u{a0}', " ");
        assert!(html.contains(text), "{html}");
    }

    #[test]
    fn requests_of_operators_are_shown() {
        for (field, value, begins) in [
            (
                "paused",
                json!({"by": "a<b", "reason": "x"}),
                "Paused</b> by a&lt;b: x.",
            ),
            ("movedTo", json!("git:x"), "Moved</b> to git:x."),
            (
                "preferredHolder",
                json!("third"),
                "Handover.</b> The leader was asked to hand over to third.",
            ),
        ] {
            let mut snapshot = snapshot();
            read(
                &mut snapshot,
                at(59_000),
                &annotated("other", field, &value),
            );
            assert_line(&snapshot, Kind::Notice, begins);
        }
    }

    #[test]
    fn corrupt_record_is_a_problem() {
        let mut snapshot = snapshot();
        let content = Content::Corrupt("it is not a JSON object".into());
        read(&mut snapshot, at(59_000), &content);
        assert_line(&snapshot, Kind::Problem, "Corrupt record:</b> it is not");
    }
}
