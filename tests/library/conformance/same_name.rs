//! Another process under this candidate's name, told apart from a predecessor of this process.

use elector::election::action::Notice;

use super::rig::{Rig, config, record, seconds};
use super::rig_with_record;

/// Lets another process renew under this candidate's name every two seconds.
fn renewed_by_other(rig: &mut Rig, times: u32) {
    for _ in 0..times {
        rig.store.borrow_mut().put(record("baz", 10, 4));
        rig.run_for(seconds(2));
    }
}

fn reports(rig: &Rig) -> usize {
    let reports = rig.notices.iter();
    reports.filter(|it| **it == Notice::SameNameRuns).count()
}

fn reports_at(rig: &Rig) -> (usize, bool) {
    (reports(rig), rig.elector.status().same_name.is_some())
}

#[test]
fn second_renewal_shows_running_process() {
    let mut rig = rig_with_record("baz", 10, 4);
    rig.run_for(seconds(2));
    renewed_by_other(&mut rig, 1);
    assert_eq!(
        reports_at(&rig),
        (0, false),
        "the predecessor's write may land late"
    );
    renewed_by_other(&mut rig, 1);
    assert_eq!(reports_at(&rig), (1, true));
    let first = rig.elector.status().same_name;
    renewed_by_other(&mut rig, 3);
    assert_eq!(reports(&rig), 1, "reported once");
    assert!(rig.elector.status().same_name > first);
}

#[test]
fn predecessor_is_not_another_process() {
    let mut rig = rig_with_record("baz", 10, 4);
    rig.run_for(seconds(2));
    renewed_by_other(&mut rig, 1);
    rig.run_to(|rig| rig.elector.is_leader());
    rig.run_for(seconds(60));
    assert_eq!(reports_at(&rig), (0, false));
}

#[test]
fn takeover_from_own_term_shows_running_process() {
    let mut rig = Rig::new(config(), None);
    rig.run_for(seconds(3));
    assert!(rig.elector.is_leader());
    renewed_by_other(&mut rig, 1);
    assert_eq!(reports_at(&rig), (1, true));
}

#[test]
fn old_answers_are_not_evidence() {
    let mut rig = rig_with_record("baz", 10, 4);
    rig.run_for(seconds(2));
    for age in [20, 18, 16] {
        rig.store.borrow_mut().put(record("baz", 10, 4));
        rig.store.borrow_mut().age = Some(seconds(age));
        rig.run_for(seconds(2));
    }
    assert_eq!(reports_at(&rig), (0, false));
}

#[test]
fn foreign_writes_are_not_evidence() {
    let mut rig = rig_with_record("baz", 10, 4);
    rig.run_for(seconds(2));
    for _ in 0..4 {
        rig.store.borrow_mut().put(record("baz", 10, 4));
        rig.store.borrow_mut().foreign_wait = Some(seconds(10));
        rig.run_for(seconds(2));
    }
    assert_eq!(reports_at(&rig), (0, false));
}

#[test]
fn other_names_are_not_evidence() {
    let mut rig = Rig::new(config(), None);
    rig.run_for(seconds(3));
    for _ in 0..4 {
        rig.store.borrow_mut().put(record("bing", 10, 4));
        rig.run_for(seconds(2));
    }
    assert_eq!(reports_at(&rig), (0, false));
}
