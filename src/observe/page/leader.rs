//! The page's first section: the leader, problems, the time left of the lease, and what happens next.

use std::fmt::Write;
use std::time::Duration;

use super::format::{countdown, escaped, moment, name, shortened, span, time};
use super::gaps::start_of;
use super::next;
use super::problems;
use super::terms::describe;
use super::timeline::{NO_HUE, hue_of};
use crate::election::action::StopReason;
use crate::election::lock::Content;
use crate::election::record::LeaderElectionRecord;
use crate::election::status::RoleName;
use crate::observe::knowledge::Leader;
use crate::observe::observed_terms::EndReason;
use crate::observe::snapshot::{Lease, Snapshot};

/// Crown above a leader's initial, in a box of 48 by 48.
const CROWN: &str = "<path d=\"M15 12.5l1.6 6.2h14.8L33 12.5l-4.9 3.3L24 10l-4.1 5.8z\"/>";

/// Bars of a paused election, in the same box.
const BARS: &str = "<path d=\"M17 15h5v18h-5zM26 15h5v18h-5z\"/>";

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

/// Symbol beside the texts: a disc for a holder, a ring for none.
#[derive(Clone, Copy)]
enum Badge {
    Leader,
    Holder,
    /// Nobody leads, and nobody asked for that.
    Nobody,
    Unknown,
    /// Nobody leads for now, as asked.
    Stopped,
    Paused,
}

/// Texts of the section, as HTML except for the names.
struct Headline {
    badge: Badge,
    title: String,
    label: String,
    holder: Option<String>,
    details: Vec<String>,
}

impl Headline {
    fn of_holder(badge: Badge, label: &str, holder: &str, does: &str) -> Self {
        Headline {
            badge,
            title: format!("{} {does}", shortened(holder)),
            label: label.to_owned(),
            holder: Some(holder.to_owned()),
            details: Vec::new(),
        }
    }

    fn without_holder(badge: Badge, label: impl Into<String>, title: &str) -> Self {
        Headline {
            badge,
            title: title.to_owned(),
            label: label.into(),
            holder: None,
            details: Vec::new(),
        }
    }

