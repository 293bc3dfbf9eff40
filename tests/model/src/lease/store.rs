//! A store with a compare-and-swap: the effective writes in a chain.

use std::sync::Arc;

use elector::election::annotation::{HANDOVER, IN_FORCE, PAUSED, PREFERRED_HOLDER, REQUESTS};
use elector::election::lock::{Content, Observed};
use elector::election::record::LeaderElectionRecord;

use crate::calls::Flaw;

/// Number of the operator among the nodes that write.
const OPERATOR: usize = 2;

/// Name of a write: its candidate or the operator, the candidate's process, and its number from 1 over all
/// of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriteId {
    pub node: usize,
    pub process: u64,
    pub number: u64,
}

impl WriteId {
    /// Returns whether this process made it.
    pub fn is_of(self, (node, process): (usize, u64)) -> bool {
        (self.node, self.process) == (node, process)
    }
}

/// Returns the name of a process.
pub fn process_name(node: usize, process: u64) -> String {
    format!("{node}.{process}")
}

/// Request of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    Pause,
    Resume,
    /// The leader must hand over to the candidate of this name; empty for any other.
    HandOver(&'static str),
}

/// A write, and the write that it supersedes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    pub id: WriteId,
    pub expected: Option<WriteId>,
    pub record: Arc<LeaderElectionRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Landed {
    id: WriteId,
    record: Arc<LeaderElectionRecord>,
    at: u32,
    /// The holder's claim and its last write; `None` without a holder.
    term: Option<(WriteId, WriteId)>,
}

impl Landed {
    fn is_annotation(&self) -> bool {
        self.id.node == OPERATOR
    }

    fn is_claim(&self) -> bool {
        self.term == Some((self.id, self.id))
    }

    fn is_released(&self) -> bool {
        self.record.holder_identity.is_empty()
    }

    /// Returns whether the holder wrote last, and has renewed since its claim.
    fn is_renewed(&self) -> bool {
        let renewed = |(claim, last)| last == self.id && last != claim;
        self.term.is_some_and(renewed)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    chain: Vec<Landed>,
    annotations: u64,
    lost_writes: bool,
    /// Rule about annotations that a write broke.
    pub flaw: Option<Flaw>,
}

impl Store {
    /// Returns the number of effective writes.
    pub fn writes(&self) -> usize {
        self.chain.len()
    }

    /// Whether writes were lost.
    pub fn lost_writes(&self) -> bool {
        self.lost_writes
    }

    /// Returns the newest write, if any.
    pub fn head(&self) -> Option<WriteId> {
        self.chain.last().map(|landed| landed.id)
    }

    /// Handles an arriving write. `lease` is the writer's, in ticks of its clock. Returns whether the write
    /// is effective.
    pub fn land(&mut self, write: &Write, now: u32, lease: u32) -> bool {
        let is_effective = self.head() == write.expected;
        if is_effective {
            let landed = Landed {
                id: write.id,
                record: Arc::clone(&write.record),
                at: now,
                term: self.term(write),
            };
            self.flaw = self.flaw.or(self.broken_rule(&landed, lease));
            self.chain.push(landed);
        }
        is_effective
    }

    /// Returns the ids of the term that a write belongs to: that of the record below it, if the same process
    /// wrote that with the same fencing token.
    fn term(&self, write: &Write) -> Option<(WriteId, WriteId)> {
        if write.record.holder_identity.is_empty() {
            return None;
        }
        let same =
            |landed: &&Landed| landed.record.leader_transitions == write.record.leader_transitions;
        let below = self.chain.last().filter(same);
        let below = below.and_then(|landed| landed.term);
        let process = (write.id.node, write.id.process);
        let claim = below.filter(|(_, last)| last.is_of(process));
        Some((claim.map_or(write.id, |(claim, _)| claim), write.id))
    }

    /// Returns the rule about annotations that an elector's write breaks.
    fn broken_rule(&self, write: &Landed, lease: u32) -> Option<Flaw> {
        let below = self.chain.last()?;
        let has = |landed: &Landed, name: &str| landed.record.annotation(name).cloned();
        let preferred = below.record.preferred_holder();
        if !write.is_claim() {
            // A leader that is itself preferred has followed the request.
            let followed = !preferred.is_empty() && preferred == below.record.holder_identity;
            let mut names = IN_FORCE.into_iter();
            let dropped = names.any(|name| {
                let may_drop = followed && REQUESTS.contains(&name);
                has(below, name) != has(write, name) && !may_drop
            });
            return dropped.then_some("a write that drops or adds an annotation");
        }
        if below.record.is_paused() {
            return Some("a claim of a paused record");
        }
        if REQUESTS.into_iter().any(|name| has(write, name).is_some()) {
            return Some("a claim that keeps a request");
        }
        let released = below.is_released() && !preferred.is_empty();
        if released && preferred != write.record.holder_identity {
            let mut releases = self.chain.iter().rev().take_while(|old| old.is_released());
            let early = releases.all(|old| write.at < old.at + lease);
            return early.then_some("a claim before the preferred holder's time is over");
        }
        None
    }

