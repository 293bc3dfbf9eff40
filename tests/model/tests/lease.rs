//! Every state of small scenarios with two candidates: at most one workload runs, and fencing
//! tokens rise.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use model::Scenario;
use model::explore::{counterexample, explore_scenario};
use model::lease::{Bounds, LeaseModel, scenarios};

fn assert_holds_in_every_state(scenario: Scenario<Bounds>) {
    explore_scenario(
        scenario.name,
        LeaseModel::new(scenario.bounds),
        scenario.states,
    );
}

#[test]
fn frozen_candidate_keeps_one_workload() {
    assert_holds_in_every_state(scenarios::frozen());
}

#[test]
fn lost_answers_keep_one_workload() {
    assert_holds_in_every_state(scenarios::lost_answers());
}

#[test]
fn lost_writes_keep_one_workload() {
    assert_holds_in_every_state(scenarios::lost_writes());
}

#[test]
#[ignore = "half a minute, with `make model`"]
fn lost_writes_and_freeze_keep_one_workload() {
    assert_holds_in_every_state(scenarios::lost_writes_and_frozen());
}

#[test]
fn graceful_stop_keeps_one_workload() {
    assert_holds_in_every_state(scenarios::stopping());
}

#[test]
fn killed_containers_keep_one_workload() {
    assert_holds_in_every_state(scenarios::killed_containers());
}

#[test]
fn killed_electors_keep_one_workload() {
    assert_holds_in_every_state(scenarios::killed_electors());
}

#[test]
#[ignore = "half a minute, with `make model`"]
fn pause_keeps_one_workload() {
    assert_holds_in_every_state(scenarios::paused());
}

#[test]
#[ignore = "half a minute, with `make model`"]
fn switchover_keeps_one_workload() {
    assert_holds_in_every_state(scenarios::handed_over());
}

fn assert_two_workloads(model: LeaseModel) {
    let (broken, steps) = counterexample(model).unwrap();
    assert_eq!(broken, "at most one workload runs", "{steps:?}");
    println!("two workloads after {} steps: {steps:?}", steps.len());
}

#[test]
fn too_slow_clock_allows_two_leaders() {
    assert_two_workloads(LeaseModel::new(scenarios::drifting()));
}
