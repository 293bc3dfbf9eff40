//! How a candidate leaves, for good or for a while: the workload first, then the lease is given back.
//!
//! ```text
//!   cancelled, stepping down, lease lost, gave up
//!        │ the workload ends, the lease is kept alive meanwhile
//!        ▼
//!     Leaving ── the lease is given back, or cannot be ──▶ Finished, or Candidate that stands back
//! ```

use super::{LeaderElector, Next, Role};
use crate::election::action::{Finish, Notice, StopReason};
use crate::election::time::Instant;

/// What follows once the workload has gone and the lease is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum After {
    /// The election is over for this candidate.
    Finish(Finish),
    /// It stands again, after a lease in which another one may lead.
    BackOff,
}

/// A candidate is to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ending {
    after: After,
    /// When everything of the workload has been killed at the latest; once it has, when that must be
    /// reaped and told.
    patience: Instant,
    reaping: bool,
}

impl Ending {
    /// It will not stand again.
    pub(super) fn is_for_good(self) -> bool {
        matches!(self.after, After::Finish(_))
    }
}

impl LeaderElector {
    /// The elector is to stop: the workload first, then the lease is given back.
    pub fn handle_cancel(&mut self, now: Instant) {
        self.stop(now, StopReason::Cancelled);
    }

    /// What was to run while this candidate leads has ended for good: the same as a cancel, with this
    /// reason.
    pub fn handle_workload_ended(&mut self, now: Instant) {
        self.stop(now, StopReason::WorkloadEnded);
    }

    fn stop(&mut self, now: Instant, reason: StopReason) {
        if self.finished().is_some() {
            return;
        }
        match &mut self.ending {
            // It leaves already; now it leaves for good.
            Some(
                ending @ Ending {
                    after: After::BackOff,
                    ..
                },
            ) => {
                ending.after = After::Finish(Finish::Stopped);
            }
            Some(_) => {}
            None => self.leave_politely(now, reason, After::Finish(Finish::Stopped)),
        }
    }

    /// The leader is to let another one lead: its workload ends, the lease is given back, and this
    /// candidate does not claim it for a lease. Returns whether it was leading, and so does that.
    pub fn handle_step_down(&mut self, now: Instant) -> bool {
        if !self.is_leader() || self.ending.is_some() {
            return false;
        }
        self.leave_politely(now, StopReason::SteppedDown, After::BackOff);
        true
    }

    fn leave_politely(&mut self, now: Instant, reason: StopReason, after: After) {
        let kill_at = now + self.config.stop_timeout;
        if self.is_leader() {
            self.stop_leading(reason, kill_at);
        }
        self.end(now, after);
    }

    /// Leaves as soon as nothing of the workload is left.
    pub(super) fn end(&mut self, now: Instant, after: After) {
        self.ending = Some(Ending {
            after,
            patience: now + self.config.stop_timeout + self.config.termination_grace,
            reaping: false,
        });
        if !self.workload {
            self.become_leaving(now);
        }
    }

    // ---- giving up ----

    /// Whether this candidate is not to lead because another one does, or did too lately
    /// ([`unless_led_within`](super::LeaderElectionConfig::unless_led_within)), and how it ends then.
    pub(super) fn too_recent(&self, now: Instant) -> Option<Finish> {
        let period = self.config.unless_led_within?;
        if self.ending.is_some() || !self.candidacy.led_within(now, period) {
            return None;
        }
        Some(match self.has_led {
            true => Finish::LostLease,
            false => Finish::LedRecently,
        })
    }

    pub(super) fn give_up(&mut self, now: Instant, finish: Finish) {
        self.give_up_at = None;
        self.end(now, After::Finish(finish));
    }

    /// When it gives up, or does not wait for the workload any longer.
    pub(super) fn patience(&self) -> Option<Instant> {
        let workload = self.ending.map(|ending| ending.patience);
        let workload = workload.filter(|_| self.workload);
        let give_up = self.give_up_at.filter(|_| self.ending.is_none());
        [workload, give_up].into_iter().flatten().min()
    }

    pub(super) fn lose_patience(&mut self, now: Instant) {
        if self.finished().is_some() {
            return;
        }
        let margin = self.config.margin();
        match &mut self.ending {
            Some(ending) if self.workload && now >= ending.patience => {
                if ending.reaping && now.since(ending.patience) < margin {
                    return self.finish(Finish::WorkloadStuck);
                }
                // From now on, as this process may have stood still, and whatever ends the workload, or
                // says that it has ended, with it.
                ending.reaping = true;
                ending.patience = now + margin;
            }
            None if self.give_up_at.is_some_and(|at| now >= at) => {
                self.give_up(now, Finish::DidNotLead);
            }
            _ => {}
        }
    }

    // ---- giving the lease back ----

    pub(super) fn become_leaving(&mut self, now: Instant) {
        if matches!(self.role, Role::Leaving { .. } | Role::Finished(_)) {
            return;
        }
        let deadline = now + self.config.renew_deadline;
        self.role = Role::Leaving { deadline };
        if !self.may_hold || !self.gives_back() {
            return self.finish_leaving(now);
        }
        if self.rate_limited_until >= deadline {
            return self.finish_holding(now);
        }
        self.failures = 0;
        self.schedule(now, Next::Look);
    }

    /// Whoever steps down wants another one to lead, whatever is to be done on a cancel.
    fn gives_back(&self) -> bool {
        let stands_back = self
            .ending
            .is_some_and(|ending| ending.after == After::BackOff);
        self.config.release_on_cancel || stands_back
    }

    pub(super) fn released(&mut self, now: Instant) {
        self.report(String::new());
        self.notice(Notice::Released);
        self.finish_leaving(now);
    }

    pub(super) fn finish_leaving(&mut self, now: Instant) {
        match self.ending.map(|ending| ending.after) {
            Some(After::BackOff) => self.back_off(now),
            Some(After::Finish(finish)) => self.finish(finish),
            None => self.finish(Finish::Stopped),
        }
    }

    /// Leaves without having given the lease back.
    pub(super) fn finish_holding(&mut self, now: Instant) {
        match self.ending.map(|ending| ending.after) {
            Some(After::Finish(Finish::Stopped)) | None => self.finish(Finish::NotReleased),
            Some(After::Finish(finish)) => self.finish(finish),
            Some(After::BackOff) => self.back_off(now),
        }
    }

    /// A candidate again, but one that claims nothing for a lease.
    fn back_off(&mut self, now: Instant) {
        let pause = self.config.lease_duration;
        self.ending = None;
        self.role = Role::Candidate;
        self.failures = 0;
        self.candidacy.back_off(now + pause);
        self.notice(Notice::BackingOff { pause });
        self.schedule(now + self.config.poll_period, Next::Look);
    }

    fn finish(&mut self, finish: Finish) {
        self.role = Role::Finished(finish);
        self.next = None;
    }
}
