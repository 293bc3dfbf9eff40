//! What the settings make of the service's limits: how many locks and candidates a user can have. Pure.

use std::time::Duration;

use super::report::{Finding, fail, ok, warn};
use crate::commands::gist::limit_text;
use crate::election::config::LeaderElectionConfig;
use crate::fmt::count;
use crate::lock::gist::client::{RateLimit, WriteLimits};

/// GitHub's primary limit: requests an hour and user.
const GITHUB_REQUESTS: u64 = 5_000;

/// GitHub's points a minute and user, and what a read and a write count.
const POINTS_A_MINUTE: f64 = 900.0;
const POINTS_OF_A_WRITE: f64 = 5.0;

/// What is reckoned with: below a fifth of the requests, candidates look less closely.
const USABLE: f64 = 0.8;

/// The numbers of candidates that are reckoned out: a small election and a large one.
const FEW: f64 = 3.0;
const MANY: f64 = 10.0;

const HOUR: f64 = 3_600.0;
const MINUTE: f64 = 60.0;

/// How often in `window` seconds something happens that happens every `period`.
fn times(period: Duration, window: f64) -> f64 {
    window / period.as_secs_f64()
}

fn whole(number: f64) -> String {
    // Numbers of requests: neither negative nor beyond 64 bits.
    count(number.round() as u64)
}

/// Writes an hour of a leader. GitHub does not say in any header how many it takes.
pub(super) fn writes(election: &LeaderElectionConfig, github: bool) -> Finding {
    let renewals = times(election.retry_period, HOUR);
    let made = format!(
        "a leader makes {} an hour (RETRY_PERIOD={:?})",
        whole(renewals),
        election.retry_period
    );
    if !github {
        return ok(
            "writes",
            format!("{made}; how many this service takes is not known, github.com takes 500"),
        );
    }
    let most = f64::from(WriteLimits::github(election).per_hour);
    let locks = (most / renewals).floor();
    if locks < 1.0 {
        return fail(
            "writes",
            format!(
                "{made}, but GitHub takes {most} from one user: give RETRY_PERIOD=8s or more, with \
                 RENEW_DEADLINE and LEASE_DURATION to match"
            ),
        );
    }
    let locks = match locks {
        1.0 => "1 lock".to_owned(),
        _ => format!("{} locks", whole(locks)),
    };
    ok(
        "writes",
        format!(
            "{made}, GitHub takes {most} from one user: enough for {locks}; for n times as many, take n \
             times the periods"
        ),
    )
}

/// Requests an hour of all candidates: each renewal costs the leader a write, and each of the others
/// a read that is no 304.
pub(super) fn requests(
    election: &LeaderElectionConfig,
    rate: Option<&RateLimit>,
    github: bool,
) -> Finding {
    let each = times(election.retry_period, HOUR);
    let made = format!(
        "{FEW} candidates make {} an hour, {MANY} make {}",
        whole(FEW * each),
        whole(MANY * each)
    );
    let announced = rate.map(|rate| rate.limit);
    let Some(limit) = announced.or_else(|| github.then_some(GITHUB_REQUESTS)) else {
        return ok("requests", format!("{made}; this service names no limit"));
    };
    let most = (limit as f64 * USABLE / each).floor();
    let text = format!(
        "{made}, of the {} that a user has: more than {} need a longer RETRY_PERIOD",
        count(limit),
        whole(most)
    );
    if most < 2.0 {
        return fail("requests", text);
    }
    match most < FEW {
        true => warn("requests", text),
        false => ok("requests", text),
    }
}

/// Points a minute of all candidates: there a 304 counts as well.
pub(super) fn polls(election: &LeaderElectionConfig, github: bool) -> Finding {
    let each = times(election.poll_period, MINUTE);
    let leader = POINTS_OF_A_WRITE * times(election.retry_period, MINUTE);
    let of = |candidates: f64| whole(candidates * each + leader);
    let made = format!(
        "{FEW} candidates use {} points a minute, {MANY} use {} (POLL_PERIOD={:?})",
        of(FEW),
        of(MANY),
        election.poll_period
    );
    if !github {
        return ok("polls", made);
    }
    let most = ((POINTS_A_MINUTE - leader) / each).floor().max(0.0);
    let text = format!(
        "{made}, of {POINTS_A_MINUTE}: more than {} need a longer POLL_PERIOD",
        whole(most)
    );
    match most < MANY {
        true => warn("polls", text),
        false => ok("polls", text),
    }
}

