//! A state of the model of a store with a conditional write, and the possible actions.

use std::sync::Arc;
use std::time::Duration;

use elector::election::annotation::PAUSED;
use elector::election::time::Instant;
use elector::lock::cas::origin::{to_foreign_text, to_text};
use elector::lock::cas::protocol::{CasConfig, CasProtocol, CasStep, Outcome};
use elector::lock::store::{Failure, Request, Response};

use super::Bounds;
use super::process::{Doing, Own, Process, Reported};
use super::record::{Shown, is_copy, record};
use crate::calls::Flaw;
use crate::cell::{CellServer, CellStore, answer};
use crate::gist::{ANNOTATION, NAMES, WriteId};

/// Time of day of all clocks, in seconds since the Unix epoch.
const NOW: i64 = 1_795_341_600;

/// A possible action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A process begins a read.
    Read { process: usize },
    /// A process begins a write.
    Write { process: usize },
    /// A process begins an annotation.
    Annotate { process: usize },
    /// The read of a process reaches the store.
    Serve { process: usize },
    /// A write reaches the store.
    Land { flight: usize },
    /// The write of a process is refused, and may still reach the store.
    Refuse { process: usize },
    /// A process gets its answer.
    Deliver { process: usize },
    /// A process gets no answer to its request.
    Lose { process: usize },
    /// A process ends its call, because its time is over.
    GiveUp { process: usize },
    /// The version changes without a write.
    VersionChange,
    /// An operator writes a foreign record.
    Overwrite,
    /// An operator deletes the record.
    Delete,
}

/// A request that writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flight {
    pub id: WriteId,
    pub request: Request,
    /// Number of times that it reached the store.
    pub arrivals: u8,
}

/// A state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub server: CellServer,
    /// What was stored, oldest first: a write of a process, or anything else.
    pub stored: Vec<Option<WriteId>>,
    /// What the record showed in each of these states.
    pub shown: Vec<Shown>,
    pub processes: Vec<Arc<Process>>,
    pub flights: Vec<Arc<Flight>>,
    pub doubles: u8,
    pub refusals: u8,
    pub version_changes: u8,
    pub overwrites: u8,
    pub deletions: u8,
    /// Whether a write was refused after its process had gone on.
    pub late_refused: bool,
    pub flaw: Option<Flaw>,
}

impl State {
    pub fn new(bounds: &Bounds) -> State {
        let mut server = CellServer::new(NOW);
        server.versions_nothing = true;
        server.put(&to_text(&record("", 5), None, "old-1", false));
        let mut state = State {
            server,
            stored: vec![None],
            shown: vec![Shown::default()],
            processes: Vec::new(),
            flights: Vec::new(),
            doubles: bounds.doubles,
            refusals: bounds.refusals,
            version_changes: bounds.version_changes,
            overwrites: bounds.overwrites,
            deletions: bounds.deletions,
            late_refused: false,
            flaw: None,
        };
        for (calls, name) in bounds.processes.iter().zip(NAMES) {
            let config = CasConfig {
                process: name.to_owned(),
                renew_deadline: Duration::from_secs(6),
                highest_token: u64::from(u32::MAX),
                confirms: false,
            };
            let mut protocol = CasProtocol::new(CellStore::default(), config);
            if calls.warm {
                read_fully(&mut protocol, &mut state.server);
            }
            state.processes.push(Arc::new(Process {
                protocol,
                doing: Doing::Nothing,
                reads: calls.reads,
                writes: calls.writes,
                annotations: calls.annotations,
                own: Vec::new(),
                annotated: Vec::new(),
                current: None,
                began: 0,
                knows: calls.warm,
            }));
        }
        state
    }

    pub(super) fn writes(&self) -> impl Iterator<Item = (WriteId, Own)> {
        let processes = self.processes.iter().enumerate();
        processes.flat_map(|(process, one)| {
            let annotated = (ANNOTATION + 1..).zip(&one.annotated);
            let numbered = (1..).zip(&one.own).chain(annotated);
            numbered.map(move |(number, own)| (WriteId { process, number }, *own))
        })
    }

    pub(super) fn reported(&self, id: WriteId) -> Reported {
        self.processes[id.process].own(id.number).reported
    }

    /// Returns how often a write has landed.
    pub(super) fn landed(&self, id: WriteId) -> usize {
        self.stored
            .iter()
            .filter(|stored| **stored == Some(id))
            .count()
    }

