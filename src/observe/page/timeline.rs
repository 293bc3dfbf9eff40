//! The terms on the page: as a band of time, and as a list. And the colours of names.

use std::fmt::Write;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::words::{escaped, name, shortened, span, time};
use crate::observe::terms::{How, Term};
use crate::observe::view::View;

/// There are so many colours for names. Two names on one page get different ones as long as they
/// suffice.
const HUES: usize = 8;

/// The colour of nobody.
pub(super) const NO_HUE: &str = "none";

/// The band shows at most this long a time, and at least this short a one.
const LONGEST_BAND: Duration = Duration::from_secs(24 * 3600);
const SHORTEST_BAND: Duration = Duration::from_secs(60);

/// The band is so wide, in units of its own, and no term on it narrower than this.
const BAND: f64 = 1000.0;
const NARROWEST: f64 = 2.0;

/// Between two terms, less than this is no gap but the way of a change.
const SHORTEST_GAP: Duration = Duration::from_secs(1);

/// When a term began: as it was seen, or else as its holder says.
pub(super) fn began(view: &View, term: &Term) -> Option<OffsetDateTime> {
    let said = term.acquire_time.as_deref();
    let said = said.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    // A clock elsewhere may be ahead of ours.
    said.filter(|said| *said <= view.wall)
        .or_else(|| view.wall_at(term.from))
}

pub(super) fn terms(view: &View) -> String {
    let mut html = "<h2>Terms seen by this candidate</h2>".to_owned();
    if view.journal.terms.last().is_none() {
        html.push_str("<p class=\"soft\">None yet.</p>");
        return html;
    }
    html.push_str(&band(view));
    html.push_str("<ol>");
    let mut later: Option<&Term> = None;
    for term in view.journal.terms.newest_first() {
        if let (Some(later), Some(end)) = (later, term.end) {
            let gap = later.from.since(end.at);
            if gap >= SHORTEST_GAP {
                let _ = write!(
                    html,
                    "<li class=\"gap\">{} without a leader</li>",
                    span(gap)
                );
            }
        }
        html.push_str(&listed(view, term));
        later = Some(term);
    }
    html.push_str("</ol>");
    html
}

fn listed(view: &View, term: &Term) -> String {
    let from = began(view, term);
    let to = term.end.map_or(Some(view.wall), |end| view.wall_at(end.at));
    let lasted = from.zip(to).map_or(Duration::ZERO, |(from, to)| {
        Duration::try_from(to - from).unwrap_or_default()
    });
    let shown = |at: Option<OffsetDateTime>| at.map_or("…".to_owned(), |at| time(at, view.wall));
    let to = match term.end {
        Some(_) => shown(to),
        None => "now".to_owned(),
    };
    let (now, how) = match term.end {
        Some(end) => ("", ended(end.how)),
        None => (" now", ""),
    };
    let own = if term.own {
        " <span class=\"chip\">this candidate</span>"
    } else {
        ""
    };
    format!(
        "<li class=\"term {}{now}\"><span class=\"dot\"></span><span><span class=\"holder\">{}</span>{own}\
         <br><span class=\"soft\">token {}{how}</span></span><span class=\"right\"><span>{}</span>\
         <span class=\"soft\">{} – {to}</span></span></li>",
        hue_of(view, &term.holder),
        name(&term.holder),
        term.token,
        span(lasted),
        shown(from),
    )
}

fn ended(how: How) -> &'static str {
    match how {
        How::Released => " · gave the lease back",
        How::RanOut => " · its lease ran out",
        How::Succeeded => " · another one followed",
        How::Overwritten => " · overwritten by hand",
        How::Stopped => " · stopped",
        How::SteppedDown => " · stepped down",
        How::WorkloadEnded => " · its workload ended",
        How::NotRenewed => " · could not renew in time",
        How::Deposed => " · deposed",
    }
}

