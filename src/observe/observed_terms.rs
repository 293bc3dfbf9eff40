//! The terms that one candidate has observed: a bounded list.
//!
//! A candidate observes the start of a term when a read shows a new holder or fencing token. It observes
//! the end when the next read shows something else, up to one poll later. It does not guess what
//! happened while it could not read: a term whose lease expired in that time is known to last until then,
//! and the time from there to the next read is a gap.

use std::collections::VecDeque;
use std::time::Duration;

use crate::election::action::StopReason;
use crate::election::lock::Content;
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;

/// Maximum number of terms kept, the newest ones.
pub const MAX_TERMS: usize = 50;

/// Maximum number of bytes kept of a holder's name, which a record does not limit.
const MAX_NAME: usize = 256;

/// Lower bound for the number of a candidate's polls per lease (15 at the defaults).
const POLLS_PER_LEASE: u32 = 8;

/// A term of leadership, as this candidate observed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedTerm {
    /// Holder of the lease, cut to 256 bytes.
    pub holder: String,
    /// Fencing token.
    pub fencing_token: u64,
    /// Whether it is a term of this process.
    pub mine: bool,
    /// Time of the first observation; for a term of this process, its start.
    pub from: Instant,
    /// Start by the holder's clock, from the record; set only if the start was not observed.
    pub acquire_time: Option<String>,
    /// End of the term, if it has ended.
    pub end: Option<ObservedEnd>,
    /// Time at which the last renewal was first observed.
    renewed_at: Instant,
    /// Time at which the term was last observed.
    observed_at: Instant,
    lease: Duration,
}

/// End of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedEnd {
    /// Time until which the term is known to have lasted.
    pub at: Instant,
    /// Latest time at which it may have ended: that of the observation that showed the end.
    pub latest: Instant,
    /// Reason of the end.
    pub reason: EndReason,
}

/// Reason of a term's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The holder released the lease, and said why unless it is `None`.
    Released(Option<StopReason>),
    /// The lease expired.
    Expired,
    /// The lease expired unless it was renewed: the store has not answered since.
    Unknown,
    /// Another holder was observed, but not how it became leader.
    Replaced,
    /// The record was overwritten or deleted by a foreign write.
    Overwritten,
    /// A term of this process stopped.
    Stopped(StopReason),
}

impl EndReason {
    /// Returns the reason's name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EndReason::Released(_) => "released",
            EndReason::Expired => "expired",
            EndReason::Unknown => "unknown",
            EndReason::Replaced => "replaced",
            EndReason::Overwritten => "overwritten",
            EndReason::Stopped(reason) => reason.as_str(),
        }
    }

    /// Returns why the holder stopped leading, if it said so.
    #[must_use]
    pub fn stop_reason(self) -> Option<StopReason> {
        match self {
            EndReason::Released(reason) => reason,
            EndReason::Stopped(reason) => Some(reason),
            _ => None,
        }
    }
}

impl ObservedTerm {
    /// Returns when its lease expires, by the last renewal observed; `None` for a lease without a
    /// duration.
    #[must_use]
    pub fn expires_at(&self) -> Option<Instant> {
        (!self.lease.is_zero()).then(|| self.renewed_at + self.lease)
    }

    /// Returns whether reads have shown that no renewal followed the last one observed: a holder renews
    /// several times per lease.
    fn is_last_renewal_known(&self) -> bool {
        self.observed_at >= self.renewed_at + self.lease / 2
    }
}

/// Terms observed, oldest first.
#[derive(Clone, Debug, Default)]
pub struct ObservedTerms {
    terms: VecDeque<ObservedTerm>,
    /// Time of the last read or write that showed the content.
    observed_at: Option<Instant>,
}

