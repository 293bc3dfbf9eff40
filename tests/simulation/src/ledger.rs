//! What a world's requests were, second by second, and how each change of its leader went: for who
//! measures. Nothing is checked here, and worlds that are not measured keep no ledger.

use std::ops::Range;
use std::time::Duration;

use crate::clock::Time;

/// Requests of one kind of sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Looks that showed nothing new (304), which are free.
    pub free: u32,
    /// Reads that count.
    pub reads: u32,
    pub writes: u32,
    /// Requests beyond a limit.
    pub refused: u32,
}

impl Requests {
    fn add(&mut self, other: Requests) {
        self.free += other.free;
        self.reads += other.reads;
        self.writes += other.writes;
        self.refused += other.refused;
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.free + self.reads + self.writes + self.refused
    }

    /// What GitHub's limit for the minute counts: one for a read, five for a write. That free ones
    /// count there too is assumed.
    #[must_use]
    pub fn points(&self) -> u32 {
        self.free + self.reads + self.refused + self.writes * 5
    }
}

/// The requests of a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub leader: Requests,
    pub candidates: Requests,
}

impl Share {
    /// Of the leader and the candidates together.
    #[must_use]
    pub fn all(&self) -> Requests {
        let mut all = self.leader;
        all.add(self.candidates);
        all
    }
}

/// How a leader's term was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its process was killed.
    Killed,
    /// It was asked to stop.
    Stopped,
}

/// From the end of one leader to the next one.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub how: End,
    /// When the leader was killed, or nothing was left of its workload any more.
    pub ended_at: Time,
    /// The earliest moment at which a lease may be taken that was not given back: its last write's
    /// landing, and its length.
    pub free_at: Option<Time>,
    /// When the first write was sent that was to take the lease.
    pub claimed_at: Option<Time>,
    /// When another led.
    pub led_at: Option<Time>,
    /// Writes that were to take the lease, and how many of them others had forestalled.
    pub claims: u32,
    pub lost: u32,
    /// Writes that were to confirm a claim.
    pub confirmations: u32,
}

impl Change {
    /// All writes that it took.
    #[must_use]
    pub fn writes(&self) -> u32 {
        self.claims + self.confirmations
    }

    /// How long nobody led for whom somebody could have led.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        let from = match self.how {
            End::Killed => self.free_at?,
            End::Stopped => self.ended_at,
        };
        Some(self.led_at?.since(from))
    }
}

/// Why something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Claim,
    Confirmation,
    /// Of a leader, or to give the lease back.
    Other,
}

/// The book of one world.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Requests as they reach the service, for each second.
    seconds: Vec<Share>,
    /// The fewest that were left of the primary limit, for each hour of it.
    pub least_left: Vec<u32>,
    /// Requests under way now, and at the most.
    under_way: u32,
    pub most_at_once: u32,
    pub changes: Vec<Change>,
    /// When the first of all led.
    pub first_led_at: Option<Time>,
    /// Terms that nobody ended and which ended all the same.
    pub lost_terms: u32,
}

impl Ledger {
    /// What came in between two moments, in whole seconds.
    #[must_use]
    pub fn between(&self, from: Duration, to: Duration) -> Share {
        let seconds = self.seconds.iter().take(to.as_secs() as usize);
        sum(seconds.skip(from.as_secs() as usize))
    }

    /// The most of something within any so many seconds of a span.
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
        self.most_at_once = self.most_at_once.max(self.under_way);
    }

    pub(crate) fn note_answered(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// The change that is under way, or was the last.
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

    pub(crate) fn note_forestalled(&mut self) {
        if let Some(change) = self.change() {
            change.lost += 1;
        }
    }

    /// A claim took effect, on top of something that could be taken from then on.
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
            // The first term of all ends nobody's.
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
