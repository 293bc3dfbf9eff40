//! The picture of the page in the README: `make page-picture`.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::endpoints::watched::{Watched, spawn};
use crate::page::chromium::Chromium;
use crate::support::eventually;
use crate::support::process::Fixture;

/// Maximum size of the picture, because every reader of the README loads it.
const MOST_BYTES: usize = 150_000;

fn start(fixture: &Fixture, name: &str) -> Watched {
    // Two fifths of the default timings, so that the picture takes less time.
    let start = fixture.elector(name).without("STOP_TIMEOUT");
    let start = start.with_all([
        ("LEASE_DURATION", "12s"),
        ("RENEW_DEADLINE", "6s"),
        ("RETRY_PERIOD", "3s"),
        ("POLL_PERIOD", "500ms"),
        ("CONFIRM_DELAY", "500ms"),
        ("TERMINATION_GRACE", "1s"),
    ]);
    spawn(fixture, start)
}

#[test]
#[ignore = "draws a picture, with `make page-picture`"]
fn draw_picture_for_readme() {
    let mut browser = Chromium::start().expect("without Chromium there is no picture");
    let fixture = Fixture::new();
    fixture.set_faults(r#"{"primary_limit":5000}"#);
    let name = "napoleon/default/elector-7d4f9";
    let mut napoleon = start(&fixture, name);
    napoleon.await_leading();
    let hannibal = start(&fixture, "hannibal/default/elector-5c8bd");
    let cleopatra = start(&fixture, "cleopatra/default/elector-9fk2x");
    hannibal.await_observed(name);
    cleopatra.await_observed(name);
    await_term(&hannibal, 8.0);
    napoleon.kill();
    eventually("another one leads", || {
        hannibal.leads().is_some() || cleopatra.leads().is_some()
    });
    let (next, last) = if hannibal.leads().is_some() {
        (&hannibal, &cleopatra)
    } else {
        (&cleopatra, &hannibal)
    };
    await_term(next, 14.0);
    assert_eq!(next.ask("POST", "/step-down", &[]).status, 202);
    await_term(last, 20.0);
    browser.resize(800, 600, 1.1);
    browser.prefer("light");
    browser.call("Emulation.setLocaleOverride", &json!({"locale": "en-GB"}));
    browser.open(&last.url());
    browser.await_text("#live", "live");
    let picture = browser.picture();
    assert!(picture.len() < MOST_BYTES, "{} bytes", picture.len());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/page.png");
    fs::write(path, picture).unwrap();
}

/// Waits until the current term has lasted `seconds`, as observed by `elector`.
fn await_term(elector: &Watched, seconds: f64) {
    eventually("the term lasts", || {
        let status = elector.status();
        let term = &status["terms"][0];
        term["to"].is_null() && term["seconds"].as_f64() > Some(seconds)
    });
}
