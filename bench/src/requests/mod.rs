//! What the elections cost GitHub, what its limits cost them, and which settings to choose: in virtual
//! hours of the simulation, which is held against real processes for two minutes.
//!
//! ```text
//!   worlds ──▶ hours       requests an hour, by kind, and how near GitHub's limits are
//!          ├─▶ takeovers   leaders killed by hundreds: time, writes, and both over the stagger
//!          ├─▶ plan        the settings to choose for so many candidates and locks
//!          └─▶ processes   the first two minutes, beside real electors at the real emulator
//!   speed                  how fast all that is simulated
//! ```
//!
//! Tables come as Markdown as well, for a text that has a place for each.

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

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that is run as real processes.
    pub elector: PathBuf,
    /// Virtual hours of each size.
    pub hours: u32,
    /// Takeovers under each condition.
    pub takeovers: u32,
    /// Whether real processes are run beside, for two minutes.
    pub processes: bool,
}

impl Options {
    /// Sized for minutes; or for tighter figures.
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

/// What was measured.
pub struct Measured {
    pub figures: Vec<Figure>,
    /// By their names they have a place in a text.
    pub tables: Vec<Table>,
    pub plots: Vec<Plot>,
}

/// Measures all of it. Real processes run meanwhile, mostly idle.
///
/// # Errors
/// If a simulated election breaks a promise, or processes cannot be run.
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
