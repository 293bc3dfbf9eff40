//! A candidate's process: its wake-ups, its calls to the store, and the answers.

use std::sync::Arc;
use std::time::Duration;

use elector::election::action::{Action, Finish};
use elector::election::lock::{Content, LockError};
use elector::election::record::LeaderElectionRecord;
use elector::election::time::Instant;
use elector::lock::cas;
use elector::lock::gist::stored::Stored;
use elector::lock::gist::wire::{self, Text};
use elector::lock::store::{self, Failure};

use super::{Event, NodeFault, Requester, Run, Sender};
use crate::clock::Time;
use crate::lock::{Reply, Request, Step, failed};
use crate::node::{Call, Power, TermWrite};
use crate::service::{is_annotation, seconds_of};
use crate::surroundings::{Rule, is_kept};
use crate::tally::Kind;
use crate::workload::Leading;

/// GitHub's limits for writes. The hourly one includes what a fast clock allows.
const MOST_AN_HOUR: usize = 510;
const MOST_A_MINUTE: usize = 80;

impl Run {
    /// Lets a running process do everything that is due.
    pub(super) fn step(&mut self, node: usize) {
        if self.nodes[node].power != Power::On {
            return;
        }
        let local_now = self.local_now(node);
        self.nodes[node].elector.handle_timeout(local_now);
        self.time_out_call(node, local_now);
        self.act(node);
        self.lead(node);
        if let Some(finish) = self.nodes[node].elector.finished() {
            return self.leave(node, finish);
        }
        self.schedule_wake(node);
    }

    /// Returns the time on the candidate's clock.
    pub(super) fn local_now(&self, node: usize) -> Instant {
        self.nodes[node].clock.local_now(self.now)
    }

    /// Returns the time of day of the candidate's machine, in seconds since 1970.
    fn time_of_day(&self, node: usize) -> i64 {
        let forward = self.nodes[node].clock.set_forward / 1_000_000_000;
        seconds_of(self.now) + forward
    }

    fn schedule_wake(&mut self, node: usize) {
        let candidate = &self.nodes[node];
        let call = candidate.call.as_ref().map(|call| call.deadline);
        let timeout = candidate.elector.poll_timeout();
        let leading = candidate.leading.as_ref();
        let run = leading.and_then(Leading::poll_timeout);
        let next = [call, timeout, run].into_iter().flatten().min();
        let wake = next.map(|local_now| candidate.clock.true_time(local_now).max(self.now));
        self.nodes[node].wake = wake;
    }

    fn act(&mut self, node: usize) {
        loop {
            let local_now = self.local_now(node);
            let wall = self.nodes[node].clock.set_forward;
            let time_of_day = || format!("{}", self.now.0 as i64 + wall);
            let Some(action) = self.nodes[node].elector.poll_action(local_now, time_of_day) else {
                return;
            };
            match action {
                Action::Get { timeout } => {
                    self.take_state(node);
                    let step = self.nodes[node].lock.start_get();
                    self.drive(node, step, local_now + timeout);
                }
                Action::Create { record, timeout } => {
                    self.extend_state(node, &record);
                    let step = self.nodes[node].lock.start_create(&record);
                    self.drive(node, step, local_now + timeout);
                }
                Action::Update { record, timeout } => {
                    self.extend_state(node, &record);
                    let step = self.nodes[node].lock.start_update(&record);
                    self.drive(node, step, local_now + timeout);
                }
                Action::Annotate {
                    annotation,
                    timeout,
                } => {
                    self.tally.count(Kind::Annotation);
                    self.nodes[node].annotates = true;
                    let step = self.nodes[node].lock.start_annotate(&annotation);
                    self.drive(node, step, local_now + timeout);
                }
                Action::StartLeading {
                    fencing_token,
                    valid_until: until,
                } => self.start_workload(node, fencing_token, until),
                Action::ExtendLease { valid_until: until } => self.extend(node, until),
                Action::StopLeading { kill_at, reason } => {
                    self.note(|run| format!("{} stops leading: {reason}", run.nodes[node].name()));
                    self.check_kill(node, reason, kill_at);
                    self.check_loss(node, reason);
                    self.stop_workload(node, reason, kill_at);
                }
                Action::Notice(notice) => {
                    self.note(|run| format!("{}: {notice:?}", run.nodes[node].name()));
                }
                Action::NewLeader(_) | Action::Event(_) => {}
            }
        }
    }

