//! Takeovers and handovers: the leader is killed or stopped, and another candidate leads.
//!
//! ```text
//!   leads ── two renewals ── any moment of a renew period ── SIGKILL ··· lease ··· leads (takeover)
//!   leads ── any moment of a renew period ── SIGTERM ·· leads (handover)
//! ```
//!
//! A new candidate replaces the leader. Each election repeats this.

use std::thread;
use std::time::Duration;

use elector::emulator::GistService;

use super::election::{Election, Setting};
use super::samples::Samples;
use super::terms::{self, Term};
use super::{Latency, PATIENCE, Suite, clock, figures, service};
use crate::contender::{Contender, LEASE_DURATION, RETRY_PERIOD};

/// Renewals of the leader that must have landed before the kill; the first may confirm its claim.
const RENEWALS: usize = 2;

/// Attempts for a contender whose leaders lose their lease undisturbed.
const ATTEMPTS: usize = 5;

/// Time after the new leader's confirmation within which lost claims land: they were sent together
/// with the winning claim. The new leader renews later than that.
const AFTERMATH: Duration = Duration::from_secs(1);

pub(super) fn run(suite: &Suite<'_>, contender: Contender, latency: Latency) {
    let service = match service(latency.faults()) {
        Ok(service) => service,
        Err(why) => return suite.failed(why),
    };
    let mut all = Samples::default();
    thread::scope(|scope| {
        let service = &service;
        let elections: Vec<_> = (0..suite.size.elections)
            .map(|n| scope.spawn(move || one(suite, service, contender, n)))
            .collect();
        for election in elections {
            match election.join() {
                Ok(samples) => all.merge(samples),
                Err(_) => suite.failed(format!("an election of {} panicked", contender.name())),
            }
        }
    });
    suite.add(figures::of_rounds(&all, contender, latency, suite.parts));
}

fn one(suite: &Suite<'_>, service: &GistService, contender: Contender, n: usize) -> Samples {
    let setting = Setting {
        service,
        programs: suite.programs,
        contender,
        beats: false,
    };
    let mut samples = Samples::default();
    let lived = live(suite, setting, n, &mut samples);
    if let Err(why) = lived {
        suite.failed(why);
    }
    samples
}

fn live(
    suite: &Suite<'_>,
    setting: Setting<'_>,
    n: usize,
    samples: &mut Samples,
) -> Result<(), String> {
    let size = suite.size;
    // Elections must not run in step, nor processes start simultaneously.
    thread::sleep(RETRY_PERIOD.mul_f64(n as f64 / size.elections as f64));
    let mut election = Election::new(setting)?;
    let begin = clock::now();
    election.fill()?;
    let first = election.await_leader(begin, PATIENCE)?;
    samples.fresh.push(first.from - begin);
    for round in 0..size.rounds {
        let phase = phase(n + round * size.elections, fastrand::f64());
        if suite.parts.takeover {
            takeover(&mut election, phase, samples)?;
            suite.progress.count("takeovers");
            election.fill()?;
        }
        if suite.parts.handover {
            handover(&mut election, phase, samples)?;
            suite.progress.count("handovers");
            election.fill()?;
        }
        let ended = election.remove_ended();
        if ended > 0 {
            return Err(format!(
                "{ended} of {} ended by themselves; see its log",
                setting.contender.name()
            ));
        }
    }
    let terms = election.finished_terms();
    samples.overlaps.push(terms::overlap(&terms).longest);
    samples
        .stale_tokens
        .push(terms::stale_tokens(&terms) as f64);
    Ok(())
}

/// Returns the phase of the retry period for measurement `n`. Multiples of the golden ratio are
/// evenly spread for any number of measurements, and in step with neither rounds nor elections.
fn phase(n: usize, random: f64) -> Duration {
    const GOLDEN: f64 = 0.618_034;
    // At most the distance between two neighbours of the usual number.
    let jitter = random / 64.0;
    RETRY_PERIOD.mul_f64((n as f64 * GOLDEN + jitter).fract())
}

fn takeover(
    election: &mut Election<'_>,
    phase: Duration,
    samples: &mut Samples,
) -> Result<(), String> {
    let leader = established(election, phase, samples)?;
    let killed = clock::now();
    election.kill(&leader.candidate)?;
    let next = election.await_leader(killed, PATIENCE)?;
    // By now every write sent before the kill has landed.
    let last = election
        .landed(Some(&leader.candidate))
        .into_iter()
        .next_back();
    let last = last.ok_or("the dead leader has left no record")?;
    let expiry = last + LEASE_DURATION.as_secs_f64();
    samples.takeovers.push(next.from - expiry);
    sleep_until(next.from + AFTERMATH.as_secs_f64());
    let landed = election.landed(None);
    let writes = landed.iter().filter(|at| **at > last).count();
    samples.writes.push(writes as f64);
    Ok(())
}

/// Waits for a leader that has renewed often enough and is in this phase of its retry period.
fn established(
    election: &Election<'_>,
    phase: Duration,
    samples: &mut Samples,
) -> Result<Term, String> {
    for _ in 0..ATTEMPTS {
        let leader = election.await_settled(PATIENCE)?;
        let renewals = || {
            let landed = election.landed(Some(&leader.candidate));
            landed.iter().filter(|at| **at > leader.from).count()
        };
        sleep_until(leader.from + (RETRY_PERIOD * RENEWALS as u32 + phase).as_secs_f64());
        while election.still_leads(&leader) && renewals() < RENEWALS {
            // It renews slightly later than expected.
            thread::sleep(RETRY_PERIOD / 16);
        }
        if election.still_leads(&leader) {
            return Ok(leader);
        }
        samples.lost += 1;
    }
    Err(format!(
        "{ATTEMPTS} leaders in a row lost the lease undisturbed"
    ))
}

fn handover(
    election: &mut Election<'_>,
    phase: Duration,
    samples: &mut Samples,
) -> Result<(), String> {
    let leader = election.await_settled(PATIENCE)?;
    sleep_until(leader.from + (RETRY_PERIOD / 2 + phase).as_secs_f64());
    let asked = election.request_stop(&leader.candidate)?;
    let next = election.await_leader(asked, PATIENCE)?;
    samples.handovers.push(next.from - asked);
    election.await_end(&leader.candidate, PATIENCE)
}

fn sleep_until(then: f64) {
    let left = then - clock::now();
    if left > 0.0 {
        thread::sleep(Duration::from_secs_f64(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_spread_evenly_over_retry_period() {
        let parts = |random: f64| {
            let mut counts = [0; 8];
            for n in 0..64 {
                let part = phase(n, random).as_secs_f64() / RETRY_PERIOD.as_secs_f64();
                counts[(part * 8.0) as usize] += 1;
            }
            counts
        };
        for random in [0.0, 0.5, 0.999] {
            let even = |count: &i32| (7..=9).contains(count);
            assert!(parts(random).iter().all(even), "{:?}", parts(random));
        }
    }
}
