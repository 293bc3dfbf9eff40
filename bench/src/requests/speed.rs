//! How fast elections are simulated.

use std::time::Duration;

use nix::time::ClockId;
use simulation::run::{Checks, run};
use simulation::scenario::Scenario;

use super::figure;
use crate::figure::{Figure, Spread};

/// How often it is measured, and how many worlds each time.
const TIMES: u64 = 5;
const RUNS: u64 = 40;

/// Candidate-hours that are simulated in a second of one core, with every fault and every check.
///
/// # Errors
/// If a promise is broken.
pub fn measure() -> Result<Figure, String> {
    let mut speeds = Vec::new();
    for time in 0..TIMES {
        speeds.push(once(time * RUNS)?);
    }
    let spread = Spread::of(speeds).ok_or("nothing was simulated")?;
    Ok(figure(
        "simulation",
        "candidate-hours simulated in a second of one core",
        "with every fault and check",
        "candidate-hours/s",
        spread,
        None,
    ))
}

fn once(from: u64) -> Result<f64, String> {
    let mut hours = 0.0;
    let began = cpu_time()?;
    for seed in from..from + RUNS {
        let run = run(&Scenario::draw(seed), Checks::All);
        hours += run
            .map_err(|violation| violation.what.clone())?
            .candidate_hours;
    }
    Ok(hours / cpu_time()?.saturating_sub(began).as_secs_f64())
}

/// What this thread has had of the processors, whatever else they do.
fn cpu_time() -> Result<Duration, String> {
    let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
    let now = clock.now().map_err(|e| format!("no processor time: {e}"))?;
    Ok(Duration::from(now))
}
