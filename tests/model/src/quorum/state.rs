//! State of the model: members, processes, and what is on its way.

use std::sync::Arc;
use std::time::Duration;

use elector::election::lock::LockError;
use elector::election::time::Instant;
use elector::lock::quorum::state::{Acceptor, Membership, State as MemberState};
use elector::lock::quorum::store::{QuorumConfig, QuorumStore};
use elector::lock::store::{Answer, Failure, Request, Response, Step, Store as _, Version};

use super::chosen::{History, Value};
use super::{Bounds, MEMBERS, Operation};
use crate::cell::{CellServer, CellStore};

const NOW: i64 = 1_796_000_000;

/// A request of a process to a member, which has one at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Flight {
    Sent(Request),
    Answered(Result<Response, Failure>),
}

/// Call under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Call {
    /// Value that it writes.
    value: Value,
    /// Number of values that were chosen before it began.
    chosen: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process {
    store: QuorumStore<CellStore>,
    known: Option<(Value, Option<Version>)>,
    left: Vec<Operation>,
    call: Option<Call>,
    writes: u8,
    flights: [Option<Flight>; MEMBERS],
}

/// State of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    servers: Vec<CellServer>,
    processes: Vec<Process>,
    /// Writes whose process has given them up.
    late: Vec<Request>,
    losses: u8,
    doubles: u8,
    deletions: u8,
    pub history: History,
    /// Values of writes that were refused for certain.
    refused: Vec<Arc<str>>,
    /// Result that cannot be right.
    pub wrong: Option<&'static str>,
    pub succeeded: u8,
    pub conflicts: u8,
    pub unknown: u8,
}

/// Step of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Begin {
        process: usize,
    },
    Arrive {
        process: usize,
        member: usize,
    },
    Double {
        process: usize,
        member: usize,
    },
    Answer {
        process: usize,
        member: usize,
    },
    /// The request is lost, or arrives late; or its answer is lost.
    Lose {
        process: usize,
        member: usize,
    },
    ArriveLate {
        index: usize,
    },
    Delete {
        member: usize,
    },
}

fn now() -> Instant {
    Instant::from_boot(Duration::from_secs(100))
}

fn seed(number: usize) -> CellServer {
    let state = MemberState {
        membership: Arc::new(Membership {
            quorum: "q".into(),
            members: vec![String::new(); MEMBERS],
            number,
            ready: true,
            repaired: 0,
        }),
        acceptor: Acceptor::default(),
    };
    let mut server = CellServer::new(NOW);
    server.put(&state.to_text());
    server
}

impl State {
    pub fn new(bounds: &Bounds) -> State {
        let mut servers: Vec<_> = (1..=MEMBERS).map(seed).collect();
        let processes = bounds.processes.iter().enumerate();
        let processes = processes.map(|(number, left)| Process {
            store: warm(number, &mut servers),
            known: Some((None, None)),
            left: left.clone(),
            call: None,
            writes: 0,
            flights: Default::default(),
        });
        let processes = processes.collect();
        let mut history = History::default();
        for (member, server) in servers.iter().enumerate() {
            history.note(member, &server.text());
        }
        State {
            servers,
            processes,
            late: Vec::new(),
            losses: bounds.losses,
            doubles: bounds.doubles,
            deletions: bounds.deletions,
            history,
            refused: Vec::new(),
            wrong: None,
            succeeded: 0,
            conflicts: 0,
            unknown: 0,
        }
    }

    pub fn actions(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        for (number, process) in self.processes.iter().enumerate() {
            if process.call.is_none() && !process.left.is_empty() {
                actions.push(Action::Begin { process: number });
            }
            for (member, flight) in process.flights.iter().enumerate() {
                let place = (number, member);
                let reached = !bounds.away || member + 1 < MEMBERS;
                self.flight_actions(place, flight.as_ref(), reached, actions);
            }
        }
        actions.extend((0..self.late.len()).map(|index| Action::ArriveLate { index }));
        if self.deletions > 0 {
            actions.extend((0..MEMBERS).map(|member| Action::Delete { member }));
        }
    }

    fn flight_actions(
        &self,
        (process, member): (usize, usize),
        flight: Option<&Flight>,
        reached: bool,
        actions: &mut Vec<Action>,
    ) {
        match flight {
            Some(Flight::Sent(request)) if reached => {
                actions.push(Action::Arrive { process, member });
                if self.doubles > 0 && request.writes {
                    actions.push(Action::Double { process, member });
                }
            }
            // An answer to a process without a call waits for the next call.
            Some(Flight::Answered(_)) if self.processes[process].call.is_some() => {
                actions.push(Action::Answer { process, member });
            }
            _ => {}
        }
        if flight.is_some() && self.losses > 0 && self.processes[process].call.is_some() {
            actions.push(Action::Lose { process, member });
        }
    }

