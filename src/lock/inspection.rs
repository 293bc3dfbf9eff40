//! State of a lease by one read of its record, for displays and scripts.
//!
//! A candidate decides by its own reads and its own clock. Here a single read must suffice, so the
//! age of a record is the difference between two of the store's dates.

use std::time::Duration;

use serde::Serialize;

use crate::election::lock::Content;
use crate::election::record::LeaderElectionRecord;
use crate::fmt::{one_line, span};

/// Effective record of a lock, as read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedRecord {
    /// Effective content.
    pub content: Content,
    /// Reason why no elector acts on the content.
    pub refusal: Option<Refusal>,
    /// Whether the content is a foreign write.
    pub foreign: bool,
    /// Whether the record is a checkpoint.
    pub checkpoint: bool,
    /// Fencing token, which even a corrupt record may show.
    pub fencing_token: Option<u64>,
    /// Version of the content in the store.
    pub version: String,
    /// Time of the write by the store's clock, in seconds since the Unix epoch.
    pub written_at: Option<i64>,
    /// Time of the read by the store's clock, in seconds since the Unix epoch.
    pub read_at: Option<i64>,
    /// Longest lease that this content may have replaced or holds.
    pub longest_lease: Duration,
    /// Whether all leases that the content replaced are known.
    pub complete: bool,
}

/// Reason why no elector acts on a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The place holds another program's content.
    NotARecord,
    /// The record has a newer protocol.
    NewerProtocol {
        /// Protocol of the record.
        record: u64,
        /// Newest protocol that this elector supports.
        supported: u64,
    },
}

/// State of a lease, serialized by its name for scripts: `foreignWrite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LeaseState {
    /// A holder renewed it less than a lease ago.
    Held,
    /// The holder did not renew it.
    Expired,
    /// The holder released it.
    Released,
    /// The record is a foreign write.
    ForeignWrite,
    /// `elector init` wrote the record, and no candidate has acquired it yet.
    Checkpoint,
    /// The record is corrupt.
    Corrupt,
    /// The record was deleted.
    Deleted,
    /// No record was ever written.
    NeverWritten,
    /// The place holds another program's content.
    NotARecord,
    /// The record has a newer protocol.
    NewerProtocol,
    /// There is a holder, but the store gives no dates.
    Undated,
}

impl InspectedRecord {
    /// Returns the state of the lease when it was read.
    #[must_use]
    pub fn state(&self) -> LeaseState {
        match self.refusal {
            Some(Refusal::NotARecord) => return LeaseState::NotARecord,
            Some(Refusal::NewerProtocol { .. }) => return LeaseState::NewerProtocol,
            None => {}
        }
        let record = match &self.content {
            Content::Record(record) => record,
            Content::Corrupt(_) => return LeaseState::Corrupt,
            Content::Deleted => return LeaseState::Deleted,
            Content::NeverWritten => return LeaseState::NeverWritten,
        };
        let free = record.holder_identity.is_empty();
        match self.age() {
            _ if self.checkpoint && free => LeaseState::Checkpoint,
            _ if self.foreign => LeaseState::ForeignWrite,
            _ if free => LeaseState::Released,
            None => LeaseState::Undated,
            Some(age) if age < record.lease_duration() => LeaseState::Held,
            Some(_) => LeaseState::Expired,
        }
    }

    /// Returns the record, if the content is one.
    #[must_use]
    pub fn record(&self) -> Option<&LeaderElectionRecord> {
        self.content.record()
    }

    /// Returns the leader; empty if none is known.
    #[must_use]
    pub fn leader(&self) -> &str {
        match self.state() {
            LeaseState::Held => self.content.holder(),
            _ => "",
        }
    }

    /// Returns the record's holder, whether it leads or not, fit for display.
    #[must_use]
    pub fn shown_holder(&self) -> String {
        one_line(self.content.holder())
    }

    /// Returns the time since the write, to whole seconds.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let seconds = self.read_at?.checked_sub(self.written_at?)?;
        // The two dates may come from clocks that differ by a second.
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// Returns the lease duration of the record.
    #[must_use]
    pub fn lease_duration(&self) -> Option<Duration> {
        self.record().map(LeaderElectionRecord::lease_duration)
    }

    /// Returns the time until a held lease expires unless it is renewed.
    #[must_use]
    pub fn expires_in(&self) -> Option<Duration> {
        match self.state() {
            LeaseState::Held => Some(self.lease_duration()?.saturating_sub(self.age()?)),
            _ => None,
        }
    }

