//! The terms that one elector has seen, as it saw them: a bounded list.
//!
//! It owns when a term begins and ends by what is seen. Who looks and when is the journal's business,
//! and what is drawn of it the page's.
//!
//! A candidate sees a term begin when a look shows a new holder or token. It sees it end when the next
//! look shows something else, which may be a poll later than it was. What happened while it could not
//! look it does not know, and does not make up.

use std::collections::VecDeque;
use std::time::Duration;

use crate::election::action::StopReason;
use crate::election::lock::Content;
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;

/// So many are kept, the newest: a page's worth.
pub const MOST_TERMS: usize = 50;

/// What is kept of a holder's name, in bytes. Names may be as long as a gist's file.
const LONGEST_NAME: usize = 256;

/// Candidates look more often than so many times in a lease: fifteen times by default.
const POLLS_IN_A_LEASE: u32 = 8;

/// A term of leadership, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Who held the lease; cut where it is very long.
    pub holder: String,
    /// The fencing token.
    pub token: u64,
    /// It is one of this process's own.
    pub own: bool,
    /// When it was first seen. If it is one's own, when it began to lead.
    pub from: Instant,
    /// When it began by its holder's clock, as the record says; only where its beginning was not seen.
    pub acquire_time: Option<String>,
    /// How it ended, if it has.
    pub end: Option<End>,
    /// When its newest renewal was first seen.
    renewed_at: Instant,
    /// When it was last seen in effect.
    seen_at: Instant,
    lease: Duration,
}

/// The end of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// When, as far as that was seen.
    pub at: Instant,
    /// How.
    pub how: How,
}

/// How a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Its holder gave the lease back.
    Released,
    /// Its lease ran out.
    RanOut,
    /// Another one was seen to lead; how that came was not seen.
    Succeeded,
    /// The record was overwritten by hand, or is gone.
    Overwritten,
    /// One's own: this candidate was asked to stop.
    Stopped,
    /// One's own: it was asked to let another one lead.
    SteppedDown,
    /// One's own: what it ran has ended by itself.
    WorkloadEnded,
    /// One's own: the lease could not be renewed in time.
    NotRenewed,
    /// One's own: the lease was not its own any more.
    Deposed,
}

impl How {
    /// The word for it in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            How::Released => "released",
            How::RanOut => "ranOut",
            How::Succeeded => "succeeded",
            How::Overwritten => "overwritten",
            How::Stopped => "stopped",
            How::SteppedDown => "steppedDown",
            How::WorkloadEnded => "workloadEnded",
            How::NotRenewed => "notRenewed",
            How::Deposed => "deposed",
        }
    }
}

impl From<StopReason> for How {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Cancelled => How::Stopped,
            StopReason::SteppedDown => How::SteppedDown,
            StopReason::WorkloadEnded => How::WorkloadEnded,
            StopReason::RenewDeadline => How::NotRenewed,
            StopReason::Deposed => How::Deposed,
        }
    }
}

/// The terms seen, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    terms: VecDeque<Term>,
    /// Something was seen before.
    looked: bool,
}

