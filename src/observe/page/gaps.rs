//! Times between the observed terms.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::election::time::Instant;
use crate::observe::knowledge::Leader;
use crate::observe::observed_terms::ObservedTerm;
use crate::observe::snapshot::Snapshot;

/// Shortest gap between two terms that is shown; every change of leader takes a moment.
const MIN_GAP: Duration = Duration::from_secs(1);

/// Returns the start of a term: as observed, else as the record says.
pub(super) fn start_of(snapshot: &Snapshot, term: &ObservedTerm) -> Option<OffsetDateTime> {
    let acquired = term.acquire_time.as_deref();
    let acquired = acquired.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    // The holder's clock can be ahead of this machine's.
    acquired
        .filter(|acquired| *acquired <= snapshot.wall)
        .or_else(|| snapshot.wall_at(term.from))
}

/// Time in which nobody led, or in which the leader is unknown.
pub(super) struct Gap {
    pub(super) from: Instant,
    pub(super) to: Instant,
    pub(super) unknown: bool,
}

impl Gap {
    /// Returns its class in the style.
    pub(super) fn class(&self) -> &'static str {
        match self.unknown {
            true => "unknown",
            false => "nobody",
        }
    }

    pub(super) fn describe(&self) -> &'static str {
        match self.unknown {
            true => "leader unknown",
            false => "without a leader",
        }
    }
}

/// Returns the observed terms, the newest first, each with the gaps after it in order of time.
pub(super) fn terms_and_gaps(
    snapshot: &Snapshot,
) -> impl Iterator<Item = (&ObservedTerm, Vec<Gap>)> {
    let mut next = None;
    snapshot.journal.terms.newest_first().map(move |term| {
        let gaps = gaps(snapshot, term, next.replace(term));
        (term, gaps)
    })
}

/// Returns the gaps between a term and the next one, or now, in order of time.
fn gaps(snapshot: &Snapshot, term: &ObservedTerm, next: Option<&ObservedTerm>) -> Vec<Gap> {
    let Some(end) = snapshot.end_of(term) else {
        return Vec::new();
    };
    let (until, known_from) = match (next, snapshot.leader()) {
        // With another term in between, nothing is known about the gap.
        (Some(next), _) if next.fencing_token > term.fencing_token.saturating_add(1) => {
            (began_at(snapshot, next), Instant::from_boot(Duration::MAX))
        }
        (Some(next), _) => (began_at(snapshot, next), end.latest),
        (None, _) => (snapshot.now, end.latest),
    };
    let known_from = known_from.min(until).max(end.at);
    let known_to = match (next, snapshot.leader()) {
        (None, Leader::Unknown { since }) => since.max(known_from),
        _ => until,
    };
    let gaps = [
        (end.at, known_from, true),
        (known_from, known_to, false),
        (known_to, until, true),
    ];
    let gaps = gaps.map(|(from, to, unknown)| Gap { from, to, unknown });
    let shown = gaps
        .into_iter()
        .filter(|gap| gap.to.since(gap.from) >= MIN_GAP);
    shown.collect()
}

/// Returns the start of a term as an instant.
pub(super) fn began_at(snapshot: &Snapshot, term: &ObservedTerm) -> Instant {
    let ago = start_of(snapshot, term).map(|start| snapshot.wall - start);
    let ago = ago.and_then(|ago| Duration::try_from(ago).ok());
    ago.map_or(term.from, |ago| snapshot.now - ago)
}
