//! Every state of small worlds around a gist: whatever happens, everybody agrees on the revision in
//! effect, and nobody is told of a success that is none.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use model::World;
use model::explore::{counterexample, explore_world};
use model::lock::{Bounds, LockModel, worlds};

fn holds_in_every_state_of(world: World<Bounds>) {
    explore_world(world.name, LockModel::new(world.bounds), world.states);
}

#[test]
fn the_compare_and_swap_holds_in_every_race_of_three_writers() {
    holds_in_every_state_of(worlds::races());
}

#[test]
fn it_holds_when_people_edit_the_file_and_another_one() {
    holds_in_every_state_of(worlds::people());
}

#[test]
fn it_holds_when_writes_land_twice_and_processes_sleep() {
    holds_in_every_state_of(worlds::doubles());
}

#[test]
fn it_holds_when_the_history_is_read_in_pieces() {
    holds_in_every_state_of(worlds::walks());
}

#[test]
fn it_holds_when_reads_fail_in_the_middle_of_a_call() {
    holds_in_every_state_of(worlds::failures());
}

#[test]
fn readers_of_one_history_agree_even_when_commits_vanish() {
    holds_in_every_state_of(worlds::vanishing());
}

/// A known limit: a walk takes each page for the continuation of the one before, and an empty page for
/// the end. Once it demands that pages overlap, this finds nothing, and the worlds may jump as well.
#[test]
fn a_history_that_jumps_between_two_pages_is_not_read_rightly() {
    let jumps = Bounds {
        jumps: true,
        other_files: 1,
        ..worlds::walkers(2)
    };
    assert!(counterexample(LockModel::new(jumps)).is_some());
}