impl ObservedTerms {
    /// Returns the terms, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &ObservedTerm> {
        self.terms.iter().rev()
    }

    /// Returns the newest term, ended or not.
    #[must_use]
    pub fn last(&self) -> Option<&ObservedTerm> {
        self.terms.back()
    }

    /// Notes the effective content: `changed` if it was written since the last observation, `foreign`
    /// if by a foreign write.
    pub fn observe(&mut self, now: Instant, content: &Content, changed: bool, foreign: bool) {
        let before = self.observed_at.replace(now);
        match content {
            Content::NeverWritten => {}
            Content::Deleted | Content::Corrupt(_) => self.end(now, EndReason::Overwritten),
            Content::Record(record) if record.holder_identity.is_empty() => {
                let reason = match foreign {
                    true => EndReason::Overwritten,
                    false => EndReason::Released(self.release_reason(record)),
                };
                self.end(now, reason);
            }
            Content::Record(record) => {
                let half = record.lease_duration() / 2;
                let start_observed = before.is_some_and(|before| now <= before + half);
                self.observe_holder(now, record, changed, start_observed);
            }
        }
    }

    fn observe_holder(
        &mut self,
        now: Instant,
        record: &LeaderElectionRecord,
        changed: bool,
        start_observed: bool,
    ) {
        let holder = cut(&record.holder_identity);
        if let Some(term) = self.current(holder, record.leader_transitions) {
            if term.end.is_none() {
                term.observed_at = now;
                term.lease = record.lease_duration();
                if changed {
                    term.renewed_at = now;
                }
            }
            return;
        }
        let acquired = cut(&record.acquire_time);
        let acquire_time = (!start_observed && !acquired.is_empty()).then(|| acquired.to_owned());
        let term = self.start(now, holder, record.leader_transitions);
        term.acquire_time = acquire_time;
        term.lease = record.lease_duration();
    }

    /// Notes that this candidate leads.
    pub fn start_own(&mut self, now: Instant, identity: &str, fencing_token: u64) {
        let holder = cut(identity);
        if let Some(term) = self.current(holder, fencing_token) {
            term.mine = true;
            term.from = now;
            return;
        }
        self.start(now, holder, fencing_token).mine = true;
    }

    /// Notes the end of this candidate's term.
    pub fn end_own(&mut self, now: Instant, fencing_token: u64, reason: StopReason) {
        let mut own = self.terms.iter_mut().rev().filter(|term| term.mine);
        if let Some(term) = own.find(|term| term.fencing_token == fencing_token) {
            term.end.get_or_insert(ObservedEnd {
                at: now,
                latest: now,
                reason: EndReason::Stopped(reason),
            });
        }
    }

    /// Returns why the newest term's holder stopped leading, by its release.
    fn release_reason(&self, release: &LeaderElectionRecord) -> Option<StopReason> {
        let term = self.terms.back()?;
        let own = term.holder == cut(release.released_by());
        let own = own && term.fencing_token == release.leader_transitions;
        StopReason::from_name(release.stop_reason()).filter(|_| own)
    }

    /// Returns the newest term if it has this holder and fencing token.
    fn current(&mut self, holder: &str, fencing_token: u64) -> Option<&mut ObservedTerm> {
        let last = self.terms.back_mut();
        last.filter(|term| term.fencing_token == fencing_token && term.holder == holder)
    }

    /// Ends the newest term and starts the next one.
    fn start(&mut self, now: Instant, holder: &str, fencing_token: u64) -> &mut ObservedTerm {
        self.end_replaced(now);
        if self.terms.len() >= MAX_TERMS {
            self.terms.pop_front();
        }
        let term = ObservedTerm {
            holder: holder.to_owned(),
            fencing_token,
            mine: false,
            from: now,
            acquire_time: None,
            end: None,
            renewed_at: now,
            observed_at: now,
            lease: Duration::ZERO,
        };
        self.terms.push_back(term);
        let last = self.terms.len() - 1;
        &mut self.terms[last]
    }

    /// Ends the newest term because another one has begun: as expired if its last renewal is known.
    fn end_replaced(&mut self, now: Instant) {
        let expired = self.terms.back().is_some_and(|term| {
            // The next leader may have observed the last renewal up to one poll earlier.
            let expires_at = term.expires_at();
            let expired = |at| now + term.lease / POLLS_PER_LEASE >= at;
            term.is_last_renewal_known() && expires_at.is_some_and(expired)
        });
        let reason = match expired {
            true => EndReason::Expired,
            false => EndReason::Replaced,
        };
        self.end(now, reason);
    }

    /// Ends the newest term by an observation, but no later than its lease.
    fn end(&mut self, now: Instant, reason: EndReason) {
        if let Some(term) = self.terms.back_mut().filter(|term| term.end.is_none()) {
            let at = term
                .expires_at()
                .map_or(now, |expires_at| expires_at.min(now));
            let latest = match term.is_last_renewal_known() {
                true => at,
                false => now,
            };
            term.end = Some(ObservedEnd { at, latest, reason });
        }
    }
}

