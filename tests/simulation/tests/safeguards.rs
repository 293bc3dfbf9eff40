//! With a safeguard left out, the simulation notices within so many worlds.

use multi_cluster_leader_election::election::safeguard::{Safeguard, leave_out};
use simulation::world::{Scenario, World};

fn is_missed(safeguard: Safeguard, within: u64) {
    leave_out(Some(safeguard));
    let noticed = (0..within).any(|seed| World::new(Scenario::draw(seed)).run().is_err());
    leave_out(None);
    assert!(noticed, "{safeguard:?} was not missed in {within} worlds");
}

#[test]
fn the_compare_and_swap_is_missed() {
    is_missed(Safeguard::Supersedes, 5);
    is_missed(Safeguard::WriteFoundById, 20);
}

#[test]
fn the_confirmation_of_a_claim_is_missed() {
    is_missed(Safeguard::ConfirmedClaim, 20);
    is_missed(Safeguard::EnoughLeft, 5);
}

#[test]
fn the_lease_from_the_last_confirmed_write_is_missed() {
    is_missed(Safeguard::LeaseFromConfirmed, 100);
}

#[test]
fn tokens_that_outlive_everything_are_missed() {
    is_missed(Safeguard::TokenAboveAllSeen, 20);
    is_missed(Safeguard::TokenOutlivesRecord, 20);
}

#[test]
fn waiting_for_what_was_overwritten_is_missed() {
    is_missed(Safeguard::OwnReleaseOnly, 40);
    is_missed(Safeguard::OverwrittenWait, 40);
}

#[test]
fn waiting_for_the_workload_is_missed() {
    is_missed(Safeguard::WorkloadGone, 60);
}

#[test]
fn telling_processes_of_one_name_apart_is_missed() {
    is_missed(Safeguard::ProcessNotName, 20);
}
