//! Chaos with real processes: electors that are killed, frozen, doubled and asked to leave, on ways
//! that fail, with a gist service that fails, dies and comes back, and with people who edit the gist.
//!
//! ```text
//!   5 × elector run ─────┐   ┌─ proxy ─┐
//!   2 × worker ──────────┼──▶│  each   ├──▶ elector gist-server, its state in a file ◀── people
//!     │ records its terms│   └─────────┘
//!     ▼                  ▼ leads: somebody works for it
//!   a file  ──▶ checker ◀── what they said     fenced store ◀── every workload writes to it
//! ```
//!
//! What must hold whatever happens, however slow the machine is: no two terms overlap, tokens rise,
//! and the fenced store takes no write with a token below one that it has seen. When everything has
//! healed, somebody leads soon and then stays.
//!
//! `make test` runs one short round, `make chaos` many: `make chaos MINUTES=60 SEED=7`.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod agenda;
mod checker;
mod crowd;
mod faults;
mod fence;
mod proxy;
mod round;
mod schedule;
mod service;
mod spoken;
#[path = "../support/mod.rs"]
mod support;
mod tally;
mod verdict;
mod worker;

use std::env;
use std::time::{Duration, Instant};

use elector::system::clock::BootClock;

use fence::Attempt;
use round::Round;
use schedule::Whom;
use tally::Tally;

/// Deadline for recovery after a fault, and for what a test itself causes.
const PATIENCE: Duration = Duration::from_secs(40);

/// As short as the rules between them allow with whole seconds for the lease: many terms, and less
/// than half a second to spare anywhere.
const TIMES: [(&str, &str); 7] = [
    ("LEASE_DURATION", "3s"),
    ("RENEW_DEADLINE", "1600ms"),
    ("RETRY_PERIOD", "800ms"),
    ("POLL_PERIOD", "200ms"),
    ("CONFIRM_DELAY", "300ms"),
    ("TERMINATION_GRACE", "300ms"),
    ("STOP_TIMEOUT", "2s"),
];

/// `LEASE_DURATION` and `TERMINATION_GRACE` of [`TIMES`].
const LEASE: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_millis(300);

/// Somebody leads so soon after everything has healed: what a throttled service told them to wait
/// (3 s), a request that hangs (0.8 s), a stretched poll (0.8 s), an old answer that is not believed
/// (0.8 s), a lease for what has vanished and one for what was overwritten, claim and confirmation
/// (1.6 s), together 13 s; and as much for a busy machine.
const RECOVERY: Duration = Duration::from_secs(26);

/// On a busy machine a leader may miss its deadline of 1.6 s now and then; not for so long.
const STEADY_WITHIN: Duration = Duration::from_secs(120);

/// The chaos of one round; a longer run has many.
const SHORT: Duration = Duration::from_secs(25);
const LONG: Duration = Duration::from_secs(75);

#[test]
fn short_chaos_keeps_the_promises() {
    let tally = Round::new(number("CHAOS_SEED").unwrap_or(1)).run(SHORT);
    println!("{tally}");
    assert!(tally.of("terms") > 0, "nobody ever led");
}

#[test]
#[ignore = "takes minutes: make chaos"]
fn long_chaos_keeps_the_promises() {
    let minutes = number("CHAOS_MINUTES").unwrap_or(10);
    let first = number("CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    println!("chaos for {minutes} minutes, from the seed {first} on");
    let mut total = Tally::default();
    for seed in first.. {
        let tally = Round::new(seed).run(LONG);
        println!(
            "seed {seed}: {} terms, {} takeovers, {} stale writes refused; as promised; {}s left",
            tally.of("terms"),
            tally.of("takeovers by another process"),
            tally.of("fenced writes refused as stale"),
            end.saturating_duration_since(Instant::now()).as_secs()
        );
        total.take_in(&tally);
        total.count("rounds");
        if Instant::now() >= end {
            break;
        }
    }
    println!("\n{total}\nNo two terms overlapped, every token rose, no stale write was taken.");
    assert!(total.of("terms") > 0, "nobody ever led");
}

#[test]
fn frozen_leaders_late_writes_are_refused() {
    // One with the workload here, and one that brings its own.
    for (seed, leader) in [(101, 0), (102, round::PLAIN)] {
        let mut round = Round::with(seed, &[leader]);
        round.await_leader();
        let frozen = round.crowd.leaders()[0].1;
        let before = |one: &Attempt| one.token == frozen && one.taken;
        assert!(was_tried(&mut round, before), "it writes");
        round.freeze(Whom::Number(leader), LEASE * 100);
        round.start(leader + 1);
        let newer = |one: &Attempt| one.token > frozen && one.taken;
        assert!(was_tried(&mut round, newer), "another leads and writes");
        round.candidates[leader].thaw();
        let late = |one: &Attempt| one.token == frozen && !one.taken;
        assert!(was_tried(&mut round, late), "a late write is refused");
        round.verdict();
    }
}

/// Waits until such a write was tried.
fn was_tried(round: &mut Round, such: impl Fn(&Attempt) -> bool) -> bool {
    let deadline = BootClock::now() + PATIENCE;
    round.go_on_until(deadline, |round| round.fence.attempts().iter().any(&such))
}

/// A process of the other tests, which start it.
#[test]
#[ignore = "is a process of the other tests"]
fn worker_process() {
    worker::run();
}

/// A number in the environment; one that is empty is not set.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?}, and no number")),
    )
}
