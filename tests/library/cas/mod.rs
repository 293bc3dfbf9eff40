//! Lock in a store with a conditional write, over a store in memory: each rule by itself.

mod annotations;
mod probe;
mod reads;
mod writes;

use std::collections::VecDeque;
use std::time::Duration;

use elector::election::lock::{LockError, Observed, Written};
use elector::election::record::LeaderElectionRecord;
use elector::election::time::Instant;
use elector::lock::cas::protocol::{CasConfig, CasProtocol, CasStep, Outcome};
use elector::lock::store::Request;

use crate::support::cell::{CellServer, CellStore, Fate, answer};
use crate::support::record;

/// Time of day of all clocks at the beginning, in seconds since the Unix epoch.
const NOW: i64 = 1_795_341_600;

const RENEW_DEADLINE: Duration = Duration::from_secs(6);

/// One candidate's lock.
struct Process {
    protocol: CasProtocol<CellStore>,
    now: Instant,
    wall: i64,
    /// Fates of the next requests; those after are answered.
    fates: VecDeque<Fate>,
    /// Requests so far.
    sent: Vec<Request>,
}

impl Process {
    fn new(name: &str) -> Process {
        let config = CasConfig {
            process: name.to_owned(),
            renew_deadline: RENEW_DEADLINE,
            highest_token: 1 << 53,
            confirms: false,
        };
        Process::with(config)
    }

    fn with(config: CasConfig) -> Process {
        Process {
            protocol: CasProtocol::new(CellStore::default(), config),
            now: Instant::from_boot(Duration::from_secs(100)),
            wall: NOW,
            fates: VecDeque::new(),
            sent: Vec::new(),
        }
    }

    fn drive(&mut self, server: &mut CellServer, mut step: CasStep) -> Outcome {
        loop {
            let request = match step {
                CasStep::Done(outcome) => return outcome,
                CasStep::Ask(mut requests) => requests.remove(0),
            };
            let fate = self.fates.pop_front().unwrap_or(Fate::Answered);
            let reply = fate.apply(server, &request);
            self.sent.push(request);
            step = self.protocol.handle(answer(self.now, self.wall, reply));
        }
    }

    fn get(&mut self, server: &mut CellServer) -> Result<Observed, LockError> {
        let step = self.protocol.start_get();
        match self.drive(server, step) {
            Outcome::Got(result) => result,
            Outcome::Wrote(result) => panic!("{result:?}"),
        }
    }

    fn update(
        &mut self,
        server: &mut CellServer,
        record: &LeaderElectionRecord,
    ) -> Result<Written, LockError> {
        let step = self.protocol.start_update(record);
        match self.drive(server, step) {
            Outcome::Wrote(result) => result,
            Outcome::Got(result) => panic!("{result:?}"),
        }
    }

    /// Reads, and writes a record with this holder and fencing token.
    fn claim(&mut self, server: &mut CellServer, holder: &str, token: u64) {
        self.get(server).unwrap();
        self.update(server, &record(holder, token)).unwrap();
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.wall += i64::try_from(time.as_secs()).unwrap();
    }
}

/// Returns a server whose record this process holds.
fn held_by(process: &mut Process) -> CellServer {
    let mut server = CellServer::new(NOW);
    process.claim(&mut server, "napoleon", 7);
    server
}
