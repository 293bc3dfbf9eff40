//! The page's first section: the leader and the time left of its lease.

use std::fmt::Write;
use std::time::Duration;

use super::candidate::next_step;
use super::format::{escaped, left, name, shortened, span, time};
use super::terms::{NO_HUE, hue_of, start_of};
use crate::election::lock::Content;
use crate::election::status::RoleName;
use crate::election::time::Instant;
use crate::observe::knowledge::Leader;
use crate::observe::snapshot::{Lease, Snapshot};

/// Crown above a leader's initial, in a box of 48 by 48.
const CROWN: &str = "<path d=\"M15 12.5l1.6 6.2h14.8L33 12.5l-4.9 3.3L24 10l-4.1 5.8z\"/>";

/// Names with more characters are shown in smaller letters.
const LONG_NAME: usize = 28;

/// The section, and what follows from it for the rest of the page.
pub(super) struct Section {
    /// Title of the page.
    pub(super) title: String,
    /// Class of the leader's colour.
    pub(super) hue: &'static str,
    pub(super) html: String,
}

/// Texts of the section.
struct Headline {
    title: String,
    label: String,
    holder: Option<String>,
    details: String,
    crowned: bool,
}

impl Headline {
    fn of_holder(label: &str, holder: &str, does: &str, details: String) -> Self {
        Headline {
            title: format!("{} {does}", shortened(holder)),
            label: label.to_owned(),
            holder: Some(holder.to_owned()),
            details,
            crowned: false,
        }
    }

    fn without_holder(label: impl Into<String>, title: &str, details: String) -> Self {
        Headline {
            title: title.to_owned(),
            label: label.into(),
            holder: None,
            details,
            crowned: false,
        }
    }

    /// Returns the character in the badge.
    fn initial(&self) -> char {
        let Some(holder) = &self.holder else {
            return '–';
        };
        let first = holder.chars().find(|c| c.is_alphanumeric());
        first.map_or('·', |c| c.to_uppercase().next().unwrap_or(c))
    }
}

pub(super) fn section(snapshot: &Snapshot) -> Section {
    let headline = headline(snapshot);
    let (hue, shown, class) = match &headline.holder {
        Some(holder) => {
            let is_long = holder.chars().nth(LONG_NAME).is_some();
            let class = if is_long { "name long" } else { "name" };
            (hue_of(snapshot, holder), name(holder), class)
        }
        None => (NO_HUE, escaped(&headline.title), "name"),
    };
    let mut html = format!(
        "<div class=\"leader\">{}<div><p class=\"label\">{}</p><h2 class=\"{class}\">{shown}</h2>\
         <p class=\"soft\">{}</p>",
        badge(headline.initial(), headline.crowned),
        headline.label,
        headline.details
    );
    if let Some(outage) = outage(snapshot) {
        let _ = write!(html, "<p class=\"warn\">{outage}</p>");
    }
    if let Some(request) = snapshot.request() {
        let subject = match snapshot.is_paused() {
            true => "Election",
            false => "The leader was",
        };
        let _ = write!(
            html,
            "<p class=\"warn\">{subject} {}</p>",
            escaped(&request)
        );
    }
    if !headline.crowned {
        let _ = write!(html, "<p>This candidate: {}</p>", next_step(snapshot));
    }
    html.push_str("</div></div>");
    if let Some(lease) = valid_lease(snapshot) {
        html.push_str(&meter(snapshot, lease));
    }
    Section {
        title: headline.title,
        hue,
        html,
    }
}

fn valid_lease(snapshot: &Snapshot) -> Option<Lease<'_>> {
    let lease = snapshot.lease()?;
    (lease.valid_until > snapshot.now).then_some(lease)
}

/// Describes since when the store has not answered.
fn outage(snapshot: &Snapshot) -> Option<String> {
    let since = snapshot.wall_at(snapshot.unreachable_since()?)?;
    let since = time(since, snapshot.wall);
    let failure = snapshot.journal.last_failure.as_ref();
    let state = match failure.is_none_or(|failure| failure.unreachable) {
        true => "has been unreachable",
        false => "has refused requests",
    };
    Some(format!("The store {state} since {since}"))
}

