//! GitHub's limits for the user that all candidates are, what is used of them, and by whom.

use std::collections::VecDeque;
use std::time::Duration;

use elector::lock::gist::wire::RateLimit;

use super::{Sender, World};
use crate::clock::Time;
use crate::scenario::Scenario;
use crate::service::seconds_of;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

const WRITES_A_MINUTE: usize = 80;
const WRITES_AN_HOUR: usize = 500;

/// What is used of the limits.
pub(super) struct Quota {
    writes: VecDeque<Time>,
    /// How many requests an hour may have.
    limit: u32,
    /// How long before the beginning of the world the first hour began.
    phase: Duration,
    /// The hour of the primary limit, and the requests in it.
    hour: u64,
    requests: u32,
    /// The renewals of a leader in an hour.
    renewals: f64,
    /// What candidates have read in this hour of what is kept for the leader, while there was one.
    intrusions: u32,
}

/// A request too many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    /// How long to wait.
    pub(super) wait: Duration,
    /// None of the hour's requests is left.
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
            intrusions: 0,
        }
    }

    /// Counts a request, or says how long to wait.
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

    /// A 304 costs nothing.
    pub(super) fn give_back(&mut self) {
        self.requests = self.requests.saturating_sub(1);
    }

    /// Other programs of the user send so many requests, as far as they are taken.
    pub(super) fn outsiders(&mut self, now: Time, requests: u32) {
        self.begin_hour(now);
        self.requests = self.limit.min(self.requests + requests);
    }

    /// A request of another program of the user, if it is taken.
    pub(super) fn outside(&mut self, now: Time, write: bool) {
        let _ = self.take(now, write);
    }

    /// Which hour of the limit it is, and how many requests are left of it.
    pub(super) fn left(&self) -> (usize, u32) {
        let left = self.limit.saturating_sub(self.requests);
        (self.hour as usize, left)
    }

    fn begin_hour(&mut self, now: Time) {
        let hour = now.after(self.phase).0 / HOUR.as_nanos() as u64;
        if hour != self.hour {
            (self.hour, self.requests, self.intrusions) = (hour, 0, 0);
        }
    }

    fn resets_in(&self, now: Time) -> Duration {
        let next = Time((self.hour + 1) * HOUR.as_nanos() as u64);
        next.since(now.after(self.phase))
    }

    /// What answers say of it; without limits, as if nothing had been used.
    pub(super) fn rate(&self, now: Time, limits: bool) -> RateLimit {
        let used = if limits { self.requests } else { 0 };
        RateLimit {
            limit: self.limit.into(),
            remaining: self.limit.saturating_sub(used).into(),
            reset: seconds_of(now.after(self.resets_in(now))),
            date: Some(seconds_of(now)),
        }
    }

    // ---- what is kept for the leader: said here once more ----

    /// A quarter more than its renewals, and a twentieth of the limit.
    fn slack(&self, hours: f64) -> f64 {
        self.renewals * hours / 4.0 + f64::from(self.limit) / 20.0
    }

    /// A candidate's read was counted while another one led: was it of what is the leader's?
    pub(super) fn note_read(&mut self, now: Time) {
        let left = f64::from(self.limit.saturating_sub(self.requests));
        let hours = self.resets_in(now).as_secs_f64() / HOUR.as_secs_f64();
        let kept = self.renewals * hours + self.slack(hours);
        self.intrusions += u32::from(left < kept);
    }

    /// Candidates have read as much of it in this hour as the leader can spare.
    fn overread(&self) -> bool {
        f64::from(self.intrusions) > self.slack(1.0)
    }
}

impl World {
    /// A request was refused. Where nobody but the electors sends any, and the limit suffices for a
    /// leader, that never comes for want of requests; and no leader ever lacks those that candidates
    /// took while somebody led.
    pub(super) fn check_requests_left(&mut self, from: Sender, leads: bool, refused: Refused) {
        if !refused.none_left {
            return;
        }
        self.tally.leaders_refused += u64::from(leads);
        if self.scenario.suffices || (leads && self.quota.overread()) {
            self.break_rule(|w| {
                format!(
                    "{} finds none of the hour's {} requests left, {} of the leader's read by others",
                    w.name_of(from.who),
                    w.quota.limit,
                    w.quota.intrusions
                )
            });
        }
    }
}
