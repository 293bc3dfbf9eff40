//! A measured figure: its quantity, its conditions, and the limit to compare it with.
//!
//! Every measurement returns a list of figures, and the report shows them.

use serde::{Deserialize, Deserializer, Serialize};

/// A text constant; a text read from a file is leaked.
pub type Word = &'static str;

fn word<'de, D: Deserializer<'de>>(from: D) -> Result<Word, D::Error> {
    String::deserialize(from).map(|text| &*text.leak())
}

/// One figure of one contender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Table of the figure: `takeover`, `handover`, `cold start`, `overlap`, `requests`,
    /// `footprint`, `simulation`.
    #[serde(deserialize_with = "word")]
    pub table: Word,
    /// Quantity in words: "takeover after SIGKILL, over the end of the lease".
    pub what: String,
    /// Name of the contender: `elector`, `client-go`.
    pub contender: String,
    /// Conditions: "no latency", "reads 150 ms, writes 500 ms", "30 candidates".
    pub conditions: String,
    /// Unit: `s`, `ms`, `requests/h`, `MB`, ...
    #[serde(deserialize_with = "word")]
    pub unit: Word,
    pub spread: Spread,
    /// Limit in the same unit, and the value of the spread that must be below it.
    pub aim: Option<Aim>,
}

/// Several values of one quantity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub count: usize,
    pub least: f64,
    /// The 10th percentile.
    pub p10: f64,
    pub median: f64,
    pub p90: f64,
    pub most: f64,
    pub mean: f64,
    /// All values, sorted.
    pub values: Vec<f64>,
}

/// Limit that a figure should stay below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aim {
    pub about: About,
    pub below: f64,
    /// Derivation of the limit: "0.3 s + CONFIRM_DELAY".
    pub why: String,
}

/// Value of a spread that an aim applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    Median,
    Worst,
}

impl Spread {
    /// Returns the spread of the values; `None` without values.
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
            values,
        })
    }

    /// Returns the spread of a single value.
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
            values: vec![value],
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

#[cfg(test)]
mod tests {
    use super::*;

    fn spread() -> Spread {
        Spread::of((0..=10).rev().map(f64::from).collect()).unwrap()
    }

    #[test]
    fn spread_sorts_its_values() {
        let spread = spread();
        assert_eq!((spread.count, spread.least, spread.most), (11, 0.0, 10.0));
        assert_eq!((spread.p10, spread.median, spread.p90), (1.0, 5.0, 9.0));
        assert!((spread.mean - 5.0).abs() < 1e-9);
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn aim_is_met_only_below() {
        let met = |aim: Option<Aim>| aim.unwrap().is_met(&spread());
        assert!(met(Aim::median_below(5.1, "")) && !met(Aim::median_below(5.0, "")));
        assert!(met(Aim::worst_below(10.1, "")) && !met(Aim::worst_below(9.0, "")));
    }

    #[test]
    fn figure_survives_json_round_trip() {
        let figure = Figure {
            table: "takeover",
            what: "w".to_owned(),
            contender: "elector".to_owned(),
            conditions: "no latency".to_owned(),
            unit: "s",
            spread: spread(),
            aim: Aim::median_below(2.3, "0.3 s + CONFIRM_DELAY"),
        };
        let text = serde_json::to_string(&figure).unwrap();
        assert_eq!(serde_json::from_str::<Figure>(&text).unwrap(), figure);
    }
}
