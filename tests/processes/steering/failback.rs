//! `PREFERRED` and `FAILBACK_AFTER`.

use super::Scene;
use crate::support::never_for;
use crate::support::process::steering::stop_reason;
use crate::support::process::{Elector, LEASE};

impl Scene {
    /// Starts a preferred candidate that asks for the lease after 5 s.
    fn start_preferred(&self, name: &str) -> Elector {
        let start = self.elector(name).with("PREFERRED", "true");
        self.spawn(start.with("FAILBACK_AFTER", "5s"))
    }
}

#[test]
fn preferred_candidate_leads_again() {
    let scene = Scene::new();
    let mut first = scene.start_preferred("first");
    assert_eq!(first.await_leading(), 0);
    assert_eq!(scene.field("holderPreferred"), true);
    let second = scene.start_standby("second", "first");
    first.leave();
    assert_eq!(second.await_leading(), 1);
    assert!(scene.field("holderPreferred").is_null());
    let first = scene.start_preferred("first");
    assert_eq!(first.await_leading(), 2);
    assert_eq!(stop_reason(&second), "handed_over");
    let asked = scene.records();
    let asked = asked.iter().find(|record| record["handover"].is_object());
    let asked = asked.unwrap();
    assert_eq!(asked["holderIdentity"], "second");
    assert_eq!(
        (&asked["preferredHolder"], &asked["handover"]["by"]),
        (&"first".into(), &"first".into())
    );
    never_for(LEASE, "it loses the lease", || first.leads() != Some(2));
}

#[test]
fn preferred_leader_is_left_alone() {
    let scene = Scene::new();
    let first = scene.start_preferred("first");
    first.await_leading();
    let second = scene.start_preferred("second");
    second.await_observed("first");
    never_for(LEASE * 2, "it hands over", || first.leads() != Some(0));
    let records = scene.records();
    assert!(records.iter().all(|record| record["handover"].is_null()));
}

#[test]
fn failback_needs_period() {
    let scene = Scene::new();
    let second = scene.start_leader("second");
    let preferred = scene.spawn(scene.elector("first").with("PREFERRED", "true"));
    preferred.await_observed("second");
    never_for(LEASE * 2, "it asks for the lease", || {
        second.leads() != Some(0)
    });
    scene
        .run(&["switchover", "--to", "first", "--wait"])
        .ran()
        .well();
    assert_eq!(preferred.await_leading(), 1);
}

#[test]
fn short_failback_period_is_refused() {
    let scene = Scene::new();
    let start = scene.elector("first").with("PREFERRED", "true");
    let mut first = scene.spawn(start.with("FAILBACK_AFTER", "4s"));
    assert_eq!(first.await_exit(), Some(2), "{}", first.text());
    assert!(
        first.has_text("FAILBACK_AFTER: too short"),
        "{}",
        first.text()
    );
}

#[test]
fn paused_election_is_not_failed_back() {
    let scene = Scene::new();
    let second = scene.start_leader("second");
    let first = scene.start_preferred("first");
    first.await_observed("second");
    scene.run(&["pause", "--reason", "migration"]).ran();
    second.await_not_leading();
    never_for(LEASE * 2, "it acquires", || !scene.holder().is_empty());
    assert_eq!(first.leads(), None);
    scene.run(&["resume"]).ran().well();
    first.await_leading();
}
