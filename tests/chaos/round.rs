//! One round: a service, its candidates, everything that goes wrong by the schedule, and the verdict.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use elector::election::time::Instant;
use elector::system::clock::BootClock;
use nix::sys::signal::Signal;

use crate::agenda::{Agenda, Step};
use crate::checker::Flaw;
use crate::crowd::{Candidate, Crowd, Kind};
use crate::faults::FAULTS;
use crate::fence::Fence;
use crate::proxy::Weather;
use crate::schedule::{Deed, Whom, plan};
use crate::service::{self, Service};
use crate::support::process::program::kill_all_groups;
use crate::tally::Tally;
use crate::{LEASE, PATIENCE, RECOVERY, STEADY_WITHIN};

/// Plain electors, and those with a workload of their own.
pub(crate) const PLAIN: usize = 5;
pub(crate) const WORKERS: usize = 2;
const CANDIDATES: usize = PLAIN + WORKERS;

/// The place of a second process under a name.
const TWIN: usize = CANDIDATES;

/// How often it is looked at what is due and who has ended.
const PACE: Duration = Duration::from_millis(10);

/// After how long one that ended by itself is started again, as a pod would be.
const BACK_OFF: Duration = Duration::from_millis(500);

/// What runs in groups of its own does not hear of Ctrl-C.
static END_ALL_AT_CTRL_C: Once = Once::new();

fn end_all_at_ctrl_c() {
    let end_all = || {
        kill_all_groups();
        std::process::exit(130);
    };
    ctrlc::set_handler(end_all).unwrap();
}

/// A round. When it is dropped nothing of it runs any more; its folder stays if the test fails.
pub(crate) struct Round {
    pub(crate) seed: u64,
    pub(crate) folder: PathBuf,
    pub(crate) start: Instant,
    agenda: Agenda,
    pub(crate) journal: Vec<(Instant, String)>,
    pub(crate) tally: Tally,
    /// What was wrong already on the way.
    pub(crate) flaws: Vec<Flaw>,
    people: Vec<JoinHandle<()>>,
    /// All are asked to leave for good.
    parting: bool,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) crowd: Crowd,
    pub(crate) fence: Fence,
    pub(crate) service: Service,
}

impl Round {
    pub(crate) fn new(seed: u64) -> Round {
        let everybody: Vec<_> = (0..CANDIDATES).collect();
        Round::with(seed, &everybody)
    }

    /// With these candidates from the start.
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
        let crowd = Crowd::new(fence.addr(), records);
        let place = |slot: usize| {
            let (name, kind) = match slot {
                TWIN => ("twin".to_owned(), Kind::Plain),
                ..PLAIN => (format!("plain{slot}"), Kind::Plain),
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
            people: Vec::new(),
            parting: false,
            candidates: (0..=TWIN).map(place).collect(),
            crowd,
            fence,
            service,
        };
        for &slot in candidates {
            round.start(slot);
        }
        round
    }

    /// The whole of a round: chaos for that long, healing, the verdict.
    pub(crate) fn run(mut self, length: Duration) -> Tally {
        for planned in plan(self.seed, length, CANDIDATES) {
            self.after(planned.at, Step::Do(planned.deed));
        }
        self.go_on_until(self.start + length, |_| false);
        self.tally.time = BootClock::now().since(self.start);
        self.heal();
        self.await_leader();
        self.await_steady();
        self.part();
        self.verdict();
        self.tally.clone()
    }

    // ---- the agenda ----

    fn after(&mut self, time: Duration, step: Step) {
        self.agenda.plan(BootClock::now(), time, step);
    }