    /// Carries out a step of a call, as the blocking shell of the lock does.
    fn drive(&mut self, node: usize, step: Step, deadline: Instant) {
        let local_now = self.local_now(node);
        match step {
            Step::Got(mut result) => {
                self.end_call(node);
                self.note_result(node, result.as_ref().err());
                if let (Ok(observed), Some(state)) = (&mut result, &self.nodes[node].state) {
                    state.mark(observed);
                }
                if let Ok(observed) = &result {
                    self.note_known(node);
                    let known = &mut self.nodes[node].known;
                    let token = observed.content.record();
                    let token = token.map(|record| record.leader_transitions);
                    known.fencing_token = known.fencing_token.max(token);
                    known.nothing = observed.content == Content::Deleted;
                }
                self.nodes[node].elector.handle_got(local_now, result);
            }
            Step::Wrote(result) => {
                self.end_call(node);
                self.note_result(node, result.as_ref().err());
                self.note(|run| format!("{} wrote: {result:?}", run.nodes[node].name()));
                let conflict = result == Err(LockError::Conflict);
                if result.is_ok() {
                    self.note_known(node);
                }
                if !std::mem::take(&mut self.nodes[node].annotates) {
                    self.check_reported(node, result.is_ok(), conflict);
                }
                self.nodes[node].elector.handle_wrote(local_now, result);
            }
            Step::Ask(_) if local_now >= deadline && self.cell.is_some() => {
                let step = self.nodes[node].lock.give_up(step);
                self.drive(node, step, deadline);
            }
            Step::Ask(request) => self.send(node, request, deadline),
        }
    }

    fn end_call(&mut self, node: usize) {
        self.nodes[node].call = None;
        self.check_agreement(node);
        self.delay_polls(node);
    }

    /// Notes how long the elector was told to wait.
    fn note_result(&mut self, node: usize, error: Option<&LockError>) {
        let local_now = self.local_now(node);
        if let (Some(LockError::RateLimited { retry_after, .. }), true) =
            (error, self.cell.is_some())
        {
            self.nodes[node].rate_limited_until = local_now + *retry_after;
        }
    }

    /// Tells the elector the shortest time between two polls, as its owner does after each call.
    fn delay_polls(&mut self, node: usize) {
        let local_now = self.local_now(node);
        let candidate = &mut self.nodes[node];
        let mut interval = candidate.lock.min_poll_interval(local_now);
        if !is_kept(Rule::PollsDelayed) {
            interval = Duration::ZERO;
        }
        candidate.elector.handle_min_poll_interval(interval);
        let standby = !candidate.elector.is_leader();
        self.tally.polls_delayed += u64::from(standby && !interval.is_zero());
    }

    /// Sends a request as the client does.
    fn send(&mut self, node: usize, request: Request, deadline: Instant) {
        let local_now = self.local_now(node);
        let write = request.writes();
        let candidate = &mut self.nodes[node];
        candidate.requests += 1;
        let from = Sender {
            requester: Requester::Candidate(node),
            generation: candidate.generation,
            request: candidate.requests,
            process: candidate.process,
            sent: self.now,
            back: None,
        };
        let left = deadline.since(local_now);
        candidate.call = Some(Call {
            deadline: local_now + candidate.lock.share(write, left),
            until: deadline,
            request: from.request,
            write,
        });
        if let Err(held_back) = candidate.limits.admit(local_now, write) {
            return self.fail(from, Duration::ZERO, held_back);
        }
        match &request {
            Request::Gist(wire::Request::Write { content, .. }) => self.note_write(node, content),
            Request::Cell(request) => self.note_cell_write(node, request),
            Request::Gist(_) => {}
        }
        self.check_request_rate(node, write);
        if self.nodes[node].cut_off || self.outage || self.fault(self.faults.refused, Kind::Refused)
        {
            let quickly = self.seconds(0.001, 2.0);
            if self.rng.bool() {
                let answer = Box::new(self.not_sent());
                self.after(quickly, Event::Answer { from, answer });
            }
            return;
        }
        if self.fault(self.faults.lost_requests, Kind::LostRequest) {
            return;
        }
        self.transmit(from, Box::new(request), write);
    }

    pub(super) fn not_sent(&self) -> Reply {
        let why = "cannot connect".to_owned();
        match self.cell {
            Some(_) => Reply::Cell(Err(Failure::NotSent(why))),
            None => failed(Some(seconds_of(self.now)), LockError::Unavailable(why)),
        }
    }

