//! What the page says of the candidate that shows it: its part in the election, and its troubles.

use std::fmt::Write;

use super::words::{NARROW, count, escaped, left, name, span};
use crate::election::lock::Content;
use crate::election::status::RoleName;
use crate::fmt::count as number;
use crate::observe::view::View;

pub(super) fn candidate(view: &View) -> String {
    let mut rows = String::new();
    let mut row = |title: &str, html: String| {
        // Writing to a String cannot fail.
        let _ = write!(rows, "<dt>{title}</dt><dd>{html}</dd>");
    };
    let lead = if view.leads().is_some() { " lead" } else { "" };
    let chip = format!("<span class=\"chip{lead}\">{}</span>", role(view));
    row("Name", format!("{} {chip}", name(view.identity())));
    row("Next", next(view));
    row("Saw last", seen(view));
    if view.status.failures > 0
        && let Some(failure) = &view.journal.last_failure
    {
        let times = match view.status.failures {
            1 => String::new(),
            times => format!("{times} times in a row: "),
        };
        let text = format!(
            "<span class=\"warn\">{times}{}</span>",
            escaped(&failure.text)
        );
        row("Trouble", text);
    }
    row("GitHub", github(view));
    if let Some(workload) = &view.about.workload {
        let runs = if workload.is_running() {
            "runs"
        } else {
            "does not run"
        };
        row(
            "Workload",
            format!("{runs} · {}", count(workload.starts(), "start")),
        );
    }
    format!("<h2>This candidate</h2><dl>{rows}</dl>")
}

fn role(view: &View) -> &'static str {
    match view.status.role {
        RoleName::Candidate => "standby",
        RoleName::Acquiring => "claims the lease",
        RoleName::Leader if view.status.stopping => "stopping",
        RoleName::Leader if view.leads().is_some() => "leads",
        RoleName::Leader => "past its limit",
        RoleName::Leaving => "gives the lease back",
        RoleName::Finished => "has left",
    }
}

fn next(view: &View) -> String {
    let throttled = view.status.rate_limited_until;
    if throttled > view.now {
        let wait = left(throttled.since(view.now));
        return format!("<span class=\"warn\">GitHub wants no request for {wait}</span>");
    }
    match (view.status.role, view.acquire_at()) {
        (_, Some(at)) if at <= view.now && view.status.failures > 0 => {
            "may take the lease, as soon as it is answered".to_owned()
        }
        (_, Some(at)) if at <= view.now => "may take the lease now".to_owned(),
        (_, Some(at)) => {
            let unless = match view.lease() {
                Some(_) => "unless it is renewed",
                None => "unless somebody else does",
            };
            format!("takes the lease in {}, {unless}", left(at.since(view.now)))
        }
        (RoleName::Leader, _) if !view.status.stopping => "renews the lease".to_owned(),
        (RoleName::Acquiring, _) => "confirms its claim by a second write".to_owned(),
        (RoleName::Candidate, None) if !view.status.stopping => "looks at the lease".to_owned(),
        (RoleName::Finished, _) => "nothing: it has left the election".to_owned(),
        _ => "stops, and gives the lease back".to_owned(),
    }
}

fn seen(view: &View) -> String {
    let Some(answered) = view.journal.answered_at else {
        return "nothing yet".to_owned();
    };
    let ago = span(view.ago(answered));
    let what = match view.content() {
        Some(Content::Record(record)) if record.holder_identity.is_empty() => {
            "a lease that was given back".to_owned()
        }
        Some(Content::Record(record)) if record.holder_identity == view.identity() => {
            format!("its own record, token{NARROW}{}", record.leader_transitions)
        }
        Some(Content::Record(record)) => format!(
            "the record of {}, token{NARROW}{}",
            name(&record.holder_identity),
            record.leader_transitions
        ),
        Some(Content::Deleted) => "that the record is gone".to_owned(),
        Some(Content::Corrupt(_)) => "a record that cannot be read".to_owned(),
        Some(Content::NeverWritten) | None => "no record".to_owned(),
    };
    format!("{ago} ago: {what}")
}

fn github(view: &View) -> String {
    let stats = &view.requests;
    let answers: u64 = stats.answers.values().sum();
    let mut text = format!(
        "{}, of which {} unchanged",
        count(answers, "answer"),
        number(stats.not_modified)
    );
    if stats.unanswered > 0 {
        let _ = write!(text, " · {} unanswered", number(stats.unanswered));
    }
    if let Some(rate) = stats.rate_limit {
        let _ = write!(
            text,
            " · {} of {} requests left this hour",
            number(rate.remaining),
            number(rate.limit)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::journal::Failure;
    use crate::observe::view::tests::{at, leads_until, view};

    #[test]
    fn a_leader_is_said_to_lead_until_its_limit() {
        let mut view = view();
        leads_until(&mut view, at(70_000));
        assert!(candidate(&view).contains(">leads</span>"));
        view.now = at(70_000);
        assert!(candidate(&view).contains(">past its limit</span>"));
    }

    #[test]
    fn trouble_is_told_as_long_as_it_lasts() {
        let mut view = view();
        view.journal.last_failure = Some(Failure {
            at: at(1),
            text: "looking failed: <no route>".into(),
        });
        assert!(!candidate(&view).contains("no route"));
        view.status.failures = 3;
        let html = candidate(&view);
        assert!(
            html.contains("3 times in a row: looking failed: &lt;no route&gt;"),
            "{html}"
        );
        view.status.rate_limited_until = at(90_000);
        assert!(candidate(&view).contains("GitHub wants no request for"));
    }
}
