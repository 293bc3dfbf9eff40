//! Whole electors on a branch, steered by the commands for operators.

use serde_json::Value;

use crate::repository::{BRANCH, Repository};
use crate::support::process::steering::{
    FROM_GIST, Place, moves_and_returns, pauses_and_resumes, switches_over,
};
use crate::support::process::{Fixture, LEASE, TIMES};

fn place(repository: &Repository) -> Place<'_> {
    use elector::lock::cas::kind::Kind as _;
    let lock = repository.options().lock();
    let settings = TIMES.map(|(name, value)| (name, value.to_owned()));
    let settings = settings.into_iter().chain([("LOCK", lock)]);
    let settings = settings.filter(|(name, _)| *name != "CONFIRM_DELAY");
    Place::new(settings, || {
        let text = repository.git_bytes(&["show", &format!("{BRANCH}:leader.json")], b"");
        serde_json::from_slice(&text).unwrap_or(Value::Null)
    })
}

#[test]
fn named_candidate_leads_next() {
    let repository = Repository::new();
    switches_over(&place(&repository));
}

#[test]
fn nobody_leads_until_resumed() {
    let repository = Repository::new();
    pauses_and_resumes(&place(&repository), LEASE);
}

#[test]
fn history_shows_requested_releases() {
    let repository = Repository::new();
    let place = place(&repository);
    let first = place.start("first");
    first.await_leading();
    let second = place.start("second");
    second.await_observed("first");
    place.run(&["switchover", "--wait"]).well();
    place.run(&["pause", "--reason", "migration"]).well();
    let text = place.run(&["history"]).well();
    for part in ["released (handed_over)", "released (paused)"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn election_moves_from_gist_and_back() {
    let (fixture, repository) = (Fixture::new(), Repository::new());
    let (gist, branch) = (Place::gist(&fixture), place(&repository));
    moves_and_returns((&gist, &FROM_GIST), (&branch, &[]));
}
