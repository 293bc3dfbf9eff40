//! Takeovers and handovers: the leader is killed, or asked to leave, and another one leads.
//!
//! ```text
//!   leads ── two renewals ── any moment of a renew period ── SIGKILL ··· lease ··· leads (takeover)
//!   leads ── any moment of a renew period ── SIGTERM ·· leads (handover)
//! ```
//!
//! Who was taken away comes back as a new candidate. Each election goes through this some times.

use std::thread;
use std::time::Duration;

use elector::emulator::GistService;

use super::election::{Election, Setting};
use super::terms::{self, Term};
use super::{Latency, PATIENCE, Suite, clock, figures, service};
use crate::contender::{Contender, LEASE_DURATION, RETRY_PERIOD};

/// The dead leader's renewals that must have landed: the first may be the one that confirms a claim.
const RENEWALS: usize = 2;

/// A contender whose leaders lose their lease undisturbed is given more chances, but not for ever.
const ATTEMPTS: usize = 5;

/// Lost claims land this long after the new leader's confirmation at the latest: they were sent when
/// the claim was. The new leader's own renewal comes later than that.
const AFTERMATH: Duration = Duration::from_secs(1);

/// What a group of elections measured.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// In seconds over the earliest moment at which the lease could be taken.
    pub(super) takeovers: Vec<f64>,
    /// PATCHes that reached the gist for each.
    pub(super) writes: Vec<f64>,
    /// In seconds from SIGTERM.
    pub(super) handovers: Vec<f64>,
    /// In seconds from the start of three on a gist that holds `{}`.
    pub(super) fresh: Vec<f64>,
    /// The longest time that two ran at once, of each election.
    pub(super) overlaps: Vec<f64>,
    /// Terms whose token was not above all before, of each election.
    pub(super) useless_tokens: Vec<f64>,
    /// How many leaders lost their lease although nothing was done to them.
    pub(super) lost: usize,
}

impl Samples {
    fn merge(&mut self, other: Samples) {
        self.takeovers.extend(other.takeovers);
        self.writes.extend(other.writes);
        self.handovers.extend(other.handovers);
        self.fresh.extend(other.fresh);
        self.overlaps.extend(other.overlaps);
        self.useless_tokens.extend(other.useless_tokens);
        self.lost += other.lost;
    }
}

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
    // Elections are not to run in step, nor processes to start all at once.
    thread::sleep(RETRY_PERIOD.mul_f64(n as f64 / size.elections as f64));
    let mut election = Election::new(setting)?;
    let begin = clock::now();
    election.fill()?;
    let first = election.await_leader(begin, PATIENCE)?;
    samples.fresh.push(first.from - begin);
    for round in 0..size.rounds {
        let moment = moment(n + round * size.elections, fastrand::f64());
        if suite.parts.takeover {
            takeover(&mut election, moment, samples)?;
            suite.progress.count("takeovers");
            election.fill()?;
        }
        if suite.parts.handover {
            handover(&mut election, moment, samples)?;
            suite.progress.count("handovers");
            election.fill()?;
        }
        let ended = election.lose_ended();
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
        .useless_tokens
        .push(terms::useless_tokens(&terms) as f64);
    Ok(())
}

/// A moment of the renew period for each of many, evenly spread however many there are, and neither in
/// step with the rounds nor with the elections: multiples of the golden ratio lie so.
fn moment(n: usize, random: f64) -> Duration {
    const GOLDEN: f64 = 0.618_034;
    // Between two neighbours of the usual number.
    let jitter = random / 64.0;
    RETRY_PERIOD.mul_f64((n as f64 * GOLDEN + jitter).fract())
}

fn takeover(
    election: &mut Election<'_>,
    moment: Duration,
    samples: &mut Samples,
) -> Result<(), String> {
    let leader = established(election, moment, samples)?;
    let killed = clock::now();
    election.kill(&leader.who)?;
    let next = election.await_leader(killed, PATIENCE)?;
    // Now also what it had sent before it was killed has landed, if it ever does.
    let last = election.landed(Some(&leader.who)).into_iter().next_back();
    let last = last.ok_or("the dead leader has left no record")?;
    let expiry = last + LEASE_DURATION.as_secs_f64();
    samples.takeovers.push(next.from - expiry);
    sleep_until(next.from + AFTERMATH.as_secs_f64());
    let landed = election.landed(None);
    let writes = landed.iter().filter(|at| **at > last).count();
    samples.writes.push(writes as f64);
    Ok(())
}

/// A leader that has renewed its lease at least so often, at that moment of its renew period.
fn established(
    election: &Election<'_>,
    moment: Duration,
    samples: &mut Samples,
) -> Result<Term, String> {
    for _ in 0..ATTEMPTS {
        let leader = election.await_settled(PATIENCE)?;
        let renewals = || {
            let landed = election.landed(Some(&leader.who));
            landed.iter().filter(|at| **at > leader.from).count()
        };
        sleep_until(leader.from + (RETRY_PERIOD * RENEWALS as u32 + moment).as_secs_f64());
        while election.still_leads(&leader) && renewals() < RENEWALS {
            // It renews a little later than expected.
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
    moment: Duration,
    samples: &mut Samples,
) -> Result<(), String> {
    let leader = election.await_settled(PATIENCE)?;
    sleep_until(leader.from + (RETRY_PERIOD / 2 + moment).as_secs_f64());
    let asked = election.ask_to_leave(&leader.who)?;
    let next = election.await_leader(asked, PATIENCE)?;
    samples.handovers.push(next.from - asked);
    election.await_end(&leader.who, PATIENCE)
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
    fn moments_are_spread_evenly_over_the_renew_period() {
        let parts = |random: f64| {
            let mut counts = [0; 8];
            for n in 0..64 {
                let part = moment(n, random).as_secs_f64() / RETRY_PERIOD.as_secs_f64();
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
