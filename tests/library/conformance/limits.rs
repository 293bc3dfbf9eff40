//! Rate limits and a short request budget: a rate-limited leader leads until its deadline, and a
//! standby polls seldom.

use std::time::Duration;

use elector::election::action::{Finish, Notice, StopReason};
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::LockError;

use crate::conformance::rig::{
    CallOutcome, Rig, START, config, finish, millis, record, seconds, unavailable,
};
use crate::conformance::{rig, rig_with_record};

// ---- rate limits ----

fn rate_limited(time: u64) -> CallOutcome {
    CallOutcome::Fails(LockError::RateLimited {
        retry_after: seconds(time),
        why: "a limit".into(),
    })
}

#[test]
fn rate_limited_candidate_waits_retry_after() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.outcomes.push_back(rate_limited(77));
    rig.run_for(seconds(100));
    assert_eq!(rig.times[1], START + seconds(77));
}

#[test]
fn rate_limited_leader_leads_until_deadline() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.outcomes.push_back(rate_limited(600));
    rig.run_for(seconds(4));
    assert!(rig.elector.is_leader());
    assert!(rig.notices.contains(&Notice::RateLimitedPastDeadline {
        leads_for: seconds(3),
        retry_after: seconds(600)
    }));
    rig.run_for(seconds(2));
    assert!(!rig.elector.is_leader());
    assert_eq!(rig.stopped[0].0, START + config().renew_deadline);
    assert_eq!(rig.ops.len(), 3, "no request before retry_after has passed");
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::NotReleased);
    assert_eq!(rig.ops.len(), 3);
}

/// The renewal was under way when the workload stopped.
#[test]
fn rate_limited_renewal_delays_release() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(Duration::ZERO);
    rig.outcomes.push_back(CallOutcome::Hangs);
    rig.run_for(seconds(2));
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.elector.handle_workload_stopped(rig.now);
    let limit = LockError::RateLimited {
        retry_after: seconds(600),
        why: "a limit".into(),
    };
    rig.elector.handle_wrote(rig.now, Err(limit));
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops.len(), 3);
    assert_eq!(finish(&rig), Finish::NotReleased);
}

#[test]
fn rate_limited_leader_skips_release() {
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
        rig.outcomes.push_back(rate_limited(600));
        rig.run_for(seconds(4));
        if !exit_on_lost_lease {
            rig.elector.handle_stop(rig.now, StopReason::Cancelled);
        }
        rig.run_for(seconds(2));
        rig.elector.handle_workload_stopped(rig.now);
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
fn rate_limited_release_ends_immediately() {
    let mut rig = rig();
    rig.run_for(seconds(1));
    rig.outcomes.push_back(rate_limited(600));
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::NotReleased);
    assert_eq!(rig.ops, ["get", "create", "get"]);
}

#[test]
fn rate_limited_leader_returns_afterwards() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.outcomes.push_back(rate_limited(600));
    rig.run_to(|rig| rig.started.len() == 2);
    assert_eq!(rig.times[3], START + seconds(602));
    assert_eq!(rig.now, START + seconds(602), "the lease was its own");
}

// ---- short request budget ----

#[test]
fn candidate_respects_min_poll_interval() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.elector.handle_min_poll_interval(seconds(6));
    rig.run_for(seconds(9));
    let gap = rig.times[1].since(rig.times[0]);
    // Slightly earlier, never later.
    assert!(millis(4_800) <= gap && gap <= seconds(6), "{gap:?}");
    assert_eq!(rig.ops.len(), 2);
}

#[test]
fn slow_polls_do_not_delay_takeover() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.elector.handle_min_poll_interval(seconds(6));
    rig.run_to(|rig| !rig.started.is_empty());
    assert_eq!(rig.now, START + seconds(10));
    assert!(rig.ops.len() <= 5, "{:?}", rig.ops);
    assert_eq!(rig.ops[rig.ops.len() - 2..], ["get", "update"]);
}

#[test]
fn very_slow_polls_take_over_late() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.elector.handle_min_poll_interval(seconds(60));
    // A live leader costs one read per interval.
    for renewal in 0..40 {
        rig.store.borrow_mut().put(record("bing", 10, 0));
        rig.run_for(seconds(8));
        assert!(rig.started.is_empty(), "renewal {renewal}");
    }
    assert!((5..8).contains(&rig.ops.len()), "{:?}", rig.ops);
    let left = rig.now;
    rig.run_to(|rig| !rig.started.is_empty());
    // It reads once more and observes the last renewal, then waits for the lease or the next poll.
    let gap = rig.now.since(left);
    assert!(gap <= seconds(2 * 60), "{gap:?}");
}

#[test]
fn failed_poll_respects_interval_and_expiry() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(Duration::ZERO);
    rig.elector.handle_min_poll_interval(seconds(6));
    rig.outcomes.push_back(CallOutcome::Fails(unavailable()));
    rig.run_for(seconds(9));
    let calls: Vec<Duration> = rig.times.iter().map(|at| at.since(START)).collect();
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[2] - calls[1], seconds(6));
    rig.run_for(seconds(1));
    assert_eq!(rig.started[0].0, START + seconds(10));
}

#[test]
fn leader_ignores_min_poll_interval() {
    let mut rig = rig();
    rig.elector.handle_min_poll_interval(seconds(3600));
    rig.run_for(seconds(20));
    assert_eq!(rig.ops.len(), 2 + 10);
    assert!(rig.stopped.is_empty());
}
