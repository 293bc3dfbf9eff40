//! Speed of the simulation.

use std::time::Duration;

use nix::time::ClockId;
use simulation::run::{Checks, run};
use simulation::scenario::Scenario;

use super::figure;
use crate::figure::{Figure, Spread};

/// Number of measurements, and of runs in each.
const TIMES: u64 = 5;
const RUNS: u64 = 40;

/// Measures the candidate-hours simulated per CPU second, with every fault and every check.
///
/// # Errors
/// Returns an error if a promise is broken.
pub fn measure() -> Result<Figure, String> {
    let mut speeds = Vec::new();
    for time in 0..TIMES {
        speeds.push(once(time * RUNS)?);
    }
    let spread = Spread::of(speeds).ok_or("nothing was simulated")?;
    Ok(figure(
        "simulation",
        "candidate-hours simulated per CPU second",
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

/// Returns the CPU time of this thread, which does not depend on the load of the machine.
fn cpu_time() -> Result<Duration, String> {
    let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
    let now = clock.now().map_err(|e| format!("no processor time: {e}"))?;
    Ok(Duration::from(now))
}
