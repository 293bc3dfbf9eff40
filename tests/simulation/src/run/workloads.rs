//! The elector's thread that leads: it runs the program's [`Supervisor`] for the length of a term
//! and carries out its actions, as the runtime does.
//!
//! ```text
//!   the term (begins, lasts, ends) ─┐                    ┌──▶ a guard's pipe, SIGKILL
//!                                   ├──▶ the supervisor ─┤
//!   the guard (says, ends) ─────────┘                    └──▶ the election: stop, gone
//! ```

use std::time::Duration;

use elector::election::action::StopReason;
use elector::election::time::Instant;
use elector::workload::message::{FromGuard, LineBuffer, ToGuard};
use elector::workload::supervisor::{Supervisor, SupervisorAction, WorkloadEnd};

use super::programs::{EXIT_CODE, NOT_STARTED};
use super::{Event, NodeFault, Run};
use crate::node::Power;
use crate::tally::Kind;
use crate::workload::{Leading, Message, Phase, ProgramRun};

/// Time that the process waits for its workload to be killed after a second signal.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

impl Run {
    pub(super) fn start_workload(&mut self, node: usize, fencing_token: u64, until: Instant) {
        let local_now = self.local_now(node);
        self.note(|run| {
            format!(
                "{} LEADS, fencing token {fencing_token}, until {until} (now {local_now})",
                run.nodes[node].name()
            )
        });
        self.tally.terms += 1;
        if let Some(from) = self.nodes[node].takeover_from.take() {
            let late = self.now.since(from);
            self.tally.takeover(self.scenario.seed, late);
        }
        self.measure_term(node, fencing_token);
        // What a restore brings back has lower tokens. `check_claim` holds then.
        if self.scenario.faults.restores == 0.0
            && self
                .highest_fencing_token
                .is_some_and(|highest| fencing_token <= highest)
        {
            self.violate(format!(
                "the fencing token {fencing_token} does not rise above {:?}",
                self.highest_fencing_token
            ));
        }
        self.highest_fencing_token = self.highest_fencing_token.max(Some(fencing_token));
        self.note_change();
        if local_now >= until {
            self.break_rule(|_| "a term begins after its end".into());
        }
        self.check_valid_until(node, until);
        self.check_announced(node, local_now);
        if let Some(old) = &self.nodes[node].leading {
            let (name, old) = (self.nodes[node].name(), old.fencing_token);
            self.violate(format!(
                "two workloads run, both of {name}: of the terms {old} and {fencing_token}"
            ));
        }
        let takes = if self.fault(self.faults.term_ignored, Kind::TermIgnored) {
            Duration::from_secs(3600)
        } else {
            self.seconds(0.0, 6.0)
        };
        self.nodes[node].leading = Some(Leading {
            fencing_token,
            valid_until: until,
            kill_at: None,
            lost: false,
            killed: false,
            takes,
            phase: Phase::Begins,
        });
        let delay = self.start_delay();
        self.send_message(node, delay, Message::LeadingBegins);
    }

    pub(super) fn extend(&mut self, node: usize, until: Instant) {
        self.check_valid_until(node, until);
        let Some(leading) = &mut self.nodes[node].leading else {
            return;
        };
        leading.valid_until = until;
        self.extend_limit(node);
        // On an overloaded machine the thread hears of it too late, or nearly.
        let delay = self.start_delay();
        self.send_message(node, delay, Message::TermChanged);
    }

    pub(super) fn stop_workload(&mut self, node: usize, reason: StopReason, kill_at: Instant) {
        self.note_change();
        let Some(leading) = &mut self.nodes[node].leading else {
            return;
        };
        leading.lost |= reason.is_loss();
        leading.kill_at = Some(leading.kill_at.map_or(kill_at, |at| at.min(kill_at)));
        let delay = self.latency();
        self.send_message(node, delay, Message::TermChanged);
    }

    /// Handles a second signal: kills the workload, and exits without releasing the lease.
    pub(super) fn second_signal(&mut self, node: usize, generation: u64) {
        if self.nodes[node].generation != generation || self.nodes[node].power != Power::On {
            return;
        }
        self.note(|run| format!("a SECOND SIGNAL to {}", run.nodes[node].name()));
        self.tally.count(Kind::SecondSignal);
        let local_now = self.local_now(node);
        let Some(leading) = &mut self.nodes[node].leading else {
            return self.exit(node, generation);
        };
        leading.killed = true;
        leading.kill_at = Some(leading.kill_at.map_or(local_now, |at| at.min(local_now)));
        if let Some(run) = leading.run() {
            run.supervisor.kill(local_now);
        }
        self.limit_run(node);
        self.follow_term(node);
        self.after(KILL_PATIENCE, Event::Exit { node, generation });
        self.step(node);
    }

