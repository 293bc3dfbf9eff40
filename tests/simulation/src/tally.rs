//! Statistics of runs: how often each kind of fault occurred, and what the elections did.

use std::fmt;
use std::time::Duration;

use crate::ledger::Ledger;

macro_rules! kinds {
    ($($kind:ident $name:literal,)*) => {
        /// A kind of fault, counted when it occurs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $(#[doc = $name] $kind,)* }

        impl Kind {
            pub const ALL: &'static [Kind] = &[$(Kind::$kind,)*];

            pub fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    LostRequest "requests lost",
    LostAnswer "answers lost",
    Refused "connections refused",
    ServerError "5xx errors",
    Duplicate "requests duplicated",
    VeryLate "requests minutes late",
    SlowRequest "requests slow",
    SlowAnswer "answers slow",
    StaleRead "stale reads",
    RateLimited "rate limited",
    LimitReached "GitHub's limits reached",
    Conflict "409",
    Stacked "races, both kept",
    LostWrite "writes lost",
    Crash "processes killed",
    MachineCrash "machines lost",
    GracefulStop "graceful stops",
    Pause "processes stopped (SIGSTOP)",
    Suspend "machines suspended",
    WallJump "jumps of the wall clock",
    Partition "partitions",
    Outage "outages",
    OtherFile "writes to another file",
    OperatorEdit "edits by operators",
    Annotation "requests to hand over by preferred candidates",
    Steered "requests of operators",
    PauseReported "pauses reported",
    ClientGo "writes of client-go",
    WrongRefusal "412 for a write that landed, or that alone was written",
    VersionChange "versions changed without a write",
    Restore "older values restored",
    TermIgnored "workloads that ignore TERM",
    GuardKilled "guards killed",
    GuardStopped "guards stopped (SIGSTOP)",
    GuardOverdue "guards killed by their elector",
    GuardLost "cleanups after lost guards",
    SlowStart "starts that took seconds",
    EndedItself "workloads that exited by themselves",
    Leftover "workloads that leave processes behind",
    StartedAgain "workloads started again in a term",
    SecondSignal "second signals to a stop",
}

/// Number of occurrences per kind.
#[derive(Clone, Debug)]
struct Counts([u64; Kind::ALL.len()]);

impl Default for Counts {
    fn default() -> Self {
        Counts([0; Kind::ALL.len()])
    }
}

/// Statistics of one or many runs.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    faults: Counts,
    pub runs: u64,
    pub candidate_hours: f64,
    pub events: u64,
    pub writes: u64,
    pub terms: u64,
    /// Candidates' reads that counted as requests, in runs with limits.
    pub reads: u64,
    /// Number of polls that the request budget delayed.
    pub polls_delayed: u64,
    /// Number of refusals of a leader because the hourly limit was used up.
    pub leaders_refused: u64,
    /// Terms that followed an expired lease.
    pub takeovers: u64,
    /// Sum of the delays between expiry and the next term. The longest includes outages and other
    /// faults of that time.
    pub takeover_sum: Duration,
    pub longest_takeover: Duration,
    pub longest_takeover_seed: u64,
    /// Longest time from the end of the faults to a leader.
    pub longest_recovery: Duration,
    pub longest_recovery_seed: u64,
    /// Ledger of a measured run.
    pub ledger: Option<Box<Ledger>>,
}

impl Tally {
    pub(crate) fn new(measured: bool) -> Tally {
        Tally {
            ledger: measured.then(Box::default),
            ..Tally::default()
        }
    }

    pub fn count(&mut self, kind: Kind) {
        self.faults.0[kind as usize] += 1;
    }

    pub fn of(&self, kind: Kind) -> u64 {
        self.faults.0[kind as usize]
    }

    pub fn takeover(&mut self, seed: u64, late: Duration) {
        self.takeovers += 1;
        self.takeover_sum += late;
        if late > self.longest_takeover {
            (self.longest_takeover, self.longest_takeover_seed) = (late, seed);
        }
    }

    pub fn recovery(&mut self, seed: u64, took: Duration) {
        if took >= self.longest_recovery {
            (self.longest_recovery, self.longest_recovery_seed) = (took, seed);
        }
    }

    pub fn add(&mut self, other: &Tally) {
        for (mine, others) in self.faults.0.iter_mut().zip(other.faults.0) {
            *mine += others;
        }
        self.runs += other.runs;
        self.candidate_hours += other.candidate_hours;
        self.events += other.events;
        self.writes += other.writes;
        self.terms += other.terms;
        self.reads += other.reads;
        self.polls_delayed += other.polls_delayed;
        self.leaders_refused += other.leaders_refused;
        self.takeovers += other.takeovers;
        self.takeover_sum += other.takeover_sum;
        if other.longest_takeover > self.longest_takeover {
            self.longest_takeover = other.longest_takeover;
            self.longest_takeover_seed = other.longest_takeover_seed;
        }
        self.recovery(other.longest_recovery_seed, other.longest_recovery);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = self.takeover_sum.as_secs_f64() / self.takeovers.max(1) as f64;
        writeln!(f, "{:>12}  runs", self.runs)?;
        writeln!(f, "{:>12.0}  candidate-hours", self.candidate_hours)?;
        writeln!(f, "{:>12}  events", self.events)?;
        writeln!(
            f,
            "{:>12}  writes of the record, or of the gist",
            self.writes
        )?;
        writeln!(f, "{:>12}  terms of leadership", self.terms)?;
        writeln!(
            f,
            "{:>12}  polls delayed by the request budget",
            self.polls_delayed
        )?;
        writeln!(
            f,
            "{:>12}  leaders refused by the hourly limit",
            self.leaders_refused
        )?;
        writeln!(f, "{:>12}  takeovers of an expired lease", self.takeovers)?;
        writeln!(
            f,
            "{mean:>11.1}s  after expiry on average, {:.1} s at most (seed {}), faults included",
            self.longest_takeover.as_secs_f64(),
            self.longest_takeover_seed
        )?;
        writeln!(
            f,
            "{:>11.1}s  from the end of the faults to a leader at most (seed {})",
            self.longest_recovery.as_secs_f64(),
            self.longest_recovery_seed
        )?;
        writeln!(f, "faults:")?;
        for kind in Kind::ALL {
            writeln!(f, "{:>12}  {}", self.of(*kind), kind.name())?;
        }
        Ok(())
    }
}
