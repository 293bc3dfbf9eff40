//! The page updates itself, and reports when it cannot.

use std::time::Duration;

use crate::endpoints::watched::watch;
use crate::page::chromium::Chromium;
use crate::support::never_for;
use crate::support::process::World;

#[test]
fn page_updates_without_reload() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let world = World::new();
    let first = watch(&world, "first");
    first.await_leading();
    let second = watch(&world, "second");
    second.await_observed("first");
    browser.resize(1000, 900, 1.0);
    browser.open(&second.url());
    assert_eq!(browser.text("h2.name"), "first");
    assert_eq!(browser.text("#live"), "live");
    assert_eq!(browser.evaluate("document.title"), "first leads");
    browser.evaluate("window.sameDocument = true");
    assert_eq!(first.ask("POST", "/step-down", &[]).status, 202);
    browser.await_text("h2.name", "second");
    browser.await_text(".chip", "leading");
    browser.await_text("ol", "first");
    assert_eq!(browser.evaluate("document.title"), "second leads");
    assert_eq!(browser.text("#announcement"), "second leads");
    assert_eq!(browser.evaluate("window.sameDocument"), true);
}

#[test]
fn lease_bar_runs_down_between_updates() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let world = World::new();
    world
        .put(r#"{"holderIdentity":"somebody","leaseDurationSeconds":3600,"leaderTransitions":41}"#);
    let waiting = watch(&world, "waiting");
    waiting.await_observed("somebody");
    browser.open(&waiting.url());
    assert_eq!(browser.text("h2.name"), "somebody");
    assert!(browser.text(".leader").contains("fencing token 41"));
    // Far more values than requests, so the page computes them.
    let falls = browser.evaluate(
        "new Promise(done => { \
           const values = []; \
           const sample = () => { \
             const value = document.querySelector('progress').value; \
             if (values.at(-1) !== value) values.push(value); \
             values.length < 60 ? setTimeout(sample, 20) : done(values.at(-1) < values[0]); }; \
           sample(); })",
    );
    assert_eq!(falls, true);
}

#[test]
fn page_without_scripts_is_complete() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let world = World::new();
    let first = watch(&world, "first");
    first.await_leading();
    let second = watch(&world, "second");
    second.await_observed("first");
    browser.forbid_scripts();
    browser.open(&second.url());
    assert_eq!(browser.text("h2.name"), "first");
    assert!(browser.text("#live").starts_with("as of "));
    assert!(browser.text("#live").ends_with(" UTC"));
    let whole = browser.text("main");
    for part in [
        "fencing token 0",
        "left of 5s",
        "second",
        "standby",
        "Terms observed",
        "acquires the lease in",
    ] {
        assert!(whole.contains(part), "{part} in {whole}");
    }
    assert_eq!(first.ask("POST", "/step-down", &[]).status, 202);
    browser.await_text("h2.name", "second");
}

#[test]
fn page_reports_unreachable_elector() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let world = World::new();
    world.passed_over.set(true);
    let first = watch(&world, "first");
    first.await_leading();
    browser.open(&first.url());
    browser.await_text("#live", "live");
    first.freeze();
    browser.await_text("#live", "this elector does not answer");
    assert_eq!(browser.evaluate("document.body.className"), "stale");
    let left = browser.evaluate("document.querySelector('progress').value");
    never_for(Duration::from_millis(300), "the bar goes on", || {
        browser.evaluate("document.querySelector('progress').value") != left
    });
    first.signal(nix::sys::signal::Signal::SIGCONT);
    browser.await_text("#live", "live");
    assert_eq!(browser.evaluate("document.body.className"), "");
}

#[test]
fn hidden_page_sends_nothing() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let world = World::new();
    let first = watch(&world, "first");
    first.await_leading();
    browser.open(&first.url());
    browser.await_text("#live", "live");
    let hide = |hidden: bool| {
        format!(
            "Object.defineProperty(document, 'hidden', {{configurable: true, get: () => {hidden}}}); \
             document.dispatchEvent(new Event('visibilitychange')); \
             performance.clearResourceTimings()"
        )
    };
    browser.evaluate(&hide(true));
    let asked = |browser: &mut Chromium| {
        browser.evaluate("performance.getEntriesByType('resource').length")
    };
    // One request may be under way.
    never_for(Duration::from_secs(5), "it goes on asking", || {
        asked(&mut browser).as_u64() > Some(1)
    });
    browser.evaluate(&hide(false));
    crate::support::eventually("it asks again", || asked(&mut browser).as_u64() > Some(2));
}
