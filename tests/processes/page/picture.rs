//! Pictures of the page: that in the README with `make page-picture`, every state with
//! `make page-pictures`.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::endpoints::watched::{Watched, spawn};
use crate::page::chromium::Chromium;
use crate::page::still::{Still, standby, states};
use crate::support::eventually;
use crate::support::process::Fixture;
use crate::support::process::steering::Place;

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

/// Draws one state as a phone and a desktop show it, in both schemes.
fn draw(browser: &mut Chromium, state: &str, url: &str, part: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/page");
    fs::create_dir_all(&folder).unwrap();
    for width in [390, 1280] {
        for colours in ["light", "dark"] {
            browser.resize(width, 800, 1.0);
            browser.prefer(colours);
            browser.open(url);
            browser.await_text("body", part);
            let name = format!("{state}-{width}-{colours}.png");
            fs::write(folder.join(name), browser.picture()).unwrap();
        }
    }
}

#[test]
#[ignore = "draws pictures, with `make page-pictures`"]
fn draw_every_state() {
    let mut browser = Chromium::start().expect("without Chromium there is no picture");
    for (state, snapshot, part) in states() {
        let still = Still::show(snapshot);
        draw(&mut browser, state, &still.url(), part);
    }
    draw_lost(&mut browser);
    draw_real(&mut browser);
}

/// Draws the page of an elector that does not answer any more.
fn draw_lost(browser: &mut Chromium) {
    let still = Still::show(standby(900));
    browser.open(&still.url());
    browser.await_text("#live", "live");
    drop(still);
    browser.await_text("#live", "Not up to date");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/page");
    for width in [390, 1280] {
        for colours in ["light", "dark"] {
            browser.resize(width, 800, 1.0);
            browser.prefer(colours);
            let name = format!("lost-{width}-{colours}.png");
            fs::write(folder.join(name), browser.picture()).unwrap();
        }
    }
}

/// Draws the states that real electors reach within a minute.
fn draw_real(browser: &mut Chromium) {
    let fixture = Fixture::new();
    let (_napoleon, hannibal, cleopatra) = history(&fixture);
    let (next, last) = (&hannibal, &cleopatra);
    let (leader, standby) = match next.leads() {
        Some(_) => (next, last),
        None => (last, next),
    };
    draw(browser, "leading", &leader.url(), "Leader: this candidate");
    draw(browser, "standby", &standby.url(), "standby");
    let place = Place::gist(&fixture);
    let pause = ["pause", "--reason", "migration of the database"];
    place.run(&pause).well();
    draw(browser, "paused", &standby.url(), "Nobody leads");
    place.run(&["resume"]).well();
    eventually("one leads again", || {
        leader.status()["leading"] == true || standby.status()["leading"] == true
    });
    let standby = match leader.status()["leading"] == true {
        true => standby,
        false => leader,
    };
    fixture.set_faults(r#"{"outage":true}"#);
    draw(browser, "unreachable", &standby.url(), "Leader unknown");
}

/// Starts three electors; the second and third know the history of a failover and a step-down.
fn history(fixture: &Fixture) -> (Watched, Watched, Watched) {
    fixture.set_faults(r#"{"primary_limit":5000}"#);
    let name = "napoleon/default/elector-7d4f9";
    let mut napoleon = start(fixture, name);
    napoleon.await_leading();
    let hannibal = start(fixture, "hannibal/default/elector-5c8bd");
    let cleopatra = start(fixture, "cleopatra/default/elector-9fk2x");
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
    (napoleon, hannibal, cleopatra)
}

#[test]
#[ignore = "draws a picture, with `make page-picture`"]
fn draw_picture_for_readme() {
    let mut browser = Chromium::start().expect("without Chromium there is no picture");
    let fixture = Fixture::new();
    let (_napoleon, hannibal, cleopatra) = history(&fixture);
    let last = match hannibal.leads() {
        Some(_) => &hannibal,
        None => &cleopatra,
    };
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
