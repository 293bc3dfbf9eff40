//! Requests of elections, their distance from GitHub's limits, and recommended settings: in
//! simulated hours, compared with real processes for two minutes.
//!
//! ```text
//!   runs ─┬─▶ hours       per hour: requests by kind, and the distance from GitHub's limits
//!         ├─▶ takeovers   hundreds of killed leaders: time, writes, and both over the stagger
//!         ├─▶ plan        recommended settings for numbers of candidates and locks
//!         └─▶ processes   the first two minutes, compared with real electors at the emulator
//!   speed                 speed of the simulation
//! ```
//!
//! Tables are also returned as Markdown, for a text that has a place for each.

mod hours;
mod plan;
mod processes;
mod runs;
mod speed;
mod table;
mod takeovers;

use std::path::{Path, PathBuf};
use std::thread;

pub use table::Table;
use table::{number, seconds};

use crate::figure::{Aim, Figure, Spread};
use crate::report::Plot;

/// Amount of measurements.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that is run as real processes.
    pub elector: PathBuf,
    /// Simulated hours of each size.
    pub hours: u32,
    /// Takeovers under each condition.
    pub takeovers: u32,
    /// Whether real processes run side by side with it, for two minutes.
    pub processes: bool,
}

impl Options {
    /// Returns options for a run of minutes, or for tighter figures.
    #[must_use]
    pub fn new(elector: &Path, long: bool) -> Options {
        Options {
            elector: elector.to_owned(),
            hours: if long { 24 } else { 6 },
            takeovers: if long { 2000 } else { 160 },
            processes: true,
        }
    }
}

/// Results.
pub struct Measured {
    pub figures: Vec<Figure>,
    /// Tables by name; a text may have a place for each.
    pub tables: Vec<Table>,
    pub plots: Vec<Plot>,
}

/// Measures everything. Real processes run simultaneously, because they are idle most of the time.
///
/// # Errors
/// Returns an error if a simulated election breaks a promise, or processes cannot be run.
pub fn measure(options: &Options) -> Result<Measured, String> {
    let mut measured = Measured {
        figures: Vec::new(),
        tables: Vec::new(),
        plots: Vec::new(),
    };
    thread::scope(|scope| {
        let real = options
            .processes
            .then(|| scope.spawn(|| processes::measure(&options.elector)));
        measured.take(hours::measure(options.hours)?);
        measured.take(hours::herd()?);
        let taken_over = takeovers::measure(options.takeovers)?;
        measured.take((taken_over.figures, taken_over.tables));
        measured.plots.extend(taken_over.plots);
        measured.take(plan::measure(options.takeovers)?);
        measured.figures.push(speed::measure()?);
        if let Some(real) = real {
            let real = real.join();
            measured.take(real.map_err(|_| "the count of real processes panicked")??);
        }
        Ok(measured)
    })
}

impl Measured {
    fn take(&mut self, (figures, tables): (Vec<Figure>, Vec<Table>)) {
        self.figures.extend(figures);
        self.tables.extend(tables);
    }
}

fn figure(
    table: &'static str,
    what: &str,
    conditions: &str,
    unit: &'static str,
    spread: Spread,
    aim: Option<Aim>,
) -> Figure {
    Figure {
        table,
        what: what.to_owned(),
        contender: "elector".to_owned(),
        conditions: conditions.to_owned(),
        unit,
        spread,
        aim,
    }
}
