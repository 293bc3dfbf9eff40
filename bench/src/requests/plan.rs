//! Recommended settings for numbers of candidates and locks, with their requests, takeovers and
//! handovers.
//!
//! A leader writes `3600 / RETRY_PERIOD` times an hour, and each renewal costs every other
//! candidate one read that counts; polls in between are free. GitHub accepts 500 writes and 5,000
//! requests an hour per account, and 900 points a minute (one per read, five per write).

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use simulation::ledger::{Change, End};

use super::runs::{CONFIRM_DELAY, HOUR, MeasuredRun, Outcome, delay_after_lease, leaderless};
use super::{Table, figure, number, seconds};
use crate::figure::{Figure, Spread};

/// Mean time that each leader leads, in leases, so that slow candidates have polled by then.
const LEAD_TIME_IN_LEASES: u32 = 20;

/// Hours of the undisturbed election after the first.
const HOURS: u32 = 2;

/// Lease, deadline, retry and poll period in seconds.
type Times = (u64, u64, u64, u64);

/// One choice of settings.
struct Row {
    /// Table of the row.
    table: &'static str,
    candidates: usize,
    /// Number of locks of one account, each in a separate gist.
    locks: u32,
    times: Times,
    /// `TAKEOVER_STAGGER` in milliseconds; `None` for the default.
    stagger: Option<u64>,
    limits: bool,
}

/// Results of a choice.
struct Given {
    /// Sums over all locks.
    requests: f64,
    writes: f64,
    points: f64,
    left: f64,
    refused: u64,
    leaderless: Spread,
    over: Spread,
    handover: Spread,
    takeover_writes: Spread,
}

const USUAL: Times = (30, 16, 8, 2);

/// The default of `TAKEOVER_STAGGER`, unless a quarter of `POLL_PERIOD` is less.
const STAGGER: Duration = Duration::from_millis(400);

const fn row(table: &'static str, candidates: usize, locks: u32, times: Times) -> Row {
    Row {
        table,
        candidates,
        locks,
        times,
        stagger: None,
        limits: true,
    }
}

const fn staggered(stagger: u64, row: Row) -> Row {
    Row {
        stagger: Some(stagger),
        ..row
    }
}

const fn free(candidates: usize, times: Times) -> Row {
    Row {
        limits: false,
        ..row("plan-free", candidates, 1, times)
    }
}

const ROWS: &[Row] = &[
    row("plan", 3, 1, USUAL),
    row("plan", 10, 1, USUAL),
    staggered(800, row("plan", 10, 1, USUAL)),
    row("plan", 30, 1, USUAL),
    row("plan", 30, 1, (68, 36, 24, 3)),
    row("plan", 100, 1, USUAL),
    row("plan", 100, 1, (68, 36, 24, 8)),
    row("plan", 100, 1, (216, 110, 90, 10)),
    row("plan-locks", 3, 2, (56, 32, 16, 2)),
    row("plan-locks", 10, 2, (56, 32, 16, 2)),
    row("plan-locks", 3, 5, (110, 60, 40, 4)),
    row("plan-locks", 10, 5, (110, 60, 40, 4)),
    row("plan-locks", 3, 10, (192, 100, 80, 8)),
    row("plan-polls", 10, 1, (30, 16, 8, 1)),
    row("plan-polls", 10, 1, USUAL),
    row("plan-polls", 10, 1, (30, 16, 8, 4)),
    row("plan-polls", 10, 1, (30, 16, 8, 8)),
    row("plan-polls", 10, 1, (30, 16, 8, 30)),
    free(3, (18, 8, 4, 1)),
    free(10, (18, 8, 4, 1)),
    staggered(3_000, free(10, (18, 8, 4, 1))),
    free(30, USUAL),
    staggered(6_000, free(30, USUAL)),
    free(100, USUAL),
    staggered(12_000, free(100, USUAL)),
];

/// Simulates every row.
///
/// # Errors
/// Returns an error if settings are rejected or a promise is broken.
pub fn measure(takeovers: u32) -> Result<(Vec<Figure>, Vec<Table>), String> {
    let mut figures = Vec::new();
    let mut tables: Vec<Table> = Vec::new();
    for row in ROWS {
        let given = give(row, takeovers)?;
        figures.extend(row.figures(&given));
        if tables.last().is_none_or(|table| table.name != row.table) {
            tables.push(Table::new(row.table, &HEADS));
        }
        if let Some(table) = tables.last_mut() {
            table.row(row.cells(&given));
        }
    }
    Ok((figures, tables))
}

const HEADS: [&str; 11] = [
    "locks",
    "candidates of each",
    "LEASE_DURATION, RENEW_DEADLINE, RETRY_PERIOD, POLL_PERIOD (, TAKEOVER_STAGGER)",
    "requests/h",
    "writes/h",
    "points/min",
    "fewest left",
    "killed: time without a leader, median / worst",
    "of it after the lease, median / worst",
    "handover, median / worst",
    "writes of a takeover, mean",
];

