//! The head of the page: who leads, and the lease running down.

use std::fmt::Write;
use std::time::Duration;

use super::timeline::{NO_HUE, began, hue_of};
use super::words::{escaped, left, name, shortened, span, time};
use crate::election::lock::Content;
use crate::election::status::RoleName;
use crate::observe::view::{Lease, View};

/// The crown of whoever leads, in a box of 48 by 48.
const CROWN: &str = "<path d=\"M15 12.5l1.6 6.2h14.8L33 12.5l-4.9 3.3L24 10l-4.1 5.8z\"/>";

/// Who leads, at the head of the page.
pub(super) struct Hero {
    pub(super) title: String,
    pub(super) hue: &'static str,
    pub(super) html: String,
}

/// What the head says.
struct Headline {
    title: String,
    eyebrow: &'static str,
    holder: Option<String>,
    sub: String,
    crowned: bool,
}

impl Headline {
    /// What stands for the name in the badge.
    fn initial(&self) -> char {
        let Some(holder) = &self.holder else {
            return '–';
        };
        let first = holder.chars().find(|c| c.is_alphanumeric());
        first.map_or('·', |c| c.to_uppercase().next().unwrap_or(c))
    }
}

pub(super) fn hero(view: &View) -> Hero {
    let said = headline(view);
    let hue = said
        .holder
        .as_deref()
        .map_or(NO_HUE, |holder| hue_of(view, holder));
    let shown = match &said.holder {
        Some(holder) => name(holder),
        None => escaped(&said.title),
    };
    let long = if shortened(said.holder.as_deref().unwrap_or_default())
        .chars()
        .count()
        > 28
    {
        " long"
    } else {
        ""
    };
    let mut html = format!(
        "<div class=\"who\">{}<div><p class=\"eyebrow\">{}</p><h2 class=\"name{long}\">{shown}</h2>\
         <p class=\"soft\">{}</p></div></div>",
        badge(said.initial(), said.crowned),
        said.eyebrow,
        said.sub
    );
    if let Some(lease) = view.lease() {
        html.push_str(&meter(view, lease));
    }
    Hero {
        title: said.title,
        hue,
        html,
    }
}

fn headline(view: &View) -> Headline {
    let Some(content) = view.content() else {
        return nobody("Looking", "Not known yet", unknown(view));
    };
    let Some(lease) = view.lease() else {
        return nobody("No leader", "Nobody leads", without_lease(view, content));
    };
    let holder = lease.record.holder_identity.as_str();
    let token = lease.record.leader_transitions;
    let mine = holder == view.identity();
    let alive = lease.until > view.now;
    let (eyebrow, title, crowned) = match view.status.role {
        RoleName::Leader if lease.own => ("Leader: this candidate", "leads", true),
        RoleName::Acquiring if mine => ("Claims the lease", "claims the lease", false),
        _ if mine && alive => ("Holds the lease, does not lead", "does not lead", false),
        _ if alive => ("Leader", "leads", true),
        _ => ("Last leader: its lease has run out", "did lead", false),
    };
    let mut sub = format!("token {token}");
    if let Some(since) = since(view) {
        let _ = write!(sub, " · {since}");
    }
    if view.status.stopping && mine {
        sub.push_str(" · stopping");
    }
    Headline {
        title: format!("{} {title}", shortened(holder)),
        eyebrow,
        holder: Some(holder.to_owned()),
        sub,
        crowned,
    }
}

fn nobody(eyebrow: &'static str, title: &str, sub: String) -> Headline {
    Headline {
        title: title.to_owned(),
        eyebrow,
        holder: None,
        sub,
        crowned: false,
    }
}

fn unknown(view: &View) -> String {
    if let Some(reading) = &view.journal.reading {
        return escaped(reading);
    }
    "no answer from the store so far".to_owned()
}

fn without_lease(view: &View, content: &Content) -> String {
    let what = match content {
        Content::NeverWritten => "there has been no leader yet".to_owned(),
        Content::Deleted => "the record is gone".to_owned(),
        Content::Corrupt(why) => format!("the record cannot be read: {}", escaped(why)),
        Content::Record(_) => "the lease was given back".to_owned(),
    };
    match view.journal.known.as_ref() {
        Some(known) => format!("{what} · {} ago", span(view.ago(known.since))),
        None => what,
    }
}

/// Since when the term lasts that is under way.
fn since(view: &View) -> Option<String> {
    let term = view.journal.terms.last()?;
    let from = began(view, term)?;
    let lasts = Duration::try_from(view.wall - from).unwrap_or_default();
    let shown = time(from, view.wall);
    Some(match term.end {
        None => format!("for {}, since {shown}", span(lasts)),
        Some(_) => format!("since {shown}"),
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

/// The lease, running down.
fn meter(view: &View, lease: Lease<'_>) -> String {
    let rest = lease.until.since(view.now);
    let hint = match (lease.own, rest.is_zero()) {
        (true, _) => "It renews well before, or stops by itself.",
        (false, false) => "Its holder renews it several times before it runs out.",
        (false, true) => "It has run out: somebody else may take it.",
    };
    format!(
        "<div class=\"meter\"><p><b>Lease</b><span><b id=\"left\">{}</b> left of {}</span></p>\
         <progress max=\"{:.3}\" value=\"{:.3}\" data-left=\"{:.3}\" aria-label=\"What is left of the \
         lease, in seconds\"></progress><p class=\"soft small\">{hint}</p></div>",
        left(rest),
        left(lease.of),
        lease.of.as_secs_f64(),
        rest.as_secs_f64().min(lease.of.as_secs_f64()),
        rest.as_secs_f64(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::view::tests::{at, leads_until, record, sees, view};

    fn head(view: &View) -> (String, bool) {
        let hero = hero(view);
        (hero.title, hero.html.contains(CROWN))
    }

    #[test]
    fn the_head_says_how_it_stands() {
        let mut view = view();
        let said = |title: &str, crowned| (title.to_owned(), crowned);
        assert_eq!(head(&view), said("Not known yet", false));
        sees(&mut view, at(1_000), &Content::NeverWritten);
        assert_eq!(head(&view), said("Nobody leads", false));
        sees(&mut view, at(59_000), &record("other", 3));
        assert_eq!(head(&view), said("other leads", true));
        view.now = at(90_000);
        assert_eq!(head(&view), said("other did lead", false));
        sees(&mut view, at(90_000), &record("", 3));
        assert_eq!(head(&view), said("Nobody leads", false));
        sees(&mut view, at(90_000), &record("me", 4));
        assert_eq!(head(&view), said("me does not lead", false));
        view.status.role = RoleName::Acquiring;
        assert_eq!(head(&view), said("me claims the lease", false));
    }

    #[test]
    fn a_leader_wears_the_crown_until_its_limit() {
        let mut view = view();
        leads_until(&mut view, at(70_000));
        assert_eq!(head(&view), ("me leads".to_owned(), true));
        view.now = at(70_000);
        assert_eq!(head(&view), ("me does not lead".to_owned(), false));
    }
}
