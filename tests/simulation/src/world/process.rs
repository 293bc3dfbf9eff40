//! A candidate's process: what it does when it is woken, its calls to the store, and their answers.

use std::time::Duration;

use multi_cluster_leader_election::election::action::{Action, Finish};
use multi_cluster_leader_election::election::lock::LockError;
use multi_cluster_leader_election::election::time::Instant;
use multi_cluster_leader_election::lock::gist::protocol::{Outcome, Step};
use multi_cluster_leader_election::lock::gist::wire::{Answer, Request};

use super::{Event, Sender, Trouble, World, throttled};
use crate::node::{Call, Power};
use crate::service::{self};

impl World {
    /// Lets a process that runs do what there is to do.
    pub(super) fn step(&mut self, node: usize) {
        if self.nodes[node].power != Power::On {
            return;
        }
        let local = self.local(node);
        self.nodes[node].elector.handle_timeout(local);
        self.time_out_call(node, local);
        self.act(node);
        if let Some(finish) = self.nodes[node].elector.finished() {
            return self.leave(node, finish);
        }
        self.schedule_wake(node);
    }

    pub(super) fn local(&self, node: usize) -> Instant {
        self.nodes[node].clock.local(self.now)
    }

    pub(super) fn schedule_wake(&mut self, node: usize) {
        let candidate = &self.nodes[node];
        let call = candidate.call.as_ref().map(|call| call.deadline);
        let timeout = candidate.elector.poll_timeout();
        let Some(local) = [call, timeout].into_iter().flatten().min() else {
            return;
        };
        let at = candidate.clock.true_time(local).max(self.now);
        if candidate.wake.is_some_and(|(wake, _)| wake == at) {
            return;
        }
        let serial = self.order;
        self.nodes[node].wake = Some((at, serial));
        self.at(at, Event::Wake { node, serial });
    }

    pub(super) fn act(&mut self, node: usize) {
        loop {
            let local = self.local(node);
            let action = self.nodes[node]
                .elector
                .poll_action(local, || "2026-11-22T10:00:00Z".to_owned());
            let Some(action) = action else { return };
            match action {
                Action::Get { timeout } => {
                    let step = self.nodes[node].protocol.start_get();
                    self.drive(node, step, local + timeout);
                }
                Action::Create { record, timeout } => {
                    let step = self.nodes[node].protocol.start_create(&record);
                    self.drive(node, step, local + timeout);
                }
                Action::Update { record, timeout } => {
                    let step = self.nodes[node].protocol.start_update(&record);
                    self.drive(node, step, local + timeout);
                }
                Action::StartLeading { token, until } => self.start_workload(node, token, until),
                Action::ExtendLease { until } => self.extend(node, until),
                Action::StopLeading { kill_at, reason } => {
                    self.note(|w| format!("{} stops leading: {reason}", w.nodes[node].name));
                    self.stop_workload(node, kill_at);
                }
                Action::Notice(notice) => {
                    self.note(|w| format!("{}: {notice:?}", w.nodes[node].name));
                }
                Action::NewLeader(_) | Action::Event(_) => {}
            }
        }
    }

    /// Carries out a step of a call, as the blocking shell of the lock does.
    pub(super) fn drive(&mut self, node: usize, step: Step, deadline: Instant) {
        let local = self.local(node);
        match step {
            Step::Done(outcome) => {
                self.nodes[node].call = None;
                self.check_agreement(node);
                match outcome {
                    Outcome::Got(result) => self.nodes[node].elector.handle_got(local, result),
                    Outcome::Wrote(result) => {
                        self.note(|w| format!("{} wrote: {result:?}", w.nodes[node].name));
                        self.nodes[node].elector.handle_wrote(local, result);
                    }
                }
            }
            Step::Ask(request) => self.send(node, request, deadline),
        }
    }

    pub(super) fn send(&mut self, node: usize, request: Request, deadline: Instant) {
        let local = self.local(node);
        let write = matches!(request, Request::Write { .. });
        let candidate = &mut self.nodes[node];
        candidate.requests += 1;
        let from = Sender {
            node,
            life: candidate.life,
            request: candidate.requests,
        };
        candidate.call = Some(Call {
            deadline,
            request: from.request,
            write,
        });
        if local < candidate.throttled_until {
            let retry_after = candidate.throttled_until.since(local);
            return self.answer_after(Duration::ZERO, from, Err(throttled(retry_after)));
        }
        if self.nodes[node].cut_off || self.outage || self.chance(self.faults.refused) {
            let quickly = self.seconds(0.001, 2.0);
            let error = if self.rng.bool() {
                LockError::Unavailable("cannot connect".into())
            } else {
                return;
            };
            return self.answer_after(quickly, from, Err(error));
        }
        if self.chance(self.faults.lost_requests) {
            return;
        }
        let way = self.way(self.faults.slow_requests);
        let request = Box::new(request);
        if write && self.chance(self.faults.duplicates) {
            let later = self.seconds(0.0, 30.0);
            let request = request.clone();
            self.after(way + later, Event::Arrive { from, request });
        }
        self.after(way, Event::Arrive { from, request });
    }

    pub(super) fn way(&mut self, slow: f64) -> Duration {
        if self.chance(slow) {
            self.seconds(0.5, 30.0)
        } else {
            self.seconds(0.01, 0.4)
        }
    }

    pub(super) fn answer_after(
        &mut self,
        delay: Duration,
        from: Sender,
        reply: Result<(), LockError>,
    ) {
        if let Err(error) = reply {
            let answer = Box::new(service::answer(self.now, Err(error)));
            self.after(delay, Event::Answer { from, answer });
        }
    }

    pub(super) fn deliver(&mut self, from: Sender, answer: Answer) {
        let candidate = &self.nodes[from.node];
        if candidate.life != from.life {
            return;
        }
        match candidate.power {
            Power::Off => return,
            Power::Paused | Power::Suspended => {
                // It waits in the socket.
                let answer = Box::new(answer);
                return self.after(Duration::from_millis(500), Event::Answer { from, answer });
            }
            Power::On => {}
        }
        let local = self.local(from.node);
        // The elector's owner handles what is due before what came in.
        self.step(from.node);
        let Some(call) = &self.nodes[from.node].call else {
            return;
        };
        if call.request != from.request {
            return;
        }
        let deadline = call.deadline;
        if let Err(LockError::Throttled { retry_after, .. }) = &answer.reply {
            self.nodes[from.node].throttled_until = local + *retry_after;
        }
        let step = self.nodes[from.node].protocol.handle_answer(local, answer);
        self.drive(from.node, step, deadline);
        self.step(from.node);
    }

    pub(super) fn time_out_call(&mut self, node: usize, local: Instant) {
        let Some(call) = &self.nodes[node].call else {
            return;
        };
        if local < call.deadline {
            return;
        }
        let error = if call.write {
            LockError::OutcomeUnknown("no answer came in time".into())
        } else {
            LockError::Unavailable("no answer came in time".into())
        };
        let deadline = call.deadline;
        let answer = Answer {
            date: None,
            running_low: None,
            reply: Err(error),
        };
        let step = self.nodes[node].protocol.handle_answer(local, answer);
        self.drive(node, step, deadline);
    }

    pub(super) fn leave(&mut self, node: usize, finish: Finish) {
        self.note(|w| format!("{} has left: {finish:?}", w.nodes[node].name));
        self.power_off(node);
        let back = self.seconds(0.5, 60.0);
        self.after(
            back,
            Event::Relief {
                node,
                kind: Trouble::Crash,
            },
        );
    }
}
