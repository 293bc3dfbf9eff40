//! What was tried: how often each kind of fault came about, and what the elections made of it.

use std::fmt;
use std::time::Duration;

use crate::ledger::Ledger;

macro_rules! kinds {
    ($($kind:ident $name:literal,)*) => {
        /// A kind of fault, counted when it comes about.
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
    ServerError "errors 5xx",
    Duplicate "requests doubled",
    VeryLate "requests minutes late",
    SlowRequest "requests slow",
    SlowAnswer "answers slow",
    StaleRead "stale reads",
    ToldToWait "told to wait",
    LimitReached "GitHub's limits reached",
    Conflict "409",
    Stacked "races, both kept",
    Vanished "commits vanished",
    Crash "processes killed",
    MachineCrash "machines lost",
    PoliteStop "polite stops",
    Pause "processes stopped (SIGSTOP)",
    Suspend "machines suspended",
    WallJump "jumps of the wall clock",
    Partition "partitions",
    Outage "outages",
    OtherFile "writes to another file",
    Person "edits by a person",
    Legacy "writes of client-go",
    Stubborn "workloads that ignore TERM",
    GuardKilled "guards killed",
    GuardStopped "guards stopped (SIGSTOP)",
    GuardOverdue "guards killed by their elector",
    GuardLost "lost guards cleared up after",
    SlowStart "starts that took seconds",
    EndedItself "workloads that ended by themselves",
    Leftover "workloads with something to leave behind",
    StartedAgain "workloads started again in a term",
    SecondSignal "second signals to a stop",
}

/// How often each kind came about.
#[derive(Clone, Debug)]
struct Counts([u64; Kind::ALL.len()]);

impl Default for Counts {
    fn default() -> Self {
        Counts([0; Kind::ALL.len()])
    }
}

/// What came of one world, or of many.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    faults: Counts,
    pub worlds: u64,
    pub candidate_hours: f64,
    pub events: u64,
    pub writes: u64,
    pub terms: u64,
    /// Reads of candidates that counted as requests, where these are limited.
    pub reads: u64,
    /// How often a candidate looked later for want of requests.
    pub put_off: u64,
    /// How often a leader was refused for want of requests, in worlds where others use them too.
    pub leaders_refused: u64,
    /// Terms that followed one whose lease had to run out.
    pub takeovers: u64,
    /// How long after the earliest moment the lease could be taken they began; the worst includes
    /// outages and whatever else was wrong at the time.
    pub takeover_sum: Duration,
    pub worst_takeover: Duration,
    pub worst_takeover_seed: u64,
    /// How long after the healing somebody led, at the worst.
    pub worst_recovery: Duration,
    pub worst_recovery_seed: u64,
    /// Of a world that was measured; of many it is the first one's.
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
        if late > self.worst_takeover {
            (self.worst_takeover, self.worst_takeover_seed) = (late, seed);
        }
    }

    pub fn recovery(&mut self, seed: u64, took: Duration) {
        if took >= self.worst_recovery {
            (self.worst_recovery, self.worst_recovery_seed) = (took, seed);
        }
    }

    pub fn add(&mut self, other: &Tally) {
        for (mine, others) in self.faults.0.iter_mut().zip(other.faults.0) {
            *mine += others;
        }
        self.worlds += other.worlds;
        self.candidate_hours += other.candidate_hours;
        self.events += other.events;
        self.writes += other.writes;
        self.terms += other.terms;
        self.reads += other.reads;
        self.put_off += other.put_off;
        self.leaders_refused += other.leaders_refused;
        self.takeovers += other.takeovers;
        self.takeover_sum += other.takeover_sum;
        if other.worst_takeover > self.worst_takeover {
            self.worst_takeover = other.worst_takeover;
            self.worst_takeover_seed = other.worst_takeover_seed;
        }
        self.recovery(other.worst_recovery_seed, other.worst_recovery);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = self.takeover_sum.as_secs_f64() / self.takeovers.max(1) as f64;
        writeln!(f, "{:>12}  worlds", self.worlds)?;
        writeln!(f, "{:>12.0}  candidate-hours", self.candidate_hours)?;
        writeln!(f, "{:>12}  events", self.events)?;
        writeln!(f, "{:>12}  revisions of the gist", self.writes)?;
        writeln!(f, "{:>12}  terms of leadership", self.terms)?;
        writeln!(
            f,
            "{:>12}  looks put off for want of requests",
            self.put_off
        )?;
        writeln!(
            f,
            "{:>12}  leaders refused for want of requests",
            self.leaders_refused
        )?;
        writeln!(
            f,
            "{:>12}  takeovers of a lease that had run out",
            self.takeovers
        )?;
        writeln!(
            f,
            "{mean:>11.1}s  after the limit on average, {:.1} s at the worst (seed {}), faults included",
            self.worst_takeover.as_secs_f64(),
            self.worst_takeover_seed
        )?;
        writeln!(
            f,
            "{:>11.1}s  from the healing to a leader at the worst (seed {})",
            self.worst_recovery.as_secs_f64(),
            self.worst_recovery_seed
        )?;
        writeln!(f, "faults that came about:")?;
        for kind in Kind::ALL {
            writeln!(f, "{:>12}  {}", self.of(*kind), kind.name())?;
        }
        Ok(())
    }
}
