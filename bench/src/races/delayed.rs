//! Elections with delayed answers: the leader, and whether there are ever two.
//!
//! With up to 20 s few requests succeed before their timeout, so leaders do not last. With up to 8
//! s leaders last, and are killed so that candidates compete.

use std::thread;
use std::time::Duration;

use elector::emulator::{self, Faults};

use super::election::{Election, Setting};
use super::terms::{self, Term};
use super::{PATIENCE, Suite, clock, figures, limited, service};
use crate::contender::Contender;

/// Course of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// It has a leader before answers are delayed.
    Led,
    /// Three candidates start simultaneously once answers are delayed.
    Cold,
    /// It has a leader before; that leader and its successors are killed.
    Killed,
}

impl Course {
    fn conditions(self, delay: &Delay, time: Duration) -> String {
        let (most, time) = (delay.most.as_secs(), time.as_secs());
        let so_long = format!("answers delayed by 0 to {most} s, for {time} s");
        match self {
            Course::Led => so_long,
            Course::Cold => format!("{so_long}, from a cold start on"),
            Course::Killed => format!("{so_long}, the leader killed each minute"),
        }
    }
}

/// Longest delay of an answer, and the courses measured with it.
#[derive(Debug)]
pub(super) struct Delay {
    most: Duration,
    courses: &'static [Course],
}

pub(super) const DELAYS: [Delay; 2] = [
    Delay {
        most: Duration::from_secs(20),
        courses: &[Course::Led, Course::Cold],
    },
    Delay {
        most: Duration::from_secs(8),
        courses: &[Course::Killed],
    },
];

/// Seconds between two kills: a lease, and time to take over.
const KILLS: f64 = 60.0;

/// Time span of the measurement.
#[derive(Clone, Copy, Debug)]
struct Time {
    from: f64,
    until: f64,
}

pub(super) fn run(suite: &Suite<'_>, contender: Contender, delay: &Delay) {
    if let Err(why) = measure(suite, contender, delay) {
        suite.failed(format!("delayed answers, {}: {why}", contender.name()));
    }
}

fn measure(suite: &Suite<'_>, contender: Contender, delay: &Delay) -> Result<(), String> {
    let service = service(limited())?;
    let setting = Setting {
        service: &service,
        programs: suite.programs,
        contender,
        beats: true,
    };
    let mut elections = Vec::new();
    for course in delay.courses {
        for _ in 0..suite.size.delayed_elections {
            let mut election = Election::new(setting)?;
            if *course != Course::Cold {
                // One candidate starts alone, so that there is exactly one leader.
                election.start()?;
                election.await_settled(PATIENCE)?;
                election.fill()?;
            }
            elections.push((*course, election));
        }
    }
    let most = u64::try_from(delay.most.as_millis()).unwrap_or(u64::MAX);
    service.set_faults(Faults {
        read_ms: emulator::Delay::Range(0, most),
        write_ms: emulator::Delay::Range(0, most),
        ..limited()
    });
    let from = clock::now();
    let until = from + suite.size.delayed.as_secs_f64();
    let time = Time { from, until };
    watch(suite, &mut elections, time)?;
    for course in delay.courses {
        let matching = elections.iter().filter(|(it, _)| it == course);
        let terms: Vec<Vec<Term>> = matching.map(|(_, it)| cut(it, time)).collect();
        let conditions = course.conditions(delay, suite.size.delayed);
        let figures = figures::of_delays(&terms, contender, suite.size.delayed, &conditions);
        suite.add(figures);
    }
    Ok(())
}

/// Watches the elections until the time is over. A candidate that exits is restarted, as a pod is
/// in a cluster.
fn watch(
    suite: &Suite<'_>,
    elections: &mut [(Course, Election<'_>)],
    time: Time,
) -> Result<(), String> {
    let some = elections.len() as f64;
    // The first kills are spread over the first minute.
    let mut kills: Vec<f64> = (0..elections.len())
        .map(|n| time.from + KILLS * (n as f64 + 1.0) / some)
        .collect();
    while clock::now() < time.until {
        thread::sleep(Duration::from_millis(500));
        for ((course, election), next) in elections.iter_mut().zip(&mut kills) {
            if *course == Course::Killed && clock::now() > *next {
                *next += KILLS;
                for name in election.leading() {
                    election.kill(&name)?;
                    suite.progress.count("kills while answers are delayed");
                }
            }
            election.remove_ended();
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
