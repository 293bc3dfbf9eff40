//! Figures of the samples, with their limits. Pure.

use std::time::Duration;

use super::samples::Samples;
use super::terms::{self, Term};
use super::{Latency, Parts};
use crate::contender::{CONFIRM_DELAY, Contender, POLL_PERIOD};
use crate::figure::{Aim, Figure, Spread, Word};

/// A measured quantity: its table, its name, its unit. The constants are in reading order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quantity(Word, &'static str, Word);

const TAKEOVER: Quantity = Quantity(
    "takeover",
    "takeover after SIGKILL, over the end of the lease",
    "s",
);
const WRITES: Quantity = Quantity("takeover", "writes for a takeover", "writes");
const HANDOVER: Quantity = Quantity("handover", "handover after SIGTERM", "s");
const COLD: Quantity = Quantity("cold start", "cold start of three, expired record", "s");
const FRESH: Quantity = Quantity("cold start", "cold start of three, on a fresh gist", "s");
const LONGEST: Quantity = Quantity("overlap", "two leaders, longest time", "s");
const TOTAL: Quantity = Quantity("overlap", "two leaders, total time", "s");
const STALE: Quantity = Quantity("overlap", "terms whose fencing token did not rise", "terms");
const LED: Quantity = Quantity("overlap", "time with a leader", "%");
const TERMS: Quantity = Quantity("overlap", "terms", "terms");
const CHANGES: Quantity = Quantity("overlap", "changes to another leader", "changes");
const LOST: Quantity = Quantity(
    "overlap",
    "leaders that lost their lease undisturbed",
    "leaders",
);

const ORDER: [Quantity; 12] = [
    TAKEOVER, WRITES, HANDOVER, COLD, FRESH, LONGEST, TOTAL, STALE, LED, TERMS, CHANGES, LOST,
];

/// Limit that means "none"; the values are zero or far larger.
const NONE: f64 = 1e-6;

/// Rounding: finer than the clocks, and short to read.
const DIGITS: f64 = 1e4;

pub(super) fn sort(figures: &mut [Figure]) {
    figures.sort_by_key(|figure| {
        let what = ORDER
            .iter()
            .position(|what| (what.0, what.1) == (figure.table, &figure.what));
        (what, conditions(figure), contender(figure))
    });
}

/// Sorts by conditions, the least difficult first.
fn conditions(figure: &Figure) -> (usize, String) {
    let delayed = Latency::BOTH.len();
    let latency = Latency::BOTH
        .iter()
        .position(|latency| figure.conditions.starts_with(latency.conditions()));
    (latency.unwrap_or(delayed), figure.conditions.clone())
}

/// Sorts the elector first.
fn contender(figure: &Figure) -> (bool, String) {
    let name = figure.contender.clone();
    (name != Contender::Elector.name(), name)
}

struct FigureBuilder {
    contender: Contender,
    conditions: String,
    figures: Vec<Figure>,
}

impl FigureBuilder {
    fn new(contender: Contender, conditions: &str) -> FigureBuilder {
        FigureBuilder {
            contender,
            conditions: conditions.to_owned(),
            figures: Vec::new(),
        }
    }

    /// Adds the figures of a quantity, one per aim; none without values. Only the elector has aims.
    fn add(&mut self, what: Quantity, values: &[f64], aims: Vec<Option<Aim>>) {
        let rounded = values.iter().map(|value| (value * DIGITS).round() / DIGITS);
        let Some(spread) = Spread::of(rounded.collect()) else {
            return;
        };
        let aims = match self.contender {
            Contender::Elector if !aims.is_empty() => aims,
            _ => vec![None],
        };
        let figures = aims.into_iter().map(|aim| Figure {
            table: what.0,
            what: what.1.to_owned(),
            contender: self.contender.name().to_owned(),
            conditions: self.conditions.clone(),
            unit: what.2,
            spread: spread.clone(),
            aim,
        });
        self.figures.extend(figures);
    }
}

fn none() -> Vec<Option<Aim>> {
    vec![Aim::worst_below(NONE, "none")]
}

pub(super) fn of_rounds(
    all: &Samples,
    contender: Contender,
    latency: Latency,
    parts: Parts,
) -> Vec<Figure> {
    let mut builder = FigureBuilder::new(contender, latency.conditions());
    let confirm = CONFIRM_DELAY.as_secs_f64();
    let poll = POLL_PERIOD.as_secs_f64();
    let (more, because) = latency.of_requests();
    let soon = format!("0.3 s + CONFIRM_DELAY{because}");
    let late = format!("POLL_PERIOD + CONFIRM_DELAY{because}");
    if parts.takeover {
        let aims = vec![
            Aim::median_below(0.3 + confirm + more, &soon),
            Aim::worst_below(poll + confirm + more, &late),
        ];
        builder.add(TAKEOVER, &all.takeovers, aims);
        // Writes are whole numbers, so below 3.5 means at most 3.
        let why = "at most 3: the claim, its confirmation, one lost claim";
        builder.add(WRITES, &all.writes, vec![Aim::worst_below(3.5, why)]);
    }
    if parts.handover {
        let aim = Aim::median_below(poll + confirm + more, &late);
        builder.add(HANDOVER, &all.handovers, vec![aim]);
    }
    builder.add(FRESH, &all.fresh, Vec::new());
    builder.conditions += ", at start, takeover and handover";
    builder.add(LONGEST, &all.overlaps, none());
    builder.add(STALE, &all.stale_tokens, none());
    builder.add(LOST, &[all.lost as f64], none());
    builder.figures
}

