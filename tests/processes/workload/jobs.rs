//! `--try` and `--unless-led-within`, for scripts and cron.

use std::time::Duration;

use crate::support::{eventually, never_for};
use crate::workload::scene::{Scene, WORKS};

#[test]
fn try_timeout_exits_75_with_warning() {
    let scene = Scene::new();
    let _leader = scene.spawn(scene.with_script("first", WORKS));
    scene.await_noted("works");
    let start = scene.with_options("second", &["--try", "500ms"], WORKS);
    let mut second = scene.spawn(start);
    assert_eq!(second.await_exit(), Some(75), "{}", second.text());
    assert!(second.has_text("too short to outlast"), "{}", second.text());
    assert_eq!(scene.count("began"), 1);
}

#[test]
fn try_timeout_does_not_limit_program() {
    let scene = Scene::new();
    let script = "note began; sleep 2; exit 3";
    let start = scene.with_options("first", &["--try", "1500ms"], script);
    let mut elector = scene.spawn(start);
    assert_eq!(elector.await_exit(), Some(3), "{}", elector.text());
}

#[test]
fn recent_job_is_skipped_until_later() {
    let scene = Scene::new();
    let job = "note ran; exit 0";
    let run = |name: &str, period: &str| {
        let options = ["--unless-led-within", period];
        let mut elector = scene.spawn(scene.with_options(name, &options, job));
        elector.await_exit()
    };
    assert_eq!(run("first", "1h"), Some(0));
    assert_eq!(run("second", "1h"), Some(75));
    assert_eq!(run("first", "1h"), Some(75), "whichever candidate ran it");
    // Dates are truncated to seconds, so that this takes at most 2 s longer than the period.
    let mut ran = None;
    eventually("it runs again", || {
        ran = run("third", "1s");
        ran != Some(75)
    });
    assert_eq!(ran, Some(0));
    assert_eq!(scene.count("ran"), 2);
}

#[test]
fn short_job_runs_once_across_hosts() {
    let scene = Scene::new();
    let job = "note began; sleep 1; note ended";
    let options = ["--unless-led-within", "5m"];
    let start = |name: &str| scene.spawn(scene.with_options(name, &options, job));
    let mut hosts = vec![start("first"), start("second")];
    // Two hosts start simultaneously, the third long after the job has ended.
    let apart = Duration::from_secs(20);
    never_for(apart, "the job runs twice", || scene.count("began") > 1);
    hosts.push(start("third"));
    let mut codes: Vec<_> = hosts.iter_mut().map(|host| host.await_exit()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(75), Some(75)]);
    assert_eq!((scene.count("began"), scene.count("ended")), (1, 1));
}

#[test]
fn skipped_job_exits_with_chosen_code() {
    let scene = Scene::new();
    let run = |name: &str, options: &[&str], job: &str| {
        let mut elector = scene.spawn(scene.with_options(name, options, job));
        (elector.await_exit(), elector)
    };
    let options = ["--unless-led-within", "1h", "--else-exit", "0"];
    // The code of a job that runs is its own.
    assert_eq!(run("first", &options, "note ran; exit 3").0, Some(3));
    let (code, second) = run("second", &options, "note ran");
    assert_eq!(code, Some(0), "{}", second.text());
    let skipped = second.last_logged("led_recently");
    assert_eq!(skipped.text("leader"), "first", "{}", second.text());
    assert!(skipped.text("until").starts_with("20"), "{}", second.text());
    let options = ["--unless-led-within", "1h", "--else-exit", "9"];
    assert_eq!(run("first", &options, "note ran").0, Some(9));
    assert_eq!(scene.count("ran"), 1);
    // Another one still leads.
    let scene = Scene::new();
    let _leader = scene.spawn(scene.with_script("leader", WORKS));
    scene.await_noted("works");
    let mut other = scene.spawn(scene.with_options("other", &options, WORKS));
    assert_eq!(other.await_exit(), Some(9));
    let skipped = other.last_logged("led_recently");
    assert_eq!(skipped.text("leader"), "leader", "{}", other.text());
}
