//! What happens while every answer is delayed by 0 to 20 s: who leads, and whether two ever do.

use std::thread;
use std::time::Duration;

use multi_cluster_leader_election::emulator::{Faults, Span};

use super::election::{Election, Setting};
use super::terms::{self, Term};
use super::{PATIENCE, Suite, clock, figures, service};
use crate::contender::Contender;

const LONGEST_MS: u64 = 20_000;

pub(super) fn run(suite: &Suite<'_>, contender: Contender) {
    match measure(suite, contender) {
        Ok(elections) => {
            let time = suite.size.delayed;
            suite.add(figures::of_delays(&elections, contender, time));
        }
        Err(why) => suite.failed(format!("delayed answers, {}: {why}", contender.name())),
    }
}

fn measure(suite: &Suite<'_>, contender: Contender) -> Result<Vec<Vec<Term>>, String> {
    let service = service(Faults::default())?;
    let setting = Setting {
        service: &service,
        programs: suite.programs,
        contender,
        beats: true,
    };
    let mut elections = Vec::new();
    for _ in 0..suite.size.delayed_elections {
        let mut election = Election::new(setting)?;
        // One alone first: what three do that start together is measured elsewhere.
        election.start()?;
        election.await_settled(PATIENCE)?;
        election.fill()?;
        elections.push(election);
    }
    let begin = clock::now();
    service.set_faults(Faults {
        read_ms: Span::between(0, LONGEST_MS),
        write_ms: Span::between(0, LONGEST_MS),
        ..Faults::default()
    });
    let until = begin + suite.size.delayed.as_secs_f64();
    while clock::now() < until {
        thread::sleep(Duration::from_millis(500));
        for election in &mut elections {
            // As a cluster does with a pod whose program has ended.
            election.lose_ended();
            election.fill()?;
        }
    }
    for election in &mut elections {
        election.stop();
        suite.progress.count("elections with delayed answers");
    }
    let terms = elections.iter().map(Election::terms);
    Ok(terms
        .map(|terms| terms::within(&terms, begin, until))
        .collect())
}
