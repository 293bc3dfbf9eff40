//! Runs many simulations on all cores, and prints statistics and violations.
//!
//! `soak [FROM [SEEDS [KIND]]]`; a single seed is shown with every event.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::time::ClockId;
use simulation::many::{Draw, draw_by_name};
use simulation::run::{Checks, Violation, run, show};
use simulation::tally::Tally;

/// Number of failures that are shown with their last events.
const SHOWN: usize = 3;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut number = |default| match args.next() {
        Some(arg) => arg
            .parse::<u64>()
            .unwrap_or_else(|_| panic!("not a number: {arg}")),
        None => default,
    };
    let (from, seeds) = (number(0), number(2000));
    let kind = args.next().unwrap_or_else(|| "drawn".to_owned());
    let Some(draw) = draw_by_name(&kind) else {
        eprintln!(
            "soak: unknown kind {kind}; use one of (drawn, gist, cas, restored, restarting, \
             racing, steered, switching, scarce, suspending, calm, shared, rewritten)"
        );
        return ExitCode::from(2);
    };
    if seeds == 1 {
        return match show(&draw(from), Checks::All) {
            Ok(tally) => {
                println!("{tally}");
                ExitCode::SUCCESS
            }
            Err(violation) => {
                println!("{violation}");
                ExitCode::FAILURE
            }
        };
    }
    soak(from, seeds, draw)
}

fn soak(from: u64, seeds: u64, draw: Draw) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(from);
    let done = AtomicU64::new(0);
    let total = Mutex::new(Tally::default());
    let failures: Mutex<Vec<Violation>> = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut tally = Tally::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        break;
                    }
                    match run(&draw(seed), Checks::All) {
                        Ok(one) => tally.add(&one),
                        Err(violation) => report_failure(&failures, *violation),
                    }
                    report_progress(done.fetch_add(1, Ordering::Relaxed) + 1, seeds, began);
                }
                total.lock().expect("no panic").add(&tally);
            });
        }
    });
    let total = total.into_inner().expect("no panic");
    let failures = failures.into_inner().expect("no panic");
    eprintln!();
    println!("{total}");
    println!(
        "{} of {seeds} runs failed; {:.0} s, {:.0} candidate-hours per CPU second",
        failures.len(),
        began.elapsed().as_secs_f64(),
        total.candidate_hours / cpu_time().as_secs_f64()
    );
    ExitCode::from(u8::from(!failures.is_empty()))
}

/// Returns the CPU time of this process, which does not depend on the load of the machine.
fn cpu_time() -> Duration {
    let clock = ClockId::CLOCK_PROCESS_CPUTIME_ID;
    clock.now().map_or(Duration::MAX, Duration::from)
}

fn report_failure(failures: &Mutex<Vec<Violation>>, violation: Violation) {
    let mut failures = failures.lock().expect("no panic");
    if failures.len() < SHOWN {
        println!("\n{violation}");
    } else {
        println!("seed {}: {}", violation.seed, violation.what);
    }
    failures.push(violation);
}

fn report_progress(done: u64, of: u64, began: Instant) {
    if done.is_multiple_of(100) || done == of {
        let seconds = began.elapsed().as_secs_f64();
        eprint!(
            "\r{done} of {of} runs, {:.0} a second ",
            done as f64 / seconds
        );
    }
}
