//! The elector's thread that leads: it runs the program's [`Supervisor`] for the length of a term, and
//! carries out what that asks for, as the runtime does.
//!
//! ```text
//!   the term (begins, lasts, ends) ─┐                    ┌──▶ a guard's pipe, SIGKILL
//!                                   ├──▶ the supervisor ─┤
//!   the guard (says, ends) ─────────┘                    └──▶ the election: stop, gone
//! ```

use std::time::Duration;

use elector::election::time::Instant;
use elector::workload::message::{FromGuard, LineBuffer, ToGuard};
use elector::workload::supervisor::{Supervisor, SupervisorAction, WorkloadEnd};

use super::programs::{EXIT_CODE, NOT_STARTED};
use super::{Event, Trouble, World};
use crate::node::Power;
use crate::tally::Kind;
use crate::workload::{Leading, Phase, Run, Word};

/// How long a second signal waits for the workload to be killed, before the process ends all the same.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

impl World {
    pub(super) fn start_workload(&mut self, node: usize, token: u64, until: Instant) {
        let told = self.told(node);
        self.note(|w| {
            format!(
                "{} LEADS, token {token}, until {until} (now {told})",
                w.nodes[node].name()
            )
        });
        self.tally.terms += 1;
        if let Some(from) = self.nodes[node].takeover_from.take() {
            let late = self.now.since(from);
            self.tally.takeover(self.scenario.seed, late);
        }
        self.measure_term(node, token);
        if self
            .highest_fencing_token
            .is_some_and(|highest| token <= highest)
        {
            self.violate(format!(
                "the token {token} does not rise above {:?}",
                self.highest_fencing_token
            ));
        }
        self.highest_fencing_token = self.highest_fencing_token.max(Some(token));
        self.note_change();
        if told >= until {
            self.break_rule(|_| "a term begins after its own end".into());
        }
        self.check_until(node, until);
        if let Some(old) = &self.nodes[node].leading {
            let (name, old) = (self.nodes[node].name(), old.token);
            self.violate(format!(
                "two workloads run, both of {name}: of the terms {old} and {token}"
            ));
        }
        let takes = if self.fault(self.faults.stubborn_workloads, Kind::Stubborn) {
            Duration::from_secs(3600)
        } else {
            self.seconds(0.0, 6.0)
        };
        self.nodes[node].leading = Some(Leading {
            token,
            until,
            kill_at: None,
            killed: false,
            takes,
            phase: Phase::Begins,
        });
        let delay = self.start_delay();
        self.send_word(node, delay, Word::LeadingBegins);
    }

    pub(super) fn extend(&mut self, node: usize, until: Instant) {
        self.check_until(node, until);
        let Some(leading) = &mut self.nodes[node].leading else {
            return;
        };
        leading.until = until;
        self.extend_limit(node);
        // A starved thread hears of it too late, or almost.
        let delay = self.start_delay();
        self.send_word(node, delay, Word::TermChanged);
    }

    pub(super) fn stop_workload(&mut self, node: usize, kill_at: Instant) {
        self.note_change();
        let Some(leading) = &mut self.nodes[node].leading else {
            return;
        };
        leading.kill_at = Some(leading.kill_at.map_or(kill_at, |at| at.min(kill_at)));
        let delay = self.latency();
        self.send_word(node, delay, Word::TermChanged);
    }

    /// A second signal: the workload is killed, and the process ends without giving the lease back.
    pub(super) fn second_signal(&mut self, node: usize, life: u64) {
        if self.nodes[node].life != life || self.nodes[node].power != Power::On {
            return;
        }
        self.note(|w| format!("a SECOND SIGNAL to {}", w.nodes[node].name()));
        self.tally.count(Kind::SecondSignal);
        let told = self.told(node);
        let Some(leading) = &mut self.nodes[node].leading else {
            return self.exit(node, life);
        };
        leading.killed = true;
        leading.kill_at = Some(leading.kill_at.map_or(told, |at| at.min(told)));
        if let Some(run) = leading.run() {
            run.supervisor.kill(told);
        }
        self.limit_run(node);
        self.follow_term(node);
        self.after(KILL_PATIENCE, Event::Exit { node, life });
        self.step(node);
    }