/// Returns the first [`MAX_NAME`] bytes of a text, cut between characters.
pub(super) fn cut(text: &str) -> &str {
    let ends = text.char_indices().map(|(start, c)| start + c.len_utf8());
    let end = ends.take_while(|end| *end <= MAX_NAME).last();
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(1000 + seconds))
    }

    fn record(holder: &str, token: u64) -> Content {
        Content::Record(Arc::new(LeaderElectionRecord {
            holder_identity: holder.into(),
            lease_duration_seconds: 30,
            acquire_time: "2026-11-22T10:00:00Z".into(),
            leader_transitions: token,
            ..LeaderElectionRecord::default()
        }))
    }

    fn ends(terms: &ObservedTerms) -> Vec<(String, Option<(Instant, EndReason)>)> {
        let end = |term: &ObservedTerm| term.end.map(|end| (end.at, end.reason));
        let terms = terms.terms.iter();
        terms
            .map(|term| (format!("{} {}", term.holder, term.fencing_token), end(term)))
            .collect()
    }

    #[test]
    fn term_ends_by_expiry_or_release() {
        let mut terms = ObservedTerms::default();
        terms.observe(at(0), &record("a", 1), true, false);
        terms.observe(at(8), &record("a", 1), true, false);
        for now in 9..38 {
            terms.observe(at(now), &record("a", 1), false, false);
        }
        terms.observe(at(39), &record("b", 2), true, false);
        terms.observe(at(50), &record("", 2), true, false);
        terms.observe(at(51), &record("c", 3), true, false);
        let expected = [
            ("a 1".to_owned(), Some((at(38), EndReason::Expired))),
            ("b 2".to_owned(), Some((at(50), EndReason::Released(None)))),
            ("c 3".to_owned(), None),
        ];
        assert_eq!(ends(&terms), expected);
    }

    #[test]
    fn late_observer_reports_lease_expired() {
        for (acquired, reason) in [
            (33, EndReason::Replaced),
            (35, EndReason::Expired),
            (37, EndReason::Expired),
        ] {
            let mut terms = ObservedTerms::default();
            terms.observe(at(8), &record("a", 1), true, false);
            terms.observe(at(acquired - 2), &record("a", 1), false, false);
            terms.observe(at(acquired), &record("b", 2), true, false);
            assert_eq!(
                ends(&terms)[0].1,
                Some((at(acquired), reason)),
                "{acquired}"
            );
        }
    }

    #[test]
    fn unobserved_start_has_acquire_time() {
        let mut terms = ObservedTerms::default();
        terms.observe(at(0), &record("a", 1), true, false);
        terms.observe(at(1), &record("b", 2), true, false);
        let times: Vec<_> = terms.terms.iter().map(|t| t.acquire_time.clone()).collect();
        assert_eq!(times, [Some("2026-11-22T10:00:00Z".to_owned()), None]);
        let mut terms = ObservedTerms::default();
        terms.observe(at(0), &Content::NeverWritten, true, false);
        terms.observe(at(1), &record("a", 0), true, false);
        assert_eq!(terms.last().unwrap().acquire_time, None);
    }

    #[test]
    fn outage_hides_how_term_ended() {
        let mut terms = ObservedTerms::default();
        terms.observe(at(0), &record("a", 1), true, false);
        terms.observe(at(2), &record("a", 1), false, false);
        // An hour without an answer: it may have renewed all the time, or not once.
        terms.observe(at(3600), &record("b", 2), true, false);
        assert_eq!(ends(&terms)[0].1, Some((at(30), EndReason::Replaced)));
        assert_eq!(terms.terms[0].end.unwrap().latest, at(3600));
        let next = terms.last().unwrap();
        assert!(next.acquire_time.is_some(), "its start was not observed");
        // The same term, observed again, has lasted all the time.
        terms.observe(at(7200), &record("b", 2), true, false);
        assert_eq!(ends(&terms)[1].1, None);
        terms.observe(at(7205), &record("", 2), true, false);
        assert_eq!(
            ends(&terms)[1].1,
            Some((at(7205), EndReason::Released(None)))
        );
    }

    #[test]
    fn own_term_keeps_stop_reason() {
        let mut terms = ObservedTerms::default();
        terms.observe(at(0), &record("me", 4), true, false);
        terms.start_own(at(3), "me", 4);
        terms.observe(at(8), &record("me", 4), true, false);
        terms.end_own(at(20), 4, StopReason::SteppedDown);
        terms.observe(at(21), &record("me", 4), true, false);
        terms.observe(at(22), &record("", 4), true, false);
        assert_eq!(
            ends(&terms),
            [(
                "me 4".to_owned(),
                Some((at(20), EndReason::Stopped(StopReason::SteppedDown)))
            )]
        );
        let term = terms.last().unwrap();
        assert!(term.mine && term.from == at(3));
    }

    #[test]
    fn release_says_why_term_ended() {
        for (by, token, reason) in [
            ("a", 1, Some(StopReason::HandedOver)),
            ("b", 1, None),
            ("a", 2, None),
        ] {
            let mut terms = ObservedTerms::default();
            terms.observe(at(0), &record("a", 1), true, false);
            let mut release = LeaderElectionRecord::without_holder(token, String::new());
            release.other.insert("releasedBy".into(), by.into());
            release
                .other
                .insert("stopReason".into(), "handed_over".into());
            terms.observe(at(5), &Content::Record(release.into()), true, false);
            let end = terms.last().unwrap().end.unwrap();
            assert_eq!(end.reason, EndReason::Released(reason), "{by} {token}");
        }
    }

    #[test]
    fn foreign_write_overwrites_term() {
        for (content, foreign) in [
            (Content::Deleted, true),
            (Content::Corrupt("x".into()), true),
            (record("", 1), true),
        ] {
            let mut terms = ObservedTerms::default();
            terms.observe(at(0), &record("a", 1), true, false);
            terms.observe(at(5), &content, true, foreign);
            assert_eq!(ends(&terms)[0].1, Some((at(5), EndReason::Overwritten)));
        }
    }

    #[test]
    fn terms_and_names_are_bounded() {
        let mut terms = ObservedTerms::default();
        let long = "ü".repeat(100_000);
        for token in 0..200 {
            terms.observe(at(token), &record(&long, token), true, false);
        }
        assert_eq!(terms.terms.len(), MAX_TERMS);
        assert!(terms.terms.iter().all(|t| t.holder.len() <= MAX_NAME));
        assert_eq!(terms.last().unwrap().fencing_token, 199);
    }
}