pub(super) fn of_cold_starts(times: &[f64], contender: Contender, latency: Latency) -> Vec<Figure> {
    let mut builder = FigureBuilder::new(contender, latency.conditions());
    let (more, because) = latency.of_requests();
    let below = 2.0 + CONFIRM_DELAY.as_secs_f64() + more;
    let why = format!("2 s + CONFIRM_DELAY{because}");
    builder.add(COLD, times, vec![Aim::worst_below(below, &why)]);
    builder.figures
}

/// Returns the figures of elections with delayed answers; `conditions` says how they began.
pub(super) fn of_delays(
    elections: &[Vec<Term>],
    contender: Contender,
    time: Duration,
    conditions: &str,
) -> Vec<Figure> {
    let mut builder = FigureBuilder::new(contender, conditions);
    let of = |value: &dyn Fn(&[Term]) -> f64| -> Vec<f64> {
        elections.iter().map(|terms| value(terms)).collect()
    };
    let longest = of(&|terms| terms::overlap(terms).longest);
    builder.add(LONGEST, &longest, none());
    builder.add(TOTAL, &of(&|terms| terms::overlap(terms).total), none());
    let stale = of(&|terms| terms::stale_tokens(terms) as f64);
    builder.add(STALE, &stale, none());
    let led = of(&|terms| 100.0 * terms::led(terms) / time.as_secs_f64());
    builder.add(LED, &led, Vec::new());
    builder.add(TERMS, &of(&|terms| terms.len() as f64), Vec::new());
    let changes = of(&|terms| terms::changes(terms) as f64);
    builder.add(CHANGES, &changes, Vec::new());
    builder.figures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Samples {
        Samples {
            takeovers: vec![2.0, 2.123_456_789, 5.0],
            writes: vec![2.0, 3.0, 3.0],
            handovers: vec![1.0],
            fresh: vec![2.5],
            overlaps: vec![0.0, 1.5],
            stale_tokens: vec![0.0],
            lost: 0,
        }
    }

    const ALL: Parts = Parts {
        takeover: true,
        handover: true,
        cold: true,
        overlap: true,
    };

    #[test]
    fn only_the_elector_has_aims() {
        let of = |contender| of_rounds(&samples(), contender, Latency::None, ALL);
        let ours = of(Contender::Elector);
        let takeovers: Vec<_> = ours.iter().filter(|it| it.unit == "s").collect();
        let met = |n: usize| {
            takeovers[n]
                .aim
                .as_ref()
                .unwrap()
                .is_met(&takeovers[n].spread)
        };
        assert_eq!(takeovers[0].what, takeovers[1].what);
        assert!(
            met(0) && !met(1),
            "the median is soon enough, the worst is not"
        );
        assert_eq!(takeovers[0].spread.values, [2.0, 2.1235, 5.0]);
        assert!(of(Contender::ClientGo).iter().all(|it| it.aim.is_none()));
        assert_eq!(of(Contender::ClientGo).len(), ours.len() - 1);
    }

    #[test]
    fn single_overlap_misses_the_aim() {
        let all = of_rounds(&samples(), Contender::Elector, Latency::None, ALL);
        let of = |what: Quantity| all.iter().find(|figure| figure.what == what.1).unwrap();
        let met = |figure: &Figure| figure.aim.as_ref().unwrap().is_met(&figure.spread);
        assert!(!met(of(LONGEST)) && met(of(STALE)) && met(of(LOST)));
    }

    #[test]
    fn figures_are_sorted_for_reading() {
        let mut all = Vec::new();
        for latency in [Latency::Assumed, Latency::None] {
            for contender in [Contender::ClientGo, Contender::Elector] {
                all.extend(of_delays(&[vec![]], contender, Duration::from_secs(1), "x"));
                all.extend(of_cold_starts(&[1.0], contender, latency));
                all.extend(of_rounds(&samples(), contender, latency, ALL));
            }
        }
        sort(&mut all);
        let first = &all[0];
        assert_eq!(
            (first.what.as_str(), first.contender.as_str()),
            (TAKEOVER.1, "elector")
        );
        assert_eq!(first.conditions, "no latency");
        let tables: Vec<Word> = all.iter().map(|figure| figure.table).collect();
        let mut subjects = tables.clone();
        subjects.dedup();
        assert_eq!(subjects, ["takeover", "handover", "cold start", "overlap"]);
        let last = all
            .iter()
            .rposition(|figure| figure.what == LONGEST.1)
            .unwrap();
        assert_eq!(all[last].conditions, "x");
    }
}