    /// The process ends itself.
    pub(super) fn exit(&mut self, node: usize, life: u64) {
        if self.nodes[node].life != life || self.nodes[node].power != Power::On {
            return;
        }
        self.note(|w| format!("{} exits", w.nodes[node].name()));
        self.check_left_behind(node);
        self.power_off(node);
        let back = self.seconds_of_workloads(0.5, 60.0);
        let kind = Trouble::Crash;
        self.after(back, Event::Relief { node, kind });
    }

    /// Something reaches the elector from its threads and children after a while.
    pub(super) fn send_word(&mut self, node: usize, delay: Duration, word: Word) {
        let life = self.nodes[node].life;
        self.after(delay, Event::Word { node, life, word });
    }

    pub(super) fn hear_word(&mut self, node: usize, life: u64, word: Word) {
        let candidate = &mut self.nodes[node];
        if candidate.life != life {
            return;
        }
        match candidate.power {
            Power::Off => {}
            Power::Paused | Power::Suspended => candidate.unheard.push(word),
            Power::On => self.take_word(node, word),
        }
    }

    fn take_word(&mut self, node: usize, word: Word) {
        let told = self.told(node);
        match word {
            Word::LeadingBegins => self.begin_run(node),
            Word::TermChanged => {
                self.limit_run(node);
                self.follow_term(node);
            }
            Word::Spawned(guard) => self.hear_of_guard(node, guard),
            Word::Reports(guard) => self.read_reports(node, guard),
            Word::GuardEnded(guard) => {
                // Its last words come first.
                self.read_reports(node, guard);
                self.with_run(node, guard, |run| run.supervisor.handle_guard_exited());
            }
            Word::Cleared(guard) => {
                self.with_run(node, guard, |run| {
                    run.supervisor.handle_descendants_killed()
                });
            }
            Word::Stop => self.nodes[node].elector.handle_cancel(told),
            Word::Gone => return self.tell_gone(node),
        }
        self.step(node);
    }

    fn with_run(&mut self, node: usize, guard: u64, happens: impl FnOnce(&mut Run)) {
        let leading = &mut self.nodes[node].leading;
        if let Some(run) = leading.as_mut().and_then(|leading| leading.run_of(guard)) {
            happens(run);
        }
    }

    /// The guard was spawned. What has changed of the term meanwhile may come after that.
    fn hear_of_guard(&mut self, node: usize, guard: u64) {
        self.with_run(node, guard, |run| {
            run.supervisor.handle_guard_spawned();
            run.follows = true;
        });
        self.follow_term(node);
    }

    fn read_reports(&mut self, node: usize, guard: u64) {
        let told = self.told(node);
        let mut nonsense = None;
        self.with_run(node, guard, |run| {
            run.unread = false;
            while let Some(line) = run.reports.next_line() {
                match line.and_then(|line| FromGuard::parse(&line)) {
                    Ok(report) => run.supervisor.handle_report(told, report),
                    Err(error) => nonsense = Some(error),
                }
            }
        });
        if let Some(error) = nonsense {
            self.break_rule(|_| error.to_string());
        }
    }

    /// Nothing is left of what the thread ran.
    fn tell_gone(&mut self, node: usize) {
        self.note(|w| format!("{}: its workload is gone", w.nodes[node].name()));
        self.note_change();
        self.check_gone(node);
        self.measure_gone(node);
        let told = self.told(node);
        let candidate = &mut self.nodes[node];
        let killed = candidate.leading.take().is_some_and(|last| last.killed);
        candidate.elector.handle_timeout(told);
        candidate.elector.handle_workload_gone(told);
        if killed {
            return self.exit(node, self.nodes[node].life);
        }
        self.step(node);
    }

    // ---- the thread ----

