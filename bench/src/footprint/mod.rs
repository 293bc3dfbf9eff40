//! What a contender costs the machine that it runs on: memory, threads, processor time, bytes on the
//! network, the size of its program, the time to its first request, and the instructions and allocations
//! of a cycle.
//!
//! ```text
//!   Standing::start ─── two minutes, beside whatever else is measured ─── Standing::finish
//!   measure: sizes, start-up, cycles (under valgrind), about two minutes by itself
//! ```
//!
//! All contenders talk to a gist service in this process, each over a [`way::Way`] of its own that counts
//! what goes over it. GitHub's answers are assumed to show the newest 30 revisions, and so do the service's
//! here, from the first one on; they are not compressed, as GitHub's are.

mod cycle;
mod process;
mod standing;
mod still;
mod way;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use elector::emulator::{Faults, GistService, Options};

use crate::figure::{Aim, Figure, Spread};

use self::way::Authority;

pub use self::standing::Standing;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// The service takes any token.
const GIST_TOKEN: &str = "no-secret-of-anybody";

/// How many revisions an answer shows. That GitHub's show no more is an assumption: a service that shows
/// all of them sends half a megabyte after an hour of renewals, and what takes in the answer takes longer.
const SHOWN_REVISIONS: usize = 30;

/// Who is measured.
pub struct Contenders {
    /// `target/static/elector`, as in the image, or where there is none a program that needs the system's
    /// libraries.
    pub elector: PathBuf,
    /// `target/release/elector`, whose allocations can be counted, as it uses the system's.
    pub shared_elector: PathBuf,
    /// Where there is one.
    pub client_go: Option<PathBuf>,
    /// The image that is asked for its size, where an engine has it.
    pub image: String,
}

/// Everything but what [`Standing`] measures. What cannot be measured here is told on standard error.
///
/// # Errors
/// When a contender does not start, or does not do what it is there for.
pub fn measure(contenders: &Contenders) -> Result<Vec<Figure>, String> {
    let mut figures = still::sizes(contenders)?;
    figures.extend(still::start_up(contenders)?);
    figures.extend(cycle::measure(&contenders.shared_elector)?);
    Ok(figures)
}

/// A service, and what contenders need to trust the encrypted ways to it.
struct Scene {
    service: GistService,
    address: SocketAddr,
    authority: Authority,
    roots: PathBuf,
}

impl Scene {
    fn new() -> Result<Scene, String> {
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
        Ok(Scene {
            address: address.map_err(|_| format!("{url} is no address"))?,
            service,
            authority,
            roots,
        })
    }

    /// A gist with as many revisions as are shown, the last of which holds this.
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

    /// Waits until somebody of this name holds the lease.
    fn await_holder(&self, gist: &str, name: &str) -> Result<(), String> {
        let holder = format!("\"holderIdentity\":\"{name}\"");
        await_that(&format!("{name} holds the lease"), || {
            let history = self.service.history(gist);
            let newest = history.first().and_then(|one| one.files.get("leader.json"));
            newest.is_some_and(|content| content.contains(&holder))
        })
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.roots);
    }
}

fn await_that(what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > deadline {
            return Err(format!("it never came to be: {what}"));
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

fn elector(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("run");
    command
}

fn figure(
    who: &str,
    what: &str,
    conditions: &str,
    unit: &'static str,
    spread: Spread,
    aim: Option<Aim>,
) -> Figure {
    Figure {
        table: "footprint",
        what: what.to_owned(),
        contender: who.to_owned(),
        conditions: conditions.to_owned(),
        unit,
        spread,
        // The aims are the elector's.
        aim: aim.filter(|_| who == ELECTOR),
    }
}

const ELECTOR: &str = "elector";
const CLIENT_GO: &str = "client-go";
