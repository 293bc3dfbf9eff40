//! Racing processes with lost, late and doubled writes, and members away: the value stays linearizable.

use std::collections::HashMap;
use std::time::Duration;

use elector::election::lock::LockError;
use elector::lock::store::{Failure, Snapshot, Store as _, Version};

use super::network::{Ended, Network, Reply, process};

/// Number of runs per size of the quorum.
const RUNS: u64 = 400;

/// Steps of one run.
const STEPS: u32 = 1500;

/// What a process does.
#[derive(Clone, Debug, Default)]
struct Client {
    /// Value and version that it knows.
    known: Option<(String, Option<Version>)>,
    /// Call under way: what it writes over what, and the depth of the chain when it began.
    call: Option<(Option<(String, String)>, usize)>,
}

/// Values as a chain: each write names the one that it replaces.
#[derive(Debug, Default)]
struct Chain {
    /// The value that each written value replaces.
    before: HashMap<String, String>,
    /// The successor of each value that was certainly replaced.
    after: HashMap<String, String>,
    refused: Vec<String>,
    /// Length of the chain that is known to be chosen.
    depth: usize,
}

impl Chain {
    fn depth(&self, value: &str) -> usize {
        match self.before.get(value) {
            None => 0,
            Some(before) => self.depth(before) + 1,
        }
    }

    /// Notes that a value was chosen, in a call that began when `floor` was the depth.
    fn choose(&mut self, value: &str, floor: usize) {
        assert!(
            !self.refused.iter().any(|refused| refused == value),
            "{value} was refused"
        );
        let depth = self.depth(value);
        assert!(depth >= floor, "{value} was replaced before the call");
        self.depth = self.depth.max(depth);
        let mut value = value;
        while let Some(before) = self.before.get(value) {
            let next = self
                .after
                .entry(before.clone())
                .or_insert_with(|| value.to_owned());
            assert_eq!(next, value, "two values replace {before}");
            value = before;
        }
    }
}

struct Race {
    network: Network,
    clients: Vec<Client>,
    chain: Chain,
    random: fastrand::Rng,
    values: u32,
    written: u32,
    away: Option<usize>,
}

impl Race {
    fn new(seed: u64, size: usize) -> Race {
        let processes = 3;
        Race {
            network: Network::new(size, processes),
            clients: vec![Client::default(); processes],
            chain: Chain::default(),
            random: fastrand::Rng::with_seed(seed),
            values: 0,
            written: 0,
            away: None,
        }
    }

    fn run(&mut self) {
        for _ in 0..STEPS {
            match self.random.u32(0..100) {
                0 => self.fail_or_return(),
                1 => self.restart(),
                2..6 => self.network.now = self.network.now + Duration::from_millis(400),
                6..16 => self.begin(),
                16..56 => self.carry_out(),
                _ => self.answer(),
            }
        }
    }

    fn fail_or_return(&mut self) {
        let size = self.network.servers.len();
        self.away = match self.away {
            Some(_) => None,
            None => Some(self.random.usize(0..size)),
        };
    }

    /// Replaces a process by a new one. Its requests may still arrive.
    fn restart(&mut self) {
        let index = self.random.usize(0..self.clients.len());
        let number = self.network.stores.len();
        self.values += 1;
        self.network.stores[index] = process(
            self.network.servers.len(),
            1000 * number + self.values as usize,
        );
        self.clients[index] = Client::default();
        for flight in &mut self.network.flights {
            if flight.process == index {
                flight.id = 0;
            }
        }
        self.network.replies.retain(|reply| reply.process != index);
    }

    fn begin(&mut self) {
        let index = self.random.usize(0..self.clients.len());
        let client = &mut self.clients[index];
        if client.call.is_some() && self.random.u32(0..30) > 0 {
            return;
        }
        let depth = self.chain.depth;
        let store = &mut self.network.stores[index];
        let step = match client.known.take() {
            Some((value, version)) if self.random.u32(0..4) > 0 => {
                self.values += 1;
                let new = format!("v{}", self.values);
                self.chain.before.insert(new.clone(), value.clone());
                client.call = Some((Some((value, new.clone())), depth));
                store.write(version.as_ref(), new.as_bytes())
            }
            _ => {
                client.call = Some((None, depth));
                store.read()
            }
        };
        if let Some(ended) = self.network.follow(index, step) {
            self.end(index, ended);
        }
    }

    /// Carries out a request, perhaps without an answer, or twice.
    fn carry_out(&mut self) {
        if self.network.flights.is_empty() {
            return;
        }
        let index = self.random.usize(0..self.network.flights.len());
        let flight = self.network.flights.swap_remove(index);
        let away = self.away == Some(flight.request.member);
        let reply = match self.random.u32(0..20) {
            _ if away => Err(()),
            // Lost on the way, and perhaps late.
            0 | 1 => {
                let mut late = flight.clone();
                late.id = 0;
                self.network.flights.push(late);
                Err(())
            }
            2 => Err(()),
            3 | 4 => {
                self.network.respond(&flight);
                Err(())
            }
            5 => {
                self.network.respond(&flight);
                Ok(self.network.respond(&flight))
            }
            _ => Ok(self.network.respond(&flight)),
        };
        if flight.id != 0 {
            self.network.replies.push(Reply {
                process: flight.process,
                member: flight.request.member,
                reply: reply.map_err(|()| Failure::NoAnswer("no answer".to_owned())),
            });
        }
    }

    fn answer(&mut self) {
        if self.network.replies.is_empty() {
            return;
        }
        let index = self.random.usize(0..self.network.replies.len());
        let reply = self.network.replies.swap_remove(index);
        let process = reply.process;
        if let Some(ended) = self.network.answer(reply) {
            self.end(process, ended);
        }
    }

    fn end(&mut self, index: usize, ended: Ended) {
        let Some((write, floor)) = self.clients[index].call.take() else {
            panic!("a result without a call: {ended:?}");
        };
        let client = &mut self.clients[index];
        match (write, ended) {
            (None, Ended::Read(Ok(snapshot))) => {
                let value = text(&snapshot);
                client.known = Some((value.clone(), snapshot.version));
                self.chain.choose(&value, floor);
            }
            (Some((_, value)), Ended::Wrote(Ok(version))) => {
                client.known = Some((value.clone(), Some(version)));
                self.chain.choose(&value, floor);
                self.written += 1;
            }
            (
                Some((_, value)),
                Ended::Wrote(Err(LockError::Conflict | LockError::Unavailable(_))),
            ) => {
                let chosen = self.chain.after.values().any(|chosen| *chosen == value);
                assert!(!chosen, "{value} was chosen, and then refused");
                self.chain.refused.push(value);
            }
            (_, Ended::Read(Err(LockError::Unavailable(_) | LockError::Unfinished(_)))) => {}
            (_, Ended::Wrote(Err(LockError::OutcomeUnknown(_)))) => {}
            (write, ended) => panic!("{write:?} ends with {ended:?}"),
        }
    }
}

fn text(snapshot: &Snapshot) -> String {
    let value = snapshot.value.as_deref().unwrap_or_default();
    String::from_utf8(value.to_vec()).unwrap()
}

fn runs(size: usize) {
    let mut written = 0;
    for seed in 0..RUNS {
        let mut race = Race::new(seed, size);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| race.run()));
        assert!(result.is_ok(), "seed {seed}");
        written += race.written;
    }
    assert!(u64::from(written) > 3 * RUNS, "only {written} writes");
}

#[test]
fn three_members_are_linearizable() {
    runs(3);
}

#[test]
fn five_members_are_linearizable() {
    runs(5);
}
