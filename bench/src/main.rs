//! Measures the elector beside what else a user would take.

mod contender;
mod figure;
mod options;
mod plot;
mod process;
mod races;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use contender::Programs;
use options::{Command, Options};

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
        Command::Report => Ok(()),
        Command::Measure { parts, .. } => measure(&options, parts),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options, parts: &[&'static str]) -> Result<(), String> {
    process::keep_all()?;
    let programs = programs(options)?;
    let outcome = races::measure(&programs, Options::races(parts), &options.size());
    process::end_all();
    for figure in &outcome.figures {
        println!("{figure:?}");
    }
    match outcome.failures.as_slice() {
        [] => Ok(()),
        failures => Err(failures.join("\n")),
    }
}

fn programs(options: &Options) -> Result<Programs, String> {
    let logs = PathBuf::from("target/bench/logs");
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
        client_go: first(&options.client_go, &["target/bench/client-go"]),
        bench: std::env::current_exe().map_err(|e| format!("where am I: {e}"))?,
        logs: logs.canonicalize().map_err(|e| format!("logs: {e}"))?,
    })
}