    pub(super) fn transmit(&mut self, from: Sender, request: Box<Request>, write: bool) {
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
                // The write is late, not only duplicated.
                return;
            }
        }
        self.after(way, Event::Arrive { from, request });
    }

    /// Records a write, to compare it with its outcome.
    fn note_write(&mut self, node: usize, content: &str) {
        let local_now = self.local_now(node);
        self.nodes[node].limits.sent_write(local_now);
        let stored = Stored::read(&Text::Whole(content.into()));
        let (Some(origin), Some(record)) = (stored.origin(), stored.record()) else {
            return self.break_rule(|_| format!("not a record of the protocol: {content}"));
        };
        let record = Arc::clone(&record.record);
        let id = Arc::clone(&origin.write_id);
        self.note_own_write(node, id, &record);
    }

    /// Records a write to a cell, unless it is a probe.
    fn note_cell_write(&mut self, node: usize, request: &store::Request) {
        let text = request.body.as_deref().map(String::from_utf8_lossy);
        let stored = cas::origin::Stored::parse(&text.unwrap_or_default());
        if let (Some(origin), Some(record)) = (stored.origin(), stored.record()) {
            let record = Arc::clone(&record.record);
            self.note_own_write(node, Arc::clone(&origin.write_id), &record);
        }
    }

    fn note_own_write(&mut self, node: usize, id: Arc<str>, record: &LeaderElectionRecord) {
        if is_annotation(&id) {
            return;
        }
        self.check_sending(node, &record.holder_identity);
        if self.nodes[node]
            .term
            .1
            .last()
            .is_some_and(|last| last.id == id)
        {
            // The same write again.
            return;
        }
        let write = TermWrite {
            id,
            sent: self.nodes[node].clock.boot_time(self.now),
            landed: Vec::new(),
            confirmed: false,
        };
        self.measure_write(node, record.leader_transitions, &record.holder_identity);
        self.check_claim(node, record.leader_transitions, &record.holder_identity);
        let term = &mut self.nodes[node].term;
        if term.0 != record.leader_transitions {
            *term = (record.leader_transitions, Vec::new());
        }
        term.1.push(write);
    }

    /// Checks that a process stays within the limits, and sends nothing before `retry_after` has
    /// passed.
    fn check_request_rate(&mut self, node: usize, write: bool) {
        let (now, local_now) = (self.now, self.local_now(node));
        let counted = self.scenario.counted;
        let candidate = &mut self.nodes[node];
        if local_now < candidate.rate_limited_until {
            return self.break_rule(|run| {
                format!(
                    "{} sends before retry_after has passed",
                    run.nodes[node].name()
                )
            });
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
        // By true time; the process counts by a clock that may run 1.4 % fast.
        let last_minute = |at: &&Time| now.since(**at) < Duration::from_secs(59);
        let in_a_minute = sent.iter().rev().take_while(last_minute).count();
        if sent.len() > MOST_AN_HOUR || in_a_minute > MOST_A_MINUTE {
            self.break_rule(|run| format!("{} writes too often", run.nodes[node].name()));
        }
    }

    pub(super) fn deliver(&mut self, from: Sender, answer: Reply) {
        self.measure_answer(from);
        if let Requester::Neighbour(index) = from.requester {
            return self.deliver_to_neighbour(index, from.request, answer);
        }
        if from.requester == Requester::Operator {
            return self.deliver_to_operator(from, answer);
        }
        let Requester::Candidate(node) = from.requester else {
            return;
        };
        let candidate = &self.nodes[node];
        if candidate.generation != from.generation {
            return;
        }
        match candidate.power {
            Power::Off => return,
            Power::Paused | Power::Suspended => {
                // The answer waits in the socket.
                let answer = Box::new(answer);
                return self.after(Duration::from_millis(500), Event::Answer { from, answer });
            }
            Power::On => {}
        }
        // The elector's owner handles timeouts before answers.
        self.step(node);
        let Some(call) = &self.nodes[node].call else {
            return;
        };
        if call.request != from.request {
            return;
        }
        let deadline = call.until;
        self.note_answer(node, &answer);
        let (local_now, wall) = (self.local_now(node), self.time_of_day(node));
        let step = self.nodes[node].lock.handle(local_now, wall, answer);
        self.drive(node, step, deadline);
        self.step(node);
    }

    /// Notes the limits that an answer states, as the client does.
    fn note_answer(&mut self, node: usize, answer: &Reply) {
        self.note_shown(node, answer);
        let Reply::Gist(answer) = answer else { return };
        let local_now = self.local_now(node);
        let candidate = &mut self.nodes[node];
        candidate.limits.note_result(local_now, &answer.reply);
        if let Err(LockError::RateLimited { retry_after, .. }) = &answer.reply {
            candidate.rate_limited_until = local_now + *retry_after;
        }
    }

    fn time_out_call(&mut self, node: usize, local_now: Instant) {
        let Some(call) = &self.nodes[node].call else {
            return;
        };
        if local_now < call.deadline {
            return;
        }
        let (deadline, write) = (call.until, call.write);
        let wall = self.time_of_day(node);
        let step = self.nodes[node].lock.time_out(local_now, wall, write);
        self.drive(node, step, deadline);
    }

    fn leave(&mut self, node: usize, finish: Finish) {
        self.note(|run| format!("{} ended its election: {finish:?}", run.nodes[node].name()));
        self.check_leaving(node, finish);
        self.power_off(node);
        let back = self.seconds(0.5, 60.0);
        let kind = NodeFault::Crash;
        self.after(back, Event::NodeFaultEnds { node, kind });
    }
}
