//! The page updates itself, and reports when it cannot.

use std::time::Duration;

use crate::endpoints::watched::{spawn, watch, watch_two};
use crate::page::chromium::Chromium;
use crate::support::process::Fixture;
use crate::support::{eventually, never_for};

/// Script that returns whether a crown is visible.
const CROWN: &str = "(() => { const crown = document.querySelector('.badge path'); \
                     return crown !== null && getComputedStyle(crown).display !== 'none'; })()";

#[test]
fn page_updates_without_reload() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let fixture = Fixture::new();
    let (first, second) = watch_two(&fixture);
    browser.resize(1000, 900, 1.0);
    browser.open(&second.url());
    assert_eq!(browser.text("h2.name"), "first");
    assert_eq!(browser.text("#live"), "live");
    let title = |leader| format!("{leader} leads · {}", fixture.gist);
    assert_eq!(browser.evaluate("document.title"), title("first"));
    let heading = browser.text("h1");
    assert_eq!(heading, format!("Leader election {}", fixture.gist));
    assert!(browser.text("main").contains("expires in"));
    browser.evaluate("window.sameDocument = true");
    assert_eq!(first.ask("POST", "/step-down", &[]).status, 202);
    browser.await_text("h2.name", "second");
    browser.await_text(".chip", "leading");
    browser.await_text("ol", "first");
    assert_eq!(browser.evaluate("document.title"), title("second"));
    assert!(browser.text("main").contains("Leadership deadline"));
    let times = browser.evaluate("[...document.querySelectorAll('time')].map(t => t.innerText)");
    for time in times.as_array().unwrap() {
        assert!(time.as_str().unwrap().ends_with(" UTC"), "{time}");
    }
    assert_eq!(browser.text("#announcement"), "second leads");
    assert_eq!(browser.evaluate("window.sameDocument"), true);
}

#[test]
fn lease_bar_runs_down_between_updates() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let fixture = Fixture::new();
    fixture
        .put(r#"{"holderIdentity":"somebody","leaseDurationSeconds":3600,"leaderTransitions":41}"#);
    let waiting = watch(&fixture, "waiting");
    waiting.await_observed("somebody");
    browser.open(&waiting.url());
    assert_eq!(browser.text("h2.name"), "somebody");
    assert!(browser.text(".leader").contains("fencing token 41"));
    let lock = browser.evaluate("document.querySelector('footer span a') === null");
    assert_eq!(lock, true, "the test server has no web page");
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
    let fixture = Fixture::new();
    let (first, second) = watch_two(&fixture);
    browser.forbid_scripts();
    browser.open(&second.url());
    assert_eq!(browser.text("h2.name"), "first");
    assert!(browser.text("#live").starts_with("as of "));
    assert!(browser.text("#live").ends_with(" UTC"));
    let whole = browser.text("main");
    for part in [
        "fencing token 0",
        "expires in",
        "second",
        "standby",
        "Terms observed",
        "a standby acquires the lease",
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
    let fixture = Fixture::new();
    fixture.passed_over.set(true);
    let first = watch(&fixture, "first");
    first.await_leading();
    browser.open(&first.url());
    browser.await_text("#live", "live");
    first.freeze();
    browser.await_text("#live", "this elector does not answer");
    assert_eq!(browser.evaluate("document.body.className"), "stale");
    assert_eq!(browser.evaluate(CROWN), false);
    assert!(!browser.text("[data-part=leader]").is_empty());
    let title = browser.evaluate("document.title");
    assert_eq!(
        title,
        format!("Not up to date · Leader election {}", fixture.gist)
    );
    let left = browser.evaluate("document.querySelector('progress').value");
    never_for(Duration::from_millis(300), "the bar continues", || {
        browser.evaluate("document.querySelector('progress').value") != left
    });
    first.signal(nix::sys::signal::Signal::SIGCONT);
    browser.await_text("#live", "live");
    assert_eq!(browser.evaluate("document.body.className"), "");
}

#[test]
fn crown_disappears_when_lease_expires() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let fixture = Fixture::new();
    fixture
        .put(r#"{"holderIdentity":"somebody","leaseDurationSeconds":15,"leaderTransitions":41}"#);
    fixture.passed_over.set(true);
    let waiting = watch(&fixture, "waiting");
    waiting.await_observed("somebody");
    browser.open(&waiting.url());
    browser.await_text("h2.name", "somebody");
    assert_eq!(browser.evaluate(CROWN), true);
    fixture.set_faults(r#"{"outage":true}"#);
    browser.await_text("h2.name", "Leader unknown");
    assert_eq!(browser.evaluate(CROWN), false);
    let whole = browser.text("main");
    for part in [
        "Unknown since ",
        "Store unreachable. Since ",
        "This candidate acquires the lease as soon as the store answers",
        "not known whether it has renewed its lease",
    ] {
        assert!(whole.contains(part), "{part} in {whole}");
    }
    let title = browser.evaluate("document.title");
    assert_eq!(title, format!("Leader unknown · {}", fixture.gist));
}

#[test]
fn lock_on_github_is_a_link() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let fixture = Fixture::new();
    // Nothing answers at this proxy.
    let start = fixture.elector("first").without("GITHUB_API_URL");
    let start = start.with_all([
        ("GIST_ID", "923dcb52"),
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("LOCK_NAME", "<b>Payments</b>"),
    ]);
    let first = spawn(&fixture, start);
    browser.open(&first.url());
    let link = browser.evaluate("document.querySelector('footer span a')?.href ?? null");
    assert_eq!(link, "https://gist.github.com/923dcb52");
    assert_eq!(browser.text("h1"), "Leader election <b>Payments</b>");
    let title = browser.evaluate("document.title");
    assert_eq!(title, "Leader unknown · <b>Payments</b>");
}

#[test]
fn hidden_page_loses_its_crown() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    browser.open(&first.url());
    let crowned = |browser: &mut Chromium| browser.evaluate(CROWN) == true;
    eventually("there is a crown", || crowned(&mut browser));
    browser.evaluate(&hide(true));
    browser.await_text("#live", "paused");
    assert_eq!(browser.evaluate(CROWN), false);
    browser.evaluate(&hide(false));
    eventually("the crown is back", || crowned(&mut browser));
}

/// Script that hides or shows the page.
fn hide(hidden: bool) -> String {
    format!(
        "Object.defineProperty(document, 'hidden', {{configurable: true, get: () => {hidden}}}); \
         document.dispatchEvent(new Event('visibilitychange')); \
         performance.clearResourceTimings()"
    )
}

#[test]
fn hidden_page_sends_nothing() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    browser.open(&first.url());
    browser.await_text("#live", "live");
    browser.evaluate(&hide(true));
    let asked = |browser: &mut Chromium| {
        browser.evaluate("performance.getEntriesByType('resource').length")
    };
    // One request may be under way.
    never_for(Duration::from_secs(5), "it continues to poll", || {
        asked(&mut browser).as_u64() > Some(1)
    });
    browser.evaluate(&hide(false));
    eventually("it asks again", || asked(&mut browser).as_u64() > Some(2));
}