    /// Does what is due, until then or until it is so; says whether it is.
    pub(crate) fn go_on_until(
        &mut self,
        end: Instant,
        mut is_so: impl FnMut(&mut Round) -> bool,
    ) -> bool {
        loop {
            let now = BootClock::now();
            while let Some(step) = self.agenda.take_due(now) {
                self.take(step);
            }
            self.supervise();
            if is_so(self) {
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
            Step::Do(deed) => self.commit(deed),
            Step::Clear(slot) => {
                self.note(format!("{}'s way is clear", self.candidates[slot].name));
                self.candidates[slot].proxy.set(Weather::Clear);
            }
            Step::Thaw(slot) if self.candidates[slot].frozen => {
                self.note(format!("{} thaws", self.candidates[slot].label()));
                self.candidates[slot].thaw();
            }
            Step::Thaw(_) => {}
            Step::Start(slot) if self.candidates[slot].leaving => {
                self.after(PACE, Step::Start(slot));
            }
            Step::Start(slot) => self.start(slot),
            Step::EndTwin => {
                let label = self.candidates[TWIN].label();
                self.note(format!("{label}, the second of its name, is killed"));
                self.candidates[TWIN].kill(&self.crowd);
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

    /// Starts a candidate unless one is there.
    pub(crate) fn start(&mut self, slot: usize) {
        if !self.candidates[slot].is_there() {
            self.candidates[slot].start(&self.crowd);
            let label = self.candidates[slot].label();
            self.note(format!("{label} starts"));
            self.tally.count("processes started");
        }
    }

    fn restart_service(&mut self) {
        self.service.restart();
        self.note("the service starts with its state".to_owned());
        for candidate in &self.candidates {
            candidate.proxy.lead_to(self.service.addr());
        }
    }

    /// Starts again what has ended, and tells the service what it was not yet told.
    fn supervise(&mut self) {
        if self.service.has_failed() {
            self.give_up("the service ended by itself");
        }
        self.service.tell_faults();
        for slot in 0..self.candidates.len() {
            let label = self.candidates[slot].label();
            let leaving = self.candidates[slot].leaving;
            let Some(code) = self.candidates[slot].ended(&self.crowd) else {
                continue;
            };
            self.note(format!("{label} has ended with {code:?}"));
            match code {
                Some(0) if leaving => {}
                // It had not got so far as to watch for signals, or what it met then ended it.
                None | Some(1) if leaving && !self.parting => {}
                Some(1) if !leaving => self.tally.count("processes that ended by themselves"),
                other => self.blame(format!("{label} ended with {other:?}")),
            }
            if slot != TWIN && !leaving {
                self.after(BACK_OFF, Step::Start(slot));
            }
        }
    }

    // ---- what goes wrong ----

    fn commit(&mut self, deed: Deed) {
        match deed {
            Deed::Weather(whom, weather, lasts) => {
                let Some(slot) = self.find(whom) else { return };
                self.note(format!(
                    "{}'s way is {weather:?}",
                    self.candidates[slot].name
                ));
                self.candidates[slot].proxy.set(weather);
                let kind = format!("{weather:?}");
                let kind = kind.split('(').next().unwrap_or_default();
                self.tally.count(&format!("way: {kind}"));
                self.after(lasts, Step::Clear(slot));
            }
            Deed::Kill(whom, away) => self.kill(whom, away),
            Deed::Freeze(whom, lasts) => self.freeze(whom, lasts),
            Deed::Leave(whom, away) => self.ask_to_leave(whom, away),
            Deed::Twin(whom, lasts) => self.start_twin(whom, lasts),
            Deed::StopService(away) => self.end_service(Signal::SIGTERM, away),
            Deed::KillService(away) => self.end_service(Signal::SIGKILL, away),
            Deed::FreezeService(lasts) => {
                if self.service.freeze() {
                    self.note("the service is frozen".to_owned());
                    self.tally.count("service: frozen");
                    self.after(lasts, Step::ThawService);
                }
            }
            Deed::Faults(which, lasts) => {
                let name = FAULTS[which].0;
                self.note(format!("the service has {name}"));
                self.service.set_faults(Some(which));
                self.tally.count(&format!("faults: {name}"));
                self.after(lasts, Step::EndFaults(which));
            }
            Deed::Edit(edit) => {
                self.note(format!("a person: {edit:?}"));
                self.tally.count(&format!("edit: {edit:?}"));
                self.people.push(service::edit(self.service.addr(), edit));
            }
        }
    }

    /// A candidate that is there, is awake, and was not asked to leave.
    fn find(&self, whom: Whom) -> Option<usize> {
        let slot = match whom {
            Whom::Leader => self.crowd.leader()?,
            Whom::Number(slot) => slot,
        };
        let candidate = &self.candidates[slot];
        (candidate.is_there() && !candidate.leaving && !candidate.frozen).then_some(slot)
    }

    fn of_leader(whom: Whom) -> &'static str {
        match whom {
            Whom::Leader => ", of the leader",
            Whom::Number(_) => "",
        }
    }

    fn kill(&mut self, whom: Whom, away: Duration) {
        let Some(slot) = self.find(whom) else { return };
        self.note(format!("{} is killed", self.candidates[slot].label()));
        self.candidates[slot].kill(&self.crowd);
        self.tally
            .count(&format!("SIGKILL{}", Self::of_leader(whom)));
        if slot != TWIN {
            self.after(away, Step::Start(slot));
        }
    }

    pub(crate) fn freeze(&mut self, whom: Whom, lasts: Duration) {
        let Some(slot) = self.find(whom) else { return };
        self.note(format!("{} is frozen", self.candidates[slot].label()));
        self.candidates[slot].freeze();
        self.tally
            .count(&format!("SIGSTOP{}", Self::of_leader(whom)));
        self.after(lasts, Step::Thaw(slot));
    }

    fn ask_to_leave(&mut self, whom: Whom, away: Duration) {
        let Some(slot) = self.find(whom) else { return };
        self.note(format!(
            "{} is asked to leave",
            self.candidates[slot].label()
        ));
        self.candidates[slot].leave();
        self.tally
            .count(&format!("SIGTERM{}", Self::of_leader(whom)));
        if slot != TWIN {
            self.after(away, Step::Start(slot));
        }
    }

    fn start_twin(&mut self, whom: Whom, lasts: Duration) {
        let Some(slot) = self.find(whom).filter(|slot| *slot != TWIN) else {
            return;
        };
        if !self.candidates[TWIN].is_there() {
            self.candidates[TWIN].name = self.candidates[slot].name.clone();
            self.start(TWIN);
            self.tally.count("a second process under a name");
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

    // ---- afterwards ----

    /// Nothing goes wrong any more, and everybody is there.
    fn heal(&mut self) {
        self.note("everything heals".to_owned());
        self.agenda.clear();
        self.candidates[TWIN].kill(&self.crowd);
        self.service.thaw();
        self.service.set_faults(None);
        for candidate in &mut self.candidates {
            candidate.heal();
        }
        if self.service.is_ending() {
            self.after(Duration::ZERO, Step::StartService);
        }
        let deadline = BootClock::now() + PATIENCE;
        let healed = self.go_on_until(deadline, |round| {
            let all_there = (0..CANDIDATES)
                .all(|slot| round.candidates[slot].is_there() && !round.candidates[slot].leaving);
            for slot in 0..CANDIDATES {
                round.start(slot);
            }
            round.people.retain(|person| !person.is_finished());
            all_there
                && round.people.is_empty()
                && !round.service.is_ending()
                && round.service.tell_faults()
        });
        if !healed {
            self.give_up("not everybody was there again");
        }
        self.note("everything has healed".to_owned());
    }

    pub(crate) fn await_leader(&mut self) {
        let healed = BootClock::now();
        if !self.go_on_until(healed + RECOVERY, |round| round.crowd.leader().is_some()) {
            self.give_up(&format!(
                "nobody led within {RECOVERY:?} after everything had healed"
            ));
        }
        self.tally.slowest_recovery = BootClock::now().since(healed);
    }

    /// Waits until one leads, the same for three leases, and nobody else.
    fn await_steady(&mut self) {
        let mut steady: Option<((usize, u64), Instant)> = None;
        let deadline = BootClock::now() + STEADY_WITHIN;
        let is_steady = self.go_on_until(deadline, |round| {
            let now = BootClock::now();
            let only = match round.crowd.leaders()[..] {
                [leader] if round.crowd.leader() == Some(leader.0) => Some(leader),
                _ => None,
            };
            steady = match (only, steady) {
                (Some(leader), Some((before, since))) if leader == before => Some((leader, since)),
                (leader, _) => leader.map(|leader| (leader, now)),
            };
            steady.is_some_and(|(_, since)| now.since(since) >= 3 * LEASE)
        });
        if !is_steady {
            self.give_up("after everything had healed nobody led for three leases, and alone");
        }
    }

    /// Everybody is asked to leave, and does.
    fn part(&mut self) {
        self.parting = true;
        self.agenda.clear();
        for candidate in &mut self.candidates {
            candidate.leave();
        }
        let gone = self.go_on_until(BootClock::now() + PATIENCE, |round| {
            round
                .candidates
                .iter()
                .all(|candidate| !candidate.is_there())
        });
        if !gone {
            self.give_up("not everybody left when asked to");
        }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        for candidate in &mut self.candidates {
            candidate.kill(&self.crowd);
        }
        if thread::panicking() {
            self.write_logs();
            eprintln!(
                "seed {}: what everybody said and recorded is in {}",
                self.seed,
                self.folder.display()
            );
        } else {
            self.service.end(Signal::SIGKILL);
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
