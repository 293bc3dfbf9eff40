//! One round: a service, candidates, scheduled faults, and the verdict.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use elector::election::time::Instant;
use elector::system::clock::BootClock;
use nix::sys::signal::Signal;

use crate::agenda::{Agenda, Step};
use crate::candidates::{Candidate, Kind, Watcher};
use crate::checker::Flaw;
use crate::faults::FAULTS;
use crate::fence::Fence;
use crate::proxy::Network;
use crate::schedule::{Action, Target, plan};
use crate::service::{self, Service};
use crate::support::process::program::kill_all_groups;
use crate::tally::Tally;
use crate::{LEASE, PATIENCE, RECOVERY, STEADY_WITHIN};

/// Numbers of plain electors and of workers.
pub(crate) const ELECTORS: usize = 5;
pub(crate) const WORKERS: usize = 2;
const CANDIDATES: usize = ELECTORS + WORKERS;

/// Slot of a second process with the name of another candidate.
const TWIN: usize = CANDIDATES;

/// Interval at which the round checks for due steps and ended processes.
const PACE: Duration = Duration::from_millis(10);

/// Time after which a process that ended by itself is restarted, like a pod.
const BACK_OFF: Duration = Duration::from_millis(500);

/// Ctrl-C does not reach processes in separate groups.
static END_ALL_AT_CTRL_C: Once = Once::new();

fn end_all_at_ctrl_c() {
    let end_all = || {
        kill_all_groups();
        std::process::exit(130);
    };
    ctrlc::set_handler(end_all).unwrap();
}

/// A round. Dropping it kills all of its processes. Its folder remains if the test fails.
pub(crate) struct Round {
    pub(crate) seed: u64,
    pub(crate) folder: PathBuf,
    pub(crate) start: Instant,
    agenda: Agenda,
    pub(crate) journal: Vec<(Instant, String)>,
    pub(crate) tally: Tally,
    /// Broken promises that were found before the end.
    pub(crate) flaws: Vec<Flaw>,
    edits: Vec<JoinHandle<()>>,
    /// Whether all candidates are being stopped for good.
    stopping_all: bool,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) watcher: Watcher,
    pub(crate) fence: Fence,
    pub(crate) service: Service,
}

impl Round {
    pub(crate) fn new(seed: u64) -> Round {
        let everybody: Vec<_> = (0..CANDIDATES).collect();
        Round::with(seed, &everybody)
    }

    /// Starts a round with these candidates.
    pub(crate) fn with(seed: u64, candidates: &[usize]) -> Round {
        END_ALL_AT_CTRL_C.call_once(end_all_at_ctrl_c);
        let name = format!("chaos-{}-{seed}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let records = folder.join("records");
        fs::write(&records, "").unwrap();
        let service = Service::start(&folder);
        let fence = Fence::open();
        let watcher = Watcher::new(fence.addr(), records);
        let place = |slot: usize| {
            let (name, kind) = match slot {
                TWIN => ("twin".to_owned(), Kind::Elector),
                ..ELECTORS => (format!("plain{slot}"), Kind::Elector),
                _ => (format!("worker{slot}"), Kind::Worker),
            };
            Candidate::new(slot, &name, kind, service.addr())
        };
        let mut round = Round {
            seed,
            folder,
            start: BootClock::now(),
            agenda: Agenda::default(),
            journal: Vec::new(),
            tally: Tally::default(),
            flaws: Vec::new(),
            edits: Vec::new(),
            stopping_all: false,
            candidates: (0..=TWIN).map(place).collect(),
            watcher,
            fence,
            service,
        };
        for &slot in candidates {
            round.start(slot);
        }
        round
    }

    /// Runs the whole round: faults for this time, recovery, verdict.
    pub(crate) fn run(mut self, length: Duration) -> Tally {
        for planned in plan(self.seed, length, CANDIDATES) {
            self.after(planned.at, Step::Do(planned.action));
        }
        self.run_until(self.start + length, |_| false);
        self.tally.time = BootClock::now().since(self.start);
        self.heal();
        self.await_leader();
        self.await_steady();
        self.stop_all();
        self.verdict();
        self.tally.clone()
    }

    // ---- the agenda ----

    fn after(&mut self, time: Duration, step: Step) {
        self.agenda.plan(BootClock::now(), time, step);
    }

    /// Carries out due steps until the condition holds or `end` has passed. Returns whether the condition
    /// holds.
    pub(crate) fn run_until(
        &mut self,
        end: Instant,
        mut holds: impl FnMut(&mut Round) -> bool,
    ) -> bool {
        loop {
            let now = BootClock::now();
            while let Some(step) = self.agenda.take_due(now) {
                self.take(step);
            }
            self.supervise();
            if holds(self) {
                return true;
            }
            if now >= end {
                return false;
            }
            thread::sleep(PACE);
        }
    }

    fn note(&mut self, what: String) {
        self.journal.push((BootClock::now(), what));
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Do(action) => self.perform(action),
            Step::Clear(slot) => {
                self.note(format!(
                    "{}'s network is healthy",
                    self.candidates[slot].name
                ));
                self.candidates[slot].proxy.set(Network::Healthy);
            }
            Step::Thaw(slot) if self.candidates[slot].frozen => {
                self.note(format!("{} thaws", self.candidates[slot].label()));
                self.candidates[slot].thaw();
            }
            Step::Thaw(_) => {}
            Step::Start(slot) if self.candidates[slot].stopping => {
                self.after(PACE, Step::Start(slot));
            }
            Step::Start(slot) => self.start(slot),
            Step::EndTwin => {
                let label = self.candidates[TWIN].label();
                self.note(format!(
                    "{label}, the second process of that name, is killed"
                ));
                self.candidates[TWIN].kill(&self.watcher);
            }
            Step::ThawService => {
                self.note("the service thaws".to_owned());
                self.service.thaw();
            }
            Step::StartService if self.service.is_running() => {
                self.after(PACE, Step::StartService);
            }
            Step::StartService => self.restart_service(),
            Step::EndFaults(which) if self.service.faults() == Some(which) => {
                self.note("the service's faults end".to_owned());
                self.service.set_faults(None);
            }
            Step::EndFaults(_) => {}
        }
    }

