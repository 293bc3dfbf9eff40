//! A measured figure: what it is of, under which conditions, and the limit that it is held against.
//!
//! Every measurement gives a list of these; how they are shown is the report's business.

use serde::Serialize;

/// One figure, of one contender.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Which table it belongs to, and what it measures: `takeover`, `handover`, `cold start`,
    /// `overlap`, `requests`, `footprint`, `simulation`.
    pub table: &'static str,
    /// What was measured, in words: "takeover after SIGKILL, over the end of the lease".
    pub what: String,
    /// Who was measured: `elector`, `client-go`.
    pub contender: String,
    /// Under which conditions: "no latency", "reads 150 ms, writes 500 ms", "30 candidates".
    pub conditions: String,
    /// `s`, `ms`, `requests/h`, `MB`, ...
    pub unit: &'static str,
    pub spread: Spread,
    /// What it is to be below, in the same unit, and what of the spread that is about.
    pub aim: Option<Aim>,
}

/// Several values of the same thing.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    pub count: usize,
    pub least: f64,
    /// The value below which a tenth is.
    pub p10: f64,
    pub median: f64,
    pub p90: f64,
    pub most: f64,
    pub mean: f64,
}

/// What a figure is to be.
#[derive(Clone, Debug, Serialize)]
pub struct Aim {
    pub about: About,
    pub below: f64,
    /// Where the number comes from: "0.3 s + CONFIRM_DELAY".
    pub why: String,
}

/// Which value of a spread an aim is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    Median,
    Worst,
}

impl Spread {
    /// Of at least one value; `None` of none.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |part: f64| values[(last as f64 * part).round() as usize];
        Some(Spread {
            count: values.len(),
            least: at(0.0),
            p10: at(0.1),
            median: at(0.5),
            p90: at(0.9),
            most: at(1.0),
            mean: values.iter().sum::<f64>() / values.len() as f64,
        })
    }

    /// Of a single value.
    #[must_use]
    pub fn single(value: f64) -> Spread {
        Spread {
            count: 1,
            least: value,
            p10: value,
            median: value,
            p90: value,
            most: value,
            mean: value,
        }
    }
}

impl Aim {
    #[must_use]
    pub fn median_below(below: f64, why: &str) -> Option<Aim> {
        Some(Aim {
            about: About::Median,
            below,
            why: why.to_owned(),
        })
    }

    #[must_use]
    pub fn worst_below(below: f64, why: &str) -> Option<Aim> {
        Some(Aim {
            about: About::Worst,
            below,
            why: why.to_owned(),
        })
    }

    #[must_use]
    pub fn is_met(&self, spread: &Spread) -> bool {
        let value = match self.about {
            About::Median => spread.median,
            About::Worst => spread.most,
        };
        value < self.below
    }
}
