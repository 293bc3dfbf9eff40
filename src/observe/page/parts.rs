//! The parts of the page that change: the leader, this candidate, and the terms seen.

use std::fmt::Write;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::words::{NARROW, count, escaped, left, name, number, shortened, span, time};
use crate::election::lock::Content;
use crate::election::status::RoleName;
use crate::observe::terms::{How, Term};
use crate::observe::view::{Lease, View};

/// There are so many colours for names. Two names on one page get different ones as long as they
/// suffice.
const HUES: usize = 8;

/// The colour of nobody.
const NO_HUE: &str = "none";

/// The crown of whoever leads, in a box of 48 by 48.
const CROWN: &str = "<path d=\"M15 12.5l1.6 6.2h14.8L33 12.5l-4.9 3.3L24 10l-4.1 5.8z\"/>";

/// The band shows at most this long a time, and at least this short a one.
const LONGEST_BAND: Duration = Duration::from_secs(24 * 3600);
const SHORTEST_BAND: Duration = Duration::from_secs(60);

/// The band is so wide, in units of its own, and no term on it narrower than this.
const BAND: f64 = 1000.0;
const NARROWEST: f64 = 2.0;

/// Between two terms, less than this is no gap but the way of a change.
const SHORTEST_GAP: Duration = Duration::from_secs(1);

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
        RoleName::Claimant if mine => ("Claims the lease", "claims the lease", false),
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
        Content::Absent => "there has been no leader yet".to_owned(),
        Content::Gone => "the record is gone".to_owned(),
        Content::Unreadable(why) => format!("the record cannot be read: {}", escaped(why)),
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

/// When a term began: as it was seen, or else as its holder says.
fn began(view: &View, term: &Term) -> Option<OffsetDateTime> {
    let said = term.acquire_time.as_deref();
    let said = said.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    // A clock elsewhere may be ahead of ours.
    said.filter(|said| *said <= view.wall)
        .or_else(|| view.wall_at(term.from))
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

// ---- this candidate ----

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
        RoleName::Claimant => "claims the lease",
        RoleName::Leader if view.status.stopping => "stopping",
        RoleName::Leader if view.leads().is_some() => "leads",
        RoleName::Leader => "past its limit",
        RoleName::Leaving => "gives the lease back",
        RoleName::Finished => "has left",
    }
}

fn next(view: &View) -> String {
    let throttled = view.status.throttled_until;
    if throttled > view.now {
        let wait = left(throttled.since(view.now));
        return format!("<span class=\"warn\">GitHub wants no request for {wait}</span>");
    }
    match (view.status.role, view.take_at()) {
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
        (RoleName::Claimant, _) => "confirms its claim by a second write".to_owned(),
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
        Some(Content::Gone) => "that the record is gone".to_owned(),
        Some(Content::Unreadable(_)) => "a record that cannot be read".to_owned(),
        Some(Content::Absent) | None => "no record".to_owned(),
    };
    format!("{ago} ago: {what}")
}

fn github(view: &View) -> String {
    let stats = &view.requests;
    let answers: u64 = stats.answers.values().sum();
    let mut text = format!(
        "{}, of which {} unchanged",
        count(answers, "answer"),
        number(stats.not_modified())
    );
    if stats.unanswered > 0 {
        let _ = write!(text, " · {} unanswered", number(stats.unanswered));
    }
    if let Some(rate) = stats.rate {
        let _ = write!(
            text,
            " · {} of {} requests left this hour",
            number(rate.remaining),
            number(rate.limit)
        );
    }
    text
}

// ---- the terms ----

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
fn hue_of(view: &View, holder: &str) -> &'static str {
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