impl Terms {
    /// The newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Term> {
        self.terms.iter().rev()
    }

    /// The last one, over or not.
    #[must_use]
    pub fn last(&self) -> Option<&Term> {
        self.terms.back()
    }

    /// This is in effect, as is known `now`. `anew`: it was written since it was last seen.
    pub fn saw(&mut self, now: Instant, content: &Content, anew: bool, by_hand: bool) {
        let witnessed = std::mem::replace(&mut self.looked, true);
        match content {
            Content::NeverWritten => {}
            Content::Deleted | Content::Corrupt(_) => self.end(now, How::Overwritten),
            Content::Record(record) if record.holder_identity.is_empty() => {
                let how = if by_hand {
                    How::Overwritten
                } else {
                    How::Released
                };
                self.end(now, how);
            }
            Content::Record(record) => self.held(now, record, anew, witnessed),
        }
    }

    fn held(&mut self, now: Instant, record: &LeaderElectionRecord, anew: bool, witnessed: bool) {
        let holder = cut(&record.holder_identity);
        let token = record.leader_transitions;
        let last = self.terms.back_mut();
        if let Some(term) = last.filter(|term| term.token == token && term.holder == holder) {
            if term.end.is_none() {
                term.seen_at = now;
                term.lease = record.lease_duration();
                if anew {
                    term.renewed_at = now;
                }
            }
            return;
        }
        self.succeeded(now);
        let acquired = &record.acquire_time;
        self.push(Term {
            holder: holder.to_owned(),
            token,
            own: false,
            from: now,
            acquire_time: (!witnessed && !acquired.is_empty()).then(|| cut(acquired).to_owned()),
            end: None,
            renewed_at: now,
            seen_at: now,
            lease: record.lease_duration(),
        });
    }

    /// This candidate leads from now on.
    pub fn led(&mut self, now: Instant, identity: &str, token: u64) {
        let name = cut(identity);
        let last = self.terms.back_mut();
        if let Some(term) = last.filter(|term| term.token == token && term.holder == name) {
            term.own = true;
            term.from = now;
            return;
        }
        self.succeeded(now);
        self.push(Term {
            holder: name.to_owned(),
            token,
            own: true,
            from: now,
            acquire_time: None,
            end: None,
            renewed_at: now,
            seen_at: now,
            lease: Duration::ZERO,
        });
    }

    /// This candidate's term with this token is over.
    pub fn stopped(&mut self, now: Instant, token: u64, reason: StopReason) {
        let mut own = self.terms.iter_mut().rev().filter(|term| term.own);
        if let Some(term) = own.find(|term| term.token == token)
            && term.end.is_none()
        {
            let how = How::from(reason);
            term.end = Some(End { at: now, how });
        }
    }

    /// Another term has begun, which nobody else was seen to make room for.
    fn succeeded(&mut self, now: Instant) {
        let Some(term) = self.terms.back() else {
            return;
        };
        let ran_out_at = term.renewed_at + term.lease;
        // Renewals come several times in a lease: with none by the last part of it, there was none.
        let watched = term.seen_at >= term.renewed_at + term.lease / 2;
        // Whoever takes it over may have seen the last renewal a poll before this one did.
        let ran_out = now + term.lease / POLLS_IN_A_LEASE >= ran_out_at;
        if watched && ran_out && !term.lease.is_zero() {
            self.end(ran_out_at.min(now), How::RanOut);
        } else {
            self.end(now, How::Succeeded);
        }
    }

    fn end(&mut self, at: Instant, how: How) {
        if let Some(term) = self.terms.back_mut()
            && term.end.is_none()
        {
            term.end = Some(End { at, how });
        }
    }

    fn push(&mut self, term: Term) {
        if self.terms.len() >= MOST_TERMS {
            self.terms.pop_front();
        }
        self.terms.push_back(term);
    }
}