    fn with(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    fn badge(&self) -> String {
        let initial = || {
            let mut characters = self.holder.as_deref().unwrap_or_default().chars();
            let first = characters.find(|c| c.is_alphanumeric());
            first.map_or('·', |c| c.to_uppercase().next().unwrap_or(c))
        };
        let (class, path, text, baseline) = match self.badge {
            Badge::Leader => ("badge", CROWN, initial(), 37),
            Badge::Holder => ("badge", "", initial(), 31),
            Badge::Nobody => ("badge ring bad", "", '!', 32),
            Badge::Unknown => ("badge ring warn", "", '?', 32),
            Badge::Stopped => ("badge ring", "", '–', 31),
            Badge::Paused => ("badge ring", BARS, ' ', 32),
        };
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 48 48\" aria-hidden=\"true\"><circle cx=\"24\" cy=\"24\" \
             r=\"23\"/>{path}<text x=\"24\" y=\"{baseline}\">{}</text></svg>",
            escaped(&text.to_string())
        )
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
        "<div class=\"leader\">{}<div><p class=\"label\">{}</p><h2 class=\"{class}\">{shown}</h2>",
        headline.badge(),
        headline.label,
    );
    for line in &headline.details {
        // Writing to a String cannot fail.
        let _ = write!(html, "<p class=\"soft\">{line}</p>");
    }
    html.push_str("</div></div>");
    html.push_str(&problems::list(snapshot));
    if let Some(lease) = valid_lease(snapshot) {
        html.push_str(&meter(snapshot, lease));
    }
    let next = next::sentence(snapshot);
    let _ = write!(
        html,
        "<p class=\"next\"><b>Next</b> <span>{next}</span></p>"
    );
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

fn headline(snapshot: &Snapshot) -> Headline {
    let Some(content) = snapshot.content() else {
        let progress = snapshot.journal.history_scan.as_deref();
        let details = escaped(progress.unwrap_or("no answer from the store yet"));
        let headline =
            Headline::without_holder(Badge::Unknown, "Reading the lease", "Leader unknown");
        return headline.with([details]);
    };
    match snapshot.leader() {
        Leader::Known(holder) => {
            let label = match snapshot.is_leading() {
                true => "Leader: this candidate",
                false => "Leader",
            };
            let headline = Headline::of_holder(Badge::Leader, label, holder, "leads");
            headline
                .with([term_details(snapshot)])
                .with(term_before(snapshot))
        }
        Leader::Nobody => nobody(snapshot, content),
        Leader::Unknown { since } => {
            let label = format!("Unknown since {}", moment(snapshot, since));
            let headline = Headline::without_holder(Badge::Unknown, label, "Leader unknown");
            headline.with([last_term(snapshot, content)])
        }
    }
}

fn nobody(snapshot: &Snapshot, content: &Content) -> Headline {
    let effective = snapshot.journal.effective.as_ref();
    let is_mine = effective.is_some_and(|effective| effective.mine);
    let acquiring = snapshot.status.role == RoleName::Acquiring;
    let (label, does) = match valid_lease(snapshot) {
        Some(_) if acquiring => ("Acquiring the lease", "is acquiring the lease"),
        Some(_) if !is_mine => ("Held under this candidate's name", "does not lead"),
        valid => {
            let (badge, label) = match (valid, snapshot.lease()) {
                _ if snapshot.is_paused() => (Badge::Paused, "Nobody may lead"),
                (Some(_), _) if snapshot.status.stopping => {
                    (Badge::Stopped, "This candidate stops leading")
                }
                (Some(_), _) => (Badge::Nobody, "The lease has not expired yet"),
                _ if *content == Content::NeverWritten => (Badge::Stopped, "The lease is free"),
                (None, Some(_)) => (Badge::Nobody, "The lease has expired"),
                (None, None) => (Badge::Nobody, "The lease is free"),
            };
            let headline = Headline::without_holder(badge, label, "Nobody leads");
            return headline.with([last_term(snapshot, content)]);
        }
    };
    let headline = Headline::of_holder(Badge::Holder, label, snapshot.identity(), does);
    headline.with([term_details(snapshot)])
}

/// Describes who led last, until when, and why it stopped.
fn last_term(snapshot: &Snapshot, content: &Content) -> String {
    let term = snapshot.journal.terms.last();
    if let Some((term, end)) = term.and_then(|term| Some((term, snapshot.end_of(term)?))) {
        let (holder, until) = (name(&term.holder), moment(snapshot, end.at));
        let (reason, token) = (describe(end.reason), term.fencing_token);
        return format!("{holder} led until {until}: {reason} · fencing token {token}");
    }
    let state = match content {
        Content::NeverWritten => "no candidate has led yet".to_owned(),
        Content::Deleted => "the record was deleted".to_owned(),
        Content::Corrupt(_) => "the record is corrupt".to_owned(),
        Content::Record(record) => release(record),
    };
    match &snapshot.journal.effective {
        Some(effective) => {
            let at = moment(snapshot, effective.known_since);
            format!("{state} · observed at {at}")
        }
        None => state,
    }
}

/// Describes who released the lease before this candidate started, and why.
fn release(record: &LeaderElectionRecord) -> String {
    let reason = StopReason::from_name(record.stop_reason());
    let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
    match record.released_by() {
        "" => "the lease is free".to_owned(),
        holder => format!("{} released the lease{reason}", name(holder)),
    }
}

/// Describes why the leader before the present one stopped, if this candidate observed it.
fn term_before(snapshot: &Snapshot) -> Option<String> {
    let before = snapshot.journal.terms.newest_first().nth(1)?;
    let end = snapshot.end_of(before)?;
    let reason = match end.reason {
        EndReason::Replaced => String::new(),
        reason => format!(", {}", describe(reason)),
    };
    Some(format!("before: {}{reason}", name(&before.holder)))
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
                let until = moment(snapshot, end.at);
                write!(details, " · from {since} to {until}")
            }
            None => {
                let lasted = Duration::try_from(snapshot.wall - start).unwrap_or_default();
                write!(details, " · for {}, since {since}", span(lasted))
            }
        };
    }
    details
}

