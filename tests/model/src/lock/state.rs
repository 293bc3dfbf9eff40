//! A state of the world around a gist, and what may happen next in it.

use std::sync::Arc;

use elector::election::config::LeaderElectionConfig;
use elector::lock::gist::budget::Budget;
use elector::lock::gist::protocol::{GistProtocol, ProtocolConfig};
use elector::lock::gist::revision::Revision;
use elector::lock::gist::wire::Request;

use super::Bounds;
use super::steps::RENEW_DEADLINE;
use crate::gist::{Gist, NAMES, WriteId};

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A process looks, and is answered as of a revision.
    Look { process: usize, at: usize },
    /// A process that knows nothing yet writes the first record; the look that it needs is answered as
    /// of a revision.
    Create { process: usize, at: usize },
    /// A process writes.
    Write { process: usize },
    /// The request that a process waits for is answered, as of a revision.
    Answer { process: usize, at: usize },
    /// The answer that a process waits for is lost.
    Lose { process: usize },
    /// A write reaches the gist.
    Land { flight: usize },
    /// A write that was built on an older revision replaces all above that.
    LandOn { flight: usize, below: usize },
    /// A person writes a plain record.
    Overwrite,
    /// A person writes what a revision holds once more.
    Paste { of: usize },
    /// Another file of the gist is written.
    OtherFile,
    /// Time passes, more than an answer may be old.
    Pause,
}

/// What a process was told of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    /// Nothing yet.
    Waiting,
    Success,
    Conflict,
    Unknown,
    /// That it was not even sent.
    NotSent,
}

/// What a process is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Doing {
    Nothing,
    /// It waits for the answer to a read, in a call that looks or writes.
    Reading(Request),
    /// It waits for the answer to its last write.
    Writing,
}

/// A process, and what it may still do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub protocol: GistProtocol,
    pub doing: Doing,
    pub looks: u8,
    pub writes: u8,
    /// What it was told of each of its writes, the first one first.
    pub told: Vec<Told>,
    /// As of which revision the call under way was answered last.
    pub view: usize,
}

/// A write on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flight {
    pub id: WriteId,
    pub supersedes: Revision,
    pub text: Arc<str>,
    /// How often it landed.
    pub landed: u8,
}

/// Something that must not be.
pub type Flaw = &'static str;

/// A state of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub gist: Gist,
    pub processes: Vec<Arc<Process>>,
    pub flights: Vec<Arc<Flight>>,
    pub overwrites: u8,
    pub other_files: u8,
    pub duplicates: u8,
    pub failures: u8,
    pub vanishing: u8,
    /// How many pauses are over.
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
            vanishing: bounds.vanishing,
            pauses: 0,
            flaw: None,
        };
        for (calls, name) in bounds.processes.iter().zip(NAMES) {
            let mut protocol = new_protocol(name);
            if calls.warm {
                state.look_through(bounds, &mut protocol);
            }
            state.processes.push(Arc::new(Process {
                protocol,
                doing: Doing::Nothing,
                looks: calls.looks,
                writes: calls.writes,
                told: Vec::new(),
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
                if one.looks > 0 {
                    actions.extend(all.clone().map(|at| Action::Look { process, at }));
                }
                if one.writes > 0 && knows {
                    actions.push(Action::Write { process });
                }
                if one.writes > 0 && !knows {
                    actions.extend(all.map(|at| Action::Create { process, at }));
                }
            }
            Doing::Reading(request) => {
                let shown = match request {
                    // It reads the same whenever it is read.
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

    /// Whether the last write of a process stands in a revision, be it as a person's copy, which comes
    /// after it landed.
    fn landed(&self, process: usize, index: usize) -> bool {
        let number = self.processes[process].told.len();
        self.gist.entry(index).write == Some(WriteId { process, number })
    }

    /// The older revisions that a write may have been built on: its race is with one other write.
    fn replacing(&self, flight: usize, actions: &mut Vec<Action>) {
        if self.vanishing == 0 {
            return;
        }
        if let Some(below) = self.gist.entry(self.gist.head()).below {
            actions.push(Action::LandOn { flight, below });
        }
    }

    /// The texts that a person may paste: each that differs from the newest, once.
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
