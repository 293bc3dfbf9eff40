//! Takeovers in simulated time: leaders are killed hundreds of times.
//!
//! A takeover is measured from the expiry of the dead leader's last write, by the service's clock.
//! No candidate may lead earlier, whenever it observed that write.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use simulation::faults::Latency;
use simulation::ledger::{Change, End};

use super::hours::SIZES;
use super::runs::{CONFIRM_DELAY, GITHUB, MeasuredRun, NEAR, delay_after_lease, name_of};
use super::{Measured, Table, figure, seconds};
use crate::figure::{Aim, Figure, Spread};
use crate::plot::{self, Axis, Series};
use crate::report::Plot;

/// Staggers to try, in seconds.
const STAGGERS: [f64; 8] = [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4];

/// Mean time that a leader leads before it is killed. With limits it is longer, so that slow
/// candidates have polled by then.
const LEAD_TIME: Duration = Duration::from_secs(24);
const LEAD_TIME_WITH_LIMITS: Duration = Duration::from_secs(600);

/// Time of a cycle beside the leader's: a lease and the takeover.
const BESIDE: Duration = Duration::from_secs(35);

/// Larger elections are simulated less often because each takes longer.
const MANY: usize = 30;

/// Takeovers under one condition.
struct Kills {
    candidates: usize,
    latency: Latency,
    limits: bool,
    /// Stagger; `None` for the default.
    stagger: Option<f64>,
    delay_after_lease: Spread,
    writes: Spread,
    lost: Spread,
    /// Leaders that lost their lease without a fault.
    lost_terms: u32,
}

/// Simulates takeovers with the default settings, with and without GitHub's latency and limits.
/// Then simulates other staggers, and plots them.
///
/// # Errors
/// Returns an error if a promise is broken.
pub fn measure(count: u32) -> Result<Measured, String> {
    let mut figures = Vec::new();
    let mut usual = Vec::new();
    for candidates in SIZES {
        for (latency, limits) in [(GITHUB, true), (GITHUB, false), (NEAR, true), (NEAR, false)] {
            usual.push(kills(candidates, latency, limits, None, count)?);
        }
    }
    figures.extend(usual.iter().flat_map(takeover_figures));
    let mut tried = Vec::new();
    for limits in [false, true] {
        for candidates in SIZES {
            for stagger in STAGGERS {
                let some = Some(stagger);
                tried.push(kills(candidates, GITHUB, limits, some, count / 2)?);
            }
        }
    }
    figures.extend(tried.iter().flat_map(stagger_figures));
    let tables = vec![
        usual_table(&usual),
        stagger_table("stagger-free", &tried, false),
        stagger_table("stagger-limits", &tried, true),
    ];
    Ok(Measured {
        figures,
        tables,
        plots: draw(&tried),
    })
}

fn kills(
    candidates: usize,
    latency: Latency,
    limits: bool,
    stagger: Option<f64>,
    count: u32,
) -> Result<Kills, String> {
    let count = if candidates > MANY { count / 2 } else { count };
    let lead_time = if limits {
        LEAD_TIME_WITH_LIMITS
    } else {
        LEAD_TIME
    };
    let mut run = MeasuredRun {
        latency,
        limits,
        ends: Some((End::Killed, lead_time)),
        ..MeasuredRun::new(candidates, (lead_time + BESIDE) * count)
    };
    if let Some(stagger) = stagger {
        run.config = LeaderElectionConfig {
            takeover_stagger: Duration::from_secs_f64(stagger),
            ..run.config
        };
    }
    let outcome = run.run()?;
    Ok(Kills {
        candidates,
        latency,
        limits,
        stagger,
        delay_after_lease: outcome.each(delay_after_lease)?,
        writes: outcome.each(|change: &Change| f64::from(change.writes()))?,
        lost: outcome.each(|change: &Change| f64::from(change.lost))?,
        lost_terms: outcome.ledger.lost_terms,
    })
}

fn conditions(kills: &Kills) -> String {
    format!(
        "{} candidates, {}, {}, virtual time",
        kills.candidates,
        name_of(kills.latency),
        limits_in_words(kills.limits)
    )
}

fn limits_in_words(limits: bool) -> &'static str {
    match limits {
        true => "GitHub's limits",
        false => "no limits",
    }
}

