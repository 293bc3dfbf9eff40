//! Electors of other locks, whose records are in other files of the same gist. Their writes disturb the
//! candidates, and the reverse. They have no faults, so they lead from beginning to end.

use elector::election::action::Action;
use elector::election::config::LeaderElectionConfig;
use elector::election::elector::LeaderElector;
use elector::election::time::Instant;
use elector::lock::gist::budget::Budget;
use elector::lock::gist::protocol::{GistProtocol, ProtocolConfig};

use super::{Event, Requester, Run, Sender};
use crate::clock::{Clock, Time, TimeSource};
use crate::lock::{Lock, Reply, Step};
use crate::node::Call;
use crate::tally::Kind;

/// Time of day, which the lock of a gist does not ask for.
const NO_TIME_OF_DAY: i64 = 0;

/// The only candidate of its lock.
pub(super) struct Neighbour {
    pub(super) file: String,
    clock: Clock,
    elector: LeaderElector,
    lock: Lock,
    call: Option<Call>,
    requests: u64,
    wake: Option<Time>,
}

impl Run {
    pub(super) fn add_neighbours(&mut self) {
        for index in 0..self.scenario.neighbours {
            let clock = Clock {
                offset: self.rng.u64(1..100_000) * 1_000_000_000,
                drift_ppm: 0,
                set_forward: 0,
                suspended_for: 0,
                source: TimeSource::Boot,
            };
            let config = LeaderElectionConfig {
                identity: format!("neighbour {index}"),
                seed: self.rng.u64(..),
                ..self.scenario.candidates[0].clone()
            };
            let file = format!("neighbour-{index}.json");
            let start = Time(0).after(self.seconds(0.0, 60.0));
            let protocol = GistProtocol::new(ProtocolConfig {
                process: format!("n{index}"),
                file: Some(file.clone()),
                renew_deadline: config.renew_deadline,
                budget: Budget::new(&config),
            });
            let delay = Some(self.scenario.confirm_delay);
            self.neighbours.push(Neighbour {
                file,
                elector: LeaderElector::new(config, delay, clock.local_now(start)),
                clock,
                lock: Lock::Gist(Box::new(protocol)),
                call: None,
                requests: 0,
                wake: None,
            });
            self.wake_neighbour(index, start);
        }
    }

    fn wake_neighbour(&mut self, index: usize, at: Time) {
        self.neighbours[index].wake = Some(at);
        self.at(at, Event::Neighbour { index });
    }

    pub(super) fn neighbour_wakes(&mut self, index: usize) {
        // Otherwise the wake-up was rescheduled.
        if self.neighbours[index].wake == Some(self.now) {
            self.step_neighbour(index);
        }
    }

    fn step_neighbour(&mut self, index: usize) {
        let now = self.now;
        let neighbour = &mut self.neighbours[index];
        neighbour.wake = None;
        let local_now = neighbour.clock.local_now(now);
        neighbour.elector.handle_timeout(local_now);
        if let Some(call) = &neighbour.call
            && local_now >= call.deadline
        {
            let (deadline, write) = (call.deadline, call.write);
            let step = neighbour.lock.time_out(local_now, NO_TIME_OF_DAY, write);
            self.drive_neighbour(index, step, deadline);
        }
        self.act_neighbour(index, local_now);
        let neighbour = &self.neighbours[index];
        let call = neighbour.call.as_ref().map(|call| call.deadline);
        let next = [call, neighbour.elector.poll_timeout()];
        if let Some(local_now) = next.into_iter().flatten().min() {
            let at = neighbour.clock.true_time(local_now).max(now);
            self.wake_neighbour(index, at);
        }
    }

    fn act_neighbour(&mut self, index: usize, local_now: Instant) {
        loop {
            let neighbour = &mut self.neighbours[index];
            let time_of_day = || format!("{}", self.now.0);
            let Some(action) = neighbour.elector.poll_action(local_now, time_of_day) else {
                return;
            };
            match action {
                Action::Get { timeout } => {
                    let step = neighbour.lock.start_get();
                    self.drive_neighbour(index, step, local_now + timeout);
                }
                Action::Create { record, timeout } => {
                    let step = neighbour.lock.start_create(&record);
                    self.drive_neighbour(index, step, local_now + timeout);
                }
                Action::Update { record, timeout } => {
                    let step = neighbour.lock.start_update(&record);
                    self.drive_neighbour(index, step, local_now + timeout);
                }
                Action::StartLeading { fencing_token, .. } => {
                    self.note(|run| {
                        format!(
                            "{} leads ({fencing_token})",
                            run.name_of(Requester::Neighbour(index))
                        )
                    });
                }
                Action::StopLeading { reason, .. } => {
                    let requester = self.name_of(Requester::Neighbour(index));
                    self.violate(format!("{requester} loses its lease: {reason}"));
                    self.neighbours[index]
                        .elector
                        .handle_workload_stopped(local_now);
                }
                Action::Notice(_)
                | Action::NewLeader(_)
                | Action::Event(_)
                | Action::Annotate { .. }
                | Action::ExtendLease { .. } => {}
            }
        }
    }

    fn drive_neighbour(&mut self, index: usize, step: Step, deadline: Instant) {
        let now = self.now;
        let neighbour = &mut self.neighbours[index];
        let local_now = neighbour.clock.local_now(now);
        match step {
            Step::Got(result) => {
                neighbour.call = None;
                neighbour.elector.handle_got(local_now, result);
            }
            Step::Wrote(result) => {
                neighbour.call = None;
                let words = format!("neighbour {index} wrote: {result:?}");
                neighbour.elector.handle_wrote(local_now, result);
                self.note(|_| words);
            }
            Step::Ask(request) => {
                neighbour.requests += 1;
                let from = Sender {
                    requester: Requester::Neighbour(index),
                    generation: 0,
                    request: neighbour.requests,
                    process: 0,
                    sent: now,
                    back: None,
                };
                neighbour.call = Some(Call {
                    deadline,
                    until: deadline,
                    request: from.request,
                    write: request.writes(),
                });
                let way = self.way(0.0, Kind::SlowRequest);
                let request = Box::new(request);
                self.after(way, Event::Arrive { from, request });
            }
        }
    }

    pub(super) fn deliver_to_neighbour(&mut self, index: usize, request: u64, answer: Reply) {
        let now = self.now;
        let neighbour = &mut self.neighbours[index];
        let Some(call) = neighbour.call.take_if(|call| call.request == request) else {
            return;
        };
        let local_now = neighbour.clock.local_now(now);
        let step = neighbour.lock.handle(local_now, NO_TIME_OF_DAY, answer);
        self.drive_neighbour(index, step, call.deadline);
        self.step_neighbour(index);
    }
}
