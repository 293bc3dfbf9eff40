//! What happens while every answer is delayed by 0 to 20 s: who leads, and whether two ever do.

use std::thread;
use std::time::Duration;

use multi_cluster_leader_election::emulator::{Faults, Span};

use super::election::{Election, Setting};
use super::terms::{self, Term};
use super::{PATIENCE, Suite, clock, figures, service};
use crate::contender::Contender;

const LONGEST_MS: u64 = 20_000;

/// How an election begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// With a leader, before answers are delayed.
    Led,
    /// Three start at once, when answers are delayed.
    Cold,
}

impl Start {
    fn conditions(self, time: Duration) -> String {
        let so_long = format!("answers delayed by 0 to 20 s, for {} s", time.as_secs());
        match self {
            Start::Led => so_long,
            Start::Cold => format!("{so_long}, from a cold start on"),
        }
    }
}

/// For this long from the time when answers come late.
#[derive(Clone, Copy, Debug)]
struct Time {
    from: f64,
    until: f64,
}

pub(super) fn run(suite: &Suite<'_>, contender: Contender) {
    if let Err(why) = measure(suite, contender) {
        suite.failed(format!("delayed answers, {}: {why}", contender.name()));
    }
}

fn measure(suite: &Suite<'_>, contender: Contender) -> Result<(), String> {
    let service = service(Faults::default())?;
    let setting = Setting {
        service: &service,
        programs: suite.programs,
        contender,
        beats: true,
    };
    let some = suite.size.delayed_elections;
    let mut elections = Vec::new();
    for _ in 0..some {
        let mut election = Election::new(setting)?;
        // One alone first, so that there is one leader, whoever this is.
        election.start()?;
        election.await_settled(PATIENCE)?;
        election.fill()?;
        elections.push((Start::Led, election));
    }
    service.set_faults(Faults {
        read_ms: Span::between(0, LONGEST_MS),
        write_ms: Span::between(0, LONGEST_MS),
        ..Faults::default()
    });
    let from = clock::now();
    for _ in 0..some {
        let mut election = Election::new(setting)?;
        election.fill()?;
        elections.push((Start::Cold, election));
    }
    let until = from + suite.size.delayed.as_secs_f64();
    let time = Time { from, until };
    watch(&mut elections, time)?;
    for start in [Start::Led, Start::Cold] {
        let of_it = elections.iter().filter(|(it, _)| *it == start);
        let terms: Vec<Vec<Term>> = of_it.map(|(_, it)| cut(it, time)).collect();
        let conditions = start.conditions(suite.size.delayed);
        let figures = figures::of_delays(&terms, contender, suite.size.delayed, &conditions);
        suite.add(figures);
    }
    Ok(())
}

/// Until the time is over. Who has ended by itself starts again, as a pod does in a cluster.
fn watch(elections: &mut [(Start, Election<'_>)], time: Time) -> Result<(), String> {
    while clock::now() < time.until {
        thread::sleep(Duration::from_millis(500));
        for (_, election) in &mut *elections {
            election.lose_ended();
            election.fill()?;
        }
    }
    for (_, election) in elections {
        election.stop();
    }
    Ok(())
}

fn cut(election: &Election<'_>, time: Time) -> Vec<Term> {
    terms::within(&election.terms(), time.from, time.until)
}
