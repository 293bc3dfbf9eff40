//! This process's own term. It begins when its claim is confirmed, each renewal extends it, and it ends
//! with its lease.

use super::LeaderElector;
use super::role::{After, Call, Role, Workload};
use crate::election::action::{Action, Finish, Notice, StopReason};
use crate::election::term::TermLease;
use crate::election::time::Instant;

impl LeaderElector {
    // ---- what a call means for the term ----

    /// Checks, after a read, whether the lease is still this process's own, and schedules the renewal.
    pub(super) fn check_term(&mut self, now: Instant, sent_at: Instant, call: Call) {
        if self.role.lease().is_none() {
            return;
        }
        let mine = self.candidacy.mine().filter(|_| self.is_term_observed());
        let (Some(write), Some(lease)) = (mine, self.role.lease_mut()) else {
            return self.lose_term(now, sent_at);
        };
        let before = lease.last_answer();
        let confirms = lease.note_effective(write, now, self.confirm_delay, None);
        if lease.last_answer() != before {
            if before.is_none() {
                self.report_claim();
            }
            return self.renewed(now, now, confirms);
        }
        let head_known_since = self.candidacy.head_known_since().unwrap_or(now);
        if before.is_some_and(|before| head_known_since > before) {
            self.foreign_writes.note();
        }
        let due = match call {
            Call::ReadBeforeRenewal { renew_at } => renew_at,
            _ => now,
        };
        let delay = self.confirm_delay.unwrap_or_default();
        let not_before = match self.is_leader() {
            true => self.renew_not_before,
            false => self.candidacy.backoff_until(),
        };
        let renew_at = due.max(head_known_since + delay).max(not_before);
        let Some(lease) = self.role.lease() else {
            return;
        };
        let urgent = lease.best_deadline(&self.config).since(now) < delay * 2;
        if renew_at > now && self.foreign_writes.delayed_confirmation && !urgent {
            // A foreign write came since: read again right before the renewal.
            let read_at = renew_at.min(now + delay / 4);
            return self.schedule(read_at, Call::ReadBeforeRenewal { renew_at });
        }
        self.foreign_writes.note_quiet_read();
        self.schedule(renew_at.max(now), Call::Renew);
    }

    /// Returns whether the last read showed this process's own term: its name, its fencing token, and one of
    /// its writes as the holder's last.
    pub(super) fn is_term_observed(&self) -> bool {
        let Some(lease) = self.role.lease() else {
            return false;
        };
        self.candidacy.record().is_some_and(|record| {
            record.holder_identity == self.config.identity
                && record.leader_transitions == lease.fencing_token
        }) && self
            .candidacy
            .mine()
            .is_some_and(|write| lease.includes(write))
    }

    /// Leaves if the record of this process's own term asks for that.
    pub(super) fn follow_request(&mut self, now: Instant) {
        if self.role.after().is_some() || !self.is_term_observed() {
            return;
        }
        match self.candidacy.request() {
            Some(reason @ StopReason::Paused) => self.leave(now, reason, After::Rejoin),
            Some(reason) if self.is_leader() => self.leave(now, reason, After::BackOff),
            _ => {}
        }
    }

    /// Handles a write of this term that is effective.
    pub(super) fn write_effective(
        &mut self,
        now: Instant,
        call: Call,
        write: u64,
        sent_at: Instant,
        head_known_since: Option<Instant>,
    ) {
        let Some(lease) = self.role.lease_mut() else {
            return;
        };
        let confirms = lease.note_effective(write, now, self.confirm_delay, head_known_since);
        if head_known_since.is_none() {
            self.foreign_writes.note();
        }
        if call == Call::Claim {
            self.report_claim();
        }
        self.renewed(now, sent_at, confirms);
    }

    /// Extends the term after a write of it, sent at `sent_at`, became effective. `confirms` says
    /// whether that write confirms an earlier one.
    fn renewed(&mut self, now: Instant, sent_at: Instant, confirms: bool) {
        let Some(lease) = self.role.lease_mut() else {
            return;
        };
        self.foreign_writes.note_renewal(confirms);
        let valid_until = lease.valid_until(&self.config);
        let confirm_at = now + self.confirm_delay.unwrap_or_default();
        let renew_at = confirm_at.max(sent_at + self.config.retry_period);
        if self.is_leader() {
            if let Some(valid_until) = valid_until {
                self.actions.push_back(Action::ExtendLease { valid_until });
            }
            return self.schedule_renewal(now, if confirms { renew_at } else { confirm_at });
        }
        // Compared with the present time, because little may be left when the answer is handled.
        match valid_until.filter(|until| until.since(now) >= self.config.retry_period) {
            Some(valid_until) => {
                self.become_leader(valid_until);
                self.schedule_renewal(now, renew_at);
            }
            None => self.schedule_renewal(now, confirm_at),
        }
    }

