//! Three electors, whose leader is killed again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::place::Place;
use crate::support::eventually;
use crate::support::process::program::{Elector, Output, Start};
use crate::support::process::terms;

/// Times of the electors.
pub(crate) const TIMES: [(&str, &str); 5] = [
    ("LEASE_DURATION", "6s"),
    ("RENEW_DEADLINE", "2500ms"),
    ("RETRY_PERIOD", "1s"),
    ("POLL_PERIOD", "500ms"),
    ("TERMINATION_GRACE", "1s"),
];

/// Time within which a standby leads after a kill: the lease, a poll, and a claim.
pub(crate) const SOON: Duration = Duration::from_secs(7);

/// The same while answers are lost. A candidate whose reads fail backs off to 2 s, and four failures in a row
/// are common: a read of git takes two requests.
pub(crate) const SOON_WITH_LOSSES: Duration = Duration::from_secs(20);

const NAMES: [&str; 3] = ["napoleon", "cleopatra", "hannibal"];

/// Returns the settings of an elector on this place.
pub(crate) fn elector(place: &Place, name: &str) -> Start {
    let start = Start::new(name).without("CONFIRM_DELAY").with_all(TIMES);
    place.add_to(start)
}

/// Kills the leader so many times. Another elector must lead `soon`.
pub(crate) fn run(place: &Place, kills: usize, soon: Duration) {
    let mut electors: Vec<Elector> = NAMES
        .iter()
        .map(|name| elector(place, name).spawn())
        .collect();
    let mut shown = ShownOnPanic(electors.iter().map(Elector::output).collect());
    let outputs = &mut shown.0;
    let mut slowest = Duration::ZERO;
    for kill in 0..kills {
        let leader = await_leader(&electors);
        // The others observe its term, and it renews.
        std::thread::sleep(Duration::from_millis(1500 + 137 * kill as u64));
        if electors[leader].leads().is_none() {
            println!("kill {kill}: the leader had lost its lease");
        }
        electors[leader].kill();
        let killed = Instant::now();
        await_leader(&electors);
        let took = killed.elapsed();
        println!("kill {kill}: {} s", took.as_secs_f32());
        slowest = slowest.max(took);
        electors[leader] = elector(place, NAMES[leader]).spawn();
        outputs.push(electors[leader].output());
    }
    for elector in &mut electors {
        // One that has just started does not handle signals yet. If its first reads fail until the others
        // have left, it leads without observing another leader.
        eventually("it has read the lease", || {
            elector.has_logged("new_leader") || elector.leads().is_some()
        });
        elector.leave();
    }
    check(outputs);
    for output in outputs {
        place.check_output(&output.lines().join("\n"));
    }
    println!(
        "{kills} kills, slowest takeover {} s",
        slowest.as_secs_f32()
    );
    assert!(slowest <= soon, "{slowest:?}");
}

/// Outputs that are shown if the test fails.
struct ShownOnPanic(Vec<Arc<Output>>);

impl Drop for ShownOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for output in &self.0 {
                eprintln!("{}", output.report());
            }
        }
    }
}

/// Waits until one of them leads, and returns its index.
pub(crate) fn await_leader(electors: &[Elector]) -> usize {
    let mut leader = None;
    eventually("one of them leads", || {
        // A killed elector does not lead, whatever it logged last.
        let running = |elector: &Elector| elector.output().silent_since().is_none();
        let mut all = electors.iter();
        leader = all.position(|one| running(one) && one.leads().is_some());
        leader.is_some()
    });
    leader.unwrap()
}

/// Checks that no terms overlap, fencing tokens rise, and no output shows a panic or an access token.
pub(crate) fn check(outputs: &[Arc<Output>]) {
    for output in outputs {
        output.check();
    }
    let flaws = terms::flaws(outputs.iter().map(|output| &**output));
    let reports: String = outputs.iter().map(|output| output.report()).collect();
    assert!(flaws.is_empty(), "{flaws:#?}\n{reports}");
}
