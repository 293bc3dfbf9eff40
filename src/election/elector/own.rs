//! A term of our own: what a look and an acknowledged write mean for it, and when its next renewal comes.

use super::{LeaderElector, Next, Role};
use crate::election::action::{Action, Notice, StopReason};
use crate::election::time::Instant;

/// How many renewals in a row a look comes first to, after one met what others had written beside
/// the record.
pub(super) const LOOKS_WHEN_CROWDED: u32 = 3;

impl LeaderElector {
    /// A leader or claimant that looked: is the lease still its own?
    pub(super) fn check_own(&mut self, now: Instant, sent_at: Instant) {
        let (Role::Acquiring(term) | Role::Leader(term)) = &mut self.role else {
            return;
        };
        let mine = self.candidacy.mine().filter(|number| term.holds(*number));
        let Some(number) = mine else {
            if self.is_leader() {
                self.become_candidate(now, StopReason::Deposed);
            } else {
                self.role = Role::Candidate;
            }
            return self.consider(now, sent_at);
        };
        let before = term.last_answer();
        let confirms = term.took_effect(number, now, self.confirmation, None);
        let found = term.last_answer() != before;
        if found {
            if before.is_none() {
                self.tell_of_claim(Next::Claim);
            }
            return self.renewed(now, now, confirms);
        }
        let head_known_since = self.candidacy.head_known_since().unwrap_or(now);
        if before.is_some_and(|before| head_known_since > before) {
            self.crowded = LOOKS_WHEN_CROWDED;
        }
        let renew_at = self.confirm_at(head_known_since).max(self.renew_at);
        if renew_at > now && self.disturbed && !self.is_urgent(now) {
            let delay = self.confirmation.unwrap_or_default();
            return self.prepare(renew_at.min(now + delay / 4), renew_at);
        }
        self.crowded = self.crowded.saturating_sub(1);
        self.schedule(renew_at.max(now), Next::Renew);
    }

    /// Hardly more time is left than for one more write: it is not put off for others' any more.
    fn is_urgent(&self, now: Instant) -> bool {
        let delay = self.confirmation.unwrap_or_default();
        match &self.role {
            Role::Leader(term) | Role::Acquiring(term) => {
                term.hope(&self.config).since(now) < delay * 2
            }
            _ => false,
        }
    }

    /// A write of this term, sent at `sent_at`, is known since `now` to have taken effect, and
    /// confirms one before it or does not.
    pub(super) fn renewed(&mut self, now: Instant, sent_at: Instant, confirms: bool) {
        let (Role::Acquiring(term) | Role::Leader(term)) = &self.role else {
            return;
        };
        self.disturbed = !confirms && self.crowded > 0;
        let limit = term.limit(&self.config);
        let confirm_at = self.confirm_at(now);
        let renew_at = confirm_at.max(sent_at + self.config.retry_period);
        if self.is_leader() {
            if let Some(until) = limit {
                self.actions
                    .push_back(Action::ExtendLease { valid_until: until });
            }
            // What is not confirmed by this one is to be soon.
            let renew_at = if confirms { renew_at } else { confirm_at };
            return self.schedule_renewal(now, renew_at);
        }
        // Checked now, when the answer is handled: what is left may be little by now.
        let enough = limit.filter(|limit| limit.since(now) >= self.config.retry_period);
        match enough {
            Some(until) => {
                self.become_leader(until);
                self.schedule_renewal(now, renew_at);
            }
            None => self.schedule_renewal(now, confirm_at),
        }
    }

    /// The next write of this term. It confirms those before it only if nobody wrote in the while
    /// before it, so where others may write a look comes first: the write then follows a while after
    /// what the look showed.
    ///
    /// After one that others' writes kept from confirming anything, a second look comes right before
    /// the write, which is put off if there was yet another one meanwhile. Two leaders of two locks that
    /// did without would write in step for ever, each in the while before the other's write.
    fn schedule_renewal(&mut self, now: Instant, renew_at: Instant) {
        self.renew_at = renew_at;
        let claims = matches!(self.role, Role::Acquiring(_));
        match self.confirmation {
            Some(delay) if claims || self.crowded > 0 => {
                let look_at = (now + delay / 4).max(renew_at - delay * 3 / 2);
                self.prepare(look_at, renew_at);
            }
            _ => self.schedule(renew_at, Next::Renew),
        }
    }

    /// A look for the sake of a renewal.
    fn prepare(&mut self, look_at: Instant, renew_at: Instant) {
        self.renew_at = renew_at;
        self.schedule(look_at, Next::Look);
        self.preparing = true;
    }

    /// A claim is told of once it is known to have taken effect.
    pub(super) fn tell_of_claim(&mut self, kind: Next) {
        if let (Next::Claim, Role::Acquiring(term)) = (kind, &self.role) {
            let fencing_token = term.fencing_token;
            self.notice(Notice::Claimed { fencing_token });
        }
    }

    /// The earliest time at which a write confirms one that was answered `now`.
    fn confirm_at(&self, now: Instant) -> Instant {
        let delay = self.confirmation.unwrap_or_default();
        now + delay
    }
}