    /// The program is started, unless the term is over by now.
    fn begin_run(&mut self, node: usize) {
        let candidate = &mut self.nodes[node];
        let grace = candidate.config.termination_grace;
        let margin = candidate.config.margin();
        let Some(leading) = &mut candidate.leading else {
            return;
        };
        if leading.killed || leading.kill_at.is_some() {
            return self.come_back(node, false);
        }
        self.guards += 1;
        let follows = self.workload_rng.bool();
        leading.phase = Phase::Runs(Box::new(Run {
            guard: self.guards,
            supervisor: Supervisor::start(leading.until, grace, margin),
            until: leading.until,
            kill_at: None,
            follows,
            reports: LineBuffer::new(),
            unread: false,
        }));
    }

    /// Does what the supervisor asks for.
    pub(super) fn lead(&mut self, node: usize) {
        let told = self.told(node);
        let candidate = &mut self.nodes[node];
        let Some(run) = candidate.leading.as_mut().and_then(Leading::run) else {
            return;
        };
        run.supervisor.handle_timeout(told);
        while let Some((guard, action)) = self.next_action(node) {
            match action {
                SupervisorAction::SpawnGuard => self.spawn_guard(node, guard),
                SupervisorAction::SendToGuard(message) => self.tell_guard(node, guard, message),
                SupervisorAction::KillGuard => {
                    self.tally.count(Kind::GuardOverdue);
                    self.kill_guard(node, guard);
                }
                SupervisorAction::KillDescendants => self.clear(node, guard),
            }
        }
        self.end_run(node);
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
            self.look_soon(node, number, delay);
        }
    }

    /// Kills and reaps everything below the elector.
    fn clear(&mut self, node: usize, guard: u64) {
        self.note(|w| format!("{} clears up after its guard", w.nodes[node].name()));
        self.tally.count(Kind::GuardLost);
        let candidate = &mut self.nodes[node];
        let life = candidate.life;
        candidate.guards.retain(|guard| guard.life != life);
        candidate.workload.retain(|process| process.life != life);
        let delay = self.latency() * 4;
        self.send_word(node, delay, Word::Cleared(guard));
    }

    /// What follows when nothing of a run is left.
    fn end_run(&mut self, node: usize) {
        let Some(leading) = &mut self.nodes[node].leading else {
            return;
        };
        let Some(ended) = leading.run().and_then(|run| run.supervisor.end()) else {
            return;
        };
        match ended {
            WorkloadEnd::Exited(code) => {
                // One that its machine could not start in time counts as one that could not be started.
                if code != EXIT_CODE && code != NOT_STARTED {
                    self.break_rule(|w| {
                        let name = w.nodes[node].name();
                        format!("the workload of {name}, which was told to end, is said to have ended by itself: {code}")
                    });
                }
                self.come_back(node, true);
            }
            WorkloadEnd::GuardLost if leading.kill_at.is_none() => self.come_back(node, true),
            WorkloadEnd::Stopped | WorkloadEnd::GuardOverdue | WorkloadEnd::GuardLost => {
                leading.phase = Phase::Waits;
                self.follow_term(node);
            }
        }
    }

    /// The term has changed, or its program was stopped: then that is started again if the term turns
    /// out to last.
    fn follow_term(&mut self, node: usize) {
        if let Some(leading) = &mut self.nodes[node].leading {
            leading.follow();
        }
        let told = self.told(node);
        let Some(leading) = &self.nodes[node].leading else {
            return;
        };
        if !matches!(leading.phase, Phase::Waits) {
            return;
        }
        if leading.killed || leading.kill_at.is_some() {
            return self.come_back(node, false);
        }
        if told < leading.until {
            self.note(|w| format!("{} starts its workload again", w.nodes[node].name()));
            self.tally.count(Kind::StartedAgain);
            self.begin_run(node);
            self.lead(node);
        }
    }

    /// The thread comes back, and may stop the election before.
    fn come_back(&mut self, node: usize, stop: bool) {
        if let Some(leading) = &mut self.nodes[node].leading {
            leading.phase = Phase::Over;
        }
        let mut delay = self.latency();
        if stop {
            self.send_word(node, delay, Word::Stop);
            delay += self.latency();
        }
        self.send_word(node, delay, Word::Gone);
    }
}
