//! Requests of an election per hour, by kind, and its distance from GitHub's limits.

use std::time::Duration;

use simulation::clock::Time;

use super::runs::{HOUR, MeasuredRun};
use super::{Table, figure, number, seconds};
use crate::figure::{Aim, Figure, Spread};

/// GitHub's limits for one account.
const REQUESTS_AN_HOUR: f64 = 5000.0;
const WRITES_AN_HOUR: f64 = 500.0;
const WRITES_A_MINUTE: f64 = 80.0;
const POINTS_A_MINUTE: f64 = 900.0;
const SIMULTANEOUS: f64 = 100.0;

/// Numbers of candidates.
pub const SIZES: [usize; 4] = [3, 10, 30, 100];

/// One row, from the hours after the first, in which the candidates start.
struct Hours {
    candidates: usize,
    /// Requests per hour: of the leader, of one candidate, of all.
    leader_writes: Spread,
    one_free: Spread,
    one_reads: Spread,
    all: Spread,
    /// Highest number of requests used in an hour.
    used: Spread,
    points: f64,
    writes_a_minute: f64,
    writes_an_hour: f64,
    simultaneous: f64,
    refused: f64,
}

/// Simulates undisturbed hours of each size.
///
/// # Errors
/// Returns an error if a promise is broken.
pub fn measure(hours: u32) -> Result<(Vec<Figure>, Vec<Table>), String> {
    let rows = SIZES.map(|candidates| steady(candidates, hours));
    let rows = rows.into_iter().collect::<Result<Vec<_>, _>>()?;
    let figures = rows.iter().flat_map(figures).collect();
    Ok((figures, vec![table(&rows)]))
}

fn steady(candidates: usize, hours: u32) -> Result<Hours, String> {
    let lasts = HOUR * (hours + 1);
    let run = MeasuredRun::new(candidates, lasts);
    let outcome = run.run()?;
    let ledger = &outcome.ledger;
    let shares = (1..=hours).map(|hour| ledger.between(HOUR * hour, HOUR * (hour + 1)));
    let shares: Vec<_> = shares.collect();
    let foreign_requests = (candidates - 1) as f64;
    let of = |value: &dyn Fn(&simulation::ledger::Share) -> f64| {
        Spread::of(shares.iter().map(value).collect()).ok_or("no hour was simulated")
    };
    let least = ledger.least_left.iter().skip(1).take(hours as usize);
    let used = least.map(|left| REQUESTS_AN_HOUR - f64::from(*left));
    let most = |seconds, of: fn(&simulation::ledger::Requests) -> u32| {
        f64::from(ledger.most_within(seconds, HOUR..lasts, of))
    };
    Ok(Hours {
        candidates,
        leader_writes: of(&|share| f64::from(share.leader.writes))?,
        one_free: of(&|share| f64::from(share.candidates.free) / foreign_requests)?,
        one_reads: of(&|share| f64::from(share.candidates.reads) / foreign_requests)?,
        all: of(&|share| f64::from(share.all().reads + share.all().writes))?,
        used: Spread::of(used.collect()).ok_or("no hour was simulated")?,
        points: most(60, |requests| requests.points()),
        writes_a_minute: most(60, |requests| requests.writes),
        writes_an_hour: most(3600, |requests| requests.writes),
        simultaneous: f64::from(ledger.most_simultaneous),
        refused: outcome.tally.leaders_refused as f64,
    })
}

fn figures(row: &Hours) -> Vec<Figure> {
    let conditions = format!("{} candidates, virtual hours", row.candidates);
    let single = |value| Spread::single(value);
    let one = |what: &str, unit, spread: Spread, aim| {
        figure("requests", what, &conditions, unit, spread, aim)
    };
    vec![
        one(
            "the leader's writes",
            "an hour",
            row.leader_writes.clone(),
            None,
        ),
        one(
            "a candidate's reads that count",
            "an hour",
            row.one_reads.clone(),
            None,
        ),
        one(
            "a candidate's reads that are free (304)",
            "an hour",
            row.one_free.clone(),
            None,
        ),
        one(
            "requests that count, of all",
            "an hour",
            row.all.clone(),
            None,
        ),
        one(
            "requests of the hour used at most",
            "requests",
            row.used.clone(),
            Aim::worst_below(REQUESTS_AN_HOUR, "GitHub's limit for the hour"),
        ),
        one(
            "times that a leader was refused",
            "requests",
            single(row.refused),
            Aim::worst_below(1.0, "never"),
        ),
        one(
            "points in any minute, free reads too",
            "points",
            single(row.points),
            Aim::worst_below(POINTS_A_MINUTE + 1.0, "GitHub's limit for the minute"),
        ),
        one(
            "writes in any minute",
            "writes",
            single(row.writes_a_minute),
            Aim::worst_below(WRITES_A_MINUTE + 1.0, "GitHub's limit for the minute"),
        ),
        one(
            "writes in any hour",
            "writes",
            single(row.writes_an_hour),
            Aim::worst_below(WRITES_AN_HOUR + 1.0, "GitHub's limit for the hour"),
        ),
        one(
            "simultaneous requests, with the start",
            "requests",
            single(row.simultaneous),
            Aim::worst_below(SIMULTANEOUS + 1.0, "GitHub's limit"),
        ),
    ]
}

