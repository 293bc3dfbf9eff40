//! Cost of a contender on its machine: memory, threads, CPU time, network bytes, program size, time
//! to the first request, and instructions and allocations per cycle.
//!
//! ```text
//!   Standing::start ─── two minutes, beside whatever else is measured ─── Standing::finish
//!   measure: sizes, start-up, cycles (under valgrind), about two minutes by itself
//! ```
//!
//! All contenders use a gist service in this process, each through a counting [`proxy::Proxy`].
//! Answers show the newest 30 revisions, which is an assumption about GitHub. Unlike GitHub's, they
//! are not compressed.

mod cycle;
mod idle;
mod process;
mod proxy;
mod sizes;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use elector::emulator::{Faults, GistService, Options};

use crate::figure::{Aim, Figure, Spread};

use self::proxy::Authority;

pub use self::idle::Idle;

/// Longest time to wait for any condition.
const PATIENCE: Duration = Duration::from_secs(90);

/// Interval between checks of a condition.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Access token; the service takes any.
const GIST_TOKEN: &str = "no-secret-of-anybody";

/// Number of revisions in an answer. That GitHub shows at most these is an assumption: a service
/// that showed all would send half a megabyte after an hour of renewals, and answers would cost
/// more to parse.
const SHOWN_REVISIONS: usize = 30;

/// Programs that are measured.
pub struct Contenders {
    /// `target/static/elector`, as in the image, or else a dynamically linked program.
    pub elector: PathBuf,
    /// `target/release/elector`, whose allocations can be counted because it uses the system's
    /// allocator.
    pub shared_elector: PathBuf,
    /// The client-go program, if there is one.
    pub client_go: Option<PathBuf>,
    /// Name of the image whose size is measured, if a container engine has it.
    pub image: String,
}

/// Measures everything but [`Idle`]. Prints to standard error what cannot be measured here.
///
/// # Errors
/// Returns an error if a contender does not start or does not work.
pub fn measure(contenders: &Contenders) -> Result<Vec<Figure>, String> {
    let mut figures = sizes::sizes(contenders)?;
    figures.extend(sizes::start_up(contenders)?);
    figures.extend(cycle::measure(&contenders.shared_elector)?);
    Ok(figures)
}

/// A service, and the certificate that contenders need for encrypted proxies.
struct Setup {
    service: GistService,
    address: SocketAddr,
    authority: Authority,
    roots: PathBuf,
}

impl Setup {
    fn new() -> Result<Setup, String> {
        static SCENES: AtomicU64 = AtomicU64::new(0);
        let number = SCENES.fetch_add(1, Ordering::Relaxed);
        let authority = Authority::new()?;
        let roots = std::env::temp_dir().join(format!("bench-{}-{number}.pem", std::process::id()));
        std::fs::write(&roots, &authority.pem)
            .map_err(|error| format!("{} cannot be written: {error}", roots.display()))?;
        let service = GistService::start(Options {
            faults: Faults {
                history_cap: Some(SHOWN_REVISIONS),
                ..Faults::default()
            },
            ..Options::default()
        })
        .map_err(|error| error.to_string())?;
        let url = service.url();
        let address = url.trim_start_matches("http://").parse();
        Ok(Setup {
            address: address.map_err(|_| format!("{url} is no address"))?,
            service,
            authority,
            roots,
        })
    }

    /// Creates a gist with the shown number of revisions, the newest of which holds `content`.
    fn gist(&self, content: &str) -> Result<String, String> {
        let wrong = |error: &dyn std::fmt::Debug| format!("no gist can be made: {error:?}");
        let id = self.service.create_gist(&[("leader.json", "{ }")]);
        let id = id.map_err(|error| wrong(&error))?;
        for revision in 0..SHOWN_REVISIONS {
            let blank = format!("{{{}}}", " ".repeat(revision % 2));
            self.service
                .edit(&id, |files| {
                    files.insert("leader.json".to_owned(), blank);
                })
                .map_err(|error| wrong(&error))?;
        }
        self.service
            .edit(&id, |files| {
                files.insert("leader.json".to_owned(), content.to_owned());
            })
            .map_err(|error| wrong(&error))?;
        Ok(id)
    }

    /// Waits until a candidate with this name holds the lease.
    fn await_holder(&self, gist: &str, name: &str) -> Result<(), String> {
        let holder = format!("\"holderIdentity\":\"{name}\"");
        await_that(&format!("{name} holds the lease"), || {
            let history = self.service.history(gist);
            let newest = history.first().and_then(|one| one.files.get("leader.json"));
            newest.is_some_and(|content| content.contains(&holder))
        })
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.roots);
    }
}

fn await_that(what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > deadline {
            return Err(format!("timed out waiting: {what}"));
        }
        thread::sleep(CHECK_INTERVAL);
    }
    Ok(())
}

fn elector(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("run");
    command
}

fn figure(
    contender: &str,
    what: &str,
    conditions: &str,
    unit: &'static str,
    spread: Spread,
    aim: Option<Aim>,
) -> Figure {
    Figure {
        table: "footprint",
        what: what.to_owned(),
        contender: contender.to_owned(),
        conditions: conditions.to_owned(),
        unit,
        spread,
        // Only the elector has aims.
        aim: aim.filter(|_| contender == ELECTOR),
    }
}

const ELECTOR: &str = "elector";
const CLIENT_GO: &str = "client-go";
