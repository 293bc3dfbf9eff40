//! What is done when the store wants to be asked less often: told to wait, a leader works on until its
//! limit; and where requests run short, a candidate looks seldom.

use std::time::Duration;

use elector::election::action::{Finish, Notice};
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::LockError;

use crate::conformance::rig::{
    Fate, Rig, START, config, finish, millis, record, seconds, unavailable,
};
use crate::conformance::{rig, rig_with_record};

// ---- told to wait ----

fn told_to_wait(time: u64) -> Fate {
    Fate::Fails(LockError::RateLimited {
        retry_after: seconds(time),
        why: "a limit".into(),
    })
}

#[test]
fn a_throttled_candidate_stays_away_as_long_as_it_was_told() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.fates.push_back(told_to_wait(77));
    rig.run_for(seconds(100));
    assert_eq!(rig.times[1], START + seconds(77));
}

#[test]
fn a_leader_throttled_past_its_limit_works_on_until_then_and_says_so() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.fates.push_back(told_to_wait(600));
    rig.run_for(seconds(4));
    assert!(rig.elector.is_leader());
    assert!(rig.notices.contains(&Notice::RateLimitedPastDeadline {
        leads_for: seconds(3),
        retry_after: seconds(600)
    }));
    rig.run_for(seconds(2));
    assert!(!rig.elector.is_leader());
    assert_eq!(rig.stopped[0].0, START + config().renew_deadline);
    assert_eq!(rig.ops.len(), 3, "nobody asks before the time is over");
    rig.elector.handle_cancel(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::NotReleased);
    assert_eq!(rig.ops.len(), 3);
}

#[test]
fn a_leader_throttled_past_its_limit_ends_without_an_attempt_to_release() {
    for exit_on_lost_lease in [false, true] {
        let mut rig = Rig::new(
            LeaderElectionConfig {
                exit_on_lost_lease,
                ..config()
            },
            None,
        );
        rig.obedient = false;
        rig.run_for(Duration::ZERO);
        rig.fates.push_back(told_to_wait(600));
        rig.run_for(seconds(4));
        if !exit_on_lost_lease {
            rig.elector.handle_cancel(rig.now);
        }
        rig.run_for(seconds(2));
        rig.elector.handle_workload_gone(rig.now);
        rig.run_for(Duration::ZERO);
        let expected = match exit_on_lost_lease {
            true => Finish::LostLease,
            false => Finish::NotReleased,
        };
        assert_eq!(finish(&rig), expected);
        assert_eq!(rig.ops, ["get", "create", "update"]);
    }
}

#[test]
fn a_release_that_is_told_to_wait_for_longer_than_it_has_ends_at_once() {
    let mut rig = rig();
    rig.run_for(seconds(1));
    rig.fates.push_back(told_to_wait(600));
    rig.elector.handle_cancel(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::NotReleased);
    assert_eq!(rig.ops, ["get", "create", "get"]);
}

#[test]
fn a_leader_that_was_throttled_asks_again_when_the_time_is_over_and_leads_anew() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.fates.push_back(told_to_wait(600));
    rig.run_to(|rig| rig.started.len() == 2);
    assert_eq!(rig.times[3], START + seconds(602));
    assert_eq!(rig.now, START + seconds(602), "the lease was its own");
}

// ---- where the store's requests run short ----

#[test]
fn a_candidate_looks_as_seldom_as_the_store_wants_it_to() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.elector.handle_min_poll_interval(seconds(6));
    rig.run_for(seconds(9));
    let gap = rig.times[1].since(rig.times[0]);
    // A little sooner, never later.
    assert!(millis(4_800) <= gap && gap <= seconds(6), "{gap:?}");
    assert_eq!(rig.ops.len(), 2);
}

#[test]
fn a_lease_that_was_not_renewed_is_taken_on_time_however_seldom_the_store_is_looked_at() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.elector.handle_min_poll_interval(seconds(6));
    rig.run_to(|rig| !rig.started.is_empty());
    assert_eq!(rig.now, START + seconds(10));
    assert!(rig.ops.len() <= 5, "{:?}", rig.ops);
    assert_eq!(rig.ops[rig.ops.len() - 2..], ["get", "update"]);
}

#[test]
fn where_looks_are_very_dear_a_lease_is_taken_when_the_next_look_shows_it_again() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.elector.handle_min_poll_interval(seconds(60));
    // A leader that lives costs one look in each pause.
    for renewal in 0..40 {
        rig.store.borrow_mut().put(record("bing", 10, 0));
        rig.run_for(seconds(8));
        assert!(rig.started.is_empty(), "renewal {renewal}");
    }
    assert!((5..8).contains(&rig.ops.len()), "{:?}", rig.ops);
    let left = rig.now;
    rig.run_to(|rig| !rig.started.is_empty());
    // It looks once more and sees the last renewal, waits for its lease, or for the next look.
    let gap = rig.now.since(left);
    assert!(gap <= seconds(2 * 60), "{gap:?}");
}

#[test]
fn a_failed_look_is_repeated_no_sooner_than_the_store_wants_and_no_later_than_the_lease_ends() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(Duration::ZERO);
    rig.elector.handle_min_poll_interval(seconds(6));
    rig.fates.push_back(Fate::Fails(unavailable()));
    rig.run_for(seconds(9));
    let calls: Vec<Duration> = rig.times.iter().map(|at| at.since(START)).collect();
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[2] - calls[1], seconds(6));
    rig.run_for(seconds(1));
    assert_eq!(rig.started[0].0, START + seconds(10));
}

#[test]
fn a_leader_is_never_held_back_by_what_candidates_are_to_save() {
    let mut rig = rig();
    rig.elector.handle_min_poll_interval(seconds(3600));
    rig.run_for(seconds(20));
    assert_eq!(rig.ops.len(), 2 + 10);
    assert!(rig.stopped.is_empty());
}
