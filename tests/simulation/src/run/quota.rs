//! GitHub's rate limits for the account that all candidates share, and each candidate's use of them.

use std::collections::VecDeque;
use std::time::Duration;

use elector::lock::gist::wire::RateLimit;

use super::{Run, Sender};
use crate::clock::Time;
use crate::scenario::Scenario;
use crate::service::seconds_of;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

const WRITES_A_MINUTE: usize = 80;
const WRITES_AN_HOUR: usize = 500;

/// Use of the limits.
pub(super) struct Quota {
    writes: VecDeque<Time>,
    /// Requests allowed per hour.
    limit: u32,
    /// Time since the last reset when the run began.
    phase: Duration,
    /// Number of the current hour of the primary limit, and the requests in it.
    hour: u64,
    requests: u32,
    /// Renewals of a leader per hour.
    renewals: f64,
    /// Reads in this hour that candidates took from the leader's reserve while a leader was there.
    reserve_reads: u32,
}

/// A refused request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    /// Time to wait.
    pub(super) wait: Duration,
    /// The hourly limit is used up.
    pub(super) none_left: bool,
}

impl Quota {
    pub(super) fn new(scenario: &Scenario) -> Quota {
        Quota {
            writes: VecDeque::new(),
            limit: scenario.faults.requests_an_hour,
            phase: scenario.phase,
            hour: 0,
            requests: 0,
            renewals: scenario.renewals_an_hour(),
            reserve_reads: 0,
        }
    }

    /// Counts a request, or returns how long to wait.
    pub(super) fn take(&mut self, now: Time, write: bool) -> Result<(), Refused> {
        self.begin_hour(now);
        if self.requests >= self.limit {
            return Err(Refused {
                wait: self.resets_in(now) + Duration::from_secs(1),
                none_left: true,
            });
        }
        while self.writes.front().is_some_and(|at| now.since(*at) >= HOUR) {
            self.writes.pop_front();
        }
        let last_minute = |at: &&Time| now.since(**at) < MINUTE;
        let in_a_minute = self.writes.iter().rev().take_while(last_minute).count();
        if write && (in_a_minute >= WRITES_A_MINUTE || self.writes.len() >= WRITES_AN_HOUR) {
            return Err(Refused {
                wait: MINUTE,
                none_left: false,
            });
        }
        self.requests += 1;
        if write {
            self.writes.push_back(now);
        }
        Ok(())
    }

    /// Refunds a request that was answered with 304.
    pub(super) fn return_one(&mut self) {
        self.requests = self.requests.saturating_sub(1);
    }

    /// Counts a burst of requests of other programs, as far as the limit allows.
    pub(super) fn foreign_burst(&mut self, now: Time, requests: u32) {
        self.begin_hour(now);
        self.requests = self.limit.min(self.requests + requests);
    }

    /// Counts a request of another program, if the limit allows it.
    pub(super) fn foreign_request(&mut self, now: Time, write: bool) {
        let _ = self.take(now, write);
    }

    /// Returns the number of the current hour, and the requests left in it.
    pub(super) fn left(&self) -> (usize, u32) {
        let left = self.limit.saturating_sub(self.requests);
        (self.hour as usize, left)
    }

    fn begin_hour(&mut self, now: Time) {
        let hour = now.after(self.phase).0 / HOUR.as_nanos() as u64;
        if hour != self.hour {
            (self.hour, self.requests, self.reserve_reads) = (hour, 0, 0);
        }
    }

    fn resets_in(&self, now: Time) -> Duration {
        let next = Time((self.hour + 1) * HOUR.as_nanos() as u64);
        next.since(now.after(self.phase))
    }

    /// Returns the rate limit that answers state; without limits, as if nothing had been used.
    pub(super) fn rate(&self, now: Time, limits: bool) -> RateLimit {
        let used = if limits { self.requests } else { 0 };
        RateLimit {
            limit: self.limit.into(),
            remaining: self.limit.saturating_sub(used).into(),
            resets_at: seconds_of(now.after(self.resets_in(now))),
        }
    }

    // ---- the leader's reserve, computed independently of the program ----

    /// Returns a quarter of the renewals plus a twentieth of the limit.
    fn slack(&self, hours: f64) -> f64 {
        self.renewals * hours / 4.0 + f64::from(self.limit) / 20.0
    }

    /// Notes a candidate's read that counted while another candidate led, and whether it used the
    /// reserve.
    pub(super) fn note_read(&mut self, now: Time) {
        let left = f64::from(self.limit.saturating_sub(self.requests));
        let hours = self.resets_in(now).as_secs_f64() / HOUR.as_secs_f64();
        let kept = self.renewals * hours + self.slack(hours);
        self.reserve_reads += u32::from(left < kept);
    }

    /// Returns whether candidates have read more of the reserve in this hour than the leader can
    /// spare.
    fn reserve_overused(&self) -> bool {
        f64::from(self.reserve_reads) > self.slack(1.0)
    }
}

impl Run {
    /// Checks a refused request. If only the electors send requests and the limit is enough for a
    /// leader, the hourly limit is never used up. A leader never lacks requests that candidates
    /// took while a leader was there.
    pub(super) fn check_requests_left(&mut self, from: Sender, leads: bool, refused: Refused) {
        if !refused.none_left {
            return;
        }
        self.tally.leaders_refused += u64::from(leads);
        if self.scenario.suffices || (leads && self.quota.reserve_overused()) {
            self.break_rule(|run| {
                format!(
                    "{} has none of the {} hourly requests left; other candidates read {} of the leader's reserve",
                    run.name_of(from.requester),
                    run.quota.limit,
                    run.quota.reserve_reads
                )
            });
        }
    }
}
