//! The page's first section: the leader and the time left of its lease.

use std::fmt::Write;
use std::time::Duration;

use super::format::{escaped, left, name, shortened, span, time};
use super::terms::{NO_HUE, hue_of, start_of};
use crate::election::lock::Content;
use crate::election::status::RoleName;
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
    label: &'static str,
    holder: Option<String>,
    details: String,
    crowned: bool,
}

impl Headline {
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
         <p class=\"soft\">{}</p></div></div>",
        badge(headline.initial(), headline.crowned),
        headline.label,
        headline.details
    );
    if let Some(lease) = snapshot.lease() {
        html.push_str(&meter(snapshot, lease));
    }
    Section {
        title: headline.title,
        hue,
        html,
    }
}

fn headline(snapshot: &Snapshot) -> Headline {
    let Some(content) = snapshot.content() else {
        let progress = snapshot.journal.history_scan.as_deref();
        let details = escaped(progress.unwrap_or("no answer from the store yet"));
        return without_holder("Reading the lease", "Leader unknown", details);
    };
    let Some(lease) = snapshot.lease() else {
        let details = free_lease(snapshot, content);
        return without_holder("The lease is free", "No leader", details);
    };
    let holder = lease.record.holder_identity.as_str();
    let is_own_name = holder == snapshot.identity();
    let is_valid = lease.valid_until > snapshot.now;
    let (label, title, crowned) = match snapshot.status.role {
        RoleName::Leader if lease.mine => ("Leader: this candidate", "leads", true),
        RoleName::Acquiring if is_own_name => {
            ("Acquiring the lease", "is acquiring the lease", false)
        }
        _ if is_own_name && is_valid => {
            ("Holder of the lease, not leading", "does not lead", false)
        }
        _ if is_valid => ("Leader", "leads", true),
        _ => (
            "Last leader: its lease has expired",
            "led until its lease expired",
            false,
        ),
    };
    let mut details = format!("fencing token {}", lease.record.leader_transitions);
    if let Some(duration) = term_duration(snapshot) {
        let _ = write!(details, " · {duration}");
    }
    if snapshot.status.stopping && is_own_name {
        details.push_str(" · stopping");
    }
    Headline {
        title: format!("{} {title}", shortened(holder)),
        label,
        holder: Some(holder.to_owned()),
        details,
        crowned,
    }
}

fn without_holder(label: &'static str, title: &str, details: String) -> Headline {
    Headline {
        title: title.to_owned(),
        label,
        holder: None,
        details,
        crowned: false,
    }
}

fn free_lease(snapshot: &Snapshot, content: &Content) -> String {
    let state = match content {
        Content::NeverWritten => "no candidate has led yet".to_owned(),
        Content::Deleted => "the record was deleted".to_owned(),
        Content::Corrupt(reason) => format!("the record is corrupt: {}", escaped(reason)),
        Content::Record(_) => "the lease was released".to_owned(),
    };
    match &snapshot.journal.effective {
        Some(effective) => format!(
            "{state} · {} ago",
            span(snapshot.ago(effective.known_since))
        ),
        None => state,
    }
}

/// Describes how long the last term has lasted, and since when.
fn term_duration(snapshot: &Snapshot) -> Option<String> {
    let term = snapshot.journal.terms.last()?;
    let start = start_of(snapshot, term)?;
    let lasted = Duration::try_from(snapshot.wall - start).unwrap_or_default();
    let since = time(start, snapshot.wall);
    Some(match term.end {
        None => format!("for {}, since {since}", span(lasted)),
        Some(_) => format!("since {since}"),
    })
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
    let hint = match (lease.mine, rest.is_zero()) {
        (true, _) => "The leader renews it in time, or stops before it expires.",
        (false, false) => "The holder renews it several times before it expires.",
        (false, true) => "It has expired: any candidate can acquire it.",
    };
    format!(
        "<div class=\"meter\"><p><b>Lease</b><span><b id=\"left\">{}</b> left of {}</span></p>\
         <progress max=\"{:.3}\" value=\"{:.3}\" data-left=\"{:.3}\" aria-label=\"Time left of the \
         lease, in seconds\"></progress><p class=\"soft small\">{hint}</p></div>",
        left(rest),
        left(lease.duration),
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
        assert_eq!(title(&snapshot), expected("No leader", false));
        read(&mut snapshot, at(59_000), &record("other", 3));
        assert_eq!(title(&snapshot), expected("other leads", true));
        snapshot.now = at(90_000);
        assert_eq!(
            title(&snapshot),
            expected("other led until its lease expired", false)
        );
        read(&mut snapshot, at(90_000), &record("", 3));
        assert_eq!(title(&snapshot), expected("No leader", false));
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
        assert_eq!(title(&snapshot), ("me leads".to_owned(), true));
        snapshot.now = at(70_000);
        assert_eq!(title(&snapshot), ("me does not lead".to_owned(), false));
    }
}
