//! Runs many seeds, and says what came of them.

use std::time::Instant;

use simulation::world::{Scenario, World};

fn main() {
    let mut args = std::env::args()
        .skip(1)
        .map(|arg| arg.parse::<u64>().expect("a number"));
    let from = args.next().unwrap_or(0);
    let count = args.next().unwrap_or(100);
    let began = Instant::now();
    let (mut hours, mut terms, mut vanished, mut failed) = (0.0, 0, 0, 0);
    let mut slowest = std::time::Duration::ZERO;
    for seed in from..from + count {
        let mut world = World::new(Scenario::draw(seed));
        if count == 1 {
            world = world.verbose();
        }
        match world.run() {
            Ok(summary) => {
                hours += summary.hours;
                terms += summary.terms;
                vanished += summary.vanished;
                slowest = slowest.max(summary.recovery);
                if summary.recovery.as_secs() > 100 {
                    println!("slow: seed {seed} {:.1?}", summary.recovery);
                }
            }
            Err(violation) => {
                failed += 1;
                if failed <= 3 {
                    println!("{violation}");
                } else {
                    println!("seed {}: {}", violation.seed, violation.what);
                }
            }
        }
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "{count} worlds, {failed} failed, {hours:.0} candidate-hours ({:.0} a second), {terms} terms, \
         {vanished} vanished, slowest recovery {slowest:.1?}",
        hours / took
    );
    std::process::exit(i32::from(failed > 0));
}
