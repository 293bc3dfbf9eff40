//! Every state of small scenarios with a conditional write: no result that a process gets is wrong.

use model::Scenario;
use model::cas::{Bounds, CasModel, scenarios};
use model::explore::explore_scenario;

fn assert_holds_in_every_state(scenario: Scenario<Bounds>) {
    explore_scenario(
        scenario.name,
        CasModel::new(scenario.bounds),
        scenario.states,
    );
}

#[test]
fn doubled_write_lands_once() {
    assert_holds_in_every_state(scenarios::doubled());
}

#[test]
fn conflict_never_lands_later() {
    assert_holds_in_every_state(scenarios::refused());
}

#[test]
fn probe_never_lands() {
    assert_holds_in_every_state(scenarios::probed());
}

#[test]
#[ignore = "half a minute, with `make model`"]
fn annotation_replaces_only_its_base() {
    assert_holds_in_every_state(scenarios::annotated());
}

#[test]
fn annotated_foreign_record_stays_foreign() {
    assert_holds_in_every_state(scenarios::annotated_foreign());
}