fn headline(snapshot: &Snapshot) -> Headline {
    let Some(content) = snapshot.content() else {
        let progress = snapshot.journal.history_scan.as_deref();
        let details = escaped(progress.unwrap_or("no answer from the store yet"));
        return Headline::without_holder("Reading the lease", "Leader unknown", details);
    };
    match snapshot.leader() {
        Leader::Known(holder) => {
            let label = match snapshot.is_leading() {
                true => "Leader: this candidate",
                false => "Leader",
            };
            let details = term_details(snapshot);
            Headline {
                crowned: true,
                ..Headline::of_holder(label, holder, "leads", details)
            }
        }
        Leader::Nobody => nobody(snapshot, content),
        Leader::Unknown { since } => {
            let since = shown_time(snapshot, since);
            let details = past_lease(snapshot, content);
            Headline::without_holder(format!("Unknown since {since}"), "Leader unknown", details)
        }
    }
}

fn nobody(snapshot: &Snapshot, content: &Content) -> Headline {
    let is_mine = snapshot
        .journal
        .effective
        .as_ref()
        .is_some_and(|effective| effective.mine);
    let acquiring = snapshot.status.role == RoleName::Acquiring;
    let details = term_details(snapshot);
    let (label, does) = match valid_lease(snapshot) {
        None => {
            let label = match snapshot.lease() {
                _ if snapshot.is_paused() => "Nobody may lead",
                Some(_) => "The lease has expired",
                None => "The lease is free",
            };
            let details = past_lease(snapshot, content);
            return Headline::without_holder(label, "Nobody leads", details);
        }
        Some(_) if acquiring => ("Acquiring the lease", "is acquiring the lease"),
        Some(_) if !is_mine => ("Held under this candidate's name", "does not lead"),
        Some(_) => {
            let label = "The lease has not expired yet";
            let details = format!("this candidate led · {details}");
            return Headline::without_holder(label, "Nobody leads", details);
        }
    };
    Headline::of_holder(label, snapshot.identity(), does, details)
}

/// Describes a lease that nobody holds any more, as last read.
fn past_lease(snapshot: &Snapshot, content: &Content) -> String {
    let at = |at: Instant| shown_time(snapshot, at);
    if let Some(lease) = snapshot.lease() {
        let holder = name(&lease.record.holder_identity);
        let token = lease.record.leader_transitions;
        let expired = at(lease.valid_until);
        return format!("lease of {holder} expired at {expired} · fencing token {token}");
    }
    let state = match content {
        Content::NeverWritten => "no candidate has led yet".to_owned(),
        Content::Deleted => "the record was deleted".to_owned(),
        Content::Corrupt(reason) => format!("the record is corrupt: {}", escaped(reason)),
        Content::Record(_) => "the lease was released".to_owned(),
    };
    match &snapshot.journal.effective {
        Some(effective) => format!("{state} · observed at {}", at(effective.known_since)),
        None => state,
    }
}

fn shown_time(snapshot: &Snapshot, at: Instant) -> String {
    snapshot
        .wall_at(at)
        .map_or("…".to_owned(), |at| time(at, snapshot.wall))
}

/// Describes the current term: its fencing token, how long it has lasted, and since when.
fn term_details(snapshot: &Snapshot) -> String {
    let token = snapshot
        .lease()
        .map_or(0, |lease| lease.record.leader_transitions);
    let mut details = format!("fencing token {token}");
    if let Some(term) = snapshot.journal.terms.last()
        && let Some(start) = start_of(snapshot, term)
    {
        let since = time(start, snapshot.wall);
        let _ = match snapshot.end_of(term) {
            Some(end) => {
                let until = shown_time(snapshot, end.at);
                write!(details, " · from {since} to {until}")
            }
            None => {
                let lasted = Duration::try_from(snapshot.wall - start).unwrap_or_default();
                write!(details, " · for {}, since {since}", span(lasted))
            }
        };
    }
    if snapshot.status.stopping && !snapshot.is_leading() {
        details.push_str(" · stopping");
    }
    details
}

fn badge(initial: char, crowned: bool) -> String {
    let (crown, baseline) = if crowned { (CROWN, 37) } else { ("", 31) };
    format!(
        "<svg class=\"badge\" viewBox=\"0 0 48 48\" aria-hidden=\"true\"><circle cx=\"24\" cy=\"24\" \
         r=\"24\"/>{crown}<text x=\"24\" y=\"{baseline}\">{}</text></svg>",
        escaped(&initial.to_string())
    )
}