    /// Returns how long candidates with the lease setting `own_lease` still wait after a foreign
    /// write, if they observed it when it was written. Returns `None` if they do not wait.
    #[must_use]
    pub fn foreign_wait(&self, own_lease: Duration) -> Option<Duration> {
        if !self.foreign {
            return None;
        }
        match self.state() {
            LeaseState::ForeignWrite
            | LeaseState::Checkpoint
            | LeaseState::Corrupt
            | LeaseState::Deleted => {
                let wait = self.longest_lease.max(own_lease).checked_sub(self.age()?)?;
                (!wait.is_zero()).then_some(wait)
            }
            _ => None,
        }
    }

    /// Returns the time since the write in words: `4s ago`.
    #[must_use]
    pub fn ago(&self) -> String {
        match self.age() {
            Some(age) => format!("{} ago", span(age)),
            None => "at an unknown time".to_owned(),
        }
    }

    /// Returns the leader, or the reason why none is known, in one clause.
    #[must_use]
    pub fn summary(&self) -> String {
        let (holder, ago) = (self.shown_holder(), self.ago());
        let why = match &self.content {
            Content::Corrupt(why) => why,
            _ => "",
        };
        match self.state() {
            LeaseState::Held => holder,
            LeaseState::Expired => {
                let lease = self.lease_duration().unwrap_or_default();
                let past = self.age().unwrap_or_default().saturating_sub(lease);
                format!("nobody: the lease of {holder} expired {} ago", span(past))
            }
            LeaseState::Released => self.release(&ago),
            LeaseState::ForeignWrite if holder.is_empty() => format!(
                "nobody: a foreign write cleared the holder {ago} (elector depose, or by hand)"
            ),
            LeaseState::ForeignWrite => format!(
                "unknown: a foreign write named {holder} {ago} (by hand, or by a client-go candidate, \
                 which leads then)"
            ),
            LeaseState::Checkpoint => format!("nobody yet: elector init wrote the record {ago}"),
            LeaseState::Corrupt => format!("nobody: the record is corrupt, {why} (written {ago})"),
            LeaseState::Deleted => format!("nobody: the record was deleted {ago}"),
            LeaseState::NeverWritten => "nobody yet: no record was ever written".to_owned(),
            LeaseState::NotARecord => format!("nobody: the content is not a lease record, {why}"),
            LeaseState::NewerProtocol => match self.refusal {
                Some(Refusal::NewerProtocol { record, supported }) => format!(
                    "unknown: the record has protocol {record} and this elector supports {supported}"
                ),
                _ => "unknown: the record has a newer protocol".to_owned(),
            },
            LeaseState::Undated => {
                format!("unknown: {holder}, unless its lease has expired (the answer has no date)")
            }
        }
    }

