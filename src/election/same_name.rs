//! Detection of another process that runs under this candidate's name.

use super::candidacy::DATE_SLACK;
use super::lock::Observed;
use super::time::Instant;

/// Writes of another process under this candidate's name.
///
/// After a restart the record names this candidate, and a write that the predecessor sent before it ended may
/// still land. So a single write proves nothing. The predecessor cannot have written on top of a record that
/// was written after this process started:
///
/// ```text
///   first read   p-17           may be the predecessor's
///   later        p-18           may have been in flight when the predecessor ended
///   later        p-19           certain: its writer knew p-18
///   or           p-18 after a term of this process: certain, its writer knew that term
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct SameName {
    /// Time at which the first such write after the first read was observed.
    suspected: Option<Instant>,
    /// Time at which the last certain one was observed.
    certain: Option<Instant>,
}

impl SameName {
    /// Returns when the other process's last write was observed; `None` if no other process is certain.
    pub(super) fn certain(&self) -> Option<Instant> {
        self.certain
    }

    /// Takes in a write that a read at `now` was the first to show and that names this candidate although
    /// another process wrote it. `has_led` tells whether this process has led. Returns whether the other
    /// process is certain only now.
    pub(super) fn note(&mut self, now: Instant, observed: &Observed, has_led: bool) -> bool {
        if observed.record_lost {
            // An older write counts again.
            self.suspected = None;
            return false;
        }
        let Some(suspected) = self.suspected.filter(|_| !has_led) else {
            self.suspected = Some(now);
            return has_led && self.set_certain(now);
        };
        // Old answers may show writes from before the start one by one.
        let later = observed
            .age
            .is_none_or(|age| age + DATE_SLACK <= now.since(suspected));
        later && self.set_certain(now)
    }

    fn set_certain(&mut self, now: Instant) -> bool {
        self.certain.replace(now).is_none()
    }
}
