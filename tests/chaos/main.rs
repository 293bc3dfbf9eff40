//! Chaos with real processes. Electors are killed, frozen, duplicated and terminated, their network fails,
//! the gist service fails and restarts, and operators edit the gist.
//!
//! ```text
//!   5 × elector run ─────┐   ┌─ proxy ─┐
//!   2 × worker ──────────┼──▶│  each   ├──▶ elector gist-server, its state in a file ◀── edits
//!     │ records its terms│   └─────────┘
//!     ▼                  ▼ leads: a thread writes for it
//!   a file  ──▶ checker ◀── their logs         fenced store ◀── every workload writes to it
//! ```
//!
//! On any machine, however slow: no two terms overlap, fencing tokens rise, and the fenced store accepts no
//! write with a token lower than one that it has seen. Once all faults have ended, a candidate leads soon,
//! and remains the only leader.
//!
//! `make test` runs one short round, `make chaos MINUTES=60 SEED=7` many.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod agenda;
mod candidates;
mod checker;
mod faults;
mod fence;
mod log_events;
mod proxy;
mod round;
mod schedule;
mod service;
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
use schedule::Target;
use tally::Tally;

/// Deadline for recovery after a fault, and for what a test itself causes.
const PATIENCE: Duration = Duration::from_secs(40);

/// The shortest timings that the relations between them allow. They give many terms, and leave less than half
/// a second of slack.
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

/// Time within which a candidate leads after all faults have ended. It is the sum of a wait for a rate limit
/// (3 s), a hanging request, a slowed poll and a stale answer (0.8 s each), one lease for a lost record and
/// one for an overwritten record, and claim with confirmation (1.6 s): 13 s, doubled for a busy machine.
const RECOVERY: Duration = Duration::from_secs(26);

/// Time within which leadership becomes stable. On a busy machine a leader may now and then miss its deadline
/// of 1.6 s.
const STEADY_WITHIN: Duration = Duration::from_secs(120);

/// Duration of the faults in a round.
const SHORT: Duration = Duration::from_secs(25);
const LONG: Duration = Duration::from_secs(75);

#[test]
fn short_chaos_keeps_the_promises() {
    let tally = Round::new(number("CHAOS_SEED").unwrap_or(1)).run(SHORT);
    println!("{tally}");
    assert!(tally.of("terms") > 0, "no candidate ever led");
}

#[test]
#[ignore = "takes minutes: make chaos"]
fn long_chaos_keeps_the_promises() {
    let minutes = number("CHAOS_MINUTES").unwrap_or(10);
    let first = number("CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    println!("chaos for {minutes} minutes, starting with seed {first}");
    let mut total = Tally::default();
    for seed in first.. {
        let tally = Round::new(seed).run(LONG);
        println!(
            "seed {seed}: {} terms, {} takeovers, {} stale writes refused, no promise broken, {}s left",
            tally.of("terms"),
            tally.of("takeovers by another process"),
            tally.of("fenced writes refused as stale"),
            end.saturating_duration_since(Instant::now()).as_secs()
        );
        total.merge(&tally);
        total.count("rounds");
        if Instant::now() >= end {
            break;
        }
    }
    println!(
        "\n{total}\nNo two terms overlapped, fencing tokens rose, and no stale write was accepted."
    );
    assert!(total.of("terms") > 0, "no candidate ever led");
}

#[test]
fn frozen_leaders_late_writes_are_refused() {
    // A plain elector, whose workload is a thread of this process, and a worker.
    for (seed, leader) in [(101, 0), (102, round::ELECTORS)] {
        let mut round = Round::with(seed, &[leader]);
        round.await_leader();
        let frozen = round.watcher.leaders()[0].1;
        let before = |one: &Attempt| one.token == frozen && one.taken;
        assert!(was_tried(&mut round, before), "the leader writes");
        round.freeze(Target::Number(leader), LEASE * 100);
        round.start(leader + 1);
        let newer = |one: &Attempt| one.token > frozen && one.taken;
        assert!(
            was_tried(&mut round, newer),
            "another candidate leads and writes"
        );
        round.candidates[leader].thaw();
        let late = |one: &Attempt| one.token == frozen && !one.taken;
        assert!(was_tried(&mut round, late), "a late write is refused");
        round.verdict();
    }
}

/// Waits for a matching attempt, and returns whether there was one.
fn was_tried(round: &mut Round, such: impl Fn(&Attempt) -> bool) -> bool {
    let deadline = BootClock::now() + PATIENCE;
    round.run_until(deadline, |round| round.fence.attempts().iter().any(&such))
}

/// Runs the worker process, which the other tests start.
#[test]
#[ignore = "is a process of the other tests"]
fn worker_process() {
    worker::run();
}

/// Parses a number in the environment. An empty variable counts as unset.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text:?} is not a number")),
    )
}