    /// Returns who released the lease, and why, as far as the record says.
    fn release(&self, ago: &str) -> String {
        let record = self.content.record();
        let [by, reason] = [
            record.map_or("", LeaderElectionRecord::released_by),
            record.map_or("", LeaderElectionRecord::stop_reason),
        ];
        let reason = match reason {
            "" => String::new(),
            reason => format!(" ({})", one_line(reason)),
        };
        match by {
            "" => format!("nobody: the lease was released {ago}{reason}"),
            by => format!("nobody: {} released the lease {ago}{reason}", one_line(by)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::election::record::{RELEASED_BY, STOP_REASON};

    /// Returns the inspection of a record that an elector wrote `age` seconds ago.
    pub(crate) fn inspected(holder: &str, age: i64) -> InspectedRecord {
        let record = LeaderElectionRecord {
            holder_identity: holder.to_owned(),
            lease_duration_seconds: 30,
            acquire_time: "2020-04-27T17:00:00Z".to_owned(),
            leader_transitions: 3,
            ..LeaderElectionRecord::default()
        };
        InspectedRecord {
            content: Content::Record(record.into()),
            refusal: None,
            foreign: false,
            checkpoint: false,
            fencing_token: Some(3),
            version: "0909090909090909090909090909090909090909".to_owned(),
            written_at: Some(1_588_008_246 - age),
            read_at: Some(1_588_008_246),
            longest_lease: Duration::from_secs(30),
            complete: true,
        }
    }

    /// Returns the inspection of a foreign write that is `age` seconds old.
    pub(crate) fn foreign(holder: &str, age: i64) -> InspectedRecord {
        InspectedRecord {
            foreign: true,
            ..inspected(holder, age)
        }
    }

    /// Returns the inspection of other content than a record, written four seconds ago.
    pub(crate) fn content(content: Content) -> InspectedRecord {
        InspectedRecord {
            content,
            fencing_token: None,
            longest_lease: Duration::ZERO,
            ..foreign("", 4)
        }
    }

    /// Returns the inspection of content that electors refuse.
    pub(crate) fn refused(refusal: Refusal) -> InspectedRecord {
        InspectedRecord {
            refusal: Some(refusal),
            ..inspected("x", 1)
        }
    }

    pub(crate) const NEWER: Refusal = Refusal::NewerProtocol {
        record: 2,
        supported: 1,
    };

    fn checkpoint(holder: &str, foreign: bool) -> InspectedRecord {
        InspectedRecord {
            checkpoint: true,
            foreign,
            ..inspected(holder, 1)
        }
    }

    #[test]
    fn only_held_lease_has_leader() {
        for (inspected, state, leader) in [
            (inspected("napoleon", 29), LeaseState::Held, "napoleon"),
            (inspected("napoleon", -1), LeaseState::Held, "napoleon"),
            (inspected("napoleon", 30), LeaseState::Expired, ""),
            (inspected("", 1), LeaseState::Released, ""),
            (refused(NEWER), LeaseState::NewerProtocol, ""),
            (foreign("me", 1), LeaseState::ForeignWrite, ""),
            (checkpoint("", true), LeaseState::Checkpoint, ""),
            (checkpoint("", false), LeaseState::Checkpoint, ""),
            (
                content(Content::Corrupt("x".into())),
                LeaseState::Corrupt,
                "",
            ),
            (content(Content::Deleted), LeaseState::Deleted, ""),
            (content(Content::NeverWritten), LeaseState::NeverWritten, ""),
            (refused(Refusal::NotARecord), LeaseState::NotARecord, ""),
        ] {
            assert_eq!((inspected.state(), inspected.leader()), (state, leader));
        }
    }

    #[test]
    fn nobody_leads_without_dates() {
        let mut undated = inspected("napoleon", 1);
        undated.read_at = None;
        assert_eq!(
            (undated.state(), undated.leader()),
            (LeaseState::Undated, "")
        );
        assert!(undated.summary().contains("napoleon"));
    }

    #[test]
    fn summary_names_leader_or_reason() {
        assert_eq!(inspected("napoleon", 4).summary(), "napoleon");
        assert_eq!(
            inspected("napoleon", 282).summary(),
            "nobody: the lease of napoleon expired 4m 12s ago"
        );
        assert_eq!(
            inspected("", 4).summary(),
            "nobody: the lease was released 4s ago"
        );
        let mut released = inspected("", 4);
        let record = match &released.content {
            Content::Record(record) => {
                let mut record = LeaderElectionRecord::clone(record);
                record.other.insert(RELEASED_BY.into(), "napoleon".into());
                record
                    .other
                    .insert(STOP_REASON.into(), "stepped_down".into());
                record
            }
            other => panic!("{other:?}"),
        };
        released.content = Content::Record(record.into());
        assert_eq!(
            released.summary(),
            "nobody: napoleon released the lease 4s ago (stepped_down)"
        );
        let twisted = "nap\n\u{1b}[31moleon";
        assert_eq!(inspected(twisted, 4).summary(), "nap [31moleon");
        let newer = refused(NEWER).summary();
        assert!(
            newer.contains("protocol 2 and this elector supports 1"),
            "{newer}"
        );
    }

    #[test]
    fn foreign_write_waits_for_longest_lease() {
        let mut cleared = foreign("", 10);
        cleared.longest_lease = Duration::from_secs(60);
        let wait = |own| cleared.foreign_wait(Duration::from_secs(own));
        assert_eq!(wait(30), Some(Duration::from_secs(50)));
        assert_eq!(wait(90), Some(Duration::from_secs(80)));
        cleared.written_at = Some(0);
        assert_eq!(cleared.foreign_wait(Duration::from_secs(30)), None);
        let created = checkpoint("", false);
        assert_eq!(created.foreign_wait(Duration::from_secs(30)), None);
        let held = inspected("napoleon", 4);
        assert_eq!(held.foreign_wait(Duration::from_secs(30)), None);
        assert_eq!(held.expires_in(), Some(Duration::from_secs(26)));
    }
}
