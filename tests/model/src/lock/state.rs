//! A state of the model of a gist, and the possible actions.

use std::sync::Arc;

use elector::election::config::LeaderElectionConfig;
use elector::lock::gist::budget::Budget;
use elector::lock::gist::protocol::{GistProtocol, ProtocolConfig};
use elector::lock::gist::revision::Revision;
use elector::lock::gist::wire::Request;

use super::Bounds;
use super::steps::RENEW_DEADLINE;
use crate::calls::Flaw;
use crate::gist::{ANNOTATION, Gist, NAMES, WriteId};

/// A possible action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A process reads, and is answered as of a revision.
    Read { process: usize, at: usize },
    /// A new process writes the first record; the read that it needs is answered as of a revision.
    Create { process: usize, at: usize },
    /// A process writes.
    Write { process: usize },
    /// A process annotates what it knows.
    Annotate { process: usize },
    /// The request of a process is answered as of a revision.
    Answer { process: usize, at: usize },
    /// The answer for a process is lost.
    Lose { process: usize },
    /// A write reaches the gist.
    Land { flight: usize },
    /// A write that was based on an older revision replaces all above it.
    LandOn { flight: usize, below: usize },
    /// An operator writes a foreign record.
    Overwrite,
    /// An operator pastes the content of a revision.
    Paste { of: usize },
    /// Another file of the gist is written.
    OtherFile,
    /// More time passes than an answer may be stale.
    Pause,
}

/// Result of a write that its process got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reported {
    /// No result yet.
    Waiting,
    Success,
    Conflict,
    Unknown,
    /// The write was not even sent.
    NotSent,
}

/// Activity of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Doing {
    Nothing,
    /// It waits for the answer to a read, in a call that reads or writes.
    Reading(Request),
    /// It waits for the answer to its last write.
    Writing,
}

/// A process, and the calls that it may still make.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub protocol: GistProtocol,
    pub doing: Doing,
    pub reads: u8,
    pub writes: u8,
    pub annotations: u8,
    /// Results of its writes, oldest first.
    pub reported: Vec<Reported>,
    /// Results of its annotations, oldest first.
    pub annotated: Vec<Reported>,
    /// Number of its last write or annotation.
    pub current: usize,
    /// Revision as of which the current call was last answered.
    pub view: usize,
}

impl Process {
    /// Returns the result of its last write or annotation.
    pub fn current_mut(&mut self) -> Option<&mut Reported> {
        match self.current.checked_sub(ANNOTATION) {
            Some(_) => self.annotated.last_mut(),
            None => self.reported.last_mut(),
        }
    }
}

/// A write in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flight {
    pub id: WriteId,
    pub supersedes: Revision,
    pub text: Arc<str>,
    /// Number of times that it landed.
    pub landed: u8,
}

/// A state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub gist: Gist,
    pub processes: Vec<Arc<Process>>,
    pub flights: Vec<Arc<Flight>>,
    pub overwrites: u8,
    pub other_files: u8,
    pub duplicates: u8,
    pub failures: u8,
    pub lost_writes: u8,
    /// Number of pauses so far.
    pub pauses: u8,
    pub flaw: Option<Flaw>,
}

impl State {
    pub fn new(bounds: &Bounds) -> State {
        let mut state = State {
            gist: Gist::new(bounds.beginning.clone()),
            processes: Vec::new(),
            flights: Vec::new(),
            overwrites: bounds.overwrites,
            other_files: bounds.other_files,
            duplicates: bounds.duplicates,
            failures: bounds.failures,
            lost_writes: bounds.lost_writes,
            pauses: 0,
            flaw: None,
        };
        for (calls, name) in bounds.processes.iter().zip(NAMES) {
            let mut protocol = new_protocol(name);
            if calls.warm {
                state.read_fully(bounds, &mut protocol);
            }
            state.processes.push(Arc::new(Process {
                protocol,
                doing: Doing::Nothing,
                reads: calls.reads,
                writes: calls.writes,
                annotations: calls.annotations,
                reported: Vec::new(),
                annotated: Vec::new(),
                current: 0,
                view: 0,
            }));
        }
        state
    }

