//! What goes wrong in a simulated world: drawn anew for each seed, so that each world has its own mix
//! (swarm testing).

pub mod workloads;

use std::time::Duration;

use elector::emulator::Race;
use fastrand::Rng;

/// GitHub's limit for the user that all candidates are.
pub const REQUESTS_AN_HOUR: u32 = 5000;

/// Times that all requests take, split at random between the way there and the way back, as the
/// emulator's are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    pub read: Duration,
    pub write: Duration,
}

/// How likely and how bad each fault is. Probabilities are per request, rates per hour.
#[derive(Clone, Debug)]
pub struct Faults {
    pub lost_requests: f64,
    pub lost_answers: f64,
    pub refused: f64,
    pub server_errors: f64,
    pub duplicates: f64,
    /// Writes whose duplicate, or which themselves, arrive up to a quarter of an hour later.
    pub very_late: f64,
    /// Requests that are on their way for up to half a minute.
    pub slow_requests: f64,
    pub slow_answers: f64,
    /// Answers that come just before the request times out.
    pub sluggish_answers: f64,
    pub stale_reads: f64,
    pub stale_by: Duration,
    pub throttled: f64,
    /// The service has GitHub's limits, and refuses what is beyond them.
    pub limits: bool,
    /// How many requests it takes in an hour, where it has limits.
    pub requests_an_hour: u32,
    /// How many of them the user's other programs send.
    pub outsiders: f64,
    /// How many reads and writes an hour they send beside, at equal distances.
    pub outside: (f64, f64),
    /// The longest that a message is on its way where nothing is wrong.
    pub usual_way: Duration,
    /// How long a request takes instead, where that is fixed.
    pub latency: Option<Latency>,
    pub race: Race,
    /// The longest time between reading and moving the head.
    pub race_window: Duration,
    pub history_cap: usize,
    pub drift_ppm: i64,
    pub crashes: f64,
    pub polite_stops: f64,
    pub pauses: f64,
    pub suspends: f64,
    pub wall_jumps: f64,
    pub partitions: f64,
    pub outages: f64,
    pub other_files: f64,
    pub people: f64,
    pub stubborn_workloads: f64,
    /// Several candidates have one name.
    pub same_names: bool,
    /// What people write carries a date of long ago, as a pushed commit can.
    pub forged_dates: bool,
    /// Troubles come together at a few moments, rather than alone.
    pub bursts: bool,
    /// How often an hour the newest revisions are removed, as by `git push --force`: nothing is
    /// promised then, and no drawn world has it.
    pub rewrites: f64,
}

impl Faults {
    /// A world without any.
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
            outsiders: 0.0,
            outside: (0.0, 0.0),
            usual_way: Duration::from_millis(400),
            latency: None,
            race: Race::Stack,
            race_window: Duration::from_millis(100),
            history_cap: usize::MAX,
            drift_ppm: 0,
            crashes: 0.0,
            polite_stops: 0.0,
            pauses: 0.0,
            suspends: 0.0,
            wall_jumps: 0.0,
            partitions: 0.0,
            outages: 0.0,
            other_files: 0.0,
            people: 0.0,
            stubborn_workloads: 0.0,
            same_names: false,
            forged_dates: false,
            bursts: false,
            rewrites: 0.0,
        }
    }

    /// Writes that race and vanish, and candidates that are cut off or stand still while they do.
    pub fn racing(rng: &mut Rng, confirm_delay: Duration) -> Faults {
        Faults {
            lost_answers: 0.1 * rng.f64(),
            duplicates: 0.3 * rng.f64(),
            sluggish_answers: if rng.bool() { 0.3 * rng.f64() } else { 0.0 },
            race: Race::Vanish,
            race_window: confirm_delay.mul_f64(0.7 + 0.28 * rng.f64()),
            other_files: 1500.0 * rng.f64(),
            crashes: 30.0 * rng.f64(),
            pauses: 60.0 * rng.f64(),
            partitions: 120.0 * rng.f64(),
            polite_stops: 20.0 * rng.f64(),
            stubborn_workloads: 0.5 * rng.f64(),
            drift_ppm: if rng.bool() { 14_000 } else { 0 },
            bursts: rng.bool(),
            ..Faults::none()
        }
    }

    /// Candidates that come and go, and few other troubles: each of them costs requests.
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
            polite_stops: 20.0 * rng.f64(),
            pauses: 20.0 * rng.f64(),
            partitions: 10.0 * rng.f64(),
            outages: if rng.bool() { 2.0 * rng.f64() } else { 0.0 },
            drift_ppm: if rng.bool() { 14_000 } else { 0 },
            ..Faults::none()
        }
    }

    /// A mix of them; about half of the kinds are there in any one world.
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
        none.polite_stops = chance(20.0);
        none.pauses = chance(20.0);
        none.suspends = chance(10.0);
        none.wall_jumps = chance(20.0);
        none.partitions = chance(10.0);
        none.outages = chance(4.0);
        none.other_files = chance(500.0);
        none.people = chance(30.0);
        none.stubborn_workloads = chance(1.0);
        none.drift_ppm = chance(14_000.0) as i64;
        if rng.u8(..5) == 0 {
            none.sluggish_answers = 0.9 * rng.f64();
        }
        none.limits = rng.u8(..4) == 0;
        none.same_names = rng.u8(..8) == 0;
        none.forged_dates = rng.bool();
        none.bursts = rng.bool();
        none.race = [Race::Conflict, Race::Stack, Race::Vanish, Race::Vanish][rng.usize(..4)];
        // Just under the delay that is assumed to be longer.
        none.race_window = confirm_delay.mul_f64(0.05 + 0.93 * rng.f64());
        none.history_cap = if rng.u8(..4) == 0 {
            rng.usize(1..10)
        } else {
            usize::MAX
        };
        none
    }
}
