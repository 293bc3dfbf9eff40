//! The first two minutes of an election in the simulation and with real electors at the emulator:
//! requests by kind. It shows that the simulated hours match the program.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use elector::emulator::{AccessToken, Delay, Faults, GistService, Options};
use simulation::faults::Latency;
use simulation::ledger::Requests;

use super::runs::{GITHUB, MeasuredRun};
use super::{Table, figure};
use crate::figure::{Figure, Spread};

/// Numbers of candidates that are run as processes.
const SIZES: [usize; 2] = [3, 30];

/// Time for which requests are counted.
const COUNTED: Duration = Duration::from_secs(120);

/// Number of elections of each size. They run side by side, because they are idle most of the time.
const ELECTIONS: usize = 3;

/// Number of seeds with which each size is simulated.
const SEEDS: u64 = 20;

const TOKEN: &str = "bench";

/// Counts by source.
struct Counts {
    candidates: usize,
    real: Vec<Requests>,
    simulated: Vec<Requests>,
}

/// A kind of requests, and how to count it.
type Kind = (&'static str, fn(&Requests) -> u32);

const KINDS: [Kind; 4] = [
    ("reads that are free (304)", |requests| requests.free),
    ("reads that count", |requests| requests.reads),
    ("writes", |requests| requests.writes),
    ("requests that are refused", |requests| requests.refused),
];

/// Runs the processes, all at the same time, and simulates the same elections.
///
/// # Errors
/// Returns an error if the service or a process cannot be started, or an elector exits.
pub fn measure(elector: &Path) -> Result<(Vec<Figure>, Vec<Table>), String> {
    let elections = SIZES.iter().flat_map(|size| [*size; ELECTIONS]);
    let runs = thread::scope(|scope| {
        let runs: Vec<_> = elections
            .map(|candidates| (candidates, scope.spawn(move || run(elector, candidates))))
            .collect();
        let ended = runs.into_iter().map(|(candidates, run)| {
            let run = run.join().map_err(|_| "a count panicked".to_owned())?;
            run.map(|(counted, within)| (candidates, counted, within))
        });
        ended.collect::<Result<Vec<_>, _>>()
    })?;
    let mut table = Table::new(
        "processes",
        &[
            "candidates",
            "in the first two minutes",
            "processes",
            "simulation",
            "ratio of the medians",
        ],
    );
    let mut figures = Vec::new();
    for candidates in SIZES {
        let mut counts = Counts {
            candidates,
            real: Vec::new(),
            simulated: Vec::new(),
        };
        for (_, counted, within) in runs.iter().filter(|(size, _, _)| *size == candidates) {
            counts.real.push(*counted);
            counts.simulated.extend(simulate(candidates, *within)?);
        }
        for kind in KINDS {
            compare(&counts, kind, &mut table, &mut figures)?;
        }
    }
    Ok((figures, vec![table]))
}

fn compare(
    counts: &Counts,
    (kind, of): Kind,
    table: &mut Table,
    figures: &mut Vec<Figure>,
) -> Result<(), String> {
    let spread = |counted: &[Requests]| {
        Spread::of(
            counted
                .iter()
                .map(|requests| f64::from(of(requests)))
                .collect(),
        )
        .ok_or("nothing was counted")
    };
    let real = spread(&counts.real)?;
    let simulated = spread(&counts.simulated)?;
    let ratio = match simulated.median > 0.0 {
        true => format!("{:.2}", real.median / simulated.median),
        false => "-".to_owned(),
    };
    let shown = |spread: &Spread| {
        let Spread {
            median,
            least,
            most,
            ..
        } = spread;
        format!("{median} ({least} to {most})")
    };
    table.row(vec![
        counts.candidates.to_string(),
        kind.to_owned(),
        shown(&real),
        shown(&simulated),
        ratio,
    ]);
    let what = format!("{kind}, in the first two minutes");
    for (how, spread) in [("processes", real), ("simulated", simulated)] {
        let conditions = format!("{} candidates, {how}", counts.candidates);
        figures.push(figure(
            "requests",
            &what,
            &conditions,
            "requests",
            spread,
            None,
        ));
    }
    Ok(())
}

/// Counts the same in the simulation.
fn simulate(candidates: usize, started_within: Duration) -> Result<Vec<Requests>, String> {
    let simulate = |seed| {
        let run = MeasuredRun {
            starts_within: started_within,
            seed,
            ..MeasuredRun::new(candidates, COUNTED)
        };
        let outcome = run.run()?;
        Ok(outcome.ledger.between(Duration::ZERO, COUNTED).all())
    };
    (0..SEEDS).map(simulate).collect()
}

/// Starts the emulator with GitHub's limits and the assumed latency.
fn service() -> Result<GistService, String> {
    let Latency { read, write } = GITHUB;
    let span = |time: Duration| Delay::Fixed(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let token: AccessToken = TOKEN.parse()?;
    GistService::start(Options {
        tokens: vec![token],
        faults: Faults {
            read_ms: span(read),
            write_ms: span(write),
            primary_limit: Some(5000),
            secondary_per_minute: Some(80),
            secondary_per_hour: Some(500),
            ..Faults::default()
        },
        ..Options::default()
    })
    .map_err(|e| format!("cannot start the gist service: {e}"))
}

/// Processes that end when this is dropped.
struct Electors(Vec<Child>);

impl Drop for Electors {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // A process that has already exited cannot be killed.
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

/// Counts the requests of real electors, and measures the time within which they started.
fn run(elector: &Path, candidates: usize) -> Result<(Requests, Duration), String> {
    let service = service()?;
    let gist = service
        .create_gist(&[("leader.json", "{}")])
        .map_err(|e| format!("cannot make a gist: {e}"))?;
    let mut electors = Electors(Vec::new());
    let began = Instant::now();
    for number in 0..candidates {
        let child = start(elector, &service.url(), &gist, number)?;
        electors.0.push(child);
    }
    let started_within = began.elapsed();
    thread::sleep(COUNTED.saturating_sub(began.elapsed()));
    let requests = counted(&service);
    for child in &mut electors.0 {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("an elector ended while it was counted: {status}"));
        }
    }
    Ok((requests, started_within))
}

fn start(elector: &Path, url: &str, gist: &str, number: usize) -> Result<Child, String> {
    Command::new(elector)
        .arg("run")
        .env_clear()
        .env("GITHUB_API_URL", url)
        .env("GITHUB_API_TOKEN", TOKEN)
        .env("GIST_ID", gist)
        .env("LEADER_NAME", format!("c{number}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot run {}: {e}", elector.display()))
}

/// Returns the requests answered so far.
fn counted(service: &GistService) -> Requests {
    let counters = service.requests();
    let of = |method, outcome| u32::try_from(counters.of(method, "", outcome)).unwrap_or(u32::MAX);
    let (free, refused) = (of("GET", "304"), of("", "403"));
    Requests {
        free,
        reads: of("GET", "200"),
        writes: of("PATCH", "200"),
        refused,
    }
}
