//! A candidate's process: what it does when it is woken, its calls to the store, and their answers.

use std::sync::Arc;
use std::time::Duration;

use elector::election::action::{Action, Finish};
use elector::election::lock::LockError;
use elector::election::time::Instant;
use elector::lock::gist::protocol::{Outcome, Step};
use elector::lock::gist::stored::Stored;
use elector::lock::gist::wire::{Answer, Request, Text};

use super::{Event, Sender, Trouble, Who, World};
use crate::clock::Time;
use crate::missing::{Rule, rule_holds};
use crate::node::{Call, Power, TermWrite};
use crate::tally::Kind;
use crate::workload::Leading;

/// GitHub's limits for writes, the hour's with what a fast clock lets through.
const MOST_AN_HOUR: usize = 510;
const MOST_A_MINUTE: usize = 80;

impl World {
    /// Lets a process that runs do what there is to do.
    pub(super) fn step(&mut self, node: usize) {
        if self.nodes[node].power != Power::On {
            return;
        }
        let told = self.told(node);
        self.nodes[node].elector.handle_timeout(told);
        self.time_out_call(node, told);
        self.act(node);
        self.lead(node);
        if let Some(finish) = self.nodes[node].elector.finished() {
            return self.leave(node, finish);
        }
        self.schedule_wake(node);
    }

    /// The time as the candidate is told it.
    pub(super) fn told(&self, node: usize) -> Instant {
        self.nodes[node].clock.told(self.now)
    }

    fn schedule_wake(&mut self, node: usize) {
        let candidate = &self.nodes[node];
        let call = candidate.call.as_ref().map(|call| call.deadline);
        let timeout = candidate.elector.poll_timeout();
        let leading = candidate.leading.as_ref();
        let run = leading.and_then(Leading::poll_timeout);
        let next = [call, timeout, run].into_iter().flatten().min();
        let wake = next.map(|told| candidate.clock.true_time(told).max(self.now));
        self.nodes[node].wake = wake;
    }

    fn act(&mut self, node: usize) {
        loop {
            let told = self.told(node);
            let wall = self.nodes[node].clock.set_forward;
            let time_of_day = || format!("{}", self.now.0 as i64 + wall);
            let Some(action) = self.nodes[node].elector.poll_action(told, time_of_day) else {
                return;
            };
            match action {
                Action::Get { timeout } => {
                    let step = self.nodes[node].protocol.start_get();
                    self.drive(node, step, told + timeout);
                }
                Action::Create { record, timeout } => {
                    let step = self.nodes[node].protocol.start_create(&record);
                    self.drive(node, step, told + timeout);
                }
                Action::Update { record, timeout } => {
                    let step = self.nodes[node].protocol.start_update(&record);
                    self.drive(node, step, told + timeout);
                }
                Action::StartLeading {
                    fencing_token: token,
                    valid_until: until,
                } => self.start_workload(node, token, until),
                Action::ExtendLease { valid_until: until } => self.extend(node, until),
                Action::StopLeading { kill_at, reason } => {
                    self.note(|w| format!("{} stops leading: {reason}", w.nodes[node].name()));
                    self.check_kill(node, reason, kill_at);
                    self.check_loss(node, reason);
                    self.stop_workload(node, kill_at);
                }
                Action::Notice(notice) => {
                    self.note(|w| format!("{}: {notice:?}", w.nodes[node].name()));
                }
                Action::NewLeader(_) | Action::Event(_) => {}
            }
        }
    }

    /// Carries out a step of a call, as the blocking shell of the lock does.
    fn drive(&mut self, node: usize, step: Step, deadline: Instant) {
        let told = self.told(node);
        match step {
            Step::Done(outcome) => {
                self.nodes[node].call = None;
                self.check_agreement(node);
                self.put_looks_off(node);
                match outcome {
                    Outcome::Got(result) => self.nodes[node].elector.handle_got(told, result),
                    Outcome::Wrote(result) => {
                        self.note(|w| format!("{} wrote: {result:?}", w.nodes[node].name()));
                        self.nodes[node].elector.handle_wrote(told, result);
                    }
                }
            }
            Step::Ask(request) => self.send(node, request, deadline),
        }
    }

    /// Tells the elector how far apart its looks are to be, as its owner does after each call.
    fn put_looks_off(&mut self, node: usize) {
        let told = self.told(node);
        let candidate = &mut self.nodes[node];
        let mut interval = candidate.protocol.min_poll_interval(told);
        if !rule_holds(Rule::LooksPutOff) {
            interval = Duration::ZERO;
        }
        candidate.elector.handle_min_poll_interval(interval);
        let looks = !candidate.elector.is_leader();
        self.tally.put_off += u64::from(looks && !interval.is_zero());
    }

    /// What the client does with a request before it goes out.
    fn send(&mut self, node: usize, request: Request, deadline: Instant) {
        let told = self.told(node);
        let write = matches!(request, Request::Write { .. });
        let candidate = &mut self.nodes[node];
        candidate.requests += 1;
        let from = Sender {
            who: Who::Candidate(node),
            life: candidate.life,
            request: candidate.requests,
            process: candidate.process,
            sent: self.now,
            back: None,
        };
        candidate.call = Some(Call {
            deadline,
            request: from.request,
            write,
        });
        if let Err(held_back) = candidate.limits.admit(told, write) {
            return self.fail(from, Duration::ZERO, held_back);
        }
        if let Request::Write { content, .. } = &request {
            self.note_write(node, content);
        }
        self.check_manners(node, write);
        if self.nodes[node].cut_off || self.outage || self.fault(self.faults.refused, Kind::Refused)
        {
            let quickly = self.seconds(0.001, 2.0);
            if self.rng.bool() {
                let error = LockError::Unavailable("cannot connect".into());
                self.fail(from, quickly, error);
            }
            return;
        }
        if self.fault(self.faults.lost_requests, Kind::LostRequest) {
            return;
        }
        self.transmit(from, Box::new(request), write);
    }