/// As much of a name as is kept.
fn cut(name: &str) -> &str {
    let ends = name.char_indices().map(|(start, c)| start + c.len_utf8());
    let end = ends.take_while(|end| *end <= LONGEST_NAME).last();
    &name[..end.unwrap_or(0)]
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

    fn ends(terms: &Terms) -> Vec<(String, Option<(Instant, How)>)> {
        let end = |term: &Term| term.end.map(|end| (end.at, end.how));
        let seen = terms.terms.iter();
        seen.map(|term| (format!("{} {}", term.holder, term.token), end(term)))
            .collect()
    }

    #[test]
    fn a_leader_that_dies_ends_with_its_lease_and_one_that_leaves_with_its_release() {
        let mut terms = Terms::default();
        terms.saw(at(0), &record("a", 1), true, false);
        terms.saw(at(8), &record("a", 1), true, false);
        for now in 9..38 {
            terms.saw(at(now), &record("a", 1), false, false);
        }
        terms.saw(at(39), &record("b", 2), true, false);
        terms.saw(at(50), &record("", 2), true, false);
        terms.saw(at(51), &record("c", 3), true, false);
        let expected = [
            ("a 1".to_owned(), Some((at(38), How::RanOut))),
            ("b 2".to_owned(), Some((at(50), How::Released))),
            ("c 3".to_owned(), None),
        ];
        assert_eq!(ends(&terms), expected);
    }

    #[test]
    fn who_saw_the_last_renewal_later_than_the_next_leader_knows_all_the_same_that_it_ran_out() {
        for (taken, how) in [(33, How::Succeeded), (35, How::RanOut), (37, How::RanOut)] {
            let mut terms = Terms::default();
            terms.saw(at(8), &record("a", 1), true, false);
            terms.saw(at(taken - 2), &record("a", 1), false, false);
            terms.saw(at(taken), &record("b", 2), true, false);
            assert_eq!(ends(&terms)[0].1, Some((at(taken), how)), "{taken}");
        }
    }

    #[test]
    fn only_a_term_that_was_there_before_begins_when_its_record_says() {
        let mut terms = Terms::default();
        terms.saw(at(0), &record("a", 1), true, false);
        terms.saw(at(1), &record("b", 2), true, false);
        let times: Vec<_> = terms.terms.iter().map(|t| t.acquire_time.clone()).collect();
        assert_eq!(times, [Some("2026-11-22T10:00:00Z".to_owned()), None]);
        let mut terms = Terms::default();
        terms.saw(at(0), &Content::NeverWritten, true, false);
        terms.saw(at(1), &record("a", 0), true, false);
        assert_eq!(terms.last().unwrap().acquire_time, None);
    }

    #[test]
    fn what_happened_while_it_could_not_look_is_not_made_up() {
        let mut terms = Terms::default();
        terms.saw(at(0), &record("a", 1), true, false);
        terms.saw(at(2), &record("a", 1), false, false);
        // An hour without an answer: it may have renewed all the time.
        terms.saw(at(3600), &record("b", 2), true, false);
        assert_eq!(ends(&terms)[0].1, Some((at(3600), How::Succeeded)));
    }

    #[test]
    fn an_own_term_ends_as_it_was_ended_whatever_the_record_says_later() {
        let mut terms = Terms::default();
        terms.saw(at(0), &record("me", 4), true, false);
        terms.led(at(3), "me", 4);
        terms.saw(at(8), &record("me", 4), true, false);
        terms.stopped(at(20), 4, StopReason::SteppedDown);
        terms.saw(at(21), &record("me", 4), true, false);
        terms.saw(at(22), &record("", 4), true, false);
        assert_eq!(
            ends(&terms),
            [("me 4".to_owned(), Some((at(20), How::SteppedDown)))]
        );
        let term = terms.last().unwrap();
        assert!(term.own && term.from == at(3));
    }

    #[test]
    fn what_a_person_writes_ends_a_term_as_overwritten() {
        for (content, by_hand) in [
            (Content::Deleted, true),
            (Content::Corrupt("x".into()), true),
            (record("", 1), true),
        ] {
            let mut terms = Terms::default();
            terms.saw(at(0), &record("a", 1), true, false);
            terms.saw(at(5), &content, true, by_hand);
            assert_eq!(ends(&terms)[0].1, Some((at(5), How::Overwritten)));
        }
    }

    #[test]
    fn the_list_is_bounded_in_terms_and_names() {
        let mut terms = Terms::default();
        let long = "ü".repeat(100_000);
        for token in 0..200 {
            terms.saw(at(token), &record(&long, token), true, false);
        }
        assert_eq!(terms.terms.len(), MOST_TERMS);
        assert!(terms.terms.iter().all(|t| t.holder.len() <= LONGEST_NAME));
        assert_eq!(terms.last().unwrap().token, 199);
    }
}
