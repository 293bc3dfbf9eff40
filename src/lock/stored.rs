//! Content of a lock's place: a record and where it comes from, or something else.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::election::annotation::{Annotation, HOLDER_PREFERRED, IN_FORCE, PAUSED};
use crate::election::lock::LockError;
use crate::election::record::{
    BYTE_ORDER_MARK, HIGHEST_TOKEN, LeaderElectionRecord, RELEASED_BY, RecordError, STOP_REASON,
    read_fields, read_number,
};

/// Highest fencing token that counts in a foreign record: a higher one is a mistake and would leave too
/// few to continue with. A record of an elector may have up to [`HIGHEST_TOKEN`].
const HIGHEST_FOREIGN_TOKEN: u64 = 1 << 52;

/// Field with the unique id of a write.
pub const WRITE_ID: &str = "writeId";

/// Field with the `writeId` of the claim that began the term.
const TERM: &str = "term";

/// Field with the `writeId` of the holder's own last write.
const RENEW_ID: &str = "renewId";

const PROTOCOL: &str = "protocol";
const CHECKPOINT: &str = "checkpoint";

/// Fields that no other program's JSON is likely to have.
const ELECTION_FIELDS: [&str; 3] = [
    "holderIdentity",
    "leaseDurationSeconds",
    "leaderTransitions",
];

/// Fields that client-go lets an operator set before there is a holder.
const PREPARED_FIELDS: [&str; 2] = ["preferredHolder", "strategy"];

/// Fields that every write sets anew, besides those of the lock's kind.
const OWN_FIELDS: [&str; 12] = [
    "holderIdentity",
    "leaseDurationSeconds",
    "acquireTime",
    "renewTime",
    "leaderTransitions",
    RELEASED_BY,
    STOP_REASON,
    HOLDER_PREFERRED,
    TERM,
    RENEW_ID,
    PROTOCOL,
    CHECKPOINT,
];

/// Fields by which a kind of lock recognises a write of an elector.
pub trait Origin: Sized {
    /// Names of the fields.
    const FIELDS: &'static [&'static str];

    /// Takes the fields out of a record. Returns `None` for a foreign write.
    fn take(fields: &mut Map<String, Value>) -> Option<Self>;

    /// Returns the unique id of the write; up to the last `-`, it names the process.
    fn write_id(&self) -> &Arc<str>;
}

/// Ids in the writes of a holder. A release and a checkpoint carry none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TermIds {
    /// `writeId` of the claim that began the term.
    pub term: Arc<str>,
    /// `writeId` of the holder's own last write.
    pub renew_id: Arc<str>,
}

impl TermIds {
    /// Returns whether the holder wrote again after its claim.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.renew_id != self.term
    }

    /// Takes the ids out of a record.
    fn take(fields: &mut Map<String, Value>) -> Option<TermIds> {
        let ids = [TERM, RENEW_ID].map(|name| fields.remove(name));
        let [Some(Value::String(term)), Some(Value::String(renew_id))] = ids else {
            return None;
        };
        Some(TermIds {
            term: term.into(),
            renew_id: renew_id.into(),
        })
    }

    /// Returns `record` with the ids of the write `write_id`, which replaces `base`. Its term is that of
    /// `base` if the same process wrote that with the same fencing token.
    #[must_use]
    pub fn added_to<O>(
        record: &LeaderElectionRecord,
        base: Option<&StoredRecord<O>>,
        write_id: &str,
    ) -> LeaderElectionRecord {
        let mut record = record.clone();
        if record.holder_identity.is_empty() {
            return record;
        }
        let same_term = base.and_then(|base| {
            let ids = base.term.as_ref()?;
            let same = base.record.leader_transitions == record.leader_transitions
                && process_of(&ids.renew_id) == process_of(write_id);
            same.then_some(&*ids.term)
        });
        let term = same_term.unwrap_or(write_id);
        record.other.insert(TERM.to_owned(), term.into());
        record.other.insert(RENEW_ID.to_owned(), write_id.into());
        record
    }
}

/// Returns the process that a write's id names: the part up to the last `-`.
#[must_use]
pub fn process_of(write_id: &str) -> Option<&str> {
    let (process, _) = write_id.rsplit_once('-')?;
    Some(process)
}

/// Ids of the writes of one process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WriteIds {
    prefix: String,
}

impl WriteIds {
    /// Returns the ids of the process with this name.
    #[must_use]
    pub fn new(process: &str) -> WriteIds {
        WriteIds {
            prefix: format!("{process}-"),
        }
    }

    /// Returns the id of the write with this number.
    #[must_use]
    pub fn write(&self, number: u64) -> Arc<str> {
        format!("{}{number}", self.prefix).into()
    }