    /// Starts a candidate, unless it runs.
    pub(crate) fn start(&mut self, slot: usize) {
        if !self.candidates[slot].is_running() {
            self.candidates[slot].start(&self.watcher);
            let label = self.candidates[slot].label();
            self.note(format!("{label} starts"));
            self.tally.count("processes started");
        }
    }

    fn restart_service(&mut self) {
        self.service.restart();
        self.note("the service restarts with its state".to_owned());
        for candidate in &self.candidates {
            candidate.proxy.forward_to(self.service.addr());
        }
    }

    /// Restarts processes that have ended, and sends pending faults to the service.
    fn supervise(&mut self) {
        if self.service.has_failed() {
            self.abort("the service ended by itself");
        }
        self.service.send_faults();
        for slot in 0..self.candidates.len() {
            let label = self.candidates[slot].label();
            let stopping = self.candidates[slot].stopping;
            let Some(code) = self.candidates[slot].ended(&self.watcher) else {
                continue;
            };
            self.note(format!("{label} exited with {code:?}"));
            match code {
                Some(0) if stopping => {}
                // The signal came before it was handled, or a fault ended the process first.
                None | Some(1) if stopping && !self.stopping_all => {}
                Some(1) if !stopping => self.tally.count("processes that ended by themselves"),
                other => self.add_flaw(format!("{label} exited with {other:?}")),
            }
            if slot != TWIN && !stopping {
                self.after(BACK_OFF, Step::Start(slot));
            }
        }
    }

    // ---- faults ----

    fn perform(&mut self, action: Action) {
        match action {
            Action::Network(target, network, lasts) => {
                let Some(slot) = self.find(target) else {
                    return;
                };
                self.note(format!(
                    "{}'s network is {network:?}",
                    self.candidates[slot].name
                ));
                self.candidates[slot].proxy.set(network);
                let kind = format!("{network:?}");
                let kind = kind.split('(').next().unwrap_or_default();
                self.tally.count(&format!("network: {kind}"));
                self.after(lasts, Step::Clear(slot));
            }
            Action::Kill(target, away) => self.kill(target, away),
            Action::Freeze(target, lasts) => self.freeze(target, lasts),
            Action::Stop(target, away) => self.stop_candidate(target, away),
            Action::Twin(target, lasts) => self.start_twin(target, lasts),
            Action::StopService(away) => self.end_service(Signal::SIGTERM, away),
            Action::KillService(away) => self.end_service(Signal::SIGKILL, away),
            Action::FreezeService(lasts) => {
                if self.service.freeze() {
                    self.note("the service is frozen".to_owned());
                    self.tally.count("service: frozen");
                    self.after(lasts, Step::ThawService);
                }
            }
            Action::Faults(which, lasts) => {
                let name = FAULTS[which].0;
                self.note(format!("the service has {name}"));
                self.service.set_faults(Some(which));
                self.tally.count(&format!("faults: {name}"));
                self.after(lasts, Step::EndFaults(which));
            }
            Action::Edit(edit) => {
                self.note(format!("an operator edits: {edit:?}"));
                self.tally.count(&format!("edit: {edit:?}"));
                self.edits.push(service::edit(self.service.addr(), edit));
            }
        }
    }

    /// Finds a candidate that runs, is not frozen, and is not stopping.
    fn find(&self, target: Target) -> Option<usize> {
        let slot = match target {
            Target::Leader => self.watcher.leader()?,
            Target::Number(slot) => slot,
        };
        let candidate = &self.candidates[slot];
        (candidate.is_running() && !candidate.stopping && !candidate.frozen).then_some(slot)
    }

