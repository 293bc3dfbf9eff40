//! Many locks that write simultaneously, compared with the full rule.

use crate::support::eventually;
use std::collections::BTreeMap;
use std::thread;

use elector::election::lock::{LockError, Observed, ResourceLock};

use crate::lock::rule::{self, Judged};
use crate::lock::support::{FILE, Lock, PATIENCE, Rig, record, settled, try_get};

/// Writes of one lock by number, and whether each was acknowledged.
struct Course {
    process: String,
    lock: Lock,
    acknowledged: Vec<u64>,
    writes: u64,
}

/// Reads and writes until the lock has made `writes` writes.
fn run(process: &str, mut lock: Lock, writes: u64) -> Course {
    let mut course_writes = 0;
    let mut acknowledged = Vec::new();
    let mut highest = None;
    while course_writes < writes {
        let observed = match try_get(&mut lock) {
            Ok(observed) => observed,
            Err(LockError::Unavailable(_) | LockError::Unfinished(_)) => continue,
            Err(other) => panic!("{other:?}"),
        };
        assert!(observed.highest_fencing_token >= highest, "the token fell");
        highest = observed.highest_fencing_token;
        let token = highest.map_or(0, |token| token + 1);
        course_writes += 1;
        match lock.update(&record(process, token), PATIENCE) {
            Ok(_) => acknowledged.push(course_writes),
            Err(LockError::Conflict | LockError::OutcomeUnknown(_) | LockError::Unavailable(_)) => {
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    Course {
        process: process.into(),
        lock,
        acknowledged,
        writes,
    }
}

fn storm(locks: usize, writes: u64, faults: &str) -> (Rig, Vec<Course>) {
    let rig = Rig::new();
    rig.faults(faults);
    let threads: Vec<_> = (0..locks)
        .map(|n| {
            let process = format!("p{n}");
            let lock = rig.lock(&process);
            thread::spawn(move || run(&process, lock, writes))
        })
        .collect();
    let courses = threads.into_iter().map(|t| t.join().unwrap()).collect();
    rig.heal();
    (rig, courses)
}

/// Checks that every acknowledged write became effective, and that no two superseded the same revision.
fn check_acknowledged(judged: &Judged, courses: &[Course]) {
    let effective = judged.effective_writes();
    let mut replaced: BTreeMap<&str, String> = BTreeMap::new();
    for course in courses {
        for number in &course.acknowledged {
            let id = format!("{}-{number}", course.process);
            let Some(supersedes) = effective.get(&id) else {
                panic!("{id} was acknowledged but is ineffective");
            };
            if let Some(other) = replaced.insert(supersedes, id.clone()) {
                panic!("{id} and {other} replaced the same revision");
            }
        }
    }
    assert!(judged.tokens().windows(2).all(|pair| pair[0] < pair[1]));
}

/// Checks that every lock, and a new one, agree with the full rule.
fn check_agreement(rig: &Rig, courses: &mut [Course]) {
    eventually("a time without late writes", || {
        let before = rig.service.history(&rig.id);
        let seen: Vec<_> = courses.iter_mut().map(look).collect();
        let fresh = settled(&mut rig.lock("fresh"));
        let quiet = rig.depth() == before.len();
        if quiet {
            let judged = rule::judge(&before, FILE);
            let last = rule::write_of(judged.last_text()).unwrap();
            let (writer, number) = last.id.rsplit_once('-').unwrap();
            for (course, observed) in courses.iter().zip(&seen) {
                let expected = (course.process == writer).then(|| number.parse().unwrap());
                assert_eq!(observed.content.holder(), writer);
                assert_eq!(observed.mine, expected);
            }
            assert_eq!(fresh.content.holder(), writer);
        }
        quiet
    });
}

/// Observes the effective record: the first read after a conflict shows the conflicting record.
fn look(course: &mut Course) -> Observed {
    settled(&mut course.lock);
    settled(&mut course.lock)
}

fn check(locks: usize, writes: u64, faults: &str) {
    let (rig, mut courses) = storm(locks, writes, faults);
    check_agreement(&rig, &mut courses);
    let judged = rule::judge(&rig.service.history(&rig.id), FILE);
    check_acknowledged(&judged, &courses);
    let acknowledged: usize = courses.iter().map(|course| course.acknowledged.len()).sum();
    let written: u64 = courses.iter().map(|course| course.writes).sum();
    assert!(
        acknowledged as u64 * 20 > written,
        "too few of {written} writes became effective: {acknowledged}"
    );
}

fn check_all(mode: &str) {
    let troubles = r#""lost_answers":0.1,"error_5xx":0.1,"error_write_landed":0.5"#;
    for (seed, locks, writes) in [(1, 2, 120), (2, 3, 80), (3, 5, 50)] {
        check(
            locks,
            writes,
            &format!(r#"{{"race":"{mode}","race_window_ms":[0,6],"seed":{seed},{troubles}}}"#),
        );
    }
}

#[test]
fn refused_racers_never_both_win() {
    check_all("conflict");
}

#[test]
fn stacking_racers_never_both_win() {
    check_all("stack");
}

#[test]
fn queued_racers_never_both_win() {
    check_all("serial");
}

#[test]
fn late_duplicates_make_no_second_winner() {
    for cap in [1, 3] {
        check(
            3,
            80,
            &format!(
                r#"{{"race":"stack","race_window_ms":[0,6],"history_cap":{cap},"late_writes":0.1,"late_ms":[1,60],"duplicate_writes":0.2,"duplicate_ms":[0,20],"truncated_answers":0.05,"drop":0.05,"seed":{cap}}}"#
            ),
        );
    }
}
