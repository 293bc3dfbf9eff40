//! Measures the elector side by side with client-go.
//!
//! `options` is the command line. Each part of a run returns figures (`figure`), and `report` shows
//! them with `table` and `plot`. `races` runs elections of real processes: `contender` starts them,
//! `process` ends all of them, and `workload` is their workload. `requests` counts requests in
//! simulated hours, and `footprint` measures the cost on the machine. `machine` describes the
//! machine.

mod contender;
mod figure;
mod footprint;
mod machine;
mod options;
mod plot;
mod process;
mod races;
mod report;
mod requests;
mod table;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use contender::Programs;
use figure::Figure;
use machine::{Machine, Watch};
use options::{Command, Options};
use report::{Plot, Results, Section};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("bench: {why}");
            return ExitCode::from(2);
        }
    };
    let done = match &options.command {
        Command::Help => {
            print!("{}", options::USAGE);
            Ok(())
        }
        Command::Workload => workload::run(),
        Command::Report => again(&options),
        Command::Measure { parts, write } => match process::keep() {
            Ok(Some(code)) => return code,
            Ok(None) => measure(&options, parts, *write),
            Err(why) => Err(why),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Shows the last run's results again.
fn again(options: &Options) -> Result<(), String> {
    let results = report::read()?;
    report::write(&results, &[])?;
    match options.docs {
        true => report::put_into_docs(&results),
        false => Ok(()),
    }
}

/// Results of all parts that succeeded.
#[derive(Debug, Default)]
struct Gathered {
    figures: Vec<Figure>,
    sections: Vec<Section>,
    plots: Vec<Plot>,
    failures: Vec<String>,
}

fn measure(options: &Options, parts: &[&'static str], write: bool) -> Result<(), String> {
    let programs = programs(options)?;
    let (date, begin, watch) = (machine::date(), Instant::now(), Watch::start());
    let mut left_out = Vec::new();
    if programs.client_go.is_none() {
        left_out.push("client-go: its program is not built, for which Go is needed".to_owned());
    }
    for what in &left_out {
        eprintln!("bench: LEFT OUT: {what}");
    }
    let gathered = gather(options, parts, &programs);
    process::end_all();
    let results = Results {
        date,
        took_s: begin.elapsed().as_secs_f64(),
        machine: Machine::here(),
        busy: watch.end(),
        versions: contender::versions(&programs),
        settings: contender::settings(),
        left_out,
        failures: gathered.failures,
        figures: gathered.figures,
        sections: gathered.sections,
    };
    println!("{}", report::markdown(&results));
    if write {
        report::write(&results, &gathered.plots)?;
        eprintln!("bench: the results are in {}", report::FOLDER);
    }
    if options.docs {
        report::put_into_docs(&results)?;
    }
    match results.failures.len() {
        0 => Ok(()),
        n => Err(format!("{n} failures:\n{}", results.failures.join("\n"))),
    }
}

/// Runs one part after the other. A failing part does not discard the others.
fn gather(options: &Options, parts: &[&'static str], programs: &Programs) -> Gathered {
    let mut gathered = Gathered::default();
    let races = Options::races(parts);
    if races.any() {
        let size = options.size();
        eprintln!("bench: races, about {} minutes", size.minutes());
        gathered.attempt("races", || {
            let outcome = races::measure(programs, races, &size);
            Ok(Gathered {
                figures: outcome.figures,
                failures: outcome.failures,
                ..Gathered::default()
            })
        });
    }
    let contenders = footprint::Contenders {
        elector: programs.elector.clone(),
        shared_elector: programs.shared_elector.clone(),
        client_go: programs.client_go.clone(),
        image: options.image.clone(),
    };
    let measures_footprint = parts.contains(&"footprint");
    // Idle contenders are measured for two minutes while simulated hours pass.
    let mut idle = None;
    if measures_footprint {
        eprintln!("bench: footprint, about 2 minutes, and 2 more beside the requests");
        gathered.attempt("footprint", || {
            let mut watched = footprint::Idle::start(&contenders)?;
            watched.begin()?;
            idle = Some(watched);
            Ok(Gathered::default())
        });
    }
    if parts.contains(&"requests") {
        eprintln!("bench: requests in virtual hours, about 4 minutes");
        gathered.attempt("requests", || requests_of(options, programs));
    }
    if measures_footprint {
        gathered.attempt("footprint", || {
            let mut figures = idle.map_or(Ok(Vec::new()), footprint::Idle::finish)?;
            figures.extend(footprint::measure(&contenders)?);
            Ok(Gathered {
                figures,
                ..Gathered::default()
            })
        });
    }
    gathered
}

fn requests_of(options: &Options, programs: &Programs) -> Result<Gathered, String> {
    let measured = requests::measure(&requests::Options::new(&programs.elector, options.long))?;
    let sections = measured.tables.iter().map(|table| Section {
        title: table.title().to_owned(),
        place: table.name.to_owned(),
        text: table.to_markdown(),
    });
    Ok(Gathered {
        sections: sections.collect(),
        figures: measured.figures,
        plots: measured.plots,
        ..Gathered::default()
    })
}

impl Gathered {
    fn attempt(&mut self, part: &str, measure: impl FnOnce() -> Result<Gathered, String> + Send) {
        let came = thread::scope(|scope| scope.spawn(measure).join());
        match came {
            Ok(Ok(part)) => {
                self.figures.extend(part.figures);
                self.sections.extend(part.sections);
                self.plots.extend(part.plots);
                self.failures.extend(part.failures);
            }
            Ok(Err(why)) => self.failures.push(format!("{part}: {why}")),
            Err(_) => self
                .failures
                .push(format!("{part}: it panicked; see above")),
        }
    }
}

fn programs(options: &Options) -> Result<Programs, String> {
    let logs = PathBuf::from("target/bench/logs");
    // Logs of the last run, if any.
    let _ = std::fs::remove_dir_all(&logs);
    std::fs::create_dir_all(&logs).map_err(|e| format!("{}: {e}", logs.display()))?;
    let first = |given: &Option<PathBuf>, usual: &[&str]| {
        let mut all: Vec<PathBuf> = given.iter().cloned().collect();
        if given.is_none() {
            all.extend(usual.iter().map(PathBuf::from));
        }
        all.into_iter().find_map(|path| path.canonicalize().ok())
    };
    let elector = first(
        &options.elector,
        &["target/static/elector", "target/release/elector"],
    );
    Ok(Programs {
        elector: elector
            .ok_or("there is no elector: run make release, or name it with --elector")?,
        shared_elector: first(&None, &["target/release/elector"])
            .unwrap_or_else(|| PathBuf::from("target/release/elector")),
        client_go: first(&options.client_go, &["target/bench/client-go"]),
        bench: std::env::current_exe().map_err(|e| format!("where am I: {e}"))?,
        logs: logs.canonicalize().map_err(|e| format!("logs: {e}"))?,
    })
}
