//! Cold starts on the gist of a leader that was killed long ago.
//!
//! The leader is real: it led while the service's clock was two hours behind, and was killed. So
//! its record is genuine, and two hours old by the server's clock when three others start.

use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use elector::emulator::Faults;

use super::election::{Election, Setting};
use super::{Latency, PATIENCE, Suite, clock, figures, limited, service};
use crate::contender::Contender;

/// Age of the record. The elector considers a record expired after ten leases plus ten minutes.
const GONE_S: i64 = 2 * 3600;

/// Time between the starts of two elections, because each start takes CPU time.
const APART: Duration = Duration::from_millis(250);

pub(super) fn run(suite: &Suite<'_>, contender: Contender, latency: Latency) {
    match measure(suite, contender, latency) {
        Ok(times) => suite.add(figures::of_cold_starts(&times, contender, latency)),
        Err(why) => suite.failed(format!("cold start of {}: {why}", contender.name())),
    }
}

fn measure(suite: &Suite<'_>, contender: Contender, latency: Latency) -> Result<Vec<f64>, String> {
    let service = service(limited())?;
    let setting = Setting {
        service: &service,
        programs: suite.programs,
        contender,
        beats: false,
    };
    // As many elections at a time as in the other groups.
    let mut times = Vec::new();
    for _ in 0..suite.size.rounds {
        times.extend(wave(suite, setting, latency)?);
    }
    Ok(times)
}

fn wave(suite: &Suite<'_>, setting: Setting<'_>, latency: Latency) -> Result<Vec<f64>, String> {
    setting.service.set_faults(Faults {
        clock_offset_s: -GONE_S,
        ..limited()
    });
    let mut left = thread::scope(|scope| {
        let leaders = (0..suite.size.elections).map(|n| scope.spawn(move || leave(setting, n)));
        join_all(leaders.collect::<Vec<_>>())
    })?;
    setting.service.set_faults(latency.faults());
    thread::scope(|scope| {
        let starts = left.iter_mut().enumerate();
        let starts = starts.map(|(n, election)| scope.spawn(move || start(suite, election, n)));
        join_all(starts.collect::<Vec<_>>())
    })
}

fn join_all<T>(threads: Vec<ScopedJoinHandle<'_, Result<T, String>>>) -> Result<Vec<T>, String> {
    let joined = threads.into_iter().map(|one| one.join());
    joined
        .map(|one| one.unwrap_or_else(|_| Err("it panicked".to_owned())))
        .collect()
}

/// Creates a gist with the record of a leader that was killed.
fn leave(setting: Setting<'_>, n: usize) -> Result<Election<'_>, String> {
    thread::sleep(APART * n as u32);
    let mut election = Election::new(setting)?;
    let begin = clock::now();
    election.start()?;
    let leader = election.await_leader(begin, PATIENCE)?;
    election.kill(&leader.candidate)?;
    Ok(election)
}

fn start(suite: &Suite<'_>, election: &mut Election<'_>, n: usize) -> Result<f64, String> {
    thread::sleep(APART * n as u32);
    let begin = clock::now();
    election.fill()?;
    let leader = election.await_leader(begin, PATIENCE)?;
    election.stop();
    suite.progress.count("cold starts");
    Ok(leader.from - begin)
}
