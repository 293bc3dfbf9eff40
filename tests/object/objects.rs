//! Objects of one bucket or container, behind the interface of one of the services.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::support::server::{Received, Service, http_at, http_date};
use crate::{azure, google, s3};

/// Bucket or container that exists.
pub(crate) const BUCKET: &str = "elector";

/// Object of the lock.
pub(crate) const KEY: &str = "jobs/nightly";

/// Service whose interface is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    S3,
    Azure,
    Google,
}

pub(crate) const ALL: [Kind; 3] = [Kind::S3, Kind::Azure, Kind::Google];

/// Keys of S3, or a token of another service in `id`.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) id: String,
    pub(crate) secret: String,
    /// Session token; empty for none.
    pub(crate) session: String,
    /// End of its validity.
    pub(crate) until: Option<Instant>,
}

/// Passes that the service accepts. Sources of credentials add to them.
pub(crate) type Passes = Arc<Mutex<Vec<Pass>>>;

impl Pass {
    pub(crate) fn is_valid(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// Headers of an answer 304.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmodified {
    /// Version and time, as at Amazon and Google.
    Full,
    /// Neither, as at versitygw and Azurite.
    Bare,
    /// No such answer: the whole object, as at fake-gcs-server.
    Never,
}

#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) value: String,
    pub(crate) version: String,
    pub(crate) modified: OffsetDateTime,
}

/// Objects, and who may use them.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) kind: Kind,
    objects: BTreeMap<String, Object>,
    /// Number of changes.
    changes: u64,
    pub(crate) passes: Passes,
    /// Seconds that the server's clock is ahead of this machine's.
    pub(crate) ahead: i64,
    /// Seconds that the times of writes are ahead of the server's clock.
    pub(crate) written_ahead: i64,
    pub(crate) unmodified: Unmodified,
    /// Whether old versions are kept.
    pub(crate) versioned: bool,
    /// Whether a deleted object cannot be created again, as at versitygw with versions.
    pub(crate) keeps_markers: bool,
    /// Whether it carries out every write.
    pub(crate) ignores_conditions: bool,
}

/// Condition of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition<'a> {
    None,
    /// There is no object.
    Missing,
    /// The object has this version.
    Version(&'a str),
}

/// What became of a write.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    Landed(Object),
    /// There is an object already.
    Exists,
    /// The object has another version.
    Stale,
    /// There is no object.
    Nothing,
}

impl Objects {
    pub(crate) fn new(kind: Kind, passes: Passes) -> Objects {
        Objects {
            kind,
            objects: BTreeMap::new(),
            changes: 0,
            passes,
            ahead: 0,
            written_ahead: 0,
            unmodified: Unmodified::Full,
            versioned: false,
            keeps_markers: false,
            ignores_conditions: false,
        }
    }

    /// Returns the server's clock.
    pub(crate) fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + time::Duration::seconds(self.ahead)
    }

    /// Returns a whole answer.
    pub(crate) fn answer(&self, status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
        http_at(self.now(), status, headers, body.as_bytes())
    }

    /// Returns the time of the write as an answer carries it.
    pub(crate) fn modified(object: &Object) -> String {
        http_date(object.modified)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Object> {
        self.objects.get(key)
    }

    /// Carries out a write.
    pub(crate) fn write(&mut self, key: &str, value: &str, condition: Condition<'_>) -> Written {
        let marked = self.keeps_markers && self.changes > 0;
        let refusal = match (condition, self.objects.get(key)) {
            _ if self.ignores_conditions => None,
            (Condition::Missing, Some(_)) => Some(Written::Exists),
            (Condition::Missing, None) if marked => Some(Written::Exists),
            (Condition::Version(_), None) => Some(Written::Nothing),
            (Condition::Version(expected), Some(object)) if object.version != expected => {
                Some(Written::Stale)
            }
            _ => None,
        };
        refusal.unwrap_or_else(|| Written::Landed(self.keep(key, value)))
    }

    fn keep(&mut self, key: &str, value: &str) -> Object {
        self.changes += 1;
        let object = Object {
            value: value.to_owned(),
            version: match self.kind {
                Kind::S3 => s3::etag(value),
                Kind::Azure => format!("\"0x8DE{:X}\"", 4096 + self.changes),
                Kind::Google => (1_796_033_836_000_000 + self.changes).to_string(),
            },
            modified: self.now() + time::Duration::seconds(self.written_ahead),
        };
        self.objects.insert(key.to_owned(), object.clone());
        object
    }

    // ---- other clients ----

    /// Returns the value of the lock's object; empty if there is none.
    pub(crate) fn value(&self) -> String {
        self.get(KEY)
            .map_or(String::new(), |object| object.value.clone())
    }

    /// Writes the lock's object without a condition, as another program does.
    pub(crate) fn put(&mut self, value: &str) {
        self.keep(KEY, value);
    }

    pub(crate) fn delete(&mut self) {
        self.objects.remove(KEY);
        self.changes += 1;
    }

    /// Lets the lock's object be older.
    pub(crate) fn grow_older(&mut self, time: Duration) {
        let object = self.objects.get_mut(KEY).unwrap();
        object.modified -= time;
    }

    /// Returns the number of writes and deletions.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }
}

impl Service for Objects {
    fn respond(&mut self, request: &Received) -> Vec<u8> {
        match self.kind {
            Kind::S3 => s3::respond(self, request),
            Kind::Azure => azure::respond(self, request),
            Kind::Google => google::respond(self, request),
        }
    }
}

/// Returns the parameters of a path, as it carries them.
pub(crate) fn parameters(path: &str) -> BTreeMap<&str, &str> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .collect()
}