    pub fn process(&mut self, index: usize) -> &mut Process {
        Arc::make_mut(&mut self.processes[index])
    }

    pub fn actions(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        for process in 0..self.processes.len() {
            self.actions_of(bounds, process, actions);
        }
        for (flight, write) in self.flights.iter().enumerate() {
            if write.landed == 0 || (write.landed == 1 && self.duplicates > 0) {
                actions.push(Action::Land { flight });
                self.replacing(flight, actions);
            }
        }
        if self.overwrites > 0 {
            actions.push(Action::Overwrite);
            self.pasting(actions);
        }
        if self.other_files > 0 {
            actions.push(Action::OtherFile);
        }
        if self.pauses < bounds.pauses {
            actions.push(Action::Pause);
        }
    }

    fn actions_of(&self, bounds: &Bounds, process: usize, actions: &mut Vec<Action>) {
        let all = 0..self.gist.revisions();
        let one = &self.processes[process];
        match &one.doing {
            Doing::Nothing => {
                let knows = one.protocol.effective().is_some();
                if one.reads > 0 {
                    actions.extend(all.clone().map(|at| Action::Read { process, at }));
                }
                if one.writes > 0 && knows {
                    actions.push(Action::Write { process });
                }
                if one.annotations > 0 && knows {
                    actions.push(Action::Annotate { process });
                }
                if one.writes > 0 && !knows {
                    actions.extend(all.map(|at| Action::Create { process, at }));
                }
            }
            Doing::Reading(request) => {
                let shown = match request {
                    // A revision always reads the same.
                    Request::Revision(_) => self.gist.head()..self.gist.revisions(),
                    Request::Commits { .. } if !bounds.jumps => {
                        let newest = one.view + bounds.page;
                        one.view..self.gist.revisions().min(newest + 1)
                    }
                    _ => all,
                };
                actions.extend(shown.map(|at| Action::Answer { process, at }));
                if self.failures > 0 {
                    actions.push(Action::Lose { process });
                }
            }
            Doing::Writing => {
                // As of a revision at which the write has landed.
                let shows = |at: &usize| {
                    let mut past = self.gist.past(*at);
                    past.any(|index| self.landed(process, index))
                };
                actions.extend(all.filter(shows).map(|at| Action::Answer { process, at }));
                actions.push(Action::Lose { process });
            }
        }
    }

    /// Returns whether the last write of a process is part of a revision, even as an operator's
    /// copy made after it landed.
    fn landed(&self, process: usize, index: usize) -> bool {
        let number = self.processes[process].current;
        let (id, entry) = (WriteId { process, number }, self.gist.entry(index));
        entry.write == Some(id) || (entry.write.is_none() && entry.paused == Some(id))
    }

    /// Adds the older revisions that a write may be based on; it races with one other write.
    fn replacing(&self, flight: usize, actions: &mut Vec<Action>) {
        if self.lost_writes == 0 {
            return;
        }
        if let Some(below) = self.gist.entry(self.gist.head()).below {
            actions.push(Action::LandOn { flight, below });
        }
    }

    /// Adds the texts that an operator may paste, each that differs from the head once.
    fn pasting(&self, actions: &mut Vec<Action>) {
        let text = |index: usize| &self.gist.entry(index).text;
        let head = self.gist.head();
        for of in 0..self.gist.revisions() {
            let known = (0..of).any(|earlier| text(earlier) == text(of));
            if !known && text(of) != text(head) {
                actions.push(Action::Paste { of });
            }
        }
    }
}

pub fn new_protocol(process: &str) -> GistProtocol {
    GistProtocol::new(ProtocolConfig {
        process: process.into(),
        file: Some("leader.json".into()),
        renew_deadline: RENEW_DEADLINE,
        budget: Budget::new(&LeaderElectionConfig::new(process)),
    })
}
