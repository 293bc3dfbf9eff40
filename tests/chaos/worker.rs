//! A worker: a process that embeds the library, and whose workload records its term before it acts.
//!
//! It is this test program, restarted for one test (`worker_process` in `main.rs`). Its workload writes to
//! the fenced store until the deadline that it last recorded, and once more after the end, like a write in
//! flight.

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

use crate::checker::{EventKind, TermEvent};
use crate::fence::Writer;
use crate::support::process::program::Start;

/// Variables of a worker, in addition to an elector's settings.
const PROCESS: &str = "CHAOS_PROCESS";
const FENCE: &str = "CHAOS_FENCE";
const RECORDS: &str = "CHAOS_RECORDS";

/// Interval between writes.
const PACE: Duration = Duration::from_millis(40);

/// Returns the start of a worker with this name.
pub(crate) fn start(process: &str, fence: SocketAddr, records: &Path) -> Start {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "worker_process", "--ignored", "--nocapture"]);
    Start::of(process, command)
        .with("LOG_FORMAT", "json")
        .with(PROCESS, process)
        .with(FENCE, fence.to_string())
        .with(RECORDS, records)
}

/// Runs for election until it is terminated. Returns immediately if this process is not a worker.
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
    log::info!("the election ended: {ended:?}");
    let _ = log.flush(Duration::from_secs(1));
    if ended.is_err() {
        // As `elector run` does.
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
        self.record(term, EventKind::Started { at, until });
        while !term.is_over() {
            if term.valid_until() != until {
                until = term.valid_until();
                self.record(term, EventKind::Extended(until));
            }
            if BootClock::now() < until {
                self.work(term);
            }
            thread::sleep(PACE);
        }
        self.record(term, EventKind::Ended(BootClock::now()));
        self.work(term);
    }
}

impl Work {
    fn record(&self, term: &Term, kind: EventKind) {
        let line = write(&TermEvent {
            process: self.process.clone(),
            token: term.fencing_token(),
            kind,
        });
        // One write, because several workers append to the file.
        (&self.records).write_all(line.as_bytes()).unwrap();
    }

    fn work(&self, term: &Term) {
        let mut writer = self.writer.lock().unwrap();
        writer.write(&self.process, term.fencing_token());
    }
}

/// Formats an event as a line.
fn write(event: &TermEvent) -> String {
    let nanos = |at: Instant| at.since_boot().as_nanos();
    let TermEvent {
        process,
        token,
        kind,
    } = event;
    match kind {
        EventKind::Started { at, until } => {
            format!(
                "{process} {token} begins {} {}\n",
                nanos(*at),
                nanos(*until)
            )
        }
        EventKind::Extended(until) => format!("{process} {token} lasts {}\n", nanos(*until)),
        EventKind::Ended(at) => format!("{process} {token} over {}\n", nanos(*at)),
    }
}

/// Parses all events in a file.
pub(crate) fn read(records: &str) -> Vec<TermEvent> {
    let event = |line: &str| parse(line).unwrap_or_else(|| panic!("not a record: {line:?}"));
    records.lines().map(event).collect()
}

fn parse(line: &str) -> Option<TermEvent> {
    let mut words = line.split(' ');
    let process = words.next()?.to_owned();
    let token = words.next()?.parse().ok()?;
    let word = words.next()?;
    let mut time = || {
        let nanos = words.next()?.parse().ok()?;
        Some(Instant::from_boot(Duration::from_nanos(nanos)))
    };
    let kind = match word {
        "begins" => EventKind::Started {
            at: time()?,
            until: time()?,
        },
        "lasts" => EventKind::Extended(time()?),
        "over" => EventKind::Ended(time()?),
        _ => return None,
    };
    Some(TermEvent {
        process,
        token,
        kind,
    })
}

#[test]
fn records_round_trip() {
    let [at, until] = [1, 2].map(|n| Instant::from_boot(Duration::from_nanos(1_000_000_007 * n)));
    let kinds = [
        EventKind::Started { at, until },
        EventKind::Extended(until),
        EventKind::Ended(at),
    ];
    let events = kinds.map(|kind| TermEvent {
        process: "w1#2".to_owned(),
        token: 17,
        kind,
    });
    let text: String = events.iter().map(write).collect();
    assert_eq!(read(&text), events);
}