    /// Exits the process.
    pub(super) fn exit(&mut self, node: usize, generation: u64) {
        if self.nodes[node].generation != generation || self.nodes[node].power != Power::On {
            return;
        }
        self.note(|run| format!("{} exits", run.nodes[node].name()));
        self.check_left_behind(node);
        self.power_off(node);
        let back = self.seconds_of_workloads(0.5, 60.0);
        let kind = NodeFault::Crash;
        self.after(back, Event::NodeFaultEnds { node, kind });
    }

    /// Sends a message to the elector from its threads and children.
    pub(super) fn send_message(&mut self, node: usize, delay: Duration, message: Message) {
        let generation = self.nodes[node].generation;
        self.after(
            delay,
            Event::Message {
                node,
                generation,
                message,
            },
        );
    }

    pub(super) fn receive_message(&mut self, node: usize, generation: u64, message: Message) {
        let candidate = &mut self.nodes[node];
        if candidate.generation != generation {
            return;
        }
        match candidate.power {
            Power::Off => {}
            Power::Paused | Power::Suspended => candidate.pending_messages.push(message),
            Power::On => self.handle_message(node, message),
        }
    }

    fn handle_message(&mut self, node: usize, message: Message) {
        let local_now = self.local_now(node);
        match message {
            Message::LeadingBegins => self.start_program_run(node),
            Message::TermChanged => {
                self.limit_run(node);
                self.follow_term(node);
            }
            Message::Spawned(guard) => self.note_guard_spawned(node, guard),
            Message::Reports(guard) => self.read_reports(node, guard),
            Message::GuardEnded(guard) => {
                // Its last reports come first.
                self.read_reports(node, guard);
                self.with_run(node, guard, |run| run.supervisor.handle_guard_exited());
            }
            Message::Cleared(guard) => {
                self.with_run(node, guard, |run| {
                    run.supervisor.handle_descendants_killed(true)
                });
            }
            Message::Stop => self.nodes[node]
                .elector
                .handle_stop(local_now, StopReason::Cancelled),
            Message::WorkloadStopped => return self.report_workload_stopped(node),
        }
        self.step(node);
    }

    fn with_run(&mut self, node: usize, guard: u64, happens: impl FnOnce(&mut ProgramRun)) {
        let leading = &mut self.nodes[node].leading;
        if let Some(run) = leading.as_mut().and_then(|leading| leading.run_of(guard)) {
            happens(run);
        }
    }

    /// Notes that the guard was spawned. Changes of the term in the time before may follow.
    fn note_guard_spawned(&mut self, node: usize, guard: u64) {
        self.with_run(node, guard, |run| {
            run.supervisor.handle_guard_spawned();
            run.follows = true;
        });
        self.follow_term(node);
    }

    fn read_reports(&mut self, node: usize, guard: u64) {
        let local_now = self.local_now(node);
        let mut nonsense = None;
        self.with_run(node, guard, |run| {
            run.unread = false;
            while let Some(line) = run.reports.next_line() {
                match line.and_then(|line| FromGuard::parse(&line)) {
                    Ok(report) => run.supervisor.handle_report(local_now, report),
                    Err(error) => nonsense = Some(error),
                }
            }
        });
        if let Some(error) = nonsense {
            self.break_rule(|_| error.to_string());
        }
    }

    /// Reports that nothing is left of the thread's program.
    fn report_workload_stopped(&mut self, node: usize) {
        self.note(|run| format!("{}: its workload has stopped", run.nodes[node].name()));
        self.note_change();
        self.check_workload_stopped(node);
        self.measure_workload_stopped(node);
        let local_now = self.local_now(node);
        let candidate = &mut self.nodes[node];
        let killed = candidate.leading.take().is_some_and(|last| last.killed);
        candidate.elector.handle_timeout(local_now);
        candidate.elector.handle_workload_stopped(local_now);
        if killed {
            return self.exit(node, self.nodes[node].generation);
        }
        self.step(node);
    }

    // ---- the thread ----

    /// Starts the program, unless the term has ended.
    fn start_program_run(&mut self, node: usize) {
        let candidate = &mut self.nodes[node];
        let grace = candidate.config.termination_grace;
        let margin = candidate.config.margin();
        let Some(leading) = &mut candidate.leading else {
            return;
        };
        if leading.killed || leading.kill_at.is_some() {
            return self.end_thread(node, false);
        }
        self.guards += 1;
        let follows = self.workload_rng.bool();
        leading.phase = Phase::Runs(Box::new(ProgramRun {
            guard: self.guards,
            supervisor: Supervisor::start(leading.valid_until, grace, margin),
            valid_until: leading.valid_until,
            kill_at: None,
            follows,
            reports: LineBuffer::default(),
            unread: false,
        }));
    }