/// Returns the bar with the time left of the lease.
fn meter(snapshot: &Snapshot, lease: Lease<'_>) -> String {
    let rest = lease.valid_until.since(snapshot.now);
    let (text, hint) = match (lease.mine, snapshot.leader()) {
        (true, _) => (
            "must renew within",
            "The leader renews it in time, or stops before it expires.",
        ),
        (false, Leader::Known(_)) => (
            "may be acquired in",
            "The holder renews it several times before it expires.",
        ),
        (false, _) => (
            "may be acquired in",
            "No other candidate can lead before it expires.",
        ),
    };
    format!(
        "<div class=\"meter\"><p><b>Lease</b><span>{text} <b id=\"left\">{}</b></span></p>\
         <progress max=\"{:.3}\" value=\"{:.3}\" data-left=\"{:.3}\" aria-label=\"Time left of the \
         lease, in seconds\"></progress><p class=\"soft small\">{hint}</p></div>",
        left(rest),
        lease.duration.as_secs_f64(),
        rest.as_secs_f64().min(lease.duration.as_secs_f64()),
        rest.as_secs_f64(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::snapshot::tests::{at, lead_until, read, record, snapshot};

    fn title(snapshot: &Snapshot) -> (String, bool) {
        let section = section(snapshot);
        (section.title, section.html.contains(CROWN))
    }

    #[test]
    fn title_follows_lease_and_role() {
        let mut snapshot = snapshot();
        let expected = |title: &str, crowned| (title.to_owned(), crowned);
        assert_eq!(title(&snapshot), expected("Leader unknown", false));
        read(&mut snapshot, at(1_000), &Content::NeverWritten);
        snapshot.now = at(2_000);
        assert_eq!(title(&snapshot), expected("Nobody leads", false));
        read(&mut snapshot, at(59_000), &record("other", 3));
        snapshot.now = at(60_000);
        assert_eq!(title(&snapshot), expected("other leads", true));
        snapshot.now = at(90_000);
        assert_eq!(title(&snapshot), expected("Leader unknown", false));
        snapshot.journal.answered_at = Some(at(90_000));
        assert_eq!(title(&snapshot), expected("Nobody leads", false));
        read(&mut snapshot, at(90_000), &record("", 3));
        assert_eq!(title(&snapshot), expected("Nobody leads", false));
        read(&mut snapshot, at(90_000), &record("me", 4));
        assert_eq!(title(&snapshot), expected("me does not lead", false));
        snapshot.status.role = RoleName::Acquiring;
        assert_eq!(
            title(&snapshot),
            expected("me is acquiring the lease", false)
        );
    }

    #[test]
    fn crown_ends_at_leadership_deadline() {
        let mut snapshot = snapshot();
        lead_until(&mut snapshot, at(70_000));
        snapshot.journal.effective.as_mut().unwrap().mine = true;
        assert_eq!(title(&snapshot), ("me leads".to_owned(), true));
        assert!(section(&snapshot).html.contains("must renew within"));
        snapshot.now = at(70_000);
        assert_eq!(title(&snapshot), ("Nobody leads".to_owned(), false));
        assert!(section(&snapshot).html.contains("may be acquired in"));
    }

    #[test]
    fn unknown_leader_has_outage_and_next_step() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(50_000), &record("other", 3));
        snapshot.status.failures = 3;
        let html = section(&snapshot).html;
        assert!(html.contains(CROWN), "the lease has not expired");
        let outage = "The store has been unreachable since <time datetime=\"2026-11-22T10:02:21Z\">\
                      10:02:21 UTC</time>";
        assert!(html.contains(outage), "{html}");
        snapshot.now = at(85_000);
        snapshot.wall += Duration::from_secs(25);
        let Section { title, hue, html } = section(&snapshot);
        assert_eq!((title.as_str(), hue), ("Leader unknown", NO_HUE));
        for part in [
            "Unknown since <time datetime=\"2026-11-22T10:02:51Z\">",
            outage,
            "lease of <bdi>other</bdi> expired at <time datetime=\"2026-11-22T10:02:51Z\">",
            "This candidate: acquires the lease when the store answers",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(
            !html.contains(CROWN) && !html.contains("<progress"),
            "{html}"
        );
    }
}
