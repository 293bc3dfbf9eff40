//! A process of the model, and its writes as it knows them.

use elector::lock::cas::origin::Stored;
use elector::lock::cas::protocol::CasProtocol;
use elector::lock::store::{Request, Response};

use crate::cell::CellStore;
use crate::gist::ANNOTATION;

/// Result of a write that its process got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reported {
    /// No result yet.
    #[default]
    Waiting,
    Success,
    Conflict,
    Unknown,
    /// It certainly did not land.
    Failed,
}

/// A write as its process knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Own {
    pub reported: Reported,
    /// Number of requests with it.
    pub sent: u8,
    /// Whether the answer to one of them was lost.
    pub lost_answer: bool,
    /// Whether one of them reached the store twice.
    pub doubled: bool,
}

/// Activity of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Doing {
    Nothing,
    /// It waits for the answer to this request.
    Waiting(Request),
    /// The answer is on its way.
    Answered(Request, Response),
}

/// A process, and the calls that it may still make.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub protocol: CasProtocol<CellStore>,
    pub doing: Doing,
    pub reads: u8,
    pub writes: u8,
    pub annotations: u8,
    /// Its writes, oldest first.
    pub own: Vec<Own>,
    /// Its annotations, oldest first.
    pub annotated: Vec<Own>,
    /// Number of the write or annotation in progress; `None` in a read.
    pub current: Option<usize>,
    /// Number of states of the store when its call began.
    pub began: usize,
    /// Whether it has read the record.
    pub knows: bool,
}

impl Process {
    pub(super) fn own(&self, number: usize) -> &Own {
        match number.checked_sub(ANNOTATION) {
            Some(number) => &self.annotated[number - 1],
            None => &self.own[number - 1],
        }
    }

    pub(super) fn own_mut(&mut self, number: usize) -> &mut Own {
        match number.checked_sub(ANNOTATION) {
            Some(number) => &mut self.annotated[number - 1],
            None => &mut self.own[number - 1],
        }
    }

    /// Returns the write of a request; 0 for a probe.
    pub(super) fn number_of(&self, body: &[u8]) -> usize {
        match self.current {
            Some(number) if number > ANNOTATION => number,
            _ => number_of(body),
        }
    }
}

/// Returns the number of a write; 0 for a probe.
fn number_of(body: &[u8]) -> usize {
    let text = String::from_utf8_lossy(body);
    let stored = Stored::parse(&text);
    let number = stored
        .origin()
        .and_then(|origin| origin.write_id.split_once('-'));
    number.map_or(0, |(_, number)| number.parse().unwrap_or(0))
}