    /// Returns the number of the state that a write replaced.
    pub(super) fn base(&self, id: WriteId) -> Option<usize> {
        let at = self.stored.iter().position(|stored| *stored == Some(id))?;
        at.checked_sub(1)
    }

    // ---- possible actions ----

    pub fn actions(&self, actions: &mut Vec<Action>) {
        for (process, one) in self.processes.iter().enumerate() {
            match &one.doing {
                Doing::Nothing => {
                    if one.reads > 0 {
                        actions.push(Action::Read { process });
                    }
                    if one.writes > 0 && one.knows {
                        actions.push(Action::Write { process });
                    }
                    if one.annotations > 0 && one.knows {
                        actions.push(Action::Annotate { process });
                    }
                }
                Doing::Waiting(request) => {
                    if !request.writes {
                        actions.push(Action::Serve { process });
                    } else if self.refusals > 0 {
                        actions.push(Action::Refuse { process });
                    }
                    actions.push(Action::Lose { process });
                    actions.push(Action::GiveUp { process });
                }
                Doing::Answered(..) => actions.push(Action::Deliver { process }),
            }
        }
        for (flight, write) in self.flights.iter().enumerate() {
            if write.arrivals == 0 || (write.arrivals == 1 && self.doubles > 0) {
                actions.push(Action::Land { flight });
            }
        }
        for (left, action) in [
            (self.version_changes, Action::VersionChange),
            (self.overwrites, Action::Overwrite),
            (self.deletions, Action::Delete),
        ] {
            if left > 0 {
                actions.push(action);
            }
        }
    }

    // ---- effects ----

    pub fn apply(&mut self, action: Action) {
        match action {
            Action::Read { process } => {
                let began = self.stored.len();
                let one = self.process(process);
                one.reads -= 1;
                one.began = began;
                one.current = None;
                let step = one.protocol.start_get();
                self.follow(process, step);
            }
            Action::Write { process } => {
                let one = self.process(process);
                one.writes -= 1;
                one.own.push(Own::default());
                one.current = Some(one.own.len());
                let lease = 10 * one.own.len() as u64 + process as u64;
                let step = one.protocol.start_update(&record(NAMES[process], lease));
                self.follow(process, step);
            }
            Action::Annotate { process } => {
                let one = self.process(process);
                one.annotations -= 1;
                one.annotated.push(Own::default());
                let number = one.annotated.len();
                one.current = Some(ANNOTATION + number);
                let name = format!("{}-a{number}", NAMES[process]);
                let annotation = [(PAUSED.to_owned(), name.into())].into_iter().collect();
                let step = one.protocol.start_annotate(&annotation);
                self.follow(process, step);
            }
            Action::Serve { process } => {
                if let Doing::Waiting(request) = &self.processes[process].doing {
                    let request = request.clone();
                    let response = self.server.respond(&request);
                    self.process(process).doing = Doing::Answered(request, response);
                }
            }
            Action::Land { flight } => self.land(flight),
            Action::Refuse { process } => {
                self.refusals -= 1;
                self.deliver(process, |_| Ok(status(412)));
            }
            Action::Deliver { process } => self.deliver(process, |answered| {
                answered.ok_or_else(|| Failure::NotSent("no answer".to_owned()))
            }),
            Action::Lose { process } => {
                let one = self.process(process);
                let last = one.own.len();
                if let Some(number) = one.current.or((last > 0).then_some(last)) {
                    one.own_mut(number).lost_answer = true;
                }
                self.deliver(process, |_| Err(Failure::NoAnswer("no answer".to_owned())));
            }
            Action::GiveUp { process } => {
                let step = self.process(process).protocol.give_up("no time left");
                self.follow(process, step);
            }
            Action::VersionChange => {
                self.version_changes -= 1;
                self.server.version += 1;
            }
            Action::Overwrite => {
                self.overwrites -= 1;
                let lease = 100 + u64::from(self.overwrites);
                let text = to_foreign_text(&record("operator", lease), false);
                self.server.put(&text);
                self.note_stored(None, Shown::FOREIGN);
            }
            Action::Delete => {
                self.deletions -= 1;
                self.server.delete();
                self.note_stored(None, Shown::FOREIGN);
            }
        }
        self.forget_refused();
    }

    fn note_stored(&mut self, write: Option<WriteId>, shown: Shown) {
        self.stored.push(write);
        self.shown.push(shown);
    }

