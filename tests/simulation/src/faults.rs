//! Faults of a simulated run, drawn for each seed so that each run has its own mix (swarm testing).

pub mod workloads;

use std::time::Duration;

use elector::emulator::Race;
use fastrand::Rng;

/// GitHub's hourly rate limit of the account that all candidates share.
pub const REQUESTS_AN_HOUR: u32 = 5000;

/// Duration of each request, split at random between request and answer, as in the emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    pub read: Duration,
    pub write: Duration,
}

/// Probabilities (per request) and rates (per hour) of the faults, and how severe they are.
#[derive(Clone, Debug)]
pub struct Faults {
    pub lost_requests: f64,
    pub lost_answers: f64,
    pub refused: f64,
    pub server_errors: f64,
    pub duplicates: f64,
    /// Writes that arrive up to 15 minutes late, or that are duplicated with such a delay.
    pub very_late: f64,
    /// Requests that take up to 30 s to arrive.
    pub slow_requests: f64,
    pub slow_answers: f64,
    /// Answers that arrive just before the request times out.
    pub sluggish_answers: f64,
    pub stale_reads: f64,
    pub stale_by: Duration,
    pub throttled: f64,
    /// The service enforces GitHub's rate limits.
    pub limits: bool,
    /// Requests that the service accepts per hour, if it enforces limits.
    pub requests_an_hour: u32,
    /// Requests per hour that other programs of the account send, in bursts.
    pub foreign_requests_an_hour: f64,
    /// Reads and writes per hour that other programs of the account send, evenly spaced.
    pub foreign_reads_and_writes: (f64, f64),
    /// Longest time that a message takes without a fault.
    pub usual_way: Duration,
    /// Fixed duration of a request, if it is not drawn.
    pub latency: Option<Latency>,
    pub race: Race,
    /// Longest time between reading and moving the head.
    pub race_window: Duration,
    pub history_cap: usize,
    pub drift_ppm: i64,
    pub crashes: f64,
    pub graceful_stops: f64,
    pub pauses: f64,
    pub suspends: f64,
    pub wall_jumps: f64,
    pub partitions: f64,
    pub outages: f64,
    pub other_files: f64,
    pub operator_edits: f64,
    /// Requests of operators: pauses, resumes and handovers.
    pub steering: f64,
    pub term_ignored: f64,
    /// Several candidates share one identity.
    pub same_names: bool,
    /// Edits by operators carry an old date, as a pushed commit can.
    pub forged_dates: bool,
    /// Faults cluster at a few times instead of being spread evenly.
    pub bursts: bool,
    /// Writes of a cell that are refused although they landed, because a proxy repeated them, or although
    /// nothing else was written.
    pub wrong_refusals: f64,
    /// Rate per hour at which the version of a cell changes without a write.
    pub version_changes: f64,
    /// Rate per hour at which an older value of a cell is restored, once in a run.
    pub restores: f64,
    /// Rate per hour at which the newest revisions are removed, as by `git push --force`. No
    /// promise holds then, and no drawn run has it.
    pub rewrites: f64,
}

impl Faults {
    /// Returns no faults.
    pub fn none() -> Faults {
        Faults {
            lost_requests: 0.0,
            lost_answers: 0.0,
            refused: 0.0,
            server_errors: 0.0,
            duplicates: 0.0,
            very_late: 0.0,
            slow_requests: 0.0,
            slow_answers: 0.0,
            sluggish_answers: 0.0,
            stale_reads: 0.0,
            stale_by: Duration::ZERO,
            throttled: 0.0,
            limits: false,
            requests_an_hour: REQUESTS_AN_HOUR,
            foreign_requests_an_hour: 0.0,
            foreign_reads_and_writes: (0.0, 0.0),
            usual_way: Duration::from_millis(400),
            latency: None,
            race: Race::Stack,
            race_window: Duration::from_millis(100),
            history_cap: usize::MAX,
            drift_ppm: 0,
            crashes: 0.0,
            graceful_stops: 0.0,
            pauses: 0.0,
            suspends: 0.0,
            wall_jumps: 0.0,
            partitions: 0.0,
            outages: 0.0,
            other_files: 0.0,
            operator_edits: 0.0,
            steering: 0.0,
            term_ignored: 0.0,
            same_names: false,
            forged_dates: false,
            bursts: false,
            wrong_refusals: 0.0,
            version_changes: 0.0,
            restores: 0.0,
            rewrites: 0.0,
        }
    }

