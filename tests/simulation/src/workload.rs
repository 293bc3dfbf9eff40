//! What runs while a candidate leads: the elector's thread for it, the guard, and the guard's processes.
//! The decisions are the program's own ([`Supervisor`], [`GuardState`]); threads, pipes and processes are
//! played.

use std::time::Duration;

use elector::election::time::Instant;
use elector::workload::guard_state::GuardState;
use elector::workload::message::LineBuffer;
use elector::workload::supervisor::Supervisor;

use crate::clock::Time;

/// What a workload is asked to stop with.
const TERM: i32 = 15;

/// The thread of an elector that leads, for the length of a term. It ends with its process.
#[derive(Debug)]
pub struct Leading {
    pub token: u64,
    /// Until when the term lasts.
    pub until: Instant,
    /// Set once it has ended: when everything of it is killed at the latest.
    pub kill_at: Option<Instant>,
    /// A second signal came: nothing is started any more.
    pub killed: bool,
    /// How long what it runs takes to stop when it is told to.
    pub takes: Duration,
    pub phase: Phase,
}

/// How far it is.
#[derive(Debug)]
pub enum Phase {
    /// The thread starts.
    Begins,
    Runs(Box<Run>),
    /// The program was stopped although the term lasts, by what is known: what comes next shows.
    Waits,
    /// Nothing is left; that is about to be said.
    Over,
}

/// One run of the program.
#[derive(Debug)]
pub struct Run {
    /// The number of its guard.
    pub guard: u64,
    pub supervisor: Supervisor,
    /// What of the term the supervisor knows.
    pub until: Instant,
    pub kill_at: Option<Instant>,
    /// It hears of changes also while the guard is being spawned; the runtime does that on the same
    /// thread.
    pub follows: bool,
    /// What the guard has said and nobody has read.
    pub reports: LineBuffer,
    pub unread: bool,
}

impl Run {
    /// Tells the supervisor what has changed of the term.
    pub fn follow(&mut self, until: Instant, kill_at: Option<Instant>) {
        if !self.follows {
            return;
        }
        if self.until != until {
            self.until = until;
            self.supervisor.extend(until);
        }
        if let Some(at) = kill_at
            && self.kill_at != kill_at
        {
            self.kill_at = kill_at;
            self.supervisor.stop(TERM, at);
        }
    }
}

impl Leading {
    /// What has changed of the term reaches the run.
    pub fn follow(&mut self) {
        let (until, kill_at) = (self.until, self.kill_at);
        if let Some(run) = self.run() {
            run.follow(until, kill_at);
        }
    }

    pub fn run(&mut self) -> Option<&mut Run> {
        match &mut self.phase {
            Phase::Runs(run) => Some(run),
            _ => None,
        }
    }

    /// The run with this guard.
    pub fn run_of(&mut self, guard: u64) -> Option<&mut Run> {
        self.run().filter(|run| run.guard == guard)
    }

    /// When the elector has to look after the run at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Runs(run) => run.supervisor.poll_timeout(),
            _ => None,
        }
    }
}

/// What reaches an elector from its threads and children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The thread that leads runs.
    LeadingBegins,
    /// The term has changed.
    TermChanged,
    /// The guard with this number was started.
    Spawned(u64),
    /// It has said something.
    Reports(u64),
    /// It has ended, and was reaped.
    GuardEnded(u64),
    /// Everything that it left was killed and reaped.
    Cleared(u64),
    /// The program has ended by itself, or failed: the election is to stop.
    Stop,
    /// The thread that led has come back.
    Gone,
}

/// A guard's process.
#[derive(Debug)]
pub struct Guard {
    pub number: u64,
    /// Of which process of the candidate it is a child.
    pub life: u64,
    pub token: u64,
    pub watch: GuardState,
    /// It does not run before this.
    pub ready_at: Time,
    /// By a signal; none of its processes are.
    pub stopped: bool,
    /// What the elector has said and it has not read.
    pub pipe: LineBuffer,
    /// It has seen the end of the elector.
    pub cut: bool,
    /// It was told to end, or its program has: from then on its end does not rest on `until` alone.
    pub ending: bool,
    pub looks_at: Option<Time>,
    pub timer_at: Option<Time>,
    /// CMD has been started and was not reaped yet.
    pub unreaped: bool,
    pub code: i32,
    /// How long CMD takes to stop when it is told to.
    pub takes: Duration,
    /// Nothing of it may run after this.
    pub limit: Time,
}

/// A process of a workload.
#[derive(Debug)]
pub struct Process {
    pub guard: u64,
    pub life: u64,
    pub token: u64,
    /// CMD itself, and not something that it started.
    pub main: bool,
    /// It is not CMD yet: the program that becomes CMD at this time, unless the guard's time is over by
    /// then.
    pub becomes_cmd: Option<(Time, Instant)>,
    /// It is in CMD's process group.
    pub grouped: bool,
    /// It was forked while its like were killed: the first KILL does not find it.
    pub escapes: bool,
    /// How long it takes to stop when it is told to.
    pub takes: Duration,
    pub termed: bool,
    /// When it ends, unless it is killed before.
    pub ends_at: Option<Time>,
    pub limit: Time,
}