impl Row {
    fn config(&self) -> Result<LeaderElectionConfig, String> {
        let (lease, deadline, retry, poll) = self.times;
        let config = LeaderElectionConfig {
            lease_duration: Duration::from_secs(lease),
            renew_deadline: Duration::from_secs(deadline),
            retry_period: Duration::from_secs(retry),
            poll_period: Duration::from_secs(poll),
            takeover_stagger: self.stagger(),
            ..LeaderElectionConfig::new("?")
        };
        match config.validate(Some(CONFIRM_DELAY)) {
            Ok(()) => Ok(config),
            Err(errors) => Err(format!("a row of the plan is refused: {}", errors[0])),
        }
    }

    fn stagger(&self) -> Duration {
        let usual = STAGGER.min(Duration::from_secs(self.times.3) / 4);
        self.stagger.map_or(usual, Duration::from_millis)
    }

    /// Returns the settings as environment variables.
    fn settings(&self) -> String {
        let (lease, deadline, retry, poll) = self.times;
        let stagger = self.stagger.map(|millis| format!(", {millis}ms"));
        let stagger = stagger.unwrap_or_default();
        format!("{lease}s, {deadline}s, {retry}s, {poll}s{stagger}")
    }

    /// Returns the reads and writes of one lock per hour, by arithmetic.
    fn an_hour(&self) -> (f64, f64) {
        let renewals = 3600.0 / self.times.2 as f64;
        (renewals * (self.candidates - 1) as f64, renewals)
    }

    fn measured_run(&self, lasts: Duration, ends: Option<End>) -> Result<MeasuredRun, String> {
        let config = self.config()?;
        let (reads, writes) = self.an_hour();
        let foreign_requests = f64::from(self.locks - 1);
        Ok(MeasuredRun {
            ends: ends.map(|end| (end, config.lease_duration * LEAD_TIME_IN_LEASES)),
            config,
            limits: self.limits,
            foreign_requests: (reads * foreign_requests, writes * foreign_requests),
            ..MeasuredRun::new(self.candidates, lasts)
        })
    }

    fn conditions(&self) -> String {
        let limits = match self.limits {
            true => "",
            false => ", no limits",
        };
        format!(
            "{} locks of {} candidates, {}{limits}, virtual time",
            self.locks,
            self.candidates,
            self.settings()
        )
    }

    fn figures(&self, given: &Given) -> Vec<Figure> {
        let conditions = self.conditions();
        let one = |what: &str, unit, spread: &Spread| {
            figure("plan", what, &conditions, unit, spread.clone(), None)
        };
        vec![
            one(
                "requests that count, of all",
                "an hour",
                &Spread::single(given.requests),
            ),
            one("killed: time without a leader", "s", &given.leaderless),
            one("of it after the lease", "s", &given.over),
            one("handover", "s", &given.handover),
        ]
    }

    fn cells(&self, given: &Given) -> Vec<String> {
        let both =
            |spread: &Spread| format!("{} / {}", seconds(spread.median), seconds(spread.most));
        let left = match (self.limits, given.refused) {
            (false, _) => "-".to_owned(),
            (true, 0) => number(given.left),
            (true, refused) => format!("{}, leader refused {refused} times", number(given.left)),
        };
        vec![
            self.locks.to_string(),
            self.candidates.to_string(),
            self.settings(),
            number(given.requests),
            number(given.writes),
            number(given.points),
            left,
            both(&given.leaderless),
            both(&given.over),
            both(&given.handover),
            format!("{:.1}", given.takeover_writes.mean),
        ]
    }
}

fn give(row: &Row, takeovers: u32) -> Result<Given, String> {
    let lasts = HOUR * (HOURS + 1);
    let steady = row.measured_run(lasts, None)?.run()?;
    let killed = ended(row, End::Killed, takeovers)?;
    let stopped = ended(row, End::Stopped, takeovers)?;
    let all = steady.ledger.between(HOUR, lasts).all();
    let hours = f64::from(HOURS);
    let (reads, writes) = row.an_hour();
    let foreign_requests = f64::from(row.locks - 1);
    let left = |outcome: &Outcome| {
        let hours = outcome.ledger.least_left.iter().skip(1);
        hours.min().copied().unwrap_or_default()
    };
    let points = steady
        .ledger
        .most_within(60, HOUR..lasts, |requests| requests.points());
    Ok(Given {
        requests: f64::from(all.reads + all.writes) / hours + foreign_requests * (reads + writes),
        writes: f64::from(all.writes) / hours + foreign_requests * writes,
        // The other locks' requests by arithmetic; they make as many free reads as the simulated
        // one.
        points: f64::from(points * row.locks),
        left: f64::from(left(&steady).min(left(&killed))),
        refused: steady.tally.leaders_refused + killed.tally.leaders_refused,
        leaderless: killed.each(leaderless)?,
        over: killed.each(delay_after_lease)?,
        takeover_writes: killed.each(|change: &Change| f64::from(change.writes()))?,
        handover: stopped.each(|change: &Change| delay_after_lease(change))?,
    })
}

/// Simulates leaders that are ended one after the other.
fn ended(row: &Row, end: End, takeovers: u32) -> Result<Outcome, String> {
    let lease = Duration::from_secs(row.times.0);
    let most = if row.candidates > 30 {
        takeovers / 2
    } else {
        takeovers
    };
    row.measured_run(lease * (LEAD_TIME_IN_LEASES + 1) * most, Some(end))?
        .run()
}
