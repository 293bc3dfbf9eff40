//! `--try` and `--unless-led-within`: for scripts and for cron.

use crate::support::{eventually, never_for};
use std::time::Duration;

use crate::workload::scene::{Scene, WORKS};

#[test]
fn a_candidate_that_does_not_lead_in_time_exits_75_and_says_if_that_time_is_short() {
    let scene = Scene::new();
    let _leader = scene.spawn(scene.with_script("first", WORKS));
    scene.await_noted("works");
    let start = scene.with_options("second", &["--try", "500ms"], WORKS);
    let mut second = scene.spawn(start);
    assert_eq!(second.await_exit(), Some(75), "{}", second.text());
    assert!(second.said("too short to outlast"), "{}", second.text());
    assert_eq!(scene.count("began"), 1);
}

#[test]
fn a_candidate_that_leads_in_time_runs_its_program_however_long_that_takes() {
    let scene = Scene::new();
    let script = "note began; sleep 2; exit 3";
    let start = scene.with_options("first", &["--try", "1500ms"], script);
    let mut elector = scene.spawn(start);
    assert_eq!(elector.await_exit(), Some(3), "{}", elector.text());
}

#[test]
fn a_job_that_ran_lately_does_not_run_again_and_later_it_does() {
    let scene = Scene::new();
    let job = "note ran; exit 0";
    let run = |name: &str, period: &str| {
        let options = ["--unless-led-within", period];
        let mut elector = scene.spawn(scene.with_options(name, &options, job));
        elector.await_exit()
    };
    assert_eq!(run("first", "1h"), Some(0));
    assert_eq!(run("second", "1h"), Some(75));
    assert_eq!(run("first", "1h"), Some(75), "by whomever it ran");
    // Dates have whole seconds: two more than the period are enough.
    let mut ran = None;
    eventually("it runs again", || {
        ran = run("third", "1s");
        ran != Some(75)
    });
    assert_eq!(ran, Some(0));
    assert_eq!(scene.count("ran"), 2);
}

#[test]
fn a_job_of_a_second_runs_once_on_three_hosts_that_start_within_twenty_seconds() {
    let scene = Scene::new();
    let job = "note began; sleep 1; note ended";
    let options = ["--unless-led-within", "5m"];
    let start = |name: &str| scene.spawn(scene.with_options(name, &options, job));
    let mut hosts = vec![start("first"), start("second")];
    // At the same moment, and long after the job has ended.
    let apart = Duration::from_secs(20);
    never_for(apart, "the job runs twice", || scene.count("began") > 1);
    hosts.push(start("third"));
    let mut codes: Vec<_> = hosts.iter_mut().map(|host| host.await_exit()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(75), Some(75)]);
    assert_eq!((scene.count("began"), scene.count("ended")), (1, 1));
}
