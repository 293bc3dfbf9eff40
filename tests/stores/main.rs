//! Elections on real servers: who wins a race, kills of the leader, lost answers, client-go on the same Lease.
//!
//! ```text
//!   3 × elector run ──▶ relay, which loses answers ──▶ kube-apiserver + etcd, git http-backend, versitygw,
//!   client-go ────────▶                                Azurite, fake-gcs-server, moto, or the place that
//!                                                      STORE_LOCK names
//! ```
//!
//! No two terms overlap, fencing tokens rise, and a standby leads soon after each kill. Each server that is
//! missing is named, and its tests pass without it. `make test-stores` runs them, because they take minutes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod client_go;
mod election;
mod git;
mod kubernetes;
mod objects;
mod place;
mod race;
mod relay;
mod server;
#[path = "../support/mod.rs"]
mod support;

use place::Place;

/// Returns an election's place on every server, and names the servers that are missing.
fn places(election: &str) -> Vec<Place> {
    match Place::from_environment(election) {
        Some(place) => vec![place],
        None => {
            let places = [kubernetes::place(election), git::place(election)];
            let objects = objects::places(election);
            places.into_iter().flatten().chain(objects).collect()
        }
    }
}

/// Runs a test on every server.
fn on_each(election: &str, test: impl Fn(&Place)) {
    for place in places(election) {
        println!("{election}: {}", place.lock);
        test(&place);
    }
}

/// moto compares and writes in two steps: of 3,614 simultaneous writes of eight processes, two replaced
/// the same version. Electors on it seldom write simultaneously.
#[test]
fn race_has_one_winner() {
    on_each("race", |place| match place.lock.starts_with("s3://moto/") {
        true => println!("*** moto is NOT raced, because it is not atomic ***"),
        false => race::run(place),
    });
}

#[test]
fn killed_leaders_are_replaced() {
    on_each("kills", |place| election::run(place, 10, election::SOON));
}

#[test]
fn lost_answers_keep_promises() {
    on_each("losses", |place| {
        if !place.names_server() {
            println!("*** lost answers are NOT tested: the lock has no endpoint ***");
            return;
        }
        let relay = relay::Relay::start(place, 0.3);
        election::run(&relay.place(), 10, election::SOON_WITH_LOSSES);
        println!("{} of {} answers lost", relay.lost(), relay.requests());
        assert!(relay.lost() > 0, "no answer was lost");
    });
}
