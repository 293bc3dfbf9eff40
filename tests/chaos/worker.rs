//! A leader with work to do: a process on the library, whose workload records its term before it acts.
//!
//! It is this very test program, started again for the one test that is this process (see
//! `main.rs`). Its workload writes to the fenced store for as long as the limit lasts that it last
//! recorded, and once more after the end: there always is a write that was already under way.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use elector::commands::settings::Settings;
use elector::election::time::Instant;
use elector::runtime::logging;
use elector::system::clock::BootClock;
use elector::system::random::random_seed;
use elector::{LeaderCallbacks, LeaderElection, Term};

use crate::checker::{Said, What};
use crate::fence::Writer;
use crate::support::process::program::Start;

/// The variables that tell it what it is, besides the settings of every elector.
const PROCESS: &str = "CHAOS_PROCESS";
const FENCE: &str = "CHAOS_FENCE";
const RECORDS: &str = "CHAOS_RECORDS";

/// The pace of its work.
const PACE: Duration = Duration::from_millis(40);

/// What starts one, as the process of this name.
pub(crate) fn start(process: &str, fence: SocketAddr, records: &Path) -> Start {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "worker_process", "--ignored", "--nocapture"]);
    Start::of(process, command)
        .with("LOG_FORMAT", "json")
        .with(PROCESS, process)
        .with(FENCE, fence.to_string())
        .with(RECORDS, records)
}

/// Stands for election until it is told to stop; at once back where this is no such process.
pub(crate) fn run() {
    let Ok(process) = env::var(PROCESS) else {
        return;
    };
    let fence = env::var(FENCE).unwrap().parse().unwrap();
    let records = env::var(RECORDS).unwrap();
    let records = OpenOptions::new().append(true).open(records).unwrap();
    let settings = Settings::from_environment(false).unwrap();
    let log = logging::init(&settings.log_filter, settings.log_format).unwrap();
    let mut config = settings.election.clone();
    config.seed = random_seed().unwrap();
    let lock = settings.lock.backend().open(&config).unwrap();
    let work = Work {
        process,
        records,
        writer: Mutex::new(Writer::new(fence)),
    };
    let election = LeaderElection::new(config, lock.lock, work).unwrap();
    let handle = election.handle();
    ctrlc::set_handler(move || handle.stop()).unwrap();
    let ended = election.run();
    log::info!("it ended: {ended:?}");
    let _ = log.flush(Duration::from_secs(1));
    if ended.is_err() {
        // As an `elector run` ends then.
        std::process::exit(1);
    }
}

struct Work {
    process: String,
    records: File,
    writer: Mutex<Writer>,
}

impl LeaderCallbacks for Work {
    fn on_started_leading(&self, term: &Term) {
        let mut until = term.valid_until();
        let at = BootClock::now();
        self.record(term, What::Begins { at, until });
        while !term.is_over() {
            if term.valid_until() != until {
                until = term.valid_until();
                self.record(term, What::LastsUntil(until));
            }
            if BootClock::now() < until {
                self.work(term);
            }
            thread::sleep(PACE);
        }
        self.record(term, What::Over(BootClock::now()));
        self.work(term);
    }
}

impl Work {
    fn record(&self, term: &Term, what: What) {
        let line = write(&Said {
            process: self.process.clone(),
            token: term.fencing_token(),
            what,
        });
        // In one piece, at the end of the file.
        (&self.records).write_all(line.as_bytes()).unwrap();
    }

    fn work(&self, term: &Term) {
        let mut writer = self.writer.lock().unwrap();
        writer.write(&self.process, term.fencing_token());
    }
}

/// A record as a line.
fn write(said: &Said) -> String {
    let nanos = |at: Instant| at.since_boot().as_nanos();
    let Said {
        process,
        token,
        what,
    } = said;
    match what {
        What::Begins { at, until } => {
            format!(
                "{process} {token} begins {} {}\n",
                nanos(*at),
                nanos(*until)
            )
        }
        What::LastsUntil(until) => format!("{process} {token} lasts {}\n", nanos(*until)),
        What::Over(at) => format!("{process} {token} over {}\n", nanos(*at)),
    }
}

/// Everything in a file of records.
pub(crate) fn read(records: &str) -> Vec<Said> {
    let said = |line: &str| understand(line).unwrap_or_else(|| panic!("{line:?} is no record"));
    records.lines().map(said).collect()
}

fn understand(line: &str) -> Option<Said> {
    let mut words = line.split(' ');
    let process = words.next()?.to_owned();
    let token = words.next()?.parse().ok()?;
    let kind = words.next()?;
    let mut time = || {
        let nanos = words.next()?.parse().ok()?;
        Some(Instant::from_boot(Duration::from_nanos(nanos)))
    };
    let what = match kind {
        "begins" => What::Begins {
            at: time()?,
            until: time()?,
        },
        "lasts" => What::LastsUntil(time()?),
        "over" => What::Over(time()?),
        _ => return None,
    };
    Some(Said {
        process,
        token,
        what,
    })
}

#[test]
fn records_round_trip() {
    let [at, until] = [1, 2].map(|n| Instant::from_boot(Duration::from_nanos(1_000_000_007 * n)));
    let whats = [
        What::Begins { at, until },
        What::LastsUntil(until),
        What::Over(at),
    ];
    let said = whats.map(|what| Said {
        process: "w1#2".to_owned(),
        token: 17,
        what,
    });
    let text: String = said.iter().map(write).collect();
    assert_eq!(read(&text), said);
}
