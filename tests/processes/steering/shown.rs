//! What `status` and `history` show of requests and pauses.

use serde_json::{Value, json};

use super::Scene;
use crate::support::eventually;

impl Scene {
    fn shown(&self) -> Value {
        self.run(&["status", "--json"]).ran().json()
    }

    /// Returns the status as text, each line without repeated spaces.
    fn shown_text(&self) -> String {
        let text = self.run(&["status"]).ran().well();
        let lines = text.lines();
        let lines = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn status_shows_handover() {
    let scene = Scene::new();
    let (_first, _) = scene.start_slow_leader("first");
    scene.run(&["switchover"]).ran().well();
    let shown = scene.shown();
    assert_eq!(
        shown["request"],
        "asked by operator to hand over to another candidate"
    );
    assert_eq!(
        (&shown["paused"], &shown["holder"]),
        (&json!(false), &json!("first"))
    );
    scene.run(&["switchover", "--to", "second"]).ran().well();
    let request = "asked by operator to hand over to second";
    assert_eq!(scene.shown()["request"], request);
    let text = scene.shown_text();
    assert!(text.contains(&format!("request {request}")), "{text}");
    scene.permit_end();
    eventually("it releases", || scene.holder().is_empty());
    assert_eq!(scene.shown()["request"], Value::Null);
}

#[test]
fn status_shows_pause() {
    let scene = Scene::new();
    let mut first = scene.start_leader("first");
    assert_eq!(scene.shown()["paused"], false);
    scene.run(&["pause", "--reason", "new\ndatabase"]).ran();
    let shown = scene.shown();
    assert_eq!(
        (&shown["paused"], &shown["state"]),
        (&json!(true), &json!("released"))
    );
    let request = shown["request"].as_str().unwrap();
    assert!(request.starts_with("paused by operator at 2"), "{request}");
    assert!(request.ends_with(": new database"), "{request}");
    let text = scene.shown_text();
    assert!(text.contains(&format!("request {request}")), "{text}");
    first.leave();
    scene.run(&["resume"]).ran().well();
    let shown = scene.shown();
    assert_eq!(
        (&shown["paused"], &shown["request"]),
        (&json!(false), &json!(null))
    );
}

#[test]
fn history_shows_requested_releases() {
    let scene = Scene::new();
    let first = scene.start_leader("first");
    let second = scene.start_standby("second", "first");
    scene.run(&["switchover", "--wait"]).ran().well();
    second.await_leading();
    scene.run(&["pause", "--reason", "migration"]).ran();
    scene.run(&["resume"]).ran().well();
    eventually("a candidate leads again", || {
        first.leads().or(second.leads()) == Some(2)
    });
    let text = scene.run(&["history"]).ran().well();
    for part in ["released (handed_over)", "released (paused)"] {
        assert!(text.contains(part), "{text}");
    }
    let history = scene.run(&["history", "--json"]).ran().json();
    let terms = history["terms"].as_array().unwrap();
    let reasons: Vec<_> = terms.iter().map(|term| &term["stopReason"]).collect();
    assert_eq!(
        reasons,
        [&json!("handed_over"), &json!("paused"), &json!(null)]
    );
    let ends: Vec<_> = terms.iter().map(|term| &term["endReason"]).collect();
    assert_eq!(ends[..2], [&json!("released"), &json!("released")]);
}