    /// Carries out the supervisor's actions.
    pub(super) fn lead(&mut self, node: usize) {
        let local_now = self.local_now(node);
        let candidate = &mut self.nodes[node];
        let Some(run) = candidate.leading.as_mut().and_then(Leading::run) else {
            return;
        };
        run.supervisor.handle_timeout(local_now);
        while let Some((guard, action)) = self.next_action(node) {
            match action {
                SupervisorAction::SpawnGuard => self.spawn_guard(node, guard),
                SupervisorAction::SendToGuard(message) => self.tell_guard(node, guard, message),
                SupervisorAction::KillGuard => {
                    self.tally.count(Kind::GuardOverdue);
                    self.kill_guard(node, guard);
                }
                SupervisorAction::KillDescendants => self.kill_descendants(node, guard),
            }
        }
        self.end_program_run(node);
    }

    fn next_action(&mut self, node: usize) -> Option<(u64, SupervisorAction)> {
        let run = self.nodes[node].leading.as_mut()?.run()?;
        let action = run.supervisor.poll_action()?;
        Some((run.guard, action))
    }

    fn tell_guard(&mut self, node: usize, number: u64, message: ToGuard) {
        let guards = &mut self.nodes[node].guards;
        if let Some(guard) = guards.iter_mut().find(|guard| guard.number == number) {
            guard.pipe.push(message.to_line().as_bytes());
            let delay = self.latency();
            self.run_guard_soon(node, number, delay);
        }
    }

    /// Kills and reaps all descendants of the elector.
    fn kill_descendants(&mut self, node: usize, guard: u64) {
        self.note(|run| format!("{} kills what its guard left", run.nodes[node].name()));
        self.tally.count(Kind::GuardLost);
        let candidate = &mut self.nodes[node];
        let generation = candidate.generation;
        candidate
            .guards
            .retain(|guard| guard.generation != generation);
        candidate
            .workload
            .retain(|process| process.generation != generation);
        let delay = self.latency() * 4;
        self.send_message(node, delay, Message::Cleared(guard));
    }

    /// Continues after everything of a program run has stopped.
    fn end_program_run(&mut self, node: usize) {
        let Some(leading) = &mut self.nodes[node].leading else {
            return;
        };
        let Some(ended) = leading.run().and_then(|run| run.supervisor.end()) else {
            return;
        };
        match ended {
            WorkloadEnd::Exited(code) => {
                // A program that an overloaded machine did not start in time counts as one that
                // cannot be started.
                if code != EXIT_CODE && code != NOT_STARTED {
                    self.break_rule(|run| {
                        let name = run.nodes[node].name();
                        format!("the stopped workload of {name} is reported to have exited by itself: {code}")
                    });
                }
                self.end_thread(node, true);
            }
            WorkloadEnd::GuardLost if leading.kill_at.is_none() => self.end_thread(node, true),
            WorkloadEnd::Stuck => self.break_rule(|_| "a killed process survives".into()),
            WorkloadEnd::Stopped | WorkloadEnd::GuardOverdue | WorkloadEnd::GuardLost => {
                leading.phase = Phase::Waits;
                self.follow_term(node);
            }
        }
    }

    /// Handles a changed term. If the program was stopped and the term lasts, the program starts
    /// again.
    fn follow_term(&mut self, node: usize) {
        if let Some(leading) = &mut self.nodes[node].leading {
            leading.follow();
        }
        let local_now = self.local_now(node);
        let Some(leading) = &self.nodes[node].leading else {
            return;
        };
        if !matches!(leading.phase, Phase::Waits) {
            return;
        }
        if leading.killed || leading.kill_at.is_some() {
            return self.end_thread(node, false);
        }
        if local_now < leading.valid_until {
            self.note(|run| format!("{} starts its workload again", run.nodes[node].name()));
            self.tally.count(Kind::StartedAgain);
            self.start_program_run(node);
            self.lead(node);
        }
    }

    /// Ends the thread, and stops the election before if `stop` is set.
    fn end_thread(&mut self, node: usize, stop: bool) {
        if let Some(leading) = &mut self.nodes[node].leading {
            leading.phase = Phase::Over;
        }
        let mut delay = self.latency();
        if stop {
            self.send_message(node, delay, Message::Stop);
            delay += self.latency();
        }
        self.send_message(node, delay, Message::WorkloadStopped);
    }
}
