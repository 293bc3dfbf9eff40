//! How far apart a candidate's looks are, so that the hour's requests, which all of a user's programs
//! share, last to its end, and the leader's renewals have theirs before anybody else. Pure: the time
//! is handed in.
//!
//! A look that shows nothing new is a 304, and free, so that candidates cost about a request for each
//! renewal and candidate. None of them knows how many others there are, nor what else the user runs.
//! But every answer tells all of them alike how many requests are left, and how long these must last:
//!
//! ```text
//!  requests left
//!     ▲╲                       as planned: what is not the leader's, spread evenly over the hour
//!     │ ╲·.
//!     │  ╲  ·.
//!     │   ╲___ ·.              behind the plan: looks are put off, the more the further behind
//!     │       ╲__·.
//!     │-.         ╲_·.
//!     │   `-.        ╲.        the reserve: the leader's renewals until the reset, and some
//!     │       `-.      ╲
//!     └───────────`-.───┴─▶ reset
//! ```
//!
//! While at least two thirds of the plan are there, looks are put off by no more than a lease: a
//! leader that dies is followed as soon as ever, and only a release is noticed later. With less, some
//! candidates go on like that, the fewer the less is left, and the others hardly look at all. Were
//! all put off alike, none would be near when the leader dies. Who goes on is drawn once for each.
//!
//! What one candidate decides, all do, and so they settle where the requests just last. The leader is
//! never held back here: nothing but a candidate's look is.

use std::time::Duration;

use fastrand::Rng;

use super::crowd::Crowd;
use super::wire::RateLimit;
use crate::election::config::LeaderElectionConfig;
use crate::election::time::Instant;

/// The time for which GitHub's limit is. Where it is for a shorter one, looks are put off later.
const WINDOW: Duration = Duration::from_secs(3_600);

/// The longest time to a reset that is believed: an hour, and a little for rounding.
const LONGEST_RESET: Duration = Duration::from_secs(3_660);

/// Requests that are kept for each renewal until the reset: some are tried again, or need a look.
const PER_RENEWAL: f64 = 1.25;

/// The part of the limit that is kept beside: for takeovers, and for what other programs send at once.
const KEPT: f64 = 0.05;

/// Looks are put off when less is left than this part of the plan: a burst at the beginning of an
/// hour (candidates that start, and read the history) is nothing yet.
const ON_PLAN: f64 = 0.95;

/// With less than this part, looks of some are put off by more than a lease. A burst hardly comes to
/// that; more than 35 candidates with the default times do, or other programs that take most of the
/// hour.
const FAR_BEHIND: f64 = 2.0 / 3.0;

/// Being behind by another such part of the plan doubles the time between two looks, or halves the number
/// of those that look. Steep, so that it settles close to the plan, whether ten candidates share the
/// rest or a hundred.
const DOUBLES_EVERY: f64 = 0.025;

/// However little is left, a candidate looks once in so many leases: there may be no other one that
/// could notice that the leader has gone. Ten candidates take a quarter of a leader's requests so.
const LONGEST_LEASES: u32 = 10;

/// The same for one that does not know what is in effect: it has more to read, and there may be none
/// that does.
const LONGEST_LEASES_UNINFORMED: u32 = 1;

/// The time for which all candidates together leave one of their looks: 600 in a minute. GitHub grants 900
/// points a minute, a read is one, a write five, and whether a 304 counts is not known.
const EACH_IN_TURN: Duration = Duration::from_millis(100);

/// What seem to be more candidates than this may be other programs.
const MOST_IN_TURN: u32 = 100;

/// However little is left, this share of the candidates looks once in a lease: of a hundred some three.
const LEAST_SHARE: f64 = 1.0 / 32.0;

/// How many ranks there are.
const RANKS: f64 = 65_536.0;

/// Says how far apart a candidate's looks are to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    poll_period: Duration,
    retry_period: Duration,
    lease_duration: Duration,
    /// Where this candidate stands among all, drawn at random: 0 goes on longest.
    rank: u16,
    heard: Option<Heard>,
    crowd: Crowd,
}

/// What followed from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Heard {
    /// How far apart the looks are to be of a candidate that knows what is in effect.
    pause: Duration,
    /// Nothing is left but what is the leader's.
    only_reserve: bool,
    /// When all requests are there again.
    resets_at: Instant,
}