    /// Forgets the requests that can only be refused, and whose answers nobody awaits.
    fn forget_refused(&mut self) {
        let current = self.server.version.to_string();
        let flights = std::mem::take(&mut self.flights);
        for flight in flights {
            let mut conditions = flight.request.headers.iter();
            let lands = conditions.any(|(_, version)| *version == current);
            let arrives = flight.arrivals == 0 || self.doubles > 0;
            if self.awaits(&flight) || (lands && arrives) {
                self.flights.push(flight);
            } else if flight.arrivals == 0 {
                self.late_refused = true;
            }
        }
    }

    fn awaits(&self, flight: &Flight) -> bool {
        match &self.processes[flight.id.process].doing {
            Doing::Waiting(awaited) | Doing::Answered(awaited, _) => *awaited == flight.request,
            Doing::Nothing => false,
        }
    }

    pub(super) fn process(&mut self, index: usize) -> &mut Process {
        Arc::make_mut(&mut self.processes[index])
    }

    /// Lets a write reach the store.
    fn land(&mut self, flight: usize) {
        let write = Arc::make_mut(&mut self.flights[flight]);
        self.doubles -= u8::from(write.arrivals > 0);
        write.arrivals += 1;
        let (id, request) = (write.id, write.request.clone());
        let (version, before) = (self.server.version, self.server.text());
        let response = self.server.respond(&request);
        let landed = self.server.version != version;
        let doubled = write.arrivals > 1 && id.number > 0;
        let awaited = self.awaits(&self.flights[flight]);
        self.late_refused |= !landed && !awaited;
        if doubled {
            self.process(id.process).own_mut(id.number).doubled = true;
        }
        if landed {
            let shown = self.shown[self.shown.len() - 1];
            let shown = match id.is_annotation() {
                true => Shown {
                    paused: Some(id),
                    ..shown
                },
                false => Shown {
                    owner: Some(id),
                    ..Shown::default()
                },
            };
            if id.is_annotation() && !is_copy(&before, &self.server.text()) {
                self.flaw = self
                    .flaw
                    .or(Some("an annotation that changes other fields"));
            }
            self.note_stored(Some(id).filter(|id| id.number > 0), shown);
            let forbidden = match id.number {
                0 => Some("a probe that lands"),
                _ => match self.reported(id) {
                    Reported::Conflict => Some("a conflict that lands later"),
                    Reported::Failed => Some("a failed write that lands later"),
                    _ => None,
                },
            };
            self.flaw = self.flaw.or(forbidden);
        }
        if awaited {
            self.process(id.process).doing = Doing::Answered(request, response);
        }
    }

    fn deliver(
        &mut self,
        process: usize,
        reply: impl FnOnce(Option<Response>) -> Result<Response, Failure>,
    ) {
        let one = self.process(process);
        let answered = match std::mem::replace(&mut one.doing, Doing::Nothing) {
            Doing::Answered(_, response) => Some(response),
            _ => None,
        };
        let reply = reply(answered);
        let step = one.protocol.handle(answer(now(), NOW, reply));
        self.follow(process, step);
    }

    fn follow(&mut self, process: usize, step: CasStep) {
        let request = match step {
            CasStep::Ask(mut requests) => requests.remove(0),
            CasStep::Done(outcome) => {
                self.process(process).doing = Doing::Nothing;
                return match outcome {
                    Outcome::Got(result) => self.got(process, result),
                    Outcome::Wrote(result) => self.wrote(process, &result),
                };
            }
        };
        if let Some(body) = &request.body {
            let number = self.processes[process].number_of(body);
            let id = WriteId { process, number };
            if number > 0 {
                self.process(process).own_mut(number).sent += 1;
            }
            self.flights.push(Arc::new(Flight {
                id,
                request: request.clone(),
                arrivals: 0,
            }));
            // Equal states differ in nothing that is the same in another order.
            self.flights
                .sort_by_key(|flight| (flight.id.process, flight.id.number));
        }
        self.process(process).doing = Doing::Waiting(request);
    }
}

fn now() -> Instant {
    Instant::from_boot(Duration::from_secs(100))
}

fn status(status: u16) -> Response {
    Response {
        status,
        ..Response::default()
    }
}

/// Reads and probes without faults.
fn read_fully(protocol: &mut CasProtocol<CellStore>, server: &mut CellServer) {
    let mut step = protocol.start_get();
    while let CasStep::Ask(requests) = step {
        let response = server.respond(&requests[0]);
        step = protocol.handle(answer(now(), NOW, Ok(response)));
    }
}
