//! Everything that runs while a candidate leads: the elector's thread, the guard and the guard's
//! processes. The program's own [`Supervisor`] and [`GuardState`] decide; threads, pipes and
//! processes are simulated.

use std::time::Duration;

use elector::election::time::Instant;
use elector::workload::guard_state::GuardState;
use elector::workload::message::LineBuffer;
use elector::workload::supervisor::Supervisor;

use crate::clock::Time;

/// Signal that asks a workload to stop.
const TERM: i32 = 15;

/// The elector's thread that leads, for the length of a term. It ends with its process.
#[derive(Debug)]
pub struct Leading {
    pub fencing_token: u64,
    /// End of the term, as known so far.
    pub valid_until: Instant,
    /// Once the term has ended: latest time at which the workload is killed.
    pub kill_at: Option<Instant>,
    /// The lease was lost.
    pub lost: bool,
    /// A second signal came, so nothing is started any more.
    pub killed: bool,
    /// Time that the workload takes to stop when asked.
    pub takes: Duration,
    pub phase: Phase,
}

/// Phase of the thread.
#[derive(Debug)]
pub enum Phase {
    /// The thread starts.
    Begins,
    Runs(Box<ProgramRun>),
    /// The program was stopped although the term may last; the next message decides.
    Waits,
    /// Everything has stopped; the report is on its way.
    Over,
}

/// One run of the wrapped program.
#[derive(Debug)]
pub struct ProgramRun {
    /// Number of its guard.
    pub guard: u64,
    pub supervisor: Supervisor,
    /// End of the term, as the supervisor knows it.
    pub valid_until: Instant,
    pub kill_at: Option<Instant>,
    /// The supervisor hears of changes even while the guard is being spawned; the runtime does both
    /// on the same thread.
    pub follows: bool,
    /// Reports of the guard that were not read yet.
    pub reports: LineBuffer,
    pub unread: bool,
}

impl ProgramRun {
    /// Tells the supervisor about changes of the term.
    pub fn follow(&mut self, valid_until: Instant, kill_at: Option<Instant>, lost: bool) {
        if !self.follows {
            return;
        }
        if self.valid_until != valid_until {
            self.valid_until = valid_until;
            self.supervisor.extend(valid_until);
        }
        if let Some(at) = kill_at
            && self.kill_at != kill_at
        {
            self.kill_at = kill_at;
            match lost {
                true => self.supervisor.terminate(at),
                false => self.supervisor.stop(TERM, at),
            }
        }
    }
}

impl Leading {
    /// Passes changes of the term on to the program run.
    pub fn follow(&mut self) {
        let (valid_until, kill_at, lost) = (self.valid_until, self.kill_at, self.lost);
        if let Some(run) = self.run() {
            run.follow(valid_until, kill_at, lost);
        }
    }

    pub fn run(&mut self) -> Option<&mut ProgramRun> {
        match &mut self.phase {
            Phase::Runs(run) => Some(run),
            _ => None,
        }
    }

    /// Returns the program run with this guard.
    pub fn run_of(&mut self, guard: u64) -> Option<&mut ProgramRun> {
        self.run().filter(|run| run.guard == guard)
    }

    /// Returns the time at which the elector must check the program run.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Runs(run) => run.supervisor.poll_timeout(),
            _ => None,
        }
    }
}

/// Message to an elector from its threads and children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The thread that leads has started.
    LeadingBegins,
    /// The term has changed.
    TermChanged,
    /// The guard with this number was started.
    Spawned(u64),
    /// The guard with this number has sent a report.
    Reports(u64),
    /// The guard with this number has exited and was reaped.
    GuardEnded(u64),
    /// Everything that the guard left behind was killed and reaped.
    Cleared(u64),
    /// The program exited by itself or failed, so the election must stop.
    Stop,
    /// The thread that led has ended.
    WorkloadStopped,
}

/// A guard's process.
#[derive(Debug)]
pub struct Guard {
    pub number: u64,
    /// Generation of the candidate's process that started it.
    pub generation: u64,
    /// Whether it shares the lock of the state file.
    pub holds_state: bool,
    pub fencing_token: u64,
    pub state: GuardState,
    /// Time at which it starts running.
    pub ready_at: Time,
    /// It is stopped by a signal; its processes are not.
    pub stopped: bool,
    /// Messages of the elector that it has not read yet.
    pub pipe: LineBuffer,
    /// It has noticed that the elector exited.
    pub cut: bool,
    /// It was told to stop the program, or the program has exited; its end no longer depends on the
    /// deadline alone.
    pub ending: bool,
    pub runs_at: Option<Time>,
    pub timer_at: Option<Time>,
    /// CMD was started and not reaped yet.
    pub unreaped: bool,
    pub code: i32,
    /// Time that CMD takes to stop when asked.
    pub takes: Duration,
    /// Latest time at which anything of it may run.
    pub limit: Time,
}

/// A process of a workload.
#[derive(Debug)]
pub struct Process {
    pub guard: u64,
    pub generation: u64,
    pub fencing_token: u64,
    /// It is CMD itself, not a descendant.
    pub main: bool,
    /// Time at which the process becomes CMD, and the end of the term by which it must have; `None`
    /// once it has.
    pub becomes_cmd: Option<(Time, Instant)>,
    /// It was forked while the others were killed, so the first SIGKILL misses it.
    pub escapes: bool,
    /// Time that it takes to stop when asked.
    pub takes: Duration,
    pub termed: bool,
    /// Time of its exit, unless it is killed before.
    pub ends_at: Option<Time>,
    pub limit: Time,
}
