//! Operators who pause, resume and switch over with the program's commands.

use std::time::Duration;

use elector::election::annotation::PAUSED;
use elector::election::config::LeaderElectionConfig;
use elector::election::time::Instant;
use elector::lock::cas::origin::Stored as CellStored;
use elector::lock::gist::stored::Stored;
use elector::lock::gist::wire::Text;
use elector::lock::steering::{self, Done, Next, Request};
use serde_json::json;

use super::{Event, Requester, Run, Sender};
use crate::clock::Time;
use crate::lock::{Lock, Reply, Step};
use crate::service::seconds_of;
use crate::tally::Kind;

/// Time limit of a call of a command.
const CALL: Duration = Duration::from_secs(20);

/// Time between two reads of a command.
const POLL: Duration = Duration::from_secs(1);

/// Times after the end of the faults at which an operator resumes a paused election. Requests that were sent
/// before may arrive for a minute.
const RESUMES: [u64; 4] = [0, 20, 45, 70];

/// Time that the last of them may take.
const LAST_RESUME: Duration = Duration::from_secs(120);

/// Operators of a run. At most one command runs at a time; a later one stands for one that was killed.
#[derive(Debug, Default)]
pub(super) struct Steering {
    command: Option<Command>,
    commands: u64,
    /// Time since which a command has reported that the election is paused.
    paused: Option<Time>,
    /// Switchover of which the result has not been checked: new leader, if one was named, the leader before,
    /// and the number of terms before.
    expected: Option<(String, String, u64)>,
}

/// A running command.
#[derive(Debug)]
struct Command {
    number: u64,
    lock: Lock,
    steering: steering::Steering,
    /// Annotation or read under way.
    call: Option<Call>,
    requests: u64,
    wakes_at: Time,
    /// Whether something else than a command may have ended a pause since the last read was sent.
    overtaken: bool,
}

#[derive(Debug)]
struct Call {
    sent: Time,
    until: Time,
    /// Number of the request under way, whether it writes, and when it times out.
    request: (u64, bool, Time),
}

impl Steering {
    /// Forgets that the election is paused, because something else than a command may have ended that.
    pub(super) fn forget_pause(&mut self) {
        self.paused = None;
        if let Some(command) = &mut self.command {
            command.overtaken = true;
        }
    }
}

fn local(now: Time) -> Instant {
    Instant::from_boot(Duration::from_nanos(now.0) + Duration::from_secs(1_000_000))
}

fn true_time(local: Instant) -> Time {
    let since_boot = local
        .since_boot()
        .saturating_sub(Duration::from_secs(1_000_000));
    Time(since_boot.as_nanos() as u64)
}

impl Run {
    pub(super) fn plan_steering(&mut self) {
        let moments = match self.scenario.kind {
            "switching" => {
                let minutes = self.scenario.fault_period.as_secs() / 60;
                let every = |minute: u64| Time(0).after(Duration::from_secs(minute * 60));
                (5..minutes - 5).step_by(5).map(every).collect()
            }
            _ => self.moments(self.faults.steering),
        };
        for at in moments {
            self.at(at, Event::Steer);
        }
    }

    /// Returns the time that recovery needs for requests of operators and preferred candidates.
    pub(super) fn steering_bound(&self) -> Duration {
        if self.scenario.faults.steering == 0.0 {
            return Duration::ZERO;
        }
        let candidates = self.scenario.candidates.iter();
        let failback = candidates.filter_map(|config| config.failback_after).max();
        let resumes = RESUMES.iter().max().copied().unwrap_or_default();
        let resumed = Duration::from_secs(resumes) + LAST_RESUME;
        resumed + failback.unwrap_or_default() * 2 + self.scenario.longest_lease() * 4
    }

    pub(super) fn end_steering(&mut self) {
        self.steering.command = None;
        if self.scenario.kind == "steered" {
            for seconds in RESUMES {
                self.after(Duration::from_secs(seconds), Event::Steer);
            }
        }
    }

    fn stored_is_paused(&self) -> bool {
        match &self.cell {
            Some(cell) => {
                let stored = CellStored::parse(&cell.text().unwrap_or_default());
                stored
                    .record()
                    .is_some_and(|stored| stored.record.is_paused())
            }
            None => {
                let text = self.service.effective_text();
                let stored = Stored::read(&text.map_or(Text::Missing, Text::Whole));
                stored
                    .record()
                    .is_some_and(|stored| stored.record.is_paused())
            }
        }
    }

    /// Begins a command.
    pub(super) fn steer(&mut self) {
        if self.scenario.kind == "switching" {
            return self.switch_over();
        }
        if self.recovery.is_some() {
            if self.stored_is_paused() {
                self.begin_command(Request::Resume);
            }
            return;
        }
        let asked = json!({"by": "an operator"});
        let names = self.scenario.candidates.len();
        let to = match self.rng.u8(..4) {
            0 => String::new(),
            1 => "nobody".to_owned(),
            _ => self.nodes[self.rng.usize(..names)].name().to_owned(),
        };
        let resumes = self.steering.paused.is_some() || self.stored_is_paused();
        let request = match self.rng.u8(..10) {
            0..6 if resumes => Request::Resume,
            0..4 => Request::Pause {
                field: PAUSED,
                value: json!({"by": "an operator", "reason": "a migration"}),
            },
            4 => Request::Resume,
            _ => Request::HandOver { to, asked },
        };
        self.begin_command(request);
    }