fn takeover_figures(kills: &Kills) -> Vec<Figure> {
    let conditions = conditions(kills);
    let config = LeaderElectionConfig::new("?");
    let most = (config.poll_period + CONFIRM_DELAY).as_secs_f64();
    let few = kills.candidates <= 10;
    let latest = Aim::worst_below(most, "POLL_PERIOD + CONFIRM_DELAY").filter(|_| few);
    // The aim counts whole writes.
    let three = Aim::worst_below(3.5, "3: the claim, its confirmation, one lost claim");
    vec![
        figure(
            "takeovers",
            "from the last write's landing and a lease to the next leader",
            &conditions,
            "s",
            kills.delay_after_lease.clone(),
            latest,
        ),
        figure(
            "takeovers",
            "writes of a takeover",
            &conditions,
            "writes",
            kills.writes.clone(),
            three.filter(|_| few),
        ),
        figure(
            "takeovers",
            "claims that were lost in a takeover",
            &conditions,
            "writes",
            kills.lost.clone(),
            None,
        ),
        figure(
            "takeovers",
            "leaders that lost their lease by themselves",
            &conditions,
            "terms",
            Spread::single(f64::from(kills.lost_terms)),
            Aim::worst_below(1.0, "never"),
        ),
    ]
}

fn stagger_figures(kills: &Kills) -> Vec<Figure> {
    let stagger = kills.stagger.unwrap_or_default();
    let conditions = format!("stagger {stagger} s, {}", conditions(kills));
    vec![
        figure(
            "stagger",
            "claims that were lost in a takeover",
            &conditions,
            "writes",
            kills.lost.clone(),
            None,
        ),
        figure(
            "stagger",
            "from the last write's landing and a lease to the next leader",
            &conditions,
            "s",
            kills.delay_after_lease.clone(),
            None,
        ),
    ]
}

/// A plot: file, title, and the plotted value.
type Curves = (&'static str, &'static str, &'static str, fn(&Kills) -> f64);

const PLOTS: [Curves; 2] = [
    (
        "stagger",
        "Lost claims in a takeover",
        "claims, mean",
        |kills| kills.lost.mean,
    ),
    (
        "stagger-time",
        "How long a takeover takes",
        "s, median",
        |kills| kills.delay_after_lease.median,
    ),
];

/// Plots lost claims and takeover times over the stagger, with and without limits.
fn draw(tried: &[Kills]) -> Vec<Plot> {
    let mut plots = Vec::new();
    for limits in [false, true] {
        for (name, what, y, value) in PLOTS {
            let series = SIZES.map(|candidates| {
                let of = |kills: &&Kills| kills.candidates == candidates && kills.limits == limits;
                let points = tried.iter().filter(of);
                let points = points.map(|kills| (kills.stagger.unwrap_or_default(), value(kills)));
                Series {
                    name: format!("{candidates} candidates"),
                    points: points.collect(),
                }
            });
            let svg = plot::curves(
                &format!("{what}, {}", limits_in_words(limits)),
                &Axis::log("takeover_stagger, s (leftmost: none)"),
                &Axis::linear(y),
                &series,
                &[],
            );
            let name = if limits {
                format!("{name}-limits.svg")
            } else {
                format!("{name}.svg")
            };
            plots.push((name, svg));
        }
    }
    plots
}

fn usual_table(rows: &[Kills]) -> Table {
    let mut table = Table::new(
        "takeovers",
        &[
            "candidates",
            "service",
            "takeovers",
            "median",
            "p90",
            "worst",
            "writes: mean",
            "p90",
            "worst",
        ],
    );
    for row in rows {
        table.row(vec![
            row.candidates.to_string(),
            format!("{}, {}", name_of(row.latency), limits_in_words(row.limits)),
            row.delay_after_lease.count.to_string(),
            seconds(row.delay_after_lease.median),
            seconds(row.delay_after_lease.p90),
            seconds(row.delay_after_lease.most),
            format!("{:.2}", row.writes.mean),
            format!("{:.0}", row.writes.p90),
            format!("{:.0}", row.writes.most),
        ]);
    }
    table
}

/// Tabulates lost claims and takeover times by stagger, with the sizes across.
fn stagger_table(name: &'static str, tried: &[Kills], limits: bool) -> Table {
    let mut heads = vec!["stagger".to_owned()];
    for candidates in SIZES {
        heads.push(format!("{candidates}: lost claims, mean / p90"));
        heads.push("takeover, median / p90 / worst".to_owned());
    }
    let mut table = Table::new(name, &heads.iter().map(String::as_str).collect::<Vec<_>>());
    for stagger in STAGGERS {
        let row = |kills: &&Kills| kills.limits == limits && kills.stagger == Some(stagger);
        let mut cells = vec![format!("{stagger} s")];
        for kills in tried.iter().filter(row) {
            cells.push(format!("{:.2} / {:.0}", kills.lost.mean, kills.lost.p90));
            cells.push(format!(
                "{} / {} / {}",
                seconds(kills.delay_after_lease.median),
                seconds(kills.delay_after_lease.p90),
                seconds(kills.delay_after_lease.most)
            ));
        }
        table.row(cells);
    }
    table
}