    /// Draws racing and lost writes, with candidates that are partitioned or paused in between.
    pub fn racing(rng: &mut Rng, confirm_delay: Duration) -> Faults {
        Faults {
            lost_answers: 0.1 * rng.f64(),
            duplicates: 0.3 * rng.f64(),
            sluggish_answers: if rng.bool() { 0.3 * rng.f64() } else { 0.0 },
            race: Race::Lose,
            race_window: confirm_delay.mul_f64(0.7 + 0.28 * rng.f64()),
            other_files: 1500.0 * rng.f64(),
            crashes: 30.0 * rng.f64(),
            pauses: 60.0 * rng.f64(),
            partitions: 120.0 * rng.f64(),
            graceful_stops: 20.0 * rng.f64(),
            term_ignored: 0.5 * rng.f64(),
            drift_ppm: if rng.bool() { 14_000 } else { 0 },
            bursts: rng.bool(),
            ..Faults::none()
        }
    }

    /// Draws restarts and few other faults; each of them costs requests.
    pub fn scarce(rng: &mut Rng) -> Faults {
        Faults {
            lost_answers: 0.05 * rng.f64(),
            server_errors: 0.05 * rng.f64(),
            other_files: if rng.u8(..4) == 0 {
                60.0 * rng.f64()
            } else {
                0.0
            },
            crashes: 20.0 * rng.f64(),
            graceful_stops: 20.0 * rng.f64(),
            pauses: 20.0 * rng.f64(),
            partitions: 10.0 * rng.f64(),
            outages: if rng.bool() { 2.0 * rng.f64() } else { 0.0 },
            drift_ppm: if rng.bool() { 14_000 } else { 0 },
            ..Faults::none()
        }
    }

    /// Replaces the faults that only a gist has by those that only a cell has.
    pub fn draw_cell(&mut self, rng: &mut Rng) {
        self.version_changes = std::mem::take(&mut self.other_files);
        self.stale_reads = 0.0;
        self.limits = false;
        self.foreign_requests_an_hour = 0.0;
        if rng.bool() {
            self.wrong_refusals = 0.3 * rng.f64();
        }
    }

    /// Draws a mix; each kind of fault occurs in about half of the runs.
    pub fn draw(rng: &mut Rng, confirm_delay: Duration) -> Faults {
        let mut none = Faults::none();
        let mut chance = |most: f64| {
            let strength = rng.f64();
            if rng.bool() { most * strength } else { 0.0 }
        };
        none.lost_requests = chance(0.3);
        none.lost_answers = chance(0.3);
        none.refused = chance(0.2);
        none.server_errors = chance(0.3);
        none.duplicates = chance(0.3);
        none.very_late = chance(0.05);
        none.slow_requests = chance(0.2);
        none.slow_answers = chance(0.2);
        none.stale_reads = chance(0.4);
        none.stale_by = Duration::from_secs_f64(chance(15.0));
        none.throttled = chance(0.02);
        none.crashes = chance(40.0);
        none.graceful_stops = chance(20.0);
        none.pauses = chance(20.0);
        none.suspends = chance(10.0);
        none.wall_jumps = chance(20.0);
        none.partitions = chance(10.0);
        none.outages = chance(4.0);
        none.other_files = chance(500.0);
        none.operator_edits = chance(30.0);
        none.term_ignored = chance(1.0);
        none.drift_ppm = chance(14_000.0) as i64;
        if rng.u8(..5) == 0 {
            none.sluggish_answers = 0.9 * rng.f64();
        }
        none.limits = rng.u8(..4) == 0;
        none.same_names = rng.u8(..8) == 0;
        none.forged_dates = rng.bool();
        none.bursts = rng.bool();
        none.race = [Race::Conflict, Race::Stack, Race::Lose, Race::Lose][rng.usize(..4)];
        // Just below the delay that the protocol assumes to be longer.
        none.race_window = confirm_delay.mul_f64(0.05 + 0.93 * rng.f64());
        none.history_cap = if rng.u8(..4) == 0 {
            rng.usize(1..10)
        } else {
            usize::MAX
        };
        none
    }
}
