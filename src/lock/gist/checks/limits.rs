//! Rate limits of GitHub against the settings: how many locks and candidates one user can have. Pure.

use crate::election::config::LeaderElectionConfig;
use crate::fmt::count;
use crate::lock::admin::Finding;
use crate::lock::gist::client::WriteLimits;
use crate::lock::stats::RateLimit;

/// GitHub's primary limit: requests per hour and user.
const GITHUB_REQUESTS: u64 = 5_000;

/// Share of the requests to plan with. The rest is for the leader and for starts.
const USABLE: f64 = 0.9;

/// Share of the requests below which too few are left.
const FEW_LEFT: f64 = 0.2;

/// Numbers of candidates to calculate for: a small election and a large one.
const FEW: f64 = 3.0;
const MANY: f64 = 10.0;

const HOUR: f64 = 3_600.0;

fn whole(number: f64) -> String {
    // Numbers of requests are neither negative nor beyond 64 bits.
    count(number.round() as u64)
}

/// Judges a leader's writes per hour. GitHub shows this limit in no header.
pub(super) fn writes(election: &LeaderElectionConfig, github: bool) -> Finding {
    let renewals = HOUR / election.retry_period.as_secs_f64();
    let made = format!(
        "a leader makes {} per hour (RETRY_PERIOD={:?})",
        whole(renewals),
        election.retry_period
    );
    if !github {
        let text = format!("{made}; this service's limit is unknown, github.com accepts 500");
        return Finding::ok("writes", text);
    }
    let limit = f64::from(WriteLimits::github(election).per_hour);
    let locks = (limit / renewals).floor();
    if locks < 1.0 {
        return Finding::fail(
            "writes",
            format!(
                "{made}, but GitHub accepts {limit} from one user; use RETRY_PERIOD=8s or more, with \
                 RENEW_DEADLINE and LEASE_DURATION to match"
            ),
        );
    }
    let locks = match locks {
        1.0 => "1 lock".to_owned(),
        _ => format!("{} locks", whole(locks)),
    };
    let text = format!(
        "{made}, GitHub accepts {limit} from one user: enough for {locks}; for n times as many, use n \
         times the periods"
    );
    Finding::ok("writes", text)
}

/// Judges all candidates' requests per hour. Each renewal costs the leader a write, and every other
/// candidate a read that is no 304.
pub(super) fn requests(
    election: &LeaderElectionConfig,
    rate: Option<&RateLimit>,
    github: bool,
) -> Finding {
    let each = HOUR / election.retry_period.as_secs_f64();
    let made = format!(
        "{FEW} candidates make {} per hour, {MANY} make {}",
        whole(FEW * each),
        whole(MANY * each)
    );
    let reported = rate.map(|rate| rate.limit);
    let Some(limit) = reported.or_else(|| github.then_some(GITHUB_REQUESTS)) else {
        return Finding::ok("requests", format!("{made}; this service reports no limit"));
    };
    let most = (limit as f64 * USABLE / each).floor();
    let text = format!(
        "{made}, of the {} that a user has: more than {} need a longer RETRY_PERIOD",
        count(limit),
        whole(most)
    );
    match most {
        ..2.0 => Finding::fail("requests", text),
        ..FEW => Finding::warn("requests", text),
        _ => Finding::ok("requests", text),
    }
}

/// Judges the number of requests left in the current hour. `now` is the service's clock.
pub(super) fn remaining(rate: Option<&RateLimit>, now: Option<i64>) -> Finding {
    let Some(rate) = rate else {
        return Finding::ok("limit", "this service reports none");
    };
    let text = rate.summary(now);
    if rate.remaining == 0 {
        return Finding::fail(
            "limit",
            format!(
                "{text}, and no candidate can renew or acquire before; use longer periods or fewer \
                 programs"
            ),
        );
    }
    if (rate.remaining as f64) < rate.limit as f64 * FEW_LEFT {
        return Finding::warn(
            "limit",
            format!("{text}; use longer periods, or one user per lock"),
        );
    }
    Finding::ok("limit", text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lock::admin::Level;

    fn seconds(retry: u64) -> LeaderElectionConfig {
        LeaderElectionConfig {
            retry_period: Duration::from_secs(retry),
            ..LeaderElectionConfig::new("a")
        }
    }

    fn rate(limit: u64, remaining: u64) -> RateLimit {
        RateLimit {
            limit,
            remaining,
            resets_at: 100,
        }
    }

    #[test]
    fn defaults_suit_ten_candidates() {
        let election = LeaderElectionConfig::new("a");
        let writes = writes(&election, true);
        assert_eq!(writes.level, Level::Ok);
        assert!(writes.text.contains("450 per hour"), "{}", writes.text);
        assert!(writes.text.contains("for 1 lock;"), "{}", writes.text);
        let requests = requests(&election, None, true);
        assert_eq!(requests.level, Level::Ok);
        for part in [
            "1,350",
            "10 make 4,500",
            "of the 5,000",
            "more than 10 need",
        ] {
            assert!(requests.text.contains(part), "{part}: {}", requests.text);
        }
    }

    #[test]
    fn longer_period_suits_more_locks() {
        for (retry, locks) in [(16, "2 locks"), (24, "3 locks"), (80, "11 locks")] {
            let finding = writes(&seconds(retry), true);
            assert!(finding.text.contains(locks), "{}", finding.text);
        }
    }

    #[test]
    fn too_short_period_fails() {
        assert_eq!(writes(&seconds(4), true).level, Level::Fail);
        assert_eq!(writes(&seconds(4), false).level, Level::Ok);
        assert_eq!(requests(&seconds(4), None, true).level, Level::Ok);
        assert_eq!(requests(&seconds(2), None, true).level, Level::Warn);
        assert_eq!(requests(&seconds(1), None, true).level, Level::Fail);
        assert_eq!(requests(&seconds(1), None, false).level, Level::Ok);
        let announced = requests(&seconds(1), Some(&rate(15_000, 1)), false);
        assert_eq!(announced.level, Level::Ok);
        assert!(
            announced.text.contains("of the 15,000"),
            "{}",
            announced.text
        );
    }

    #[test]
    fn few_requests_left_warn() {
        for (left, level) in [(5_000, Level::Ok), (1_000, Level::Ok), (999, Level::Warn)] {
            assert_eq!(
                remaining(Some(&rate(5_000, left)), Some(40)).level,
                level,
                "{left}"
            );
        }
        let none = remaining(Some(&rate(5_000, 0)), Some(40));
        assert_eq!(none.level, Level::Fail);
        assert!(none.text.contains("all again in 1m"), "{}", none.text);
        assert_eq!(remaining(None, None).level, Level::Ok);
    }
}