impl Budget {
    /// For a candidate with these times, who takes the leader's to be the same. Nothing is known yet
    /// of what is left.
    #[must_use]
    pub fn new(election: &LeaderElectionConfig) -> Self {
        Budget {
            poll_period: election.poll_period,
            retry_period: election.retry_period,
            lease_duration: election.lease_duration,
            rank: Rng::with_seed(election.seed).u16(..),
            heard: None,
            crowd: Crowd::new(election.retry_period),
        }
    }

    /// Takes in what an answer that came `now` says; one that says nothing changes nothing.
    pub fn heard(&mut self, now: Instant, rate: Option<RateLimit>) {
        self.crowd.heard(now, rate);
        let Some(rate) = rate else { return };
        let resets_in = rate.resets_in().map(|time| time.min(LONGEST_RESET));
        // Those that hardly looked are not to come back all at once when they hear that enough is left.
        let half = self.heard.map(|heard| heard.pause / 2);
        let least = half
            .map(|half| half.min(self.lease_duration))
            .filter(|least| *least > self.poll_period);
        self.heard = resets_in.map(|resets_in| {
            let spare = self.spare(rate.remaining, &rate, resets_in);
            let pause = self.pause_with(spare, &rate, resets_in);
            Heard {
                pause: pause.max(least.unwrap_or_default()),
                only_reserve: spare <= 0.0,
                resets_at: now + resets_in,
            }
        });
    }

    /// How long after a look at `now` the next one may come; zero where nothing speaks against the
    /// usual time. `informed`: the candidate knows what is in effect. One that does not may be needed,
    /// and may use all but the reserve.
    #[must_use]
    pub fn pause(&self, now: Instant, informed: bool) -> Duration {
        let Some(heard) = &self.heard else {
            return Duration::ZERO;
        };
        let wanted = match (informed, heard.only_reserve) {
            (true, _) => heard.pause,
            (false, false) => Duration::ZERO,
            (false, true) => self.lease_duration * LONGEST_LEASES_UNINFORMED,
        };
        wanted.min(heard.resets_at.since(now)).max(self.in_turn())
    }

    /// So that however many there are do not ask too much within a minute.
    fn in_turn(&self) -> Duration {
        let candidates = self.crowd.candidates().unwrap_or_default();
        let turn = EACH_IN_TURN * candidates.min(MOST_IN_TURN);
        if turn > self.poll_period {
            turn
        } else {
            Duration::ZERO
        }
    }

    /// How many stand for election, as far as that can be told.
    #[must_use]
    pub fn candidates(&self) -> Option<u32> {
        self.crowd.candidates()
    }

    /// Whether nothing is left but what is the leader's: the history is read on later.
    #[must_use]
    pub fn only_reserve(&self, now: Instant) -> bool {
        let heard = self.heard.as_ref();
        heard.is_some_and(|heard| heard.only_reserve && now < heard.resets_at)
    }

    fn pause_with(&self, spare: f64, rate: &RateLimit, resets_in: Duration) -> Duration {
        if spare <= 0.0 {
            return self.far_behind(LEAST_SHARE);
        }
        let an_hour = self.spare(rate.limit, rate, WINDOW);
        let planned = an_hour * resets_in.as_secs_f64() / WINDOW.as_secs_f64();
        if planned <= 0.0 {
            // The limit is no hour's, or does not suffice for a leader: there is nothing to plan.
            return Duration::ZERO;
        }
        let part = spare / planned;
        if part < FAR_BEHIND {
            let share = 1.0 / doublings(FAR_BEHIND - part);
            return self.far_behind(share.max(LEAST_SHARE));
        }
        if part < ON_PLAN {
            let pause = self.poll_period.mul_f64(doublings(ON_PLAN - part));
            return pause.min(self.lease_duration);
        }
        Duration::ZERO
    }

    /// For one of those of whom this share goes on.
    fn far_behind(&self, share: f64) -> Duration {
        if f64::from(self.rank) < share * RANKS {
            return self.lease_duration;
        }
        self.lease_duration.saturating_mul(LONGEST_LEASES)
    }

