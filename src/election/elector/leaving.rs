//! Leaving the election, for good or for a while: the workload stops first, then the candidate releases
//! the lease.
//!
//! ```text
//!   cancelled, stepping down, lease lost, gave up
//!        │ the workload stops, a leader renews until then
//!        ▼
//!    Releasing ── released, or not possible ──▶ Finished, or Candidate that backs off
//! ```

use std::time::Duration;

use super::LeaderElector;
use super::role::{After, Call, Leaving, Role, Workload};
use crate::election::action::{Finish, Notice, StopReason};
use crate::election::time::Instant;

impl LeaderElector {
    // ---- requests to leave ----

    /// Stops this candidate for good: the workload first, then the lease is released.
    pub fn handle_stop(&mut self, now: Instant, reason: StopReason) {
        let stopped = After::Finish(Finish::Stopped);
        match self.role.after() {
            None => self.leave(now, reason, stopped),
            Some(After::BackOff | After::Rejoin) => match &mut self.role {
                Role::Releasing { after, .. } => *after = stopped,
                role => {
                    if let Some(leaving) = role.leaving_mut() {
                        leaving.after = stopped;
                    }
                }
            },
            Some(After::Finish(_)) => {}
        }
    }

    /// Lets other candidates lead for `period` from `now`, by default one lease: a leader stops its workload
    /// and releases the lease, and this candidate does not claim. After a release it does not claim for at
    /// least one lease. A `period` of zero permits claims again.
    pub fn handle_step_down(&mut self, now: Instant, period: Option<Duration>) {
        let period = period.unwrap_or(self.config.lease_duration);
        self.candidacy.step_down_until(now + period);
        if period.is_zero() {
            return;
        }
        if let Some((_, call @ Call::Claim)) = &mut self.next {
            *call = Call::Read;
        }
        if self.role.lease().is_some() && self.role.after().is_none() {
            self.leave(now, StopReason::SteppedDown, After::BackOff);
        }
    }

    /// Stops the workload of a leader gracefully, then leaves.
    pub(super) fn leave(&mut self, now: Instant, reason: StopReason, after: After) {
        if self.is_leader() {
            self.stop_leading(reason, now + self.config.stop_timeout);
        }
        self.leave_when_stopped(now, Some(reason), after);
    }

    /// Leaves as soon as nothing of the workload runs any more. `reason` is why it stopped.
    pub(super) fn leave_when_stopped(
        &mut self,
        now: Instant,
        reason: Option<StopReason>,
        after: After,
    ) {
        let stop = Leaving {
            after,
            reason,
            deadline: now + self.config.stop_timeout + self.config.termination_grace,
            overdue: false,
        };
        match &mut self.role {
            Role::Leader {
                workload: workload @ Workload::Running,
                ..
            } => *workload = Workload::Stopping(stop),
            Role::Draining { leaving, .. } => *leaving = Some(stop),
            _ => self.release(now, reason, after),
        }
    }

    /// Releases the lease of an ended term whose record asks for that: of this process's own, or of a dead
    /// predecessor's. Returns whether it does.
    pub(super) fn release_ended_term(&mut self, now: Instant) -> bool {
        let holds = self.candidacy.may_release(now);
        let request = self.candidacy.request().filter(|_| holds);
        let Some(reason) = request else { return false };
        self.role = Role::Candidate { may_hold: true };
        let after = match reason {
            StopReason::Paused => After::Rejoin,
            _ => After::BackOff,
        };
        self.release(now, Some(reason), after);
        true
    }

    // ---- giving up ----

    /// Gives up if another candidate led within
    /// [`unless_led_within`](super::LeaderElectionConfig::unless_led_within). Returns whether it did.
    pub(super) fn yields_to_recent_leader(&mut self, now: Instant) -> bool {
        let period = self.config.unless_led_within;
        let recent = period.and_then(|period| self.candidacy.led_within(now, period));
        let Some(recent) = recent else { return false };
        if self.has_led {
            self.give_up(now, Finish::LostLease);
        } else {
            self.notice(Notice::LedRecently(recent));
            self.give_up(now, Finish::LedRecently);
        }
        true
    }

    fn give_up(&mut self, now: Instant, finish: Finish) {
        self.give_up_at = None;
        self.leave_when_stopped(now, None, After::Finish(finish));
    }

    /// Returns the time at which this candidate gives up, or stops waiting for its workload.
    pub(super) fn patience(&self) -> Option<Instant> {
        match self.role.leaving() {
            Some(leaving) => Some(leaving.deadline),
            None => self.give_up_at.filter(|_| self.role.after().is_none()),
        }
    }

    pub(super) fn lose_patience(&mut self, now: Instant) {
        let margin = self.config.margin();
        if self.patience().is_none_or(|at| now < at) {
            return;
        }
        let Some(leaving) = self.role.leaving_mut() else {
            return self.give_up(now, Finish::DidNotLead);
        };
        if leaving.overdue && now.since(leaving.deadline) < margin {
            return self.finish(Finish::WorkloadStuck);
        }
        // Counted from now, because this process may have been frozen, and with it whatever kills the
        // workload or reports its end.
        leaving.overdue = true;
        leaving.deadline = now + margin;
    }

    // ---- releasing the lease ----

    /// Releases the lease, if this process may hold it. The workload has stopped.
    pub(super) fn release(&mut self, now: Instant, reason: Option<StopReason>, after: After) {
        let may_hold = match self.role {
            Role::Candidate { may_hold } | Role::Draining { may_hold, .. } => may_hold,
            Role::Acquiring(_) | Role::Leader { .. } => true,
            Role::Releasing { .. } | Role::Finished(_) => return,
        };
        let deadline = now + self.config.renew_deadline;
        self.role = Role::Releasing {
            deadline,
            reason,
            after,
        };
        // A candidate that steps down always releases, because another one shall lead.
        let releases = self.config.release_on_cancel || !matches!(after, After::Finish(_));
        if !may_hold || !releases {
            return self.finish_leaving(now, after);
        }
        if self.rate_limited_until >= deadline {
            return self.finish_holding(now, after);
        }
        self.failures = 0;
        self.schedule(now.max(self.term_not_over_before), Call::Read);
    }

    pub(super) fn check_before_release(&mut self, now: Instant, after: After) {
        if self.candidacy.may_release(now) {
            return self.schedule(now, Call::Release);
        }
        self.finish_leaving(now, after);
    }

    pub(super) fn released(&mut self, now: Instant, after: After) {
        self.report(String::new());
        self.notice(Notice::Released);
        self.finish_leaving(now, after);
    }

    fn finish_leaving(&mut self, now: Instant, after: After) {
        match after {
            After::BackOff => {
                let pause = self.config.lease_duration;
                self.candidacy.back_off(now + pause);
                self.notice(Notice::BackingOff { pause });
                self.rejoin(now);
            }
            After::Rejoin => self.rejoin(now),
            After::Finish(finish) => self.finish(finish),
        }
    }

    /// Leaves without having released the lease.
    pub(super) fn finish_holding(&mut self, now: Instant, after: After) {
        match after {
            After::Finish(Finish::Stopped) => self.finish(Finish::NotReleased),
            after => self.finish_leaving(now, after),
        }
    }

    fn rejoin(&mut self, now: Instant) {
        self.role = Role::Candidate { may_hold: true };
        self.failures = 0;
        self.candidacy.delay_failback(now);
        self.schedule(now + self.config.poll_period, Call::Read);
    }

    fn finish(&mut self, finish: Finish) {
        self.role = Role::Finished(finish);
        self.next = None;
    }
}