/// Returns the bar with the time left of the lease.
fn meter(snapshot: &Snapshot, lease: Lease<'_>) -> String {
    let rest = lease.valid_until.since(snapshot.now);
    let (title, ends) = match lease.mine {
        true => ("Leadership deadline", "in"),
        false => ("Lease", "expires in"),
    };
    format!(
        "<div class=\"meter\"><p><b>{title}</b><span>{ends} {}</span></p><progress max=\"{:.3}\" \
         value=\"{:.3}\" data-left=\"{:.3}\" aria-label=\"Time left of the lease, in \
         seconds\"></progress></div>",
        countdown(rest),
        lease.duration.as_secs_f64(),
        rest.as_secs_f64().min(lease.duration.as_secs_f64()),
        rest.as_secs_f64(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::page::tests::annotated;
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
        assert!(section(&snapshot).html.contains("Leadership deadline"));
        snapshot.now = at(70_000);
        assert_eq!(title(&snapshot), ("Nobody leads".to_owned(), false));
        assert!(section(&snapshot).html.contains("expires in"));
    }

    #[test]
    fn unknown_leader_has_outage_and_next_step() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(50_000), &record("other", 3));
        snapshot.status.failures = 3;
        let html = section(&snapshot).html;
        assert!(html.contains(CROWN), "the lease has not expired");
        let outage = "Store unreachable.</b> Since <time datetime=\"2026-11-22T10:02:21Z\">10:02:21 \
                      UTC</time>";
        assert!(html.contains(outage), "{html}");
        snapshot.now = at(85_000);
        snapshot.wall += Duration::from_secs(25);
        let Section { title, hue, html } = section(&snapshot);
        assert_eq!((title.as_str(), hue), ("Leader unknown", NO_HUE));
        for part in [
            "Unknown since <time datetime=\"2026-11-22T10:02:51Z\">",
            outage,
            "<bdi>other</bdi> led until <time datetime=\"2026-11-22T10:02:51Z\">",
            ": not known whether it has renewed its lease · fencing token 3",
            "This candidate acquires the lease as soon as the store answers",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(
            !html.contains(CROWN) && !html.contains("<progress"),
            "{html}"
        );
    }

    #[test]
    fn free_lease_says_why_leader_stopped() {
        let mut snapshot = snapshot();
        let mut release = record("", 3).record().unwrap().clone();
        release.other.insert("releasedBy".into(), "other".into());
        release
            .other
            .insert("stopReason".into(), "handed_over".into());
        let release = Content::Record(release.into());
        // The candidate has started after the release.
        read(&mut snapshot, at(59_000), &release);
        let why = "<bdi>other</bdi> released the lease: asked to hand over · observed at ";
        assert!(section(&snapshot).html.contains(why));
        read(&mut snapshot, at(50_000), &record("other", 3));
        read(&mut snapshot, at(59_000), &release);
        let html = section(&snapshot).html;
        let why = "</time>: released the lease: asked to hand over · fencing token 3";
        assert!(
            html.contains("<bdi>other</bdi> led until <time") && html.contains(why),
            "{html}"
        );
        // The next leader's term says why the last one ended.
        read(&mut snapshot, at(60_000), &record("next", 4));
        let why = "before: <bdi>other</bdi>, released the lease: asked to hand over<";
        assert!(section(&snapshot).html.contains(why));
    }

    #[test]
    fn badge_differs_without_colour() {
        let mut snapshot = snapshot();
        let badge = |snapshot: &Snapshot| headline(snapshot).badge();
        assert!(badge(&snapshot).contains(">?</text>"));
        read(&mut snapshot, at(59_000), &record("other", 3));
        assert!(badge(&snapshot).contains(CROWN) && badge(&snapshot).contains(">O</text>"));
        read(&mut snapshot, at(59_000), &record("", 3));
        assert!(badge(&snapshot).contains(">!</text>"));
        let paused = annotated("", "paused", &serde_json::json!(true));
        read(&mut snapshot, at(59_000), &paused);
        assert!(badge(&snapshot).contains(BARS));
    }
}
