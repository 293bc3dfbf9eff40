//! The cell of a simulated run: a store with a conditional write, and the true outcome of every write,
//! which no candidate knows.

use std::sync::Arc;
use std::time::Duration;

use elector::lock::cas::origin::Stored;
use elector::lock::gist::revision::Revision;
use elector::lock::store::{Request, Response};

use crate::cell::CellServer;
use crate::clock::Time;
use crate::service::{Effective, Sent, ids, is_annotation, lost_annotation, seconds_of};

/// Number of old values that operators can still find.
const KEPT: usize = 400;

/// Age in seconds from which a record of the first content need not be waited for: ten minutes, and ten of
/// its leases, which have at most 15 s.
const LONG_EXPIRED: i64 = 600;

/// A write of a candidate that landed.
#[derive(Clone, Debug)]
pub struct CellLanded {
    pub revision: Revision,
    /// What it replaced.
    pub before: Effective,
    /// Its `writeId`; `None` for a foreign write.
    pub write_id: Option<Arc<str>>,
    /// Broken rule about the fields for operators.
    pub broken: Option<String>,
}

/// The last restore of an older value.
#[derive(Clone, Copy, Debug)]
pub struct Restore {
    pub at: Time,
    /// Last version of the restored value before it was replaced, and the version that it has now.
    pub original: u64,
    pub version: u64,
    /// Whether a process wrote since that knew nothing newer than what was restored. Nothing is promised
    /// then for the length of a lease.
    pub disturbed: bool,
}

/// A store of one value with a conditional write.
pub struct CellService {
    server: CellServer,
    /// Seconds by which its clock is ahead.
    ahead: i64,
    effective: Effective,
    /// Values and the versions with which they were written, oldest first.
    values: Vec<(u64, Arc<str>)>,
    deleted_at: Option<Time>,
    /// Age of the first content when the run began, until another write lands.
    first_age: Option<i64>,
    pub restore: Option<Restore>,
    pub writes: u64,
}

impl CellService {
    /// Creates a cell that holds `content`. `content_age` is its age in seconds by the server's clock;
    /// `None` for a server that does not tell when it was written.
    pub fn new(
        content: Option<&str>,
        content_age: Option<i64>,
        ahead: i64,
        versions_nothing: bool,
    ) -> CellService {
        let date = seconds_of(Time(0)) + ahead;
        let mut server = CellServer::new(date);
        server.versions_nothing = versions_nothing;
        server.written_at = content_age.map(|_| date);
        let mut cell = CellService {
            server,
            ahead,
            effective: foreign(0, Duration::ZERO, Time(0)),
            values: Vec::new(),
            deleted_at: None,
            first_age: None,
            restore: None,
            writes: 0,
        };
        if let Some(content) = content {
            cell.server.put(content);
        }
        cell.note(Time(0), None);
        if let Some(age) = content_age {
            cell.server.written_at = Some(date - age);
        }
        cell.first_age = content_age.filter(|_| cell.effective.own_protocol);
        cell
    }

    /// Carries out a request. Returns the answer, and what it changed. `sent` names the sender if it is a
    /// candidate.
    pub fn respond(
        &mut self,
        request: &Request,
        now: Time,
        sent: Option<Sent>,
    ) -> (Response, Option<CellLanded>) {
        self.server.date = Some(seconds_of(now) + self.ahead);
        let version = self.server.version;
        let text = self.server.text();
        let response = self.server.respond(request);
        if self.server.version == version {
            return (response, None);
        }
        let mut before = self.effective;
        let age = self.first_age.take();
        if age.is_some_and(|age| age + now.seconds() as i64 > LONG_EXPIRED) {
            before.since = None;
        }
        let write_id = self.note(now, sent);
        let landed = CellLanded {
            revision: self.effective.revision,
            before,
            write_id,
            broken: self.lost_annotation(&Stored::parse(&text)),
        };
        (response, Some(landed))
    }

    fn lost_annotation(&self, before: &Stored) -> Option<String> {
        let after = self.stored();
        let ids = (ids(before), ids(&after));
        lost_annotation(&before.record()?.record, &after.record()?.record, ids)
    }

    /// Returns the stored text.
    pub fn text(&self) -> Option<Arc<str>> {
        self.server
            .value
            .is_some()
            .then(|| self.server.text().into())
    }