    pub fn apply(&mut self, action: Action) {
        match action {
            Action::Begin { process } => self.begin(process),
            Action::Arrive { process, member } => self.arrive(process, member, 1),
            Action::Double { process, member } => {
                self.doubles -= 1;
                self.arrive(process, member, 2);
            }
            Action::Answer { process, member } => {
                if let Some(Flight::Answered(reply)) =
                    self.processes[process].flights[member].take()
                {
                    self.answer(process, member, reply);
                }
            }
            Action::Lose { process, member } => {
                self.losses -= 1;
                if let Some(Flight::Sent(request)) = self.processes[process].flights[member].take()
                    && request.writes
                {
                    self.late.push(request);
                    self.late
                        .sort_by(|a, b| (a.member, &a.body).cmp(&(b.member, &b.body)));
                }
                let lost = Failure::NoAnswer(String::new());
                self.answer(process, member, Err(lost));
            }
            Action::ArriveLate { index } => {
                let request = self.late.remove(index);
                self.carry_out(&request);
            }
            Action::Delete { member } => {
                self.deletions -= 1;
                self.servers[member].delete();
            }
        }
    }

    fn begin(&mut self, number: usize) {
        let chosen = self.history.values().len();
        let process = &mut self.processes[number];
        let operation = process.left.remove(0);
        let mut call = Call {
            value: None,
            chosen,
        };
        let step = match (operation, process.known.take()) {
            (Operation::Write, Some((base, version))) => {
                process.writes += 1;
                let value: Arc<str> = format!("{number}{}", process.writes).into();
                self.history.begin_write(Arc::clone(&value), base);
                call.value = Some(Arc::clone(&value));
                process.store.write(version.as_ref(), value.as_bytes())
            }
            _ => process.store.read(),
        };
        process.call = Some(call);
        self.follow(number, step);
    }

    fn arrive(&mut self, process: usize, member: usize, times: u32) {
        let Some(Flight::Sent(request)) = self.processes[process].flights[member].take() else {
            return;
        };
        let mut response = self.carry_out(&request);
        for _ in 1..times {
            response = self.carry_out(&request);
        }
        self.processes[process].flights[member] = Some(Flight::Answered(Ok(response)));
    }

    fn carry_out(&mut self, request: &Request) -> Response {
        let member = request.member;
        let response = self.servers[member].respond(request);
        self.history.note(member, &self.servers[member].text());
        response
    }

    fn answer(&mut self, process: usize, member: usize, reply: Result<Response, Failure>) {
        let step = self.processes[process].store.handle(Answer {
            member,
            at: now(),
            received_at: NOW,
            reply,
        });
        self.follow(process, step);
    }

    fn follow(&mut self, number: usize, step: Step) {
        let process = &mut self.processes[number];
        let requests = match step {
            Step::Ask(requests) => requests,
            Step::Read(result) => {
                return self.read(
                    number,
                    result.map(|snapshot| {
                        let value = snapshot
                            .value
                            .map(|value| String::from_utf8_lossy(&value).into());
                        (value, snapshot.version)
                    }),
                );
            }
            Step::Wrote(result) => return self.wrote(number, result),
        };
        for request in requests {
            let member = request.member;
            if process.flights[member].is_some() {
                self.wrong = Some("a member gets two requests simultaneously");
            }
            process.flights[member] = Some(Flight::Sent(request));
        }
    }

    fn read(&mut self, number: usize, result: Result<(Value, Option<Version>), LockError>) {
        let process = &mut self.processes[number];
        let Some(call) = process.call.take() else {
            self.wrong = Some("a read ends without a call");
            return;
        };
        match result {
            Ok((value, version)) => {
                let position = self.history.position(&value);
                if position.is_none_or(|position| position + 1 < call.chosen) {
                    self.wrong = Some("a read returns a value that is not the newest");
                }
                process.known = Some((value, version));
            }
            Err(LockError::Refused(_)) => self.wrong = Some("a read finds a contradiction"),
            Err(_) => {}
        }
    }

    fn wrote(&mut self, number: usize, result: Result<Version, LockError>) {
        let process = &mut self.processes[number];
        let Some(Call {
            value: Some(value), ..
        }) = process.call.take()
        else {
            self.wrong = Some("a write ends without a call");
            return;
        };
        match result {
            Ok(version) => {
                process.known = Some((Some(Arc::clone(&value)), Some(version)));
                self.succeeded += 1;
                if self.history.position(&Some(value)).is_none() {
                    self.wrong = Some("a successful write is not chosen");
                }
            }
            Err(LockError::OutcomeUnknown(_)) => self.unknown += 1,
            Err(error) => {
                self.conflicts += u8::from(error == LockError::Conflict);
                self.refused.push(value);
            }
        }
    }

    /// Returns whether a value was chosen whose write was refused for certain.
    pub fn refused_was_chosen(&self) -> bool {
        let mut refused = self.refused.iter();
        refused.any(|value| self.history.position(&Some(Arc::clone(value))).is_some())
    }
}

/// Returns a process that has read and probed every member.
fn warm(number: usize, servers: &mut [CellServer]) -> QuorumStore<CellStore> {
    let config = QuorumConfig {
        process: number.to_string(),
        repair_after: Duration::ZERO,
    };
    let mut store = QuorumStore::new(vec![CellStore::default(); MEMBERS], config);
    let mut requests = Vec::new();
    let mut step = store.read();
    loop {
        if let Step::Ask(asked) = step {
            requests.extend(asked);
        }
        let Some(request) = requests.pop() else {
            return store;
        };
        let response: Response = servers[request.member].respond(&request);
        step = store.handle(Answer {
            member: request.member,
            at: now(),
            received_at: NOW,
            reply: Ok(response),
        });
    }
}