    /// What of so many requests is not reserved for the leader in this time.
    fn spare(&self, requests: u64, rate: &RateLimit, time: Duration) -> f64 {
        let renewals = time.as_secs_f64() / self.retry_period.as_secs_f64();
        requests as f64 - renewals * PER_RENEWAL - rate.limit as f64 * KEPT
    }
}

/// By how much what depends on it grows for who is behind by so much.
fn doublings(behind: f64) -> f64 {
    (behind / DOUBLES_EVERY).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_boot(Duration::from_secs(1_000));
    const HOUR: u64 = 3_600;

    fn rate(limit: u64, remaining: u64, reset_in: u64) -> RateLimit {
        let date = 1_588_008_246;
        RateLimit {
            limit,
            remaining,
            // `resets_in` is a second more.
            reset: date + reset_in as i64 - 1,
            date: Some(date),
        }
    }

    /// With the default times: polls every 2 s, renewals every 8 s, a lease of 30 s.
    fn default() -> Budget {
        of_seed(0)
    }

    fn of_seed(seed: u64) -> Budget {
        Budget::new(&LeaderElectionConfig {
            seed,
            ..LeaderElectionConfig::new("baz")
        })
    }

    fn pause(rate: RateLimit, informed: bool) -> Duration {
        let mut budget = default();
        budget.heard(NOW, Some(rate));
        budget.pause(NOW, informed)
    }

    /// In seconds, where so many of 5,000 requests are left for so many seconds.
    fn with(remaining: u64, reset_in: u64) -> f64 {
        pause(rate(5_000, remaining, reset_in), true).as_secs_f64()
    }

    #[test]
    fn nothing_is_put_off_where_nothing_is_said_or_enough_is_left() {
        let mut budget = default();
        assert_eq!(budget.pause(NOW, true), Duration::ZERO);
        budget.heard(NOW, None);
        assert_eq!(budget.pause(NOW, true), Duration::ZERO);
        for (remaining, reset_in) in [(5_000, HOUR), (4_850, HOUR), (2_600, HOUR / 2), (300, 20)] {
            assert_eq!(with(remaining, reset_in), 0.0, "{remaining} in {reset_in}s");
        }
        let unknown = RateLimit {
            date: None,
            ..rate(5_000, 1, HOUR)
        };
        assert_eq!(pause(unknown, true), Duration::ZERO);
    }

    #[test]
    fn ten_candidates_with_the_default_times_are_not_held_back() {
        for passed in 0..HOUR {
            // A renewal costs ten requests: one for itself and one for each of the others.
            let left = 5_000 - passed * 10 / 8;
            assert_eq!(with(left, HOUR - passed), 0.0, "after {passed}s");
        }
    }

    /// Of a candidate of this rank, in seconds, half an hour before the reset.
    fn of_rank(rank: u16, left: u64) -> f64 {
        let mut budget = Budget { rank, ..default() };
        budget.heard(NOW, Some(rate(5_000, left, HOUR / 2)));
        budget.pause(NOW, true).as_secs_f64()
    }

    /// All that may be left half an hour before the reset, from most to least.
    fn lefts() -> impl Iterator<Item = u64> {
        (0..=2_500).rev()
    }

    #[test]
    fn the_further_behind_the_plan_the_seldomer_are_looks_and_never_without_bound() {
        for rank in [2_048, 2_100, 10_000, 40_000, u16::MAX] {
            let pauses: Vec<f64> = lefts().map(|left| of_rank(rank, left)).collect();
            assert!(pauses.is_sorted());
            let count =
                |from: f64, to: f64| pauses.iter().filter(|&&p| from < p && p <= to).count();
            assert!(count(2.0, 8.0) > 50 && count(8.0, 29.9) > 50);
            assert!(count(29.9, 30.1) > 200, "a lease");
            assert_eq!(pauses.last(), Some(&300.0), "ten leases");
        }
        // A fortieth of the plan doubles.
        let plan = 5_000.0 * 0.95 - 1.25 * 450.0;
        let lost = (plan / 2.0 / 40.0_f64).round() as u64;
        let ratio = with(2_400 - lost, HOUR / 2) / with(2_400, HOUR / 2);
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
    }

    #[test]
    fn far_behind_the_plan_some_go_on_and_the_others_hardly_look() {
        let goes_on = |rank: u16, left| of_rank(rank, left) <= 30.0;
        let share = |left| {
            let ranks = (0..=u16::MAX).step_by(64);
            ranks.filter(|&rank| goes_on(rank, left)).count() as f64 / 1_024.0
        };
        let shares: Vec<f64> = lefts().step_by(50).map(share).collect();
        assert!(shares.is_sorted_by(|more, less| more >= less));
        assert!(
            shares
                .iter()
                .filter(|&&share| 0.04 < share && share < 1.0)
                .count()
                >= 3
        );
        let least = 1.0 / 32.0;
        assert_eq!((shares.first(), shares.last()), (Some(&1.0), Some(&least)));
        // Who goes on with less does so with more.
        for left in lefts().step_by(50) {
            let ranks = (0..=u16::MAX).step_by(64);
            assert!(ranks.map(|rank| of_rank(rank, left)).is_sorted());
        }
    }

    #[test]
    fn who_hardly_looked_comes_back_step_by_step() {
        let mut budget = Budget {
            rank: u16::MAX,
            ..default()
        };
        budget.heard(NOW, Some(rate(5_000, 1_000, HOUR / 2)));
        let mut pauses = vec![budget.pause(NOW, true).as_secs()];
        for _ in 0..9 {
            budget.heard(NOW, Some(rate(5_000, 5_000, HOUR)));
            pauses.push(budget.pause(NOW, true).as_secs());
        }
        assert_eq!(pauses, [300, 30, 15, 7, 3, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn candidates_have_ranks_of_their_own() {
        let mut ranks: Vec<u16> = (0..100).map(|seed| of_seed(seed).rank).collect();
        ranks.sort_unstable();
        assert!(ranks[10] < 15_000 && ranks[50] > 20_000 && ranks[90] > 50_000);
    }

    #[test]
    fn before_the_leaders_reserve_is_touched_looks_are_as_seldom_as_they_get() {
        for reset_in in [400, 1_000, HOUR / 2, HOUR] {
            let reserve = 250 + reset_in * 5 / 4 / 8;
            assert_eq!(with(reserve, reset_in), 300.0, "{reset_in}s");
        }
    }

    #[test]
    fn nobody_waits_beyond_the_reset() {
        assert_eq!(with(0, 100), 100.0);
        let mut budget = default();
        budget.heard(NOW, Some(rate(5_000, 0, 100)));
        let later = |seconds| NOW + Duration::from_secs(seconds);
        assert_eq!(budget.pause(later(90), true), Duration::from_secs(10));
        assert_eq!(budget.pause(later(100), true), Duration::ZERO);
        budget.heard(later(50), Some(rate(5_000, 5_000, HOUR)));
        let soon = budget.pause(later(50), true).as_secs();
        assert_eq!(soon, 30, "a lease");
    }

    #[test]
    fn who_knows_nothing_yet_may_use_all_but_the_reserve() {
        let reserve = 250 + HOUR * 5 / 4 / 8;
        let uninformed = |remaining| pause(rate(5_000, remaining, HOUR), false);
        assert_eq!(uninformed(reserve + 100), Duration::ZERO);
        assert_eq!(with(reserve + 100, HOUR), 300.0);
        assert_eq!(uninformed(reserve), Duration::from_secs(30), "one lease");
    }

    #[test]
    fn a_great_many_take_turns_whatever_is_left() {
        let pause_of = |used: u64, poll_period: Duration| {
            let mut budget = Budget::new(&LeaderElectionConfig {
                poll_period,
                ..LeaderElectionConfig::new("baz")
            });
            budget.heard(NOW, Some(rate(50_000, 50_000, HOUR)));
            budget.heard(NOW, Some(rate(50_000, 50_000 - used, HOUR)));
            budget.pause(NOW, true)
        };
        let seconds = Duration::from_secs;
        assert_eq!(pause_of(40, seconds(2)), Duration::ZERO);
        assert_eq!(pause_of(41, seconds(2)), Duration::from_millis(4_100));
        assert_eq!(pause_of(41, seconds(5)), Duration::ZERO);
        assert_eq!(pause_of(2_000, seconds(2)), seconds(10), "at the most");
    }

    #[test]
    fn when_only_the_reserve_is_left_is_known_until_the_reset() {
        let mut budget = default();
        let later = |seconds| NOW + Duration::from_secs(seconds);
        assert!(!budget.only_reserve(NOW));
        budget.heard(NOW, Some(rate(5_000, 250 + 63, 400)));
        assert!(!budget.only_reserve(NOW));
        budget.heard(NOW, Some(rate(5_000, 250 + 62, 400)));
        assert!(budget.only_reserve(later(399)));
        assert!(!budget.only_reserve(later(400)));
    }

    #[test]
    fn where_no_plan_can_be_made_the_reserve_is_kept_all_the_same() {
        // A limit that does not suffice for the leader of an hour.
        for (left, reset_in, expected) in
            [(500, HOUR, 300), (500, HOUR / 2, 0), (300, HOUR / 2, 300)]
        {
            let pause = pause(rate(500, left, reset_in), true).as_secs();
            assert_eq!(pause, expected, "{left} in {reset_in}s");
        }
        // One of ten seconds.
        assert_eq!(pause(rate(30, 30, 10), true).as_secs(), 0);
        assert_eq!(pause(rate(30, 3, 10), true).as_secs(), 10);
    }

    /// One leader and so many candidates for an hour, second by second, and what is left each second.
    fn an_hour_of(candidates: usize, others_an_hour: u64) -> Vec<u64> {
        let mut left = 5_000_u64;
        let first = |i: usize| (i as f64 % 8.0, of_seed(i as u64));
        let mut next: Vec<(f64, Budget)> = (0..candidates).map(first).collect();
        let mut lefts = Vec::new();
        for second in 0..HOUR {
            left = left.saturating_sub(u64::from(second % 8 == 0));
            left = left.saturating_sub(others_an_hour * (second + 1) / HOUR);
            left += others_an_hour * second / HOUR;
            for (look, budget) in &mut next {
                if *look <= second as f64 {
                    // Looks in between show nothing new.
                    left = left.saturating_sub(1);
                    budget.heard(NOW, Some(rate(5_000, left, HOUR - second)));
                    *look += budget.pause(NOW, true).as_secs_f64().max(8.0);
                }
            }
            lefts.push(left);
        }
        lefts
    }

    #[test]
    fn any_number_of_candidates_settles_where_the_requests_last_and_uses_them() {
        for candidates in [12, 30, 100] {
            let lefts = an_hour_of(candidates, 0);
            let end = *lefts.last().unwrap();
            assert!((100..400).contains(&end), "{candidates}: {end} left");
            // Not all at once: half of them in each half of the hour, or nearly.
            let half = lefts[lefts.len() / 2];
            assert!((1_600..3_000).contains(&half), "{candidates}: {half} left");
        }
    }

    #[test]
    fn candidates_give_way_to_the_users_other_programs() {
        for (candidates, others) in [(10, 3_000), (30, 3_000), (2, 4_000)] {
            let end = *an_hour_of(candidates, others).last().unwrap();
            assert!(end > 50, "{candidates} beside {others}: {end} left");
        }
    }

    #[test]
    fn whatever_is_told_and_set_nothing_panics_and_every_pause_is_bounded() {
        let mut random = fastrand::Rng::with_seed(7);
        let numbers = [0, 1, 59, 5_000, u64::MAX / 2, u64::MAX];
        let times = [0, 1, 1_000_000, 2_000_000_000, 86_400_000_000_000];
        for _ in 0..20_000 {
            let mut time = || Duration::from_nanos(times[random.usize(..times.len())]);
            let config = LeaderElectionConfig {
                poll_period: time(),
                retry_period: time(),
                lease_duration: time(),
                ..LeaderElectionConfig::new("baz")
            };
            let mut budget = Budget::new(&config);
            let mut number = || numbers[random.usize(..numbers.len())];
            let said = RateLimit {
                limit: number(),
                remaining: number(),
                reset: number() as i64,
                date: Some(number() as i64),
            };
            budget.heard(NOW, Some(said));
            for informed in [false, true] {
                let pause = budget.pause(NOW, informed);
                let longest = LONGEST_RESET.min(config.lease_duration * LONGEST_LEASES);
                assert!(pause <= longest, "{pause:?} of {said:?}");
            }
        }
    }
}