    pub fn version(&self) -> u64 {
        self.server.version
    }

    /// Returns the highest fencing token by the server's clock.
    pub fn token_by_date(&self, now: Time) -> u64 {
        u64::try_from(seconds_of(now) + self.ahead).unwrap_or(0)
    }

    /// Returns the value written `back` writes ago, with its last version; `None` for the present one.
    pub fn old_value(&self, back: usize) -> Option<(u64, Arc<str>)> {
        let at = self.values.len().saturating_sub(back);
        let (replaced, _) = self.values.get(at + 1)?;
        Some((replaced - 1, Arc::clone(&self.values[at].1)))
    }

    /// Replaces the value as an operator would; `None` deletes it.
    pub fn edit_by_hand(&mut self, text: Option<&str>, now: Time) {
        self.first_age = None;
        self.server.date = Some(seconds_of(now) + self.ahead);
        match text {
            Some(text) => self.server.put(text),
            None => {
                self.server.delete();
                self.deleted_at = Some(now);
            }
        }
        self.note(now, None);
    }

    /// Restores an older value whose last version this was.
    pub fn restore(&mut self, original: u64, text: &str, now: Time) {
        self.first_age = None;
        self.server.date = Some(seconds_of(now) + self.ahead);
        self.server.put(text);
        let lease = self.effective.lease.unwrap_or_default();
        self.note(now, None);
        self.effective = Effective {
            own_protocol: true,
            ..foreign(self.server.version, self.stored_lease().max(lease), now)
        };
        self.restore = Some(Restore {
            at: now,
            original,
            version: self.server.version,
            disturbed: false,
        });
    }

    /// Changes the version without a write.
    pub fn change_version(&mut self) {
        self.server.version += 1;
    }

    /// Returns whether a text is the stored one, and an elector's record.
    pub fn is_own_record(&self, text: Option<&str>) -> bool {
        self.effective.own_protocol && self.text().as_deref() == text
    }

    /// Returns whether a request would create the value again that was deleted after it was sent. Without
    /// a version of an empty place nothing can be promised then.
    pub fn is_late_creation(&self, request: &Request, sent: Time) -> bool {
        let creates = request
            .headers
            .iter()
            .any(|(name, _)| *name == "if-none-match");
        creates && self.deleted_at.is_some_and(|deleted_at| sent <= deleted_at)
    }

    /// Returns whether the place has neither a value nor a version.
    pub fn is_bare(&self) -> bool {
        self.server.value.is_none() && !self.server.versions_nothing
    }

    fn stored(&self) -> Stored {
        Stored::parse(&self.server.text())
    }

    fn stored_lease(&self) -> Duration {
        self.stored().lease().unwrap_or_default()
    }

    /// Notes what the newest write means. Returns its `writeId`.
    fn note(&mut self, now: Time, sent: Option<Sent>) -> Option<Arc<str>> {
        self.writes += 1;
        let version = self.server.version;
        if self.server.value.is_some() {
            self.values.push((version, self.server.text().into()));
            if self.values.len() > 2 * KEPT {
                self.values.drain(..KEPT);
            }
        }
        let stored = self.stored();
        let Some(origin) = stored.origin() else {
            self.effective = foreign(version, self.stored_lease(), now);
            return None;
        };
        if is_annotation(&origin.write_id) {
            self.effective.revision = revision(version);
            return Some(Arc::clone(&origin.write_id));
        }
        let record = stored.record();
        let released = record.is_some_and(|stored| stored.record.holder_identity.is_empty());
        self.effective = Effective {
            revision: revision(version),
            own_protocol: true,
            process: sent.map(|sent| sent.process),
            since: Some(sent.map_or(now, |sent| sent.at)),
            released,
            lease: Some(self.stored_lease()),
        };
        Some(Arc::clone(&origin.write_id))
    }
}

/// Returns what a foreign write means: every candidate waits for it, at least its own lease.
fn foreign(version: u64, lease: Duration, now: Time) -> Effective {
    Effective {
        revision: revision(version),
        own_protocol: false,
        process: None,
        since: Some(now),
        released: false,
        lease: Some(lease),
    }
}

/// Returns a name for a version.
fn revision(version: u64) -> Revision {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&version.to_be_bytes());
    Revision::from_bytes(bytes)
}