    fn of_leader(target: Target) -> &'static str {
        match target {
            Target::Leader => ", of the leader",
            Target::Number(_) => "",
        }
    }

    fn kill(&mut self, target: Target, away: Duration) {
        let Some(slot) = self.find(target) else {
            return;
        };
        self.note(format!("{} is killed", self.candidates[slot].label()));
        self.candidates[slot].kill(&self.watcher);
        self.tally
            .count(&format!("SIGKILL{}", Self::of_leader(target)));
        if slot != TWIN {
            self.after(away, Step::Start(slot));
        }
    }

    pub(crate) fn freeze(&mut self, target: Target, lasts: Duration) {
        let Some(slot) = self.find(target) else {
            return;
        };
        self.note(format!("{} is frozen", self.candidates[slot].label()));
        self.candidates[slot].freeze();
        self.tally
            .count(&format!("SIGSTOP{}", Self::of_leader(target)));
        self.after(lasts, Step::Thaw(slot));
    }

    fn stop_candidate(&mut self, target: Target, away: Duration) {
        let Some(slot) = self.find(target) else {
            return;
        };
        self.note(format!("{} gets SIGTERM", self.candidates[slot].label()));
        self.candidates[slot].terminate();
        self.tally
            .count(&format!("SIGTERM{}", Self::of_leader(target)));
        if slot != TWIN {
            self.after(away, Step::Start(slot));
        }
    }

    fn start_twin(&mut self, target: Target, lasts: Duration) {
        let Some(slot) = self.find(target).filter(|slot| *slot != TWIN) else {
            return;
        };
        if !self.candidates[TWIN].is_running() {
            self.candidates[TWIN].name = self.candidates[slot].name.clone();
            self.start(TWIN);
            self.tally.count("second process with a name");
            self.after(lasts, Step::EndTwin);
        }
    }

    fn end_service(&mut self, signal: Signal, away: Duration) {
        if self.service.end(signal) {
            self.note(format!("the service gets {signal}"));
            self.tally.count(&format!("service: {signal}"));
            self.after(away, Step::StartService);
        }
    }

    // ---- recovery ----

    /// Ends all faults, and starts every candidate that does not run.
    fn heal(&mut self) {
        self.note("all faults end".to_owned());
        self.agenda.clear();
        self.candidates[TWIN].kill(&self.watcher);
        self.service.thaw();
        self.service.set_faults(None);
        for candidate in &mut self.candidates {
            candidate.heal();
        }
        if self.service.is_ending() {
            self.after(Duration::ZERO, Step::StartService);
        }
        let deadline = BootClock::now() + PATIENCE;
        let healed = self.run_until(deadline, |round| {
            let all_there = (0..CANDIDATES).all(|slot| {
                round.candidates[slot].is_running() && !round.candidates[slot].stopping
            });
            for slot in 0..CANDIDATES {
                round.start(slot);
            }
            round.edits.retain(|person| !person.is_finished());
            all_there
                && round.edits.is_empty()
                && !round.service.is_ending()
                && round.service.send_faults()
        });
        if !healed {
            self.abort("not every candidate runs again");
        }
        self.note("all candidates run".to_owned());
    }

    pub(crate) fn await_leader(&mut self) {
        let healed = BootClock::now();
        if !self.run_until(healed + RECOVERY, |round| round.watcher.leader().is_some()) {
            self.abort(&format!(
                "no candidate led within {RECOVERY:?} after all faults had ended"
            ));
        }
        self.tally.slowest_recovery = BootClock::now().since(healed);
    }

    /// Waits until one candidate has been the only leader for three leases.
    fn await_steady(&mut self) {
        let mut steady: Option<((usize, u64), Instant)> = None;
        let deadline = BootClock::now() + STEADY_WITHIN;
        let is_steady = self.run_until(deadline, |round| {
            let now = BootClock::now();
            let only = match round.watcher.leaders()[..] {
                [leader] if round.watcher.leader() == Some(leader.0) => Some(leader),
                _ => None,
            };
            steady = match (only, steady) {
                (Some(leader), Some((before, since))) if leader == before => Some((leader, since)),
                (leader, _) => leader.map(|leader| (leader, now)),
            };
            steady.is_some_and(|(_, since)| now.since(since) >= 3 * LEASE)
        });
        if !is_steady {
            self.abort(
                "no candidate was the only leader for three leases after all faults had ended",
            );
        }
    }

    /// Terminates all candidates, and waits until they have ended.
    fn stop_all(&mut self) {
        self.stopping_all = true;
        self.agenda.clear();
        for candidate in &mut self.candidates {
            candidate.terminate();
        }
        let gone = self.run_until(BootClock::now() + PATIENCE, |round| {
            round
                .candidates
                .iter()
                .all(|candidate| !candidate.is_running())
        });
        if !gone {
            self.abort("not every candidate exited after SIGTERM");
        }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        for candidate in &mut self.candidates {
            candidate.kill(&self.watcher);
        }
        if thread::panicking() {
            self.write_logs();
            eprintln!(
                "seed {}: logs and records are in {}",
                self.seed,
                self.folder.display()
            );
        } else {
            self.service.end(Signal::SIGKILL);
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