    /// Returns the id of the annotation with this number, which differs from the id of every write.
    #[must_use]
    pub fn annotation(&self, number: u64) -> Arc<str> {
        format!("{}a{number}", self.prefix).into()
    }

    /// Returns the number of the write with this id; `None` for an annotation, and for another process's write.
    #[must_use]
    pub fn number(&self, write_id: &str) -> Option<u64> {
        write_id.strip_prefix(&self.prefix)?.parse().ok()
    }
}

/// Parsed content of a lock's place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stored<O> {
    /// The place is missing or blank.
    Blank,
    /// Text that is not a record: not a JSON object, without any field of a record, or truncated.
    Unrelated(Arc<str>),
    /// A JSON object that is empty or holds only fields that an operator may prepare.
    Empty(Map<String, Value>),
    /// A record that cannot be read.
    Corrupt {
        /// Reason, for display.
        why: Arc<str>,
        /// Fencing token, if it can be read.
        token: Option<u64>,
        /// All fields.
        fields: Map<String, Value>,
    },
    /// A record.
    Record(StoredRecord<O>),
}

/// A record and the fields of its lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredRecord<O> {
    /// The record, without the fields of the lock.
    pub record: Arc<LeaderElectionRecord>,
    /// Origin of an elector's write; `None` for a foreign write.
    pub origin: Option<O>,
    /// Ids of the holder's term and of its last write; `None` without a holder.
    pub term: Option<TermIds>,
    /// Protocol that the writer follows.
    pub protocol: u64,
    /// Whether the record was written by `elector init`, or ends a history scan.
    pub checkpoint: bool,
}