/// The terms on a band of time.
fn band(view: &View) -> String {
    let shown = view.ago(view.journal.started);
    let shown = shown.clamp(SHORTEST_BAND, LONGEST_BAND);
    let start = view.now - shown;
    let place = |ago: Duration| BAND - ago.min(shown).as_secs_f64() / shown.as_secs_f64() * BAND;
    let mut html = "<svg class=\"band\" viewBox=\"0 0 1000 26\" preserveAspectRatio=\"none\" \
                    role=\"img\" aria-label=\"The terms on a line of time; they are listed below\">"
        .to_owned();
    for term in view.journal.terms.newest_first() {
        let to = term.end.map_or(view.now, |end| end.at);
        if to < start {
            continue;
        }
        let began = began(view, term).map(|began| view.wall - began);
        let began = began.and_then(|ago| Duration::try_from(ago).ok());
        let from = place(began.unwrap_or_default());
        let width = (place(view.ago(to)) - from).max(NARROWEST);
        let _ = write!(
            html,
            "<rect class=\"{}\" x=\"{from:.1}\" width=\"{width:.1}\" height=\"26\"><title>{}, token \
             {}</title></rect>",
            hue_of(view, &term.holder),
            escaped(&shortened(&term.holder)),
            term.token
        );
    }
    let begin = view.wall_at(start).map(|at| time(at, view.wall));
    let begin = begin.unwrap_or_default();
    let _ = write!(
        html,
        "</svg><p class=\"ends soft small\"><span>{begin}</span><span>now</span></p>"
    );
    html
}

/// The colour of a name: its own, unless an older one on the page has that already.
pub(super) fn hue_of(view: &View, holder: &str) -> &'static str {
    const NAMES: [&str; HUES] = ["h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7"];
    let mut taken: [Option<&str>; HUES] = [None; HUES];
    let terms: Vec<&Term> = view.journal.terms.newest_first().collect();
    let names = terms.iter().rev().map(|term| term.holder.as_str());
    for name in names.chain([holder]) {
        let first = hash(name) % HUES;
        let mut places = (0..HUES).map(|step| (first + step) % HUES);
        let free = places.find(|place| taken[*place].is_none_or(|other| other == name));
        let place = free.unwrap_or(first);
        taken[place].get_or_insert(name);
        if name == holder {
            return NAMES[place];
        }
    }
    NO_HUE
}

/// FNV-1a: the same everywhere and always.
fn hash(name: &str) -> usize {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::page::words::NARROW;
    use crate::observe::view::tests::{at, record, sees, view};

    #[test]
    fn a_term_that_was_there_before_begins_when_its_record_says() {
        let mut view = view();
        sees(&mut view, at(0), &record("other", 3));
        let html = terms(&view);
        // An hour and two and a half minutes before now; the band begins with this candidate.
        assert!(html.contains("2026-11-22T09:00:00Z"), "{html}");
        assert!(html.contains(&format!("1{NARROW}h 2{NARROW}min")), "{html}");
        assert!(html.contains("x=\"0.0\" width=\"1000.0\""), "{html}");
        // A clock elsewhere that is ahead of ours does not put it into the future.
        view.wall -= Duration::from_secs(7200);
        assert!(!terms(&view).contains("T09:00:00Z"));
    }

    #[test]
    fn a_time_without_a_leader_is_shown_between_the_terms() {
        let mut view = view();
        sees(&mut view, at(10_000), &record("a", 1));
        sees(&mut view, at(20_000), &record("", 1));
        sees(&mut view, at(27_500), &record("b", 2));
        sees(&mut view, at(40_000), &record("", 2));
        sees(&mut view, at(40_200), &record("c", 3));
        let html = terms(&view);
        assert_eq!(html.matches("without a leader").count(), 1);
        assert!(html.contains(&format!("7.5{NARROW}s without")), "{html}");
    }

    #[test]
    fn names_have_colours_of_their_own_as_long_as_they_suffice() {
        let mut view = view();
        let names: Vec<String> = (0..12).map(|n| format!("name {n}")).collect();
        for (n, name) in (1..).zip(&names) {
            sees(&mut view, at(n * 1000), &record(name, n));
        }
        let mut hues: Vec<_> = names[..HUES]
            .iter()
            .map(|name| hue_of(&view, name))
            .collect();
        assert_eq!(
            hues,
            names[..HUES]
                .iter()
                .map(|name| hue_of(&view, name))
                .collect::<Vec<_>>()
        );
        hues.sort_unstable();
        hues.dedup();
        assert_eq!(hues.len(), HUES);
        assert!(names.iter().all(|name| hue_of(&view, name) != NO_HUE));
    }
}
