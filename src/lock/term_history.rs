//! History of terms, as the records of a store show it.

use std::time::Duration;

use serde::Serialize;

use crate::election::lock::LockError;

/// Terms of a lock, in order of time, as far as they are known. Times are the store's, in seconds since
/// the Unix epoch; `None` if unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TermHistory {
    /// Number of revisions that the store listed.
    pub revisions: usize,
    /// Whether the oldest of all revisions is among them.
    pub complete: bool,
    /// Time of the oldest listed revision.
    pub oldest: Option<i64>,
    /// Time of the newest revision.
    pub newest: Option<i64>,
    /// Time at which the newest revision was read. The history is as of then.
    pub now: Option<i64>,
    /// Border of [`cut`](Self::cut): terms and gaps that ended before it are left out.
    pub since: Option<i64>,
    /// Terms, and what lies between them and after the last one.
    pub entries: Vec<Entry>,
    /// Number of requests made.
    pub requests: u32,
    /// Whether the scan made all requests that it was allowed.
    pub exhausted: bool,
    /// Error that ended the scan early.
    pub error: Option<LockError>,
}

/// Part of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A candidate led.
    Term(Box<PastTerm>),
    /// Nobody held the lease.
    Gap(Gap),
    /// The leader is unknown.
    Unsettled(Unsettled),
}

/// Term of a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastTerm {
    /// The leader.
    pub holder: String,
    /// Fencing token.
    pub fencing_token: u64,
    /// Whether an elector wrote it; otherwise it is a foreign write.
    pub elected: bool,
    /// Time of the claim, or the first time at which the term is known if `begins` is false.
    pub from: Option<i64>,
    /// Whether the beginning is known.
    pub begins: bool,
    /// Time of the last renewal.
    pub renewed: Option<i64>,
    /// Latest time at which the term ended; `None` if it has not, or if the end is unknown.
    pub to: Option<i64>,
    /// Reason of the end.
    pub end: TermEnd,
    /// Why the leader released the lease, as its record says. Anyone who can write the store can write
    /// this text.
    pub stop_reason: Option<String>,
    /// Whether a second write of the term was effective. Without one, the claim never led.
    pub confirmed: bool,
    /// Whether equal foreign records are known at several places, and what lies between them was not
    /// read. Another leader may have come between.
    pub assumed: bool,
    /// Lease duration of the last record.
    pub lease: Duration,
    /// Oldest and newest known version of the term's record.
    pub versions: (String, String),
}

/// Reason of a term's end, serialized by its name for scripts: `claimedAgain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TermEnd {
    /// The term has not ended.
    Alive,
    /// The leader released the lease.
    Released,
    /// The lease expired.
    Expired,
    /// The same process claimed the lease again, for a new term.
    ClaimedAgain,
    /// A foreign write cleared the holder.
    Deposed,
    /// A foreign write named another holder.
    Overwritten,
    /// A record with a newer protocol followed.
    NewerProtocol,
    /// Unknown.
    NotSettled,
}

impl TermEnd {
    /// Returns the reason in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TermEnd::Alive => "still alive",
            TermEnd::Released => "released",
            TermEnd::Expired => "expired",
            TermEnd::ClaimedAgain => "claimed again",
            TermEnd::Deposed => "deposed",
            TermEnd::Overwritten => "overwritten",
            TermEnd::NewerProtocol => "newer protocol",
            TermEnd::NotSettled => "not settled",
        }
    }
}

/// Time in which nobody held the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Beginning.
    pub from: i64,
    /// End; `None` if it lasts.
    pub to: Option<i64>,
}

/// Revisions whose leader is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// Time of the last settled revision before them, or of the oldest listed one.
    pub from: Option<i64>,
    /// Time of the first settled revision after them.
    pub to: Option<i64>,
    /// Number of revisions.
    pub revisions: usize,
}

impl Entry {
    /// Returns the time of the end; `None` if it lasts, or if the end is unknown.
    fn to(&self) -> Option<i64> {
        match self {
            Entry::Term(term) => term.to,
            Entry::Gap(gap) => gap.to,
            Entry::Unsettled(span) => span.to,
        }
    }
}

/// Returns the time `since` before `now`, both in seconds since the Unix epoch.
#[must_use]
pub fn before(now: i64, since: Duration) -> i64 {
    now.saturating_sub_unsigned(since.as_secs())
}

impl TermHistory {
    /// Removes terms and gaps that ended more than `since` before the newest read. The history is then
    /// incomplete, unless there are none.
    pub fn cut(&mut self, since: Duration) {
        let Some(now) = self.now.or(self.newest) else {
            return;
        };
        let (border, all) = (before(now, since), self.entries.len());
        let entries = &mut self.entries;
        entries.retain(|entry| entry.to().is_none_or(|to| to >= border));
        self.complete &= entries.len() == all;
        self.since = Some(border);
    }

    /// Returns the terms.
    pub fn terms(&self) -> impl Iterator<Item = &PastTerm> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Term(term) => Some(&**term),
            _ => None,
        })
    }

    /// Returns the times in which nobody held the lease.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Gap(gap) => Some(*gap),
            _ => None,
        })
    }

    /// Returns the revisions whose leader is unknown.
    pub fn unsettled(&self) -> impl Iterator<Item = Unsettled> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Unsettled(span) => Some(*span),
            _ => None,
        })
    }

    /// Returns whether all revisions that matter are listed.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        let cut = self.since.zip(self.oldest);
        self.complete || cut.is_some_and(|(since, oldest)| oldest < since)
    }

    /// Returns whether another scan with more requests can show more.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.is_listed() || self.unsettled().next().is_some()
    }
}