impl<O: Origin> Stored<O> {
    /// Parses the content of a place.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let unmarked = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        if unmarked.trim().is_empty() {
            return Stored::Blank;
        }
        match read_fields(text) {
            Ok(fields) => Self::from_fields(fields),
            Err(error) => Stored::Unrelated(error.to_string().into()),
        }
    }

    fn from_fields(fields: Map<String, Value>) -> Self {
        let error = match read_record(fields.clone()) {
            Ok(record) => return Stored::Record(record),
            Err(error) => error,
        };
        let has = |names: &[&str]| names.iter().any(|name| fields.contains_key(*name));
        if has(&OWN_FIELDS) || has(O::FIELDS) {
            let token = fields.get("leaderTransitions").and_then(read_number);
            return Stored::Corrupt {
                why: error.to_string().into(),
                token: token.filter(|token| *token <= HIGHEST_FOREIGN_TOKEN),
                fields,
            };
        }
        if fields.is_empty() || has(&PREPARED_FIELDS) {
            return Stored::Empty(fields);
        }
        Stored::Unrelated("it is a JSON object without any field of a lease record".into())
    }

    /// Returns whether it is an election's record, perhaps a corrupt one.
    #[must_use]
    pub fn is_election(&self) -> bool {
        match self {
            Stored::Record(_) => true,
            Stored::Corrupt { fields, .. } => ELECTION_FIELDS
                .iter()
                .any(|name| fields.contains_key(*name)),
            _ => false,
        }
    }

    /// Returns the fencing token, also of a corrupt record if it can be read.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        match self {
            Stored::Record(stored) => Some(stored.record.leader_transitions),
            Stored::Corrupt { token, .. } => *token,
            _ => None,
        }
    }

    /// Returns the protocol that the writer of a record follows, even if it is corrupt; 0 for none.
    #[must_use]
    pub fn protocol(&self) -> u64 {
        match self {
            Stored::Record(stored) => stored.protocol,
            Stored::Corrupt { fields, .. } => {
                fields.get(PROTOCOL).and_then(Value::as_u64).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Returns the lease of a record, zero if it is corrupt; `None` without a record.
    #[must_use]
    pub fn lease(&self) -> Option<Duration> {
        match self {
            Stored::Record(stored) => Some(stored.record.lease_duration()),
            Stored::Corrupt { .. } => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// Returns the fields that a rewrite keeps unless it sets them.
    #[must_use]
    pub fn kept(&self) -> Option<&Map<String, Value>> {
        match self {
            Stored::Record(stored) => Some(&stored.record.other),
            Stored::Empty(fields) | Stored::Corrupt { fields, .. } => Some(fields),
            _ => None,
        }
    }

    /// Returns the record, if it is one.
    #[must_use]
    pub fn record(&self) -> Option<&StoredRecord<O>> {
        match self {
            Stored::Record(stored) => Some(stored),
            _ => None,
        }
    }

    /// Returns whether it is an annotation: a copy of the holder's last write with other fields for
    /// operators.
    #[must_use]
    pub fn is_annotation(&self) -> bool {
        self.record().is_some_and(StoredRecord::is_annotated)
    }

    /// Returns the origin of an elector's write; `None` for a foreign write.
    #[must_use]
    pub fn origin(&self) -> Option<&O> {
        self.record()?.origin.as_ref()
    }
}

impl<O: Origin> StoredRecord<O> {
    /// Returns the id of the holder's last write; `None` without a holder, and for a foreign write.
    #[must_use]
    pub fn renew_id(&self) -> Option<&Arc<str>> {
        Some(&self.term.as_ref()?.renew_id)
    }

    /// Returns the id of the holder's last write, or that of the write itself if there is no holder; `None`
    /// for a foreign write.
    #[must_use]
    pub fn owner_id(&self) -> Option<&Arc<str>> {
        match self.record.holder_identity.is_empty() {
            true => Some(self.origin.as_ref()?.write_id()),
            false => self.renew_id(),
        }
    }

    /// Returns whether the newest write of a holder's record is an annotation.
    #[must_use]
    pub fn is_annotated(&self) -> bool {
        let write_id = self.origin.as_ref().map(Origin::write_id);
        self.renew_id().is_some_and(|id| Some(id) != write_id)
    }

    /// Returns whether the holder wrote last, and has renewed since its claim.
    #[must_use]
    pub fn is_renewed(&self) -> bool {
        let confirmed = self.term.as_ref().is_some_and(TermIds::is_confirmed);
        confirmed && !self.is_annotated()
    }

    /// Returns the record with an annotation, before the lock's kind adds its fields, which a foreign write
    /// does not get.
    ///
    /// # Errors
    /// [`LockError::Refused`] if the record must not be annotated. It begins with `place`.
    pub fn annotated(
        &self,
        annotation: &Annotation,
        place: &str,
    ) -> Result<LeaderElectionRecord, LockError> {
        let pauses_only = annotation.keys().all(|name| name == PAUSED);
        if self.origin.is_none() && !pauses_only {
            return Err(LockError::Refused(format!(
                "{place}: the record was written by hand or by another program, which does not follow \
                 requests; it can only be paused"
            )));
        }
        if self.origin.is_some() && self.owner_id().is_none() {
            return Err(LockError::Refused(format!(
                "{place}: an older elector holds the lease, which does not follow requests; upgrade it"
            )));
        }
        let mut record = LeaderElectionRecord::clone(&self.record);
        let ids = self.term.iter();
        let ids = ids.flat_map(|ids| [(TERM, &ids.term), (RENEW_ID, &ids.renew_id)]);
        for (name, id) in ids {
            record.other.insert(name.to_owned(), (**id).into());
        }
        if self.protocol > 0 {
            record
                .other
                .insert(PROTOCOL.to_owned(), self.protocol.into());
        }
        for (name, value) in annotation {
            match value {
                Value::Null => record.other.remove(name),
                value => record.other.insert(name.clone(), value.clone()),
            };
        }
        Ok(record)
    }
}

fn read_record<O: Origin>(mut fields: Map<String, Value>) -> Result<StoredRecord<O>, RecordError> {
    let origin = O::take(&mut fields);
    let term = TermIds::take(&mut fields);
    let protocol = match fields.remove(PROTOCOL) {
        None | Some(Value::Null) => 0,
        Some(value) => value.as_u64().ok_or(RecordError::BadField(PROTOCOL))?,
    };
    let checkpoint = fields.remove(CHECKPOINT) == Some(Value::Bool(true));
    let record = LeaderElectionRecord::from_fields(fields)?;
    let highest = match origin {
        Some(_) => HIGHEST_TOKEN,
        None => HIGHEST_FOREIGN_TOKEN,
    };
    if record.leader_transitions > highest {
        return Err(RecordError::BadField("leaderTransitions"));
    }
    Ok(StoredRecord {
        record: Arc::new(record),
        term: term.filter(|_| origin.is_some()),
        origin,
        protocol,
        checkpoint,
    })
}

/// Returns `record` as an elector writes it, before the lock's kind adds the fields of `O`.
///
/// `kept` are additional fields; those of the record take precedence.
#[must_use]
pub fn prepare<O: Origin>(
    record: &LeaderElectionRecord,
    kept: Option<&Map<String, Value>>,
    protocol: u64,
    checkpoint: bool,
) -> LeaderElectionRecord {
    let mut record = record.clone();
    for (name, value) in kept.into_iter().flatten() {
        let name = name.as_str();
        let is_own = OWN_FIELDS.contains(&name) || O::FIELDS.contains(&name);
        if !is_own && !IN_FORCE.contains(&name) {
            let field = record.other.entry(name);
            field.or_insert_with(|| value.clone());
        }
    }
    let other = &mut record.other;
    other.remove(CHECKPOINT);
    other.insert(PROTOCOL.to_owned(), protocol.into());
    if checkpoint {
        other.insert(CHECKPOINT.to_owned(), true.into());
    }
    record
}
