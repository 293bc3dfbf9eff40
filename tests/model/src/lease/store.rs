//! A store with a compare-and-swap: the effective writes in a chain.

use std::sync::Arc;

use elector::election::lock::{Content, Observed};
use elector::election::record::LeaderElectionRecord;

/// Name of a write: its candidate, the candidate's process, and its number from 1 over all of them.
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
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    chain: Vec<Landed>,
    lost_writes: bool,
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

    /// Handles an arriving write. Returns whether it is effective.
    pub fn land(&mut self, write: &Write, now: u32) -> bool {
        let is_effective = self.head() == write.expected;
        if is_effective {
            self.chain.push(Landed {
                id: write.id,
                record: Arc::clone(&write.record),
                at: now,
            });
        }
        is_effective
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
        let is_there = |known: WriteId| chain.iter().any(|landed| landed.id == known);
        let tokens = chain.iter().map(|landed| landed.record.leader_transitions);
        let observed = Observed {
            content: newest.map_or(Content::NeverWritten, |landed| {
                Content::Record(Arc::clone(&landed.record))
            }),
            resource_version: id.map_or(0, |id| id.number * 2 + id.node as u64),
            mine: id.filter(|id| id.is_of(reader)).map(|id| id.number),
            renew_id: newest
                .filter(|landed| !landed.record.holder_identity.is_empty())
                .map(|landed| process_name(landed.id.node, landed.id.process).into()),
            record_lost: known.is_some_and(|known| !is_there(known)),
            highest_fencing_token: tokens.max(),
            ..Observed::default()
        };
        (observed, id)
    }
}