    fn transmit(&mut self, from: Sender, request: Box<Request>, write: bool) {
        let (way, from) = match self.scenario.faults.latency {
            Some(latency) => self.split(latency, from, write),
            None => (self.way(self.faults.slow_requests, Kind::SlowRequest), from),
        };
        let most = if write && self.fault(self.faults.very_late, Kind::VeryLate) {
            900.0
        } else {
            30.0
        };
        if write && (most > 30.0 || self.fault(self.faults.duplicates, Kind::Duplicate)) {
            let later = self.seconds(0.0, most);
            let request = request.clone();
            self.after(way + later, Event::Arrive { from, request });
            if most > 30.0 && self.rng.bool() {
                // Late, and not only doubled.
                return;
            }
        }
        self.after(way, Event::Arrive { from, request });
    }

    /// Keeps what a write says, to be held against what becomes of it.
    fn note_write(&mut self, node: usize, content: &str) {
        let told = self.told(node);
        self.nodes[node].limits.sent_write(told);
        let stored = Stored::read(&Text::Whole(content.into()));
        let (Some(origin), Some(record)) = (stored.origin(), stored.record()) else {
            return self.break_rule(|_| format!("not a record of ours: {content}"));
        };
        let record = &record.record;
        self.check_sending(node, &record.holder_identity);
        let write = TermWrite {
            id: Arc::clone(&origin.write_id),
            sent: self.nodes[node].clock.local(self.now),
            landed: Vec::new(),
            confirmed: false,
        };
        self.measure_write(node, record.leader_transitions, &record.holder_identity);
        let term = &mut self.nodes[node].term;
        if term.0 != record.leader_transitions {
            *term = (record.leader_transitions, Vec::new());
        }
        term.1.push(write);
    }

    /// A process sends no more than it may, and nothing while it was told to wait.
    fn check_manners(&mut self, node: usize, write: bool) {
        let (now, told) = (self.now, self.told(node));
        let counted = self.scenario.counted;
        let candidate = &mut self.nodes[node];
        if told < candidate.told_to_wait_until {
            return self
                .break_rule(|w| format!("{} was told to wait and does not", w.nodes[node].name()));
        }
        if !write || !counted {
            return;
        }
        let sent = &mut candidate.sent_writes;
        let hour = Duration::from_secs(3600);
        while sent.front().is_some_and(|at| now.since(*at) > hour) {
            sent.pop_front();
        }
        sent.push_back(now);
        // By true time, and the process counts by a clock that may run 1.4 % fast.
        let last_minute = |at: &&Time| now.since(**at) < Duration::from_secs(59);
        let in_a_minute = sent.iter().rev().take_while(last_minute).count();
        if sent.len() > MOST_AN_HOUR || in_a_minute > MOST_A_MINUTE {
            self.break_rule(|w| format!("{} writes too much", w.nodes[node].name()));
        }
    }

    pub(super) fn deliver(&mut self, from: Sender, answer: Answer) {
        self.measure_answer(from);
        if let Who::Neighbour(index) = from.who {
            return self.deliver_to_neighbour(index, from.request, answer);
        }
        let Who::Candidate(node) = from.who else {
            return;
        };
        let candidate = &self.nodes[node];
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
        // The elector's owner handles what is due before what came in.
        self.step(node);
        let Some(call) = &self.nodes[node].call else {
            return;
        };
        if call.request != from.request {
            return;
        }
        let deadline = call.deadline;
        self.hear(node, &answer);
        let told = self.told(node);
        let step = self.nodes[node].protocol.handle_answer(told, answer);
        self.drive(node, step, deadline);
        self.step(node);
    }

    /// What the client keeps of an answer.
    fn hear(&mut self, node: usize, answer: &Answer) {
        let told = self.told(node);
        let candidate = &mut self.nodes[node];
        candidate.limits.note_result(told, &answer.reply);
        if let Err(LockError::RateLimited { retry_after, .. }) = &answer.reply {
            candidate.told_to_wait_until = told + *retry_after;
        }
    }

    fn time_out_call(&mut self, node: usize, told: Instant) {
        let Some(call) = &self.nodes[node].call else {
            return;
        };
        if told < call.deadline {
            return;
        }
        let (deadline, answer) = (call.deadline, call.timed_out());
        let step = self.nodes[node].protocol.handle_answer(told, answer);
        self.drive(node, step, deadline);
    }

    fn leave(&mut self, node: usize, finish: Finish) {
        self.note(|w| format!("{} has left: {finish:?}", w.nodes[node].name()));
        self.check_leaving(node, finish);
        self.power_off(node);
        let back = self.seconds(0.5, 60.0);
        let kind = Trouble::Crash;
        self.after(back, Event::Relief { node, kind });
    }
}
