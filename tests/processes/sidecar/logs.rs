//! The log of a whole election, as an operator reads it.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::process::{Elector, LEASE, World};
use crate::support::{eventually, never_for};

/// What it said, without times: `INFO  text`.
fn said(elector: &Elector) -> Vec<String> {
    let lines = elector.lines();
    let texts = lines.iter().filter_map(|line| line.split_once(' '));
    texts.map(|(_, text)| text.to_owned()).collect()
}

fn of_level(elector: &Elector, level: &str) -> Vec<String> {
    let said = said(elector);
    said.into_iter()
        .filter(|text| text.starts_with(level))
        .collect()
}

#[test]
fn each_transition_is_one_line_with_identity_token_and_reason() {
    let world = World::new();
    let mut first = world.start_leader("first");
    let second = world.start("second");
    second.await_said("All hail first (token 0)");
    first.leave();
    assert_eq!(second.await_leading(), 1);
    let mut lines = said(&first).into_iter();
    let start = lines.next().unwrap();
    assert!(start.starts_with("INFO  elector ") && start.contains("stands for election as first"));
    let expected = [
        "INFO  claimed the lease for the term 0",
        "INFO  I am first! I will lead you to greatness! (token 0) fencing_token=0",
        "INFO  SIGTERM: stopping; a second signal exits immediately",
        "INFO  first does not lead any more (token 0): asked to stop fencing_token=0 reason=\"asked to stop\"",
    ];
    assert_eq!(lines.by_ref().take(4).collect::<Vec<_>>(), expected);
    let mut last: Vec<_> = lines.collect();
    last.sort();
    assert_eq!(
        last,
        [
            "INFO  gave the lease back",
            "INFO  nobody leads leader=\"\""
        ]
    );
    let of_second = said(&second);
    let hails = of_second.iter().filter(|text| text.contains("All hail"));
    assert_eq!(hails.count(), 1, "{of_second:?}");
}

#[test]
fn who_leads_and_who_waits_is_silent() {
    let world = World::new();
    let first = world.start_leader("first");
    let second = world.start("second");
    second.await_said("All hail first");
    let (lines, records) = ((first.lines(), second.lines()), world.records().len());
    eventually("it renews", || world.records().len() > records + 6);
    assert_eq!((first.lines(), second.lines()), lines);
}

#[test]
fn who_reads_warnings_only_is_told_of_nothing_that_goes_as_it_should() {
    let world = World::new();
    let quiet = |name: &str| world.spawn(world.elector(name).with("RUST_LOG", "warn"));
    let mut first = quiet("first");
    world.await_holder("first");
    let mut second = quiet("second");
    let records = world.records().len();
    eventually("it renews", || world.records().len() > records + 2);
    first.leave();
    world.await_holder("second");
    let records = world.records().len();
    eventually("it renews", || world.records().len() > records + 2);
    second.leave();
    assert_eq!(first.lines(), [""; 0]);
    assert_eq!(second.lines(), [""; 0]);
}

#[test]
fn a_lease_that_is_lost_is_a_warning_with_the_reason_and_an_outage_is_told_of_once() {
    let world = World::new();
    let first = world.start_leader("first");
    world.set_faults(r#"{"outage":true}"#);
    first.await_said("first does not lead any more (token 0)");
    never_for(LEASE, "it leads", || first.leads().is_some());
    world.set_faults("{}");
    eventually("it leads again", || first.leads() == Some(1));
    let warnings = of_level(&first, "WARN");
    let lost = "WARN  first does not lead any more (token 0): the lease could not be renewed in time \
         fencing_token=0 reason=\"the lease could not be renewed in time\"";
    assert_eq!(warnings.iter().filter(|text| *text == lost).count(), 1);
    // A dozen and more calls failed: one warning, and one more line for each kind.
    let failures = warnings.iter().filter(|text| text.contains(" failed: "));
    assert_eq!(failures.count(), 1, "{warnings:#?}");
    let told = said(&first);
    let failures = told.iter().filter(|text| text.contains(" failed: "));
    assert!((1..=4).contains(&failures.count()), "{told:#?}");
    let again: Vec<_> = told
        .iter()
        .filter(|text| text.contains("works again"))
        .collect();
    assert_eq!(again.len(), 1, "{told:#?}");
    assert!(again[0].contains("failures in "), "{}", again[0]);
}

#[test]
fn what_needs_a_person_is_a_warning_from_the_first_time_on() {
    let world = World::new();
    let first = world.start_leader("first");
    world.set_faults(r#"{"unauthorized":1}"#);
    first.await_said("access token rejected");
    let lines = of_level(&first, "WARN");
    assert!(lines[0].contains("set GITHUB_API_TOKEN"), "{lines:?}");
    assert!(lines[0].contains("trying again in "), "{lines:?}");
}

#[test]
fn a_leader_that_died_is_waited_for_aloud() {
    let world = World::new();
    let mut first = world.start_leader("first");
    let second = world.start("second");
    second.await_said("All hail first");
    first.kill();
    second.await_said("first has not renewed its lease for ");
    assert!(second.leads().is_none());
    assert_eq!(second.await_leading(), 1);
    assert_eq!(second.count("has not renewed its lease"), 1);
    assert_eq!(of_level(&second, "WARN"), [""; 0], "it goes as it should");
}

#[test]
fn a_term_of_the_same_leader_is_hailed_as_well() {
    let world = World::new();
    let first = world.start_leader("first");
    let second = world.start("second");
    second.await_said("All hail first (token 0)");
    world.passed_over.set(true);
    // The first takes the lease again as soon as it may, and the second has not noticed.
    second.freeze();
    first.freeze();
    let thaw = std::time::Instant::now() + LEASE;
    eventually("its lease has run out", || std::time::Instant::now() > thaw);
    first.signal(Signal::SIGCONT);
    eventually("it leads again", || first.leads() == Some(1));
    second.signal(Signal::SIGCONT);
    second.await_said("All hail first (token 1)");
}

#[test]
fn debugging_shows_the_elector_and_not_every_step_of_http() {
    let world = World::new();
    let debug = |filter: &str| {
        let start = world.elector("first").with("RUST_LOG", filter);
        let mut first = world.spawn(start);
        first.await_leading();
        never_for(Duration::from_millis(300), "it ends", || {
            !first.is_running()
        });
        first.leave();
        first
    };
    let plain = debug("debug");
    assert!(plain.said("DEBUG looked at the lease"), "{}", plain.text());
    assert!(!plain.said("ureq"), "{}", plain.text());
    let chatty = debug("debug,ureq=debug");
    assert!(chatty.said("DEBUG ureq"), "{}", chatty.text());
}
