//! Writers at the same time.

use std::sync::Barrier;
use std::thread;

use elector::election::lock::LockError;

use crate::repository::{Repository, record};

const WRITERS: u32 = 8;
const ROUNDS: u32 = 50;

#[test]
fn one_of_eight_writers_wins() {
    let repository = Repository::new();
    let barrier = Barrier::new(usize::try_from(WRITERS).unwrap());
    let writer = |name: u32| {
        let mut client = repository.client();
        let mut won = Vec::new();
        for round in 0..ROUNDS {
            let version = client.read().unwrap().version;
            barrier.wait();
            // Half of the rounds are claims, which remove commits.
            let token = u64::from(round / 2);
            let value = record(&format!("writer-{name}"), token, round * WRITERS + name);
            match client.write(version.as_ref(), &value) {
                Ok(_) => won.push((round, value)),
                Err(LockError::Conflict) => {}
                Err(error) => panic!("round {round}: {error:?}"),
            }
            barrier.wait();
        }
        won
    };
    let won: Vec<_> = thread::scope(|scope| {
        let writers = (0..WRITERS).map(|name| scope.spawn(move || writer(name)));
        let writers: Vec<_> = writers.collect();
        writers
            .into_iter()
            .flat_map(|writer| writer.join().unwrap())
            .collect()
    });
    let mut rounds: Vec<u32> = won.iter().map(|(round, _)| *round).collect();
    rounds.sort_unstable();
    assert_eq!(rounds, Vec::from_iter(0..ROUNDS));
    let last = won.iter().find(|(round, _)| *round == ROUNDS - 1);
    assert_eq!(repository.client().text(), last.unwrap().1);
    repository.git(&["fsck", "--strict"], b"");
}
