//! Requests of a run, second by second, and its changes of leader, for benchmarks. This module
//! checks nothing. Only measured runs keep a ledger.

use std::ops::Range;
use std::time::Duration;

use crate::clock::Time;

/// Requests of one group of candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Reads answered with 304, which are free.
    pub free: u32,
    /// Reads that count towards the rate limit.
    pub reads: u32,
    pub writes: u32,
    /// Requests refused because of a rate limit.
    pub refused: u32,
}

impl Requests {
    fn add(&mut self, other: Requests) {
        self.free += other.free;
        self.reads += other.reads;
        self.writes += other.writes;
        self.refused += other.refused;
    }

    /// Returns the number of all requests.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.free + self.reads + self.writes + self.refused
    }

    /// Returns the points that GitHub's limit per minute counts: one for a read, five for a write.
    /// It is an assumption that a 304 counts as a read.
    #[must_use]
    pub fn points(&self) -> u32 {
        self.free + self.reads + self.refused + self.writes * 5
    }
}

/// Requests within a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub leader: Requests,
    pub candidates: Requests,
}

impl Share {
    /// Returns the sum of the leader's and the candidates' requests.
    #[must_use]
    pub fn all(&self) -> Requests {
        let mut all = self.leader;
        all.add(self.candidates);
        all
    }
}

/// Kind of end of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its process was killed.
    Killed,
    /// It was asked to stop.
    Stopped,
}

/// A change from one leader to the next.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub how: End,
    /// Time at which the leader was killed, or its workload had stopped.
    pub ended_at: Time,
    /// Earliest time at which the lease expired, if it was not released: the landing of its last
    /// write plus its duration.
    pub free_at: Option<Time>,
    /// Time at which the first claim was sent.
    pub claimed_at: Option<Time>,
    /// Time at which the next leader started leading.
    pub led_at: Option<Time>,
    /// Claims, and how many of them lost.
    pub claims: u32,
    pub lost: u32,
    /// Writes that confirm a claim.
    pub confirmations: u32,
}

impl Change {
    /// Returns the number of writes of the change.
    #[must_use]
    pub fn writes(&self) -> u32 {
        self.claims + self.confirmations
    }

    /// Returns the time without a leader after the lease became free.
    #[must_use]
    pub fn delay_after_lease(&self) -> Option<Duration> {
        let from = match self.how {
            End::Killed => self.free_at?,
            End::Stopped => self.ended_at,
        };
        Some(self.led_at?.since(from))
    }
}

/// Reason for a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Claim,
    Confirmation,
    /// A leader's renewal or a release.
    Other,
}

/// Measurements of one run.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Requests that reached the service, per second.
    seconds: Vec<Share>,
    /// Lowest remaining primary limit in each hour.
    pub least_left: Vec<u32>,
    /// Requests in flight now, and the maximum.
    under_way: u32,
    pub most_simultaneous: u32,
    pub changes: Vec<Change>,
    /// Time at which the first leader started leading.
    pub first_led_at: Option<Time>,
    /// Terms that ended although the run did not end them.
    pub lost_terms: u32,
}

impl Ledger {
    /// Returns the requests between two times, in whole seconds.
    #[must_use]
    pub fn between(&self, from: Duration, to: Duration) -> Share {
        let seconds = self.seconds.iter().take(to.as_secs() as usize);
        sum(seconds.skip(from.as_secs() as usize))
    }

    /// Returns the maximum of a figure over any window of `seconds` seconds within a span.
    #[must_use]
    pub fn most_within(
        &self,
        seconds: usize,
        span: Range<Duration>,
        of: fn(&Requests) -> u32,
    ) -> u32 {
        let until = self.seconds.len().min(span.end.as_secs() as usize);
        let from = until.min(span.start.as_secs() as usize);
        let windows = self.seconds[from..until].windows(seconds.min(until - from).max(1));
        windows
            .map(|window| of(&sum(window).all()))
            .max()
            .unwrap_or(0)
    }

    pub(crate) fn note(&mut self, now: Time, leads: bool, one: Requests) {
        let second = now.seconds() as usize;
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, Share::default());
        }
        let share = &mut self.seconds[second];
        match leads {
            true => share.leader.add(one),
            false => share.candidates.add(one),
        }
    }

    pub(crate) fn note_left(&mut self, hour: usize, left: u32) {
        if self.least_left.len() <= hour {
            self.least_left.resize(hour + 1, u32::MAX);
        }
        let least = &mut self.least_left[hour];
        *least = left.min(*least);
    }

    pub(crate) fn note_sent(&mut self) {
        self.under_way += 1;
        self.most_simultaneous = self.most_simultaneous.max(self.under_way);
    }

    pub(crate) fn note_answered(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Returns the current or the last change.
    fn change(&mut self) -> Option<&mut Change> {
        self.changes.last_mut()
    }

    pub(crate) fn note_end(&mut self, how: End, now: Time) {
        self.changes.push(Change {
            how,
            ended_at: now,
            free_at: None,
            claimed_at: None,
            led_at: None,
            claims: 0,
            lost: 0,
            confirmations: 0,
        });
    }

    pub(crate) fn note_purpose(&mut self, now: Time, purpose: Purpose) {
        let Some(change) = self.change() else { return };
        match purpose {
            Purpose::Claim => {
                change.claimed_at.get_or_insert(now);
                change.claims += 1;
            }
            Purpose::Confirmation => change.confirmations += 1,
            Purpose::Other => {}
        }
    }

    pub(crate) fn note_lost_claim(&mut self) {
        if let Some(change) = self.change() {
            change.lost += 1;
        }
    }

    /// Notes an effective claim on a lease that was free from `free_at` on.
    pub(crate) fn note_taken(&mut self, free_at: Time) {
        if let Some(change) = self.change()
            && change.led_at.is_none()
        {
            change.free_at.get_or_insert(free_at);
        }
    }

    pub(crate) fn note_term(&mut self, now: Time) {
        self.first_led_at.get_or_insert(now);
        match self.change() {
            Some(change) if change.led_at.is_none() => change.led_at = Some(now),
            Some(_) => self.lost_terms += 1,
            // The first term follows no other.
            None => {}
        }
    }
}

fn sum<'a>(seconds: impl IntoIterator<Item = &'a Share>) -> Share {
    let mut sum = Share::default();
    for second in seconds {
        sum.leader.add(second.leader);
        sum.candidates.add(second.candidates);
    }
    sum
}
