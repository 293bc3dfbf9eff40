//! Writers that race: the store lets exactly one win.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use elector::election::lock::{LockError, ResourceLock};

use crate::place::Place;
use crate::support::record;

const WRITERS: usize = 8;
const ROUNDS: u64 = 50;

/// Time limit of a call.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

type Lock = Box<dyn ResourceLock + Send>;

/// Lets writers race over the same record.
pub(crate) fn run(place: &Place) {
    let mut locks: Vec<Lock> = (0..WRITERS)
        .map(|writer| place.open(&name(writer)).lock)
        .collect();
    for round in 0..ROUNDS {
        let before = read_all(&mut locks);
        assert!(
            before.windows(2).all(|pair| pair[0] == pair[1]),
            "{before:?}"
        );
        let results = race(&mut locks, round);
        let winners: Vec<usize> = (0..WRITERS).filter(|&n| results[n].is_ok()).collect();
        let others = results.iter().filter_map(|result| result.as_ref().err());
        for error in others {
            assert!(
                matches!(error, LockError::Conflict),
                "round {round}: {error}"
            );
        }
        assert_eq!(winners.len(), 1, "round {round}: {results:?}");
        let after = read_all(&mut locks);
        assert_eq!(after, vec![name(winners[0]); WRITERS], "round {round}");
    }
    println!("{WRITERS} writers raced {ROUNDS} times, each time one won");
}

fn name(writer: usize) -> String {
    format!("writer-{writer}")
}

/// Returns the holder that each writer reads.
fn read_all(locks: &mut [Lock]) -> Vec<String> {
    let holders = locks.iter_mut().map(|lock| {
        let observed = lock.get(TIMEOUT).unwrap();
        observed.content.holder().to_owned()
    });
    holders.collect()
}

fn race(locks: &mut [Lock], round: u64) -> Vec<Result<(), LockError>> {
    let start = Barrier::new(WRITERS);
    let write = |writer: usize, lock: &mut Lock| {
        let record = record(&name(writer), round + 1);
        start.wait();
        lock.update(&record, TIMEOUT).map(drop)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = locks
            .iter_mut()
            .enumerate()
            .map(|(writer, lock)| scope.spawn(move || write(writer, lock)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}
