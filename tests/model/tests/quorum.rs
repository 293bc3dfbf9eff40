//! Every state of small scenarios of a quorum: the value is a linearizable register.

use model::Scenario;
use model::explore::explore_scenario;
use model::quorum::{Bounds, QuorumModel, scenarios};

fn assert_holds_in_every_state(scenario: Scenario<Bounds>) {
    explore_scenario(
        scenario.name,
        QuorumModel::new(scenario.bounds),
        scenario.states,
    );
}

#[test]
fn racing_writes_form_a_chain() {
    assert_holds_in_every_state(scenarios::racing());
}

#[test]
fn lost_write_is_settled_by_read() {
    assert_holds_in_every_state(scenarios::settled());
}