/// What is left of the hour's requests now.
pub(super) fn remaining(rate: Option<&RateLimit>) -> Finding {
    let Some(rate) = rate else {
        return ok("limit", "this service names none");
    };
    let text = limit_text(rate);
    if rate.remaining == 0 {
        return fail(
            "limit",
            format!(
                "{text}: nobody can renew or claim before; use longer periods or fewer programs"
            ),
        );
    }
    if (rate.remaining as f64) < rate.limit as f64 * (1.0 - USABLE) {
        return warn(
            "limit",
            format!("{text}: use longer periods, or a user of its own for each lock"),
        );
    }
    ok("limit", text)
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    fn seconds(retry: u64, poll_millis: u64) -> LeaderElectionConfig {
        LeaderElectionConfig {
            retry_period: Duration::from_secs(retry),
            poll_period: Duration::from_millis(poll_millis),
            ..LeaderElectionConfig::new("a")
        }
    }

    fn rate(limit: u64, remaining: u64) -> RateLimit {
        RateLimit {
            limit,
            remaining,
            reset: 100,
            date: Some(40),
        }
    }

    #[test]
    fn the_default_settings_suit_one_lock_and_eight_candidates() {
        let election = LeaderElectionConfig::new("a");
        let writes = writes(&election, true);
        assert_eq!(writes.level, Level::Ok);
        assert!(writes.text.contains("450 an hour"), "{}", writes.text);
        assert!(writes.text.contains("for 1 lock;"), "{}", writes.text);
        let requests = requests(&election, None, true);
        assert_eq!(requests.level, Level::Ok);
        for part in ["1,350", "10 make 4,500", "of the 5,000", "more than 8 need"] {
            assert!(requests.text.contains(part), "{part}: {}", requests.text);
        }
        let polls = polls(&election, true);
        assert_eq!(polls.level, Level::Ok);
        for part in ["use 128 points", "10 use 338", "more than 28 need"] {
            assert!(polls.text.contains(part), "{part}: {}", polls.text);
        }
    }

    #[test]
    fn n_times_the_period_suits_n_locks() {
        for (retry, locks) in [(16, "2 locks"), (24, "3 locks"), (80, "11 locks")] {
            let finding = writes(&seconds(retry, 2_000), true);
            assert!(finding.text.contains(locks), "{}", finding.text);
        }
    }

    #[test]
    fn periods_that_are_too_short_fail() {
        let short = seconds(4, 100);
        assert_eq!(writes(&short, true).level, Level::Fail);
        assert_eq!(writes(&short, false).level, Level::Ok);
        assert_eq!(polls(&short, true).level, Level::Warn);
        assert_eq!(requests(&short, None, true).level, Level::Ok);
        assert_eq!(requests(&seconds(2, 100), None, true).level, Level::Warn);
        assert_eq!(requests(&seconds(1, 100), None, true).level, Level::Fail);
        assert_eq!(requests(&seconds(1, 100), None, false).level, Level::Ok);
        let announced = requests(&seconds(1, 100), Some(&rate(15_000, 1)), false);
        assert_eq!(announced.level, Level::Ok);
        assert!(
            announced.text.contains("of the 15,000"),
            "{}",
            announced.text
        );
    }

    #[test]
    fn few_requests_left_are_a_warning_and_none_a_failure() {
        for (left, level) in [(5_000, Level::Ok), (1_000, Level::Ok), (999, Level::Warn)] {
            assert_eq!(remaining(Some(&rate(5_000, left))).level, level, "{left}");
        }
        let none = remaining(Some(&rate(5_000, 0)));
        assert_eq!(none.level, Level::Fail);
        assert!(none.text.contains("all again in 1m"), "{}", none.text);
        assert_eq!(remaining(None).level, Level::Ok);
    }
}