    /// Returns whether an operator may write this.
    pub fn permits(&self, request: Request) -> bool {
        let Some(head) = self.chain.last() else {
            return false;
        };
        match request {
            Request::Pause => !head.record.is_paused(),
            Request::Resume => head.record.is_paused(),
            Request::HandOver(to) => {
                let leads = head.record.holder_identity == to;
                head.is_renewed() && !leads && !head.record.is_paused()
            }
        }
    }

    /// Lets an operator annotate the newest record.
    pub fn annotate(&mut self, request: Request, now: u32) {
        let Some(head) = self.chain.last() else {
            return;
        };
        let mut record = LeaderElectionRecord::clone(&head.record);
        let mut set = |name: &str| record.other.insert(name.to_owned(), true.into());
        match request {
            Request::Pause => set(PAUSED),
            Request::Resume => record.other.remove(PAUSED),
            Request::HandOver("") => set(HANDOVER),
            Request::HandOver(to) => {
                set(HANDOVER);
                record.other.insert(PREFERRED_HOLDER.to_owned(), to.into())
            }
        };
        self.annotations += 1;
        let id = WriteId {
            node: OPERATOR,
            process: 0,
            number: self.annotations,
        };
        let term = head.term;
        self.chain.push(Landed {
            id,
            record: Arc::new(record),
            at: now,
            term,
        });
    }

    // ---- events that must occur ----

    /// Returns whether a leader released the lease because of this annotation.
    pub fn was_released_with(&self, name: &str) -> bool {
        let mut pairs = self.chain.windows(2);
        pairs.any(|pair| {
            pair[1].is_released()
                && !pair[1].is_annotation()
                && pair[1].record.annotation(name).is_some()
        })
    }

    /// Returns whether the preferred holder claimed right after a release for it.
    pub fn was_handed_over(&self) -> bool {
        let mut pairs = self.chain.windows(2);
        pairs.any(|pair| {
            let next = pair[0].record.preferred_holder();
            let free = pair[0].is_released() && !next.is_empty();
            free && pair[1].is_claim() && pair[1].record.holder_identity == next
        })
    }

    /// Returns whether another candidate claimed after a release for the preferred holder.
    pub fn was_preferred_absent(&self) -> bool {
        let mut pairs = self.chain.windows(2);
        pairs.any(|pair| {
            let next = pair[0].record.preferred_holder();
            let free = pair[0].is_released() && !next.is_empty();
            free && pair[1].is_claim() && pair[1].record.holder_identity != next
        })
    }

    /// Returns whether a claim followed the end of a pause.
    pub fn was_resumed(&self) -> bool {
        let mut pairs = self.chain.windows(2);
        let resumes = |pair: &[Landed]| {
            pair[0].record.is_paused() && pair[1].is_annotation() && !pair[1].record.is_paused()
        };
        let at = pairs.position(resumes);
        at.is_some_and(|at| self.chain[at..].iter().any(Landed::is_claim))
    }

    /// Returns whether the holder of an annotated record renewed it.
    pub fn was_renewed_over_annotation(&self) -> bool {
        let mut pairs = self.chain.windows(2);
        pairs.any(|pair| pair[0].is_annotation() && pair[1].is_renewed())
    }

    /// Returns how many of the newest writes became effective after `since`.
    pub fn newer_than(&self, since: Option<u32>) -> usize {
        let newer = |landed: &&Landed| since.is_none_or(|since| landed.at > since);
        self.chain.iter().rev().take_while(newer).count()
    }

    /// Removes the newest writes without a trace.
    pub fn lose(&mut self, count: usize) {
        self.lost_writes = true;
        self.chain.truncate(self.chain.len() - count);
    }

    /// Returns the result of a read after the first `length` writes, and the newest of these.
    /// `known` is what the candidate last knew.
    pub fn show(
        &self,
        length: usize,
        reader: (usize, u64),
        known: Option<WriteId>,
    ) -> (Observed, Option<WriteId>) {
        let chain = &self.chain[..length];
        let newest = chain.last();
        let id = newest.map(|landed| landed.id);
        let last = newest.and_then(|landed| Some(landed.term?.1));
        // An annotated release is nobody's write.
        let owner = last.or(id.filter(|_| newest.is_some_and(Landed::is_released)));
        let is_there = |known: WriteId| chain.iter().any(|landed| landed.id == known);
        let tokens = chain.iter().map(|landed| landed.record.leader_transitions);
        let observed = Observed {
            content: newest.map_or(Content::NeverWritten, |landed| {
                Content::Record(Arc::clone(&landed.record))
            }),
            resource_version: id.map_or(0, |id| id.number * 3 + id.node as u64),
            mine: owner.filter(|id| id.is_of(reader)).map(|id| id.number),
            renew_id: last.map(|id| {
                let process = process_name(id.node, id.process);
                format!("{process}-{}", id.number).into()
            }),
            renewed: newest.is_some_and(Landed::is_renewed),
            record_lost: known.is_some_and(|known| !is_there(known)),
            highest_fencing_token: tokens.max(),
            ..Observed::default()
        };
        (observed, id)
    }
}
