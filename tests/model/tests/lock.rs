//! Every state of small scenarios with a gist: all processes agree on the effective revision, and
//! no success is reported for an ineffective write.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use model::Scenario;
use model::explore::{counterexample, explore_scenario};
use model::lock::{Bounds, LockModel, scenarios};

fn assert_holds_in_every_state(scenario: Scenario<Bounds>) {
    explore_scenario(
        scenario.name,
        LockModel::new(scenario.bounds),
        scenario.states,
    );
}

#[test]
fn cas_holds_with_three_racing_writers() {
    assert_holds_in_every_state(scenarios::races());
}

#[test]
fn cas_holds_with_foreign_writes() {
    assert_holds_in_every_state(scenarios::operators());
}

#[test]
fn cas_holds_with_duplicates_and_pauses() {
    assert_holds_in_every_state(scenarios::duplicates_and_pauses());
}

#[test]
fn cas_holds_with_paged_history() {
    assert_holds_in_every_state(scenarios::paged_history());
}

#[test]
fn cas_holds_with_failing_reads() {
    assert_holds_in_every_state(scenarios::failures());
}

#[test]
fn readers_agree_despite_lost_writes() {
    assert_holds_in_every_state(scenarios::lost_writes());
}

#[test]
fn annotation_leaves_holders_write() {
    assert_holds_in_every_state(scenarios::annotated());
}

/// A known limit: a history scan takes each page for the continuation of the one before, and an
/// empty page for the end. Once pages must overlap, this test finds nothing, and the scenarios may
/// jump as well.
#[test]
fn jumping_history_is_misread() {
    let jumps = Bounds {
        jumps: true,
        other_files: 1,
        ..scenarios::paged_readers(2)
    };
    assert!(counterexample(LockModel::new(jumps)).is_some());
}
