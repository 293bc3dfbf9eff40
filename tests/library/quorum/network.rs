//! Processes with a quorum store each, their members' servers, and a network with faults.

use std::time::Duration;

use elector::election::lock::LockError;
use elector::election::time::Instant;
use elector::lock::quorum::state::{Acceptor, Membership, State};
use elector::lock::quorum::store::{QuorumConfig, QuorumStore};
use elector::lock::store::{
    Answer, Failure, Request, Response, Snapshot, Step, Store as _, Version,
};

use crate::support::cell::{CellServer, CellStore};

pub(crate) const REPAIR_AFTER: Duration = Duration::from_secs(1);

/// A request of a process, on its way to a member.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) process: usize,
    pub(crate) request: Request,
    /// Number of the request, by which its answer is known.
    pub(crate) id: u64,
}

/// An answer on its way to a process.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) process: usize,
    pub(crate) member: usize,
    pub(crate) reply: Result<Response, Failure>,
}

/// Result of a call.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    Read(Result<Snapshot, LockError>),
    Wrote(Result<Version, LockError>),
}

/// Servers, processes and what is on its way.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) servers: Vec<CellServer>,
    pub(crate) stores: Vec<QuorumStore<CellStore>>,
    pub(crate) flights: Vec<Flight>,
    pub(crate) replies: Vec<Reply>,
    pub(crate) now: Instant,
    ids: u64,
}

/// Returns the state of a member that has accepted nothing.
pub(crate) fn seed(quorum: &str, number: usize, size: usize) -> State {
    State {
        membership: std::sync::Arc::new(Membership {
            quorum: quorum.into(),
            members: (1..=size).map(|n| format!("cell:{n}")).collect(),
            number,
            ready: true,
            repaired: 0,
        }),
        acceptor: Acceptor::default(),
    }
}

impl Network {
    /// Returns a network of initialized members and new processes.
    pub(crate) fn new(size: usize, processes: usize) -> Network {
        let servers = (1..=size).map(|number| {
            let mut server = CellServer::new(1_796_000_000);
            server.put(&seed("q", number, size).to_text());
            server
        });
        let mut network = Network {
            servers: servers.collect(),
            stores: Vec::new(),
            flights: Vec::new(),
            replies: Vec::new(),
            now: Instant::from_boot(Duration::from_secs(100)),
            ids: 0,
        };
        for number in 0..processes {
            network.stores.push(process(size, number));
        }
        network
    }

    /// Sends the requests of a step, or returns the result.
    pub(crate) fn follow(&mut self, process: usize, step: Step) -> Option<Ended> {
        match step {
            Step::Ask(requests) => {
                for request in requests {
                    self.ids += 1;
                    let id = self.ids;
                    self.flights.push(Flight {
                        process,
                        request,
                        id,
                    });
                }
                None
            }
            Step::Read(result) => Some(Ended::Read(result)),
            Step::Wrote(result) => Some(Ended::Wrote(result)),
        }
    }

    /// Passes an answer to its process.
    pub(crate) fn answer(&mut self, reply: Reply) -> Option<Ended> {
        let answer = Answer {
            member: reply.member,
            at: self.now,
            received_at: 1_796_000_000,
            reply: reply.reply,
        };
        let step = self.stores[reply.process].handle(answer);
        self.follow(reply.process, step)
    }

    /// Carries out a request.
    pub(crate) fn respond(&mut self, flight: &Flight) -> Response {
        self.servers[flight.request.member].respond(&flight.request)
    }

    /// Runs a call without faults; requests to members that are `away` get no answer.
    pub(crate) fn finish(&mut self, process: usize, step: Step, away: &[usize]) -> Ended {
        if let Some(ended) = self.follow(process, step) {
            return ended;
        }
        loop {
            let of_process = |flight: &Flight| flight.process == process;
            let reached = |flight: &Flight| !away.contains(&flight.request.member);
            let mut flights = self.flights.iter();
            let found = flights.position(|flight| of_process(flight) && reached(flight));
            let found = found.or_else(|| self.flights.iter().position(of_process));
            let flight = self.flights.remove(found.expect("a request is on its way"));
            let reply = match reached(&flight) {
                true => Ok(self.respond(&flight)),
                false => Err(Failure::NoAnswer("no answer".to_owned())),
            };
            let reply = Reply {
                process,
                member: flight.request.member,
                reply,
            };
            if let Some(ended) = self.answer(reply) {
                return ended;
            }
        }
    }

    pub(crate) fn read(&mut self, process: usize, away: &[usize]) -> Result<Snapshot, LockError> {
        let step = self.stores[process].read();
        match self.finish(process, step, away) {
            Ended::Read(result) => result,
            Ended::Wrote(_) => panic!("a read ends with a write"),
        }
    }

    pub(crate) fn write(
        &mut self,
        process: usize,
        expected: Option<&Version>,
        value: &str,
        away: &[usize],
    ) -> Result<Version, LockError> {
        let step = self.stores[process].write(expected, value.as_bytes());
        match self.finish(process, step, away) {
            Ended::Wrote(result) => result,
            Ended::Read(_) => panic!("a write ends with a read"),
        }
    }

    /// Fails every request on its way, as at the end of its time. It does not arrive.
    pub(crate) fn time_out(&mut self) {
        for flight in std::mem::take(&mut self.flights) {
            self.answer(Reply {
                process: flight.process,
                member: flight.request.member,
                reply: Err(Failure::NoAnswer("no answer".to_owned())),
            });
        }
    }

    /// Carries out and answers every request on its way.
    pub(crate) fn deliver(&mut self) {
        while let Some(flight) = self.flights.pop() {
            let response = self.respond(&flight);
            self.answer(Reply {
                process: flight.process,
                member: flight.request.member,
                reply: Ok(response),
            });
        }
    }
}

/// Returns a new process.
pub(crate) fn process(size: usize, number: usize) -> QuorumStore<CellStore> {
    let config = QuorumConfig {
        process: format!("p{number}"),
        repair_after: REPAIR_AFTER,
    };
    QuorumStore::new(vec![CellStore::default(); size], config)
}
