//! Figures of what was measured, with what is aimed at. Pure.

use std::time::Duration;

use super::rounds::Samples;
use super::terms::{self, Term};
use super::{Latency, Parts};
use crate::contender::{CONFIRM_DELAY, Contender, POLL_PERIOD};
use crate::figure::{Aim, Figure, Spread, Word};

/// What is measured: its table, what it is called, its unit. In the order in which it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct What(Word, &'static str, Word);

const TAKEOVER: What = What(
    "takeover",
    "takeover after SIGKILL, over the end of the lease",
    "s",
);
const WRITES: What = What("takeover", "writes for a takeover", "writes");
const HANDOVER: What = What("handover", "handover after SIGTERM", "s");
const COLD: What = What(
    "cold start",
    "cold start of three, after a leader long gone",
    "s",
);
const FRESH: What = What("cold start", "cold start of three, on a fresh gist", "s");
const LONGEST: What = What("overlap", "two lead at once, longest time", "s");
const TOTAL: What = What("overlap", "two lead at once, in all", "s");
const USELESS: What = What(
    "overlap",
    "terms whose token is not above all before",
    "terms",
);
const LED: What = What("overlap", "time with a leader", "%");
const TERMS: What = What("overlap", "terms", "terms");
const CHANGES: What = What("overlap", "changes to another leader", "changes");
const LOST: What = What(
    "overlap",
    "leaders that lost their lease undisturbed",
    "leaders",
);

const ORDER: [What; 12] = [
    TAKEOVER, WRITES, HANDOVER, COLD, FRESH, LONGEST, TOTAL, USELESS, LED, TERMS, CHANGES, LOST,
];

/// An aim for "none": what is measured is zero or far more.
const NONE: f64 = 1e-6;

/// Finer than the clocks are compared, and short to read.
const DIGITS: f64 = 1e4;

pub(super) fn sort(figures: &mut [Figure]) {
    figures.sort_by_key(|figure| {
        let what = ORDER
            .iter()
            .position(|what| (what.0, what.1) == (figure.table, &figure.what));
        (what, conditions(figure), contender(figure))
    });
}

/// From those that trouble least to those that trouble most.
fn conditions(figure: &Figure) -> (usize, String) {
    let delayed = Latency::BOTH.len();
    let latency = Latency::BOTH
        .iter()
        .position(|latency| figure.conditions.starts_with(latency.conditions()));
    (latency.unwrap_or(delayed), figure.conditions.clone())
}

/// The elector first.
fn contender(figure: &Figure) -> (bool, String) {
    let name = figure.contender.clone();
    (name != Contender::Elector.name(), name)
}

struct Maker {
    contender: Contender,
    conditions: String,
    figures: Vec<Figure>,
}

impl Maker {
    fn new(contender: Contender, conditions: &str) -> Maker {
        Maker {
            contender,
            conditions: conditions.to_owned(),
            figures: Vec::new(),
        }
    }

    /// Nothing is added of no values. Aims are the elector's; each makes a figure.
    fn add(&mut self, what: What, values: &[f64], aims: Vec<Option<Aim>>) {
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
    let mut maker = Maker::new(contender, latency.conditions());
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
        maker.add(TAKEOVER, &all.takeovers, aims);
        // Whole writes: below three and a half is at most three.
        let why = "at most 3: the claim, its confirmation, one lost claim";
        maker.add(WRITES, &all.writes, vec![Aim::worst_below(3.5, why)]);
    }
    if parts.handover {
        let aim = Aim::median_below(poll + confirm + more, &late);
        maker.add(HANDOVER, &all.handovers, vec![aim]);
    }
    maker.add(FRESH, &all.fresh, Vec::new());
    maker.conditions += ", at start, takeover and handover";
    maker.add(LONGEST, &all.overlaps, none());
    maker.add(USELESS, &all.useless_tokens, none());
    maker.add(LOST, &[all.lost as f64], none());
    maker.figures
}

pub(super) fn of_cold_starts(times: &[f64], contender: Contender, latency: Latency) -> Vec<Figure> {
    let mut maker = Maker::new(contender, latency.conditions());
    let (more, because) = latency.of_requests();
    let below = 2.0 + CONFIRM_DELAY.as_secs_f64() + more;
    let why = format!("2 s + CONFIRM_DELAY{because}");
    maker.add(COLD, times, vec![Aim::worst_below(below, &why)]);
    maker.figures
}

/// `conditions` is how these elections began.
pub(super) fn of_delays(
    elections: &[Vec<Term>],
    contender: Contender,
    time: Duration,
    conditions: &str,
) -> Vec<Figure> {
    let mut maker = Maker::new(contender, conditions);
    let of = |value: &dyn Fn(&[Term]) -> f64| -> Vec<f64> {
        elections.iter().map(|terms| value(terms)).collect()
    };
    let longest = of(&|terms| terms::overlap(terms).longest);
    maker.add(LONGEST, &longest, none());
    maker.add(TOTAL, &of(&|terms| terms::overlap(terms).total), none());
    let useless = of(&|terms| terms::useless_tokens(terms) as f64);
    maker.add(USELESS, &useless, none());
    let led = of(&|terms| 100.0 * terms::led(terms) / time.as_secs_f64());
    maker.add(LED, &led, Vec::new());
    maker.add(TERMS, &of(&|terms| terms.len() as f64), Vec::new());
    let changes = of(&|terms| terms::changes(terms) as f64);
    maker.add(CHANGES, &changes, Vec::new());
    maker.figures
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
            useless_tokens: vec![0.0],
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
    fn each_aim_has_a_figure_and_only_the_elector_has_aims() {
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
    fn a_single_overlap_is_too_many() {
        let all = of_rounds(&samples(), Contender::Elector, Latency::None, ALL);
        let of = |what: What| all.iter().find(|figure| figure.what == what.1).unwrap();
        let met = |figure: &Figure| figure.aim.as_ref().unwrap().is_met(&figure.spread);
        assert!(!met(of(LONGEST)) && met(of(USELESS)) && met(of(LOST)));
    }

    #[test]
    fn figures_are_in_the_order_in_which_they_are_read() {
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