    /// Checks the result of the last switchover, and begins another.
    fn switch_over(&mut self) {
        let leader = self.nodes.iter().find(|node| node.elector.is_leader());
        let Some(leader) = leader.map(|node| node.name().to_owned()) else {
            return self.violate("nobody leads at the time of a switchover".to_owned());
        };
        if let Some((to, before, terms)) = self.steering.expected.take() {
            let (led, alone) = (self.tally.terms - terms, self.nodes.len() == 1);
            if led != 1 || (!to.is_empty() && leader != to) || (leader == before && !alone) {
                return self.violate(format!(
                    "after a switchover from {before} to {to:?}, {leader} leads, after {led} terms"
                ));
            }
        }
        let others: Vec<&str> = self.nodes.iter().map(|node| node.name()).collect();
        let others: Vec<&str> = others.into_iter().filter(|name| *name != leader).collect();
        let to = match others.len() {
            0 => return,
            count if self.rng.u8(..3) > 0 => others[self.rng.usize(..count)].to_owned(),
            _ => String::new(),
        };
        self.steering.expected = Some((to.clone(), leader, self.tally.terms));
        let asked = json!({"by": "an operator"});
        self.begin_command(Request::HandOver { to, asked });
    }

    fn begin_command(&mut self, request: Request) {
        self.note(|_| format!("an OPERATOR begins {request:?}"));
        self.tally.count(Kind::Steered);
        if request == Request::Resume {
            self.steering.paused = None;
        }
        self.steering.commands += 1;
        let number = self.steering.commands;
        let config = LeaderElectionConfig {
            identity: "an operator".to_owned(),
            ..self.scenario.candidates[0].clone()
        };
        self.steering.command = Some(Command {
            number,
            lock: Lock::new(self.scenario.place, &format!("o{number}"), &config),
            steering: steering::Steering::new(
                request,
                self.scenario.confirmation(),
                POLL,
                config.lease_duration,
            ),
            call: None,
            requests: 0,
            wakes_at: self.now,
            overtaken: false,
        });
        self.operator_wakes();
    }

    pub(super) fn operator_wakes(&mut self) {
        let now = self.now;
        let Some(command) = &mut self.steering.command else {
            return;
        };
        let Some(call) = &command.call else {
            if now >= command.wakes_at {
                command.call = Some(Call {
                    sent: now,
                    until: now.after(CALL),
                    request: (0, false, now.after(CALL)),
                });
                command.overtaken = false;
                let step = command.lock.start_get();
                self.drive_operator(step);
            }
            return;
        };
        let (_, write, deadline) = call.request;
        if now >= deadline {
            let step = command.lock.time_out(local(now), seconds_of(now), write);
            self.drive_operator(step);
        }
    }

    fn drive_operator(&mut self, step: Step) {
        let now = self.now;
        let Some(command) = &mut self.steering.command else {
            return;
        };
        let Some(call) = &mut command.call else {
            return;
        };
        let next = match step {
            Step::Ask(_) if now >= call.until => {
                let step = command.lock.give_up(step);
                if let Step::Ask(_) = step {
                    // The blocking shell ends a call of a gist's history like this.
                    command.call = None;
                    return self.wake_operator(now.after(POLL));
                }
                return self.drive_operator(step);
            }
            Step::Ask(request) => {
                command.requests += 1;
                let write = request.writes();
                let share = command.lock.share(write, call.until.since(now));
                let deadline = now.after(share);
                call.request = (command.requests, write, deadline);
                let from = Sender {
                    requester: Requester::Operator,
                    generation: command.number,
                    request: command.requests,
                    process: 0,
                    sent: now,
                    back: None,
                };
                self.at(deadline, Event::OperatorWakes);
                return self.transmit(from, Box::new(request), write);
            }
            Step::Got(result) => {
                let sent = call.sent;
                command.call = None;
                command.steering.handle_got(local(now), local(sent), result)
            }
            Step::Wrote(result) => {
                command.call = None;
                command.steering.handle_annotated(local(now), result)
            }
        };
        match next {
            Ok(Next::ReadAt(at)) => self.wake_operator(true_time(at).max(now)),
            Ok(Next::Annotate(annotation)) => {
                command.call = Some(Call {
                    sent: now,
                    until: now.after(CALL),
                    request: (0, false, now.after(CALL)),
                });
                let step = command.lock.start_annotate(&annotation);
                self.drive_operator(step);
            }
            Ok(Next::Done(done)) => self.end_command(&done),
            Err(why) => {
                self.note(|_| format!("the OPERATOR's command fails: {why}"));
                self.steering.command = None;
            }
        }
    }

    fn wake_operator(&mut self, at: Time) {
        if let Some(command) = &mut self.steering.command {
            command.wakes_at = at;
            self.at(at, Event::OperatorWakes);
        }
    }

    pub(super) fn deliver_to_operator(&mut self, from: Sender, answer: Reply) {
        let now = self.now;
        let Some(command) = &mut self.steering.command else {
            return;
        };
        let awaited = command.call.as_ref().map(|call| call.request.0);
        if command.number != from.generation || awaited != Some(from.request) {
            return;
        }
        let step = command.lock.handle(local(now), seconds_of(now), answer);
        self.drive_operator(step);
    }

    fn end_command(&mut self, done: &Done) {
        self.note(|_| format!("the OPERATOR's command ends: {done:?}"));
        let command = self.steering.command.take();
        let overtaken = command.is_none_or(|command| command.overtaken);
        if *done == Done::Paused && !overtaken && self.client_go.is_empty() {
            self.tally.count(Kind::PauseReported);
            self.steering.paused = Some(self.now);
        }
    }

    /// Checks that nothing runs after a pause was reported.
    pub(super) fn check_paused(&mut self) {
        let Some(since) = self.steering.paused else {
            return;
        };
        let running = self
            .nodes
            .iter()
            .find(|node| node.running(self.now).is_some());
        if let Some(node) = running {
            let (name, since) = (node.name(), since.seconds());
            self.violate(format!(
                "a workload of {name} runs, and since {since:.3}s the election is paused"
            ));
        }
    }
}