    /// Schedules the next write of this term.
    ///
    /// The write confirms earlier ones only if nobody wrote within the confirm delay before it. So a
    /// read precedes it wherever foreign writes are likely, and the write follows one delay after what
    /// that read showed.
    ///
    /// If foreign writes kept the last write from confirming anything, a second read comes right before
    /// the next one, which waits if there was another foreign write. Without that, the leaders of two
    /// locks in one store could write in step for ever, each within the delay before the other's write.
    fn schedule_renewal(&mut self, now: Instant, renew_at: Instant) {
        let acquiring = matches!(self.role, Role::Acquiring(_));
        match self.confirm_delay {
            Some(delay) if acquiring || self.foreign_writes.are_expected() => {
                let read_at = (now + delay / 4).max(renew_at - delay * 3 / 2);
                self.schedule(read_at, Call::ReadBeforeRenewal { renew_at });
            }
            _ => self.schedule(renew_at, Call::Renew),
        }
    }

    fn report_claim(&mut self) {
        if let Role::Acquiring(lease) = &self.role {
            let fencing_token = lease.fencing_token;
            self.notice(Notice::Claimed { fencing_token });
        }
    }

    // ---- roles: nothing else changes to or from leading ----

    pub(super) fn become_acquiring(&mut self, lease: TermLease) {
        self.role = Role::Acquiring(lease);
    }

    fn become_leader(&mut self, valid_until: Instant) {
        let Role::Acquiring(lease) = &self.role else {
            return;
        };
        let lease = lease.clone();
        let fencing_token = lease.fencing_token;
        let workload = Workload::Running;
        self.role = Role::Leader { lease, workload };
        self.has_led = true;
        self.give_up_at = None;
        self.candidacy.claim_succeeded();
        self.event("became leader");
        self.actions.push_back(Action::StartLeading {
            fencing_token,
            valid_until,
        });
        self.report(self.config.identity.clone());
    }

    /// Ends the term, or gives up the claim, because a read showed that the lease is not this process's.
    fn lose_term(&mut self, now: Instant, sent_at: Instant) {
        match &self.role {
            Role::Leader { .. } => self.lose_lease(now, StopReason::Deposed),
            role => {
                // A claim that the store acknowledged and that has no effect failed too.
                if role
                    .lease()
                    .is_some_and(|lease| lease.last_answer().is_some())
                {
                    self.candidacy.claim_failed(now, false);
                }
                self.role = Role::Candidate { may_hold: true };
            }
        }
        match self.role {
            Role::Candidate { .. } => self.consider_acquiring(now, sent_at),
            Role::Draining { .. } => self.watch(now, sent_at),
            _ => {}
        }
    }

    /// Ends the term of a leader immediately: its lease has expired or is another's.
    pub(super) fn lose_lease(&mut self, now: Instant, reason: StopReason) {
        let Role::Leader { lease, workload } = &self.role else {
            return;
        };
        let valid_until = lease.valid_until(&self.config).unwrap_or(now);
        let (may_hold, workload) = (true, *workload);
        self.stop_leading(reason, valid_until.min(now) + self.config.termination_grace);
        let leaving = match workload {
            Workload::Stopping(leaving) => Some(leaving),
            _ => None,
        };
        self.role = match workload {
            Workload::Ended => Role::Candidate { may_hold },
            _ => Role::Draining { may_hold, leaving },
        };
        self.failures = 0;
        self.candidacy.delay_failback(now);
        self.schedule(now, Call::Read);
        if self.config.exit_on_lost_lease && leaving.is_none() {
            self.leave_when_stopped(now, Some(reason), After::Finish(Finish::LostLease));
        }
    }

    /// Tells the owner of a leader to stop the workload, and reports the end of the term once.
    pub(super) fn stop_leading(&mut self, reason: StopReason, kill_at: Instant) {
        if self.role.leaving().is_none() {
            self.event("stopped leading");
        }
        self.actions
            .push_back(Action::StopLeading { reason, kill_at });
    }
}
