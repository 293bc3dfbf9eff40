//! Figures of what was measured, with what is aimed at. Pure.

use std::time::Duration;

use super::rounds::Samples;
use super::terms::{self, Term};
use super::{Latency, Parts};
use crate::contender::{CONFIRM_DELAY, Contender, POLL_PERIOD};
use crate::figure::{Aim, Figure, Spread, Word};

/// The tables, in the order in which they are read.
const TABLES: [Word; 4] = ["takeover", "handover", "cold start", "overlap"];

/// An aim for "none": what is measured is zero or far more.
const NONE: f64 = 1e-6;

pub(super) fn sort(figures: &mut [Figure]) {
    figures.sort_by_key(|figure| {
        let table = TABLES.iter().position(|table| *table == figure.table);
        let latency = figure.conditions != Latency::None.conditions();
        (table, figure.what.clone(), latency, contender(figure))
    });
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
    /// Nothing is added of no values. Aims are the elector's.
    fn add(&mut self, table: Word, what: &str, unit: Word, values: Vec<f64>, aim: Option<Aim>) {
        let Some(spread) = Spread::of(values) else {
            return;
        };
        self.figures.push(Figure {
            table,
            what: what.to_owned(),
            contender: self.contender.name().to_owned(),
            conditions: self.conditions.clone(),
            unit,
            spread,
            aim: aim.filter(|_| self.contender == Contender::Elector),
        });
    }
}

pub(super) fn of_rounds(
    all: &Samples,
    contender: Contender,
    latency: Latency,
    parts: Parts,
) -> Vec<Figure> {
    let mut maker = Maker {
        contender,
        conditions: latency.conditions().to_owned(),
        figures: Vec::new(),
    };
    let confirm = CONFIRM_DELAY.as_secs_f64();
    let poll = POLL_PERIOD.as_secs_f64();
    let (more, because) = latency.of_requests();
    if parts.takeover {
        let what = "takeover after SIGKILL, over the end of the lease";
        let why = format!("0.3 s + CONFIRM_DELAY{because}");
        let aim = Aim::median_below(0.3 + confirm + more, &why);
        maker.add("takeover", what, "s", all.takeovers.clone(), aim);
        let why = format!("POLL_PERIOD + CONFIRM_DELAY{because}");
        let aim = Aim::worst_below(poll + confirm + more, &why);
        // The same figure once more, for its second aim.
        if contender == Contender::Elector {
            maker.add("takeover", what, "s", all.takeovers.clone(), aim);
        }
        let aim = Aim::worst_below(3.5, "at most 3: claim, confirmation, one lost claim");
        let what = "writes for a takeover";
        maker.add("takeover", what, "writes", all.writes.clone(), aim);
    }
    if parts.handover {
        let why = format!("POLL_PERIOD + CONFIRM_DELAY{because}");
        let aim = Aim::median_below(poll + confirm + more, &why);
        let what = "handover after SIGTERM";
        maker.add("handover", what, "s", all.handovers.clone(), aim);
    }
    let what = "cold start of three, on a fresh gist";
    maker.add("cold start", what, "s", all.fresh.clone(), None);
    let none = || Aim::worst_below(NONE, "none");
    let what = "two lead at once, at start, takeover and handover, longest time";
    maker.add("overlap", what, "s", all.overlaps.clone(), none());
    let what = "terms whose token is not above all before";
    maker.add("overlap", what, "terms", all.useless_tokens.clone(), none());
    let what = "leaders that lost their lease undisturbed";
    maker.add("overlap", what, "leaders", vec![all.lost as f64], none());
    maker.figures
}

pub(super) fn of_cold_starts(
    times: Vec<f64>,
    contender: Contender,
    latency: Latency,
) -> Vec<Figure> {
    let mut maker = Maker {
        contender,
        conditions: latency.conditions().to_owned(),
        figures: Vec::new(),
    };
    let (more, because) = latency.of_requests();
    let below = 2.0 + CONFIRM_DELAY.as_secs_f64() + more;
    let aim = Aim::median_below(below, &format!("2 s + CONFIRM_DELAY{because}"));
    let what = "cold start of three, after a leader long gone";
    maker.add("cold start", what, "s", times, aim);
    maker.figures
}

pub(super) fn of_delays(
    elections: &[Vec<Term>],
    contender: Contender,
    time: Duration,
) -> Vec<Figure> {
    let mut maker = Maker {
        contender,
        conditions: format!("answers delayed by 0 to 20 s, for {} s", time.as_secs()),
        figures: Vec::new(),
    };
    let of = |value: &dyn Fn(&[Term]) -> f64| -> Vec<f64> {
        elections.iter().map(|terms| value(terms)).collect()
    };
    let none = || Aim::worst_below(NONE, "none");
    let longest = of(&|terms| terms::overlap(terms).longest);
    maker.add(
        "overlap",
        "two lead at once, longest time",
        "s",
        longest,
        none(),
    );
    let total = of(&|terms| terms::overlap(terms).total);
    maker.add("overlap", "two lead at once, in all", "s", total, none());
    let useless = of(&|terms| terms::useless_tokens(terms) as f64);
    let what = "terms whose token is not above all before";
    maker.add("overlap", what, "terms", useless, none());
    let led = of(&|terms| 100.0 * terms::led(terms) / time.as_secs_f64());
    maker.add("overlap", "time with a leader", "%", led, None);
    let begun = of(&|terms| terms.len() as f64);
    maker.add("overlap", "terms", "terms", begun, None);
    let changes = of(&|terms| terms::changes(terms) as f64);
    let what = "how often the lead went to another";
    maker.add("overlap", what, "times", changes, None);
    maker.figures
}
