//! What the record's annotations and an operator's requests mean for a candidate.

use serde_json::Map;

use super::Candidacy;
use crate::election::action::StopReason;
use crate::election::annotation::{Annotation, HANDOVER, PREFERRED_HOLDER};
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;

impl Candidacy {
    /// Returns whether the record says that nobody may lead.
    pub(in crate::election) fn is_paused(&self) -> bool {
        self.record().is_some_and(LeaderElectionRecord::is_paused)
    }

    /// Returns the record's text on that.
    pub(in crate::election) fn pause(&self) -> Option<String> {
        self.record()?.pause()
    }

    pub(in crate::election) fn preferred_holder(&self) -> &str {
        self.record()
            .map_or("", LeaderElectionRecord::preferred_holder)
    }

    /// Returns why the record's holder must stop leading, if the record says so.
    pub(in crate::election) fn request(&self) -> Option<StopReason> {
        let record = self.record()?;
        match record {
            _ if record.is_paused() => Some(StopReason::Paused),
            _ if record.asks_for_handover() => Some(StopReason::HandedOver),
            _ => None,
        }
    }

    /// Keeps this candidate from claiming until then; a time in the past permits claims again.
    pub(in crate::election) fn step_down_until(&mut self, until: Instant) {
        self.stepped_down_until = until;
    }

    /// Returns the time until which an operator keeps this candidate from claiming.
    pub(in crate::election) fn stepped_down_until(&self) -> Instant {
        self.stepped_down_until
    }

    /// Counts the time until this candidate may ask for a handover anew.
    pub(in crate::election) fn delay_failback(&mut self, now: Instant) {
        if let Some(after) = self.failback_after {
            self.failback_not_before = now + after;
        }
    }

    /// Lets this candidate ask again at this time, because another write came before its request.
    pub(in crate::election) fn repeat_failback(&mut self, at: Instant) {
        self.failback_not_before = at;
    }

    /// Returns the annotation that asks the leader to hand over to this candidate, if it is preferred, the
    /// leader is not, and nobody has asked for anything else. `wall` is the time of day.
    pub(in crate::election) fn failback(&self, now: Instant, wall: String) -> Option<Annotation> {
        self.fails_back_at().filter(|at| now >= *at)?;
        let mut asked = Map::new();
        asked.insert("by".to_owned(), self.identity.as_str().into());
        asked.insert("at".to_owned(), wall.into());
        let mut annotation = Annotation::new();
        annotation.insert(PREFERRED_HOLDER.to_owned(), self.identity.as_str().into());
        annotation.insert(HANDOVER.to_owned(), asked.into());
        Some(annotation)
    }

    /// Returns when this candidate asks the leader for a handover, unless it observes something else before.
    pub(in crate::election) fn fails_back_at(&self) -> Option<Instant> {
        self.failback_after.filter(|_| self.preferred)?;
        let observed = self.observed()?;
        let record = observed.content.record()?;
        let asks = observed.renewed
            && record.holder_identity != self.identity
            && !record.is_holder_preferred()
            && self.request().is_none();
        let not_before = self.failback_not_before.max(self.not_before);
        asks.then(|| not_before.max(self.stepped_down_until))
    }
}
