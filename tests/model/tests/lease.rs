//! Every state of small worlds of two candidates: whatever happens, one workload runs at the most, and
//! tokens rise.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use model::World;
use model::explore::{counterexample, explore_world};
use model::lease::{Bounds, LeaseModel, worlds};

fn holds_in_every_state_of(world: World<Bounds>) {
    explore_world(world.name, LeaseModel::new(world.bounds), world.states);
}

#[test]
fn one_workload_runs_when_a_candidate_is_frozen() {
    holds_in_every_state_of(worlds::frozen());
}

#[test]
fn one_workload_runs_when_answers_are_lost_and_late() {
    holds_in_every_state_of(worlds::lossy());
}

#[test]
fn one_workload_runs_when_writes_vanish() {
    holds_in_every_state_of(worlds::vanishing());
}

#[test]
fn one_workload_runs_when_writes_vanish_and_a_candidate_is_frozen() {
    holds_in_every_state_of(worlds::vanishing_and_frozen());
}

#[test]
fn one_workload_runs_when_a_candidate_is_asked_to_stop() {
    holds_in_every_state_of(worlds::stopping());
}

fn two_lead(model: LeaseModel) {
    let (broken, steps) = counterexample(model).unwrap();
    assert_eq!(broken, "one workload at the most runs", "{steps:?}");
    println!("two lead after {} steps: {steps:?}", steps.len());
}

#[test]
fn a_clock_slower_than_the_margin_allows_makes_two_leaders() {
    two_lead(LeaseModel::new(worlds::drifting()));
}