fn table(rows: &[Hours]) -> Table {
    let mut table = Table::new(
        "hours",
        &[
            "candidates",
            "leader: writes/h",
            "each candidate: reads/h",
            "free reads/h",
            "all: requests/h (of 5,000)",
            "fewest left in an hour",
            "points in a minute (of 900)",
            "writes in a minute (of 80), an hour (of 500)",
            "leader refused",
        ],
    );
    for row in rows {
        table.row(vec![
            row.candidates.to_string(),
            number(row.leader_writes.median),
            number(row.one_reads.median),
            number(row.one_free.median),
            number(row.all.median),
            number(REQUESTS_AN_HOUR - row.used.most),
            number(row.points),
            format!(
                "{}, {}",
                number(row.writes_a_minute),
                number(row.writes_an_hour)
            ),
            number(row.refused),
        ]);
    }
    table
}

/// Number of simulated starts.
const STARTS: u64 = 20;

/// Time after a start for which requests are counted.
const EARLY: Duration = Duration::from_secs(600);

/// One start.
struct Start {
    /// Seconds until a candidate leads, or the whole time if none does.
    leads_after: f64,
    writes: f64,
    early: f64,
    used: f64,
}

/// Simulates starts of all candidates within a second on a free lease: the time until one leads,
/// and the requests.
///
/// # Errors
/// Returns an error if a promise is broken.
pub fn herd() -> Result<(Vec<Figure>, Vec<Table>), String> {
    let mut table = Table::new(
        "herd",
        &[
            "candidates that start within a second",
            "a leader after, median / worst",
            "writes until then",
            "requests in ten minutes (of 5,000)",
            "fewest left in the first hour",
        ],
    );
    let mut figures = Vec::new();
    for candidates in SIZES {
        let starts = (0..STARTS).map(|seed| start(candidates, seed));
        let starts = starts.collect::<Result<Vec<_>, _>>()?;
        let of = |value: fn(&Start) -> f64| {
            Spread::of(starts.iter().map(value).collect()).ok_or("no candidate started")
        };
        let leads_after = of(|start| start.leads_after)?;
        let early = of(|start| start.early)?;
        let used = of(|start| start.used)?;
        table.row(vec![
            candidates.to_string(),
            format!(
                "{} / {}",
                seconds(leads_after.median),
                seconds(leads_after.most)
            ),
            number(of(|start| start.writes)?.median),
            format!("{}, at most {}", number(early.median), number(early.most)),
            number(REQUESTS_AN_HOUR - used.most),
        ]);
        let conditions = format!("{candidates} candidates start within a second, virtual hours");
        let one = |what: &str, unit, spread, aim| {
            figure("requests", what, &conditions, unit, spread, aim)
        };
        let hour = Aim::worst_below(REQUESTS_AN_HOUR, "GitHub's limit for the hour");
        figures.extend([
            one("a new gist: until a leader", "s", leads_after, None),
            one(
                "a new gist: requests in ten minutes",
                "requests",
                early,
                None,
            ),
            one(
                "a new gist: requests used of the first hour's",
                "requests",
                used,
                hour,
            ),
        ]);
    }
    Ok((figures, vec![table]))
}

fn start(candidates: usize, seed: u64) -> Result<Start, String> {
    let run = MeasuredRun {
        starts_within: Duration::from_secs(1),
        seed,
        ..MeasuredRun::new(candidates, HOUR)
    };
    let ledger = run.run()?.ledger;
    let led = ledger.first_led_at.map(|at| at.since(Time(0)).min(HOUR));
    let leads_after = led.unwrap_or(HOUR);
    let early = ledger.between(Duration::ZERO, EARLY).all();
    let until = ledger.between(Duration::ZERO, leads_after);
    let left = ledger.least_left.first().copied().unwrap_or_default();
    Ok(Start {
        leads_after: leads_after.as_secs_f64(),
        writes: f64::from(until.all().writes),
        early: f64::from(early.reads + early.writes),
        used: REQUESTS_AN_HOUR - f64::from(left),
    })
}
