//! Leaders and candidates that just stand there, for minutes: what they hold and use.
//!
//! ```text
//!   elector    plain, TLS    leader, candidate
//!   elector    plain         leader with a program and its guard
//!   client-go  plain, TLS    leader, candidate
//! ```

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::figure::{Aim, Figure, Spread};

use super::process::{Memory, Process, Told, children, memory, processor_time};
use super::way::{Counted, Way};
use super::{CLIENT_GO, Contenders, ELECTOR, Scene, await_that, elector, figure};

/// From the last one's start to the first reading: by then all have made their first requests, and a
/// leader has renewed.
const SETTLING: Duration = Duration::from_secs(12);

/// Between the two readings: fifteen renewals and sixty looks at the default settings.
const WATCHED: Duration = Duration::from_secs(120);

const MB: f64 = 1e6;

/// The aims for the elector.
const RESIDENT_MB: f64 = 4.0;
const CPU_SECONDS_AN_HOUR: f64 = 1.0;

/// Contenders that stand for election while they are watched.
pub struct Standing {
    // Dropped in this order: those who ask, their ways, the service.
    watched: Vec<Watched>,
    scene: Scene,
    settled_at: Instant,
}

struct Watched {
    who: &'static str,
    role: &'static str,
    conditions: &'static str,
    /// `None` for a guard, whose process belongs to another one here.
    process: Option<(Process, Way)>,
    pid: u32,
    first: Option<Reading>,
}

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    processor: Duration,
    counted: Counted,
}

impl Standing {
    /// Starts them, and comes back once each leader leads.
    ///
    /// # Errors
    /// When one of them does not start, or a leader does not lead.
    pub fn start(contenders: &Contenders) -> Result<Standing, String> {
        let mut standing = Standing {
            watched: Vec::new(),
            scene: Scene::new()?,
            settled_at: Instant::now(),
        };
        let run = |program: &Path| elector(program);
        for (is_tls, conditions) in [(false, "plain HTTP"), (true, "TLS")] {
            standing.pair(ELECTOR, conditions, is_tls, || run(&contenders.elector))?;
            if let Some(program) = &contenders.client_go {
                standing.pair(CLIENT_GO, conditions, is_tls, || Command::new(program))?;
            }
        }
        standing.guarded(&contenders.elector)?;
        standing.settled_at = Instant::now() + SETTLING;
        Ok(standing)
    }

    /// A leader and a candidate at a gist of their own.
    fn pair(
        &mut self,
        who: &'static str,
        conditions: &'static str,
        is_tls: bool,
        command: impl Fn() -> Command,
    ) -> Result<(), String> {
        let gist = self.scene.gist("{}")?;
        for role in ["leader", "candidate"] {
            let way = Way::open(self.scene.address, is_tls.then_some(&self.scene.authority));
            let way = way.map_err(|error| format!("a way cannot be opened: {error}"))?;
            let told = Told {
                url: &way.url(),
                gist: &gist,
                name: role,
                roots: is_tls.then_some(self.scene.roots.as_path()),
                settings: &[],
            };
            let process = Process::start(command(), &told)?;
            if role == "leader" {
                self.scene.await_holder(&gist, role)?;
            }
            self.watched.push(Watched {
                who,
                role,
                conditions,
                pid: process.pid(),
                process: Some((process, way)),
                first: None,
            });
        }
        Ok(())
    }

    /// An elector in front of a program, and the guard between them.
    fn guarded(&mut self, program: &Path) -> Result<(), String> {
        let gist = self.scene.gist("{}")?;
        let way = Way::open(self.scene.address, None).map_err(|error| error.to_string())?;
        let told = Told {
            url: &way.url(),
            gist: &gist,
            name: "leader",
            roots: None,
            settings: &[],
        };
        let mut command = elector(program);
        // Longer than anybody measures.
        command.args(["--", "sleep", "86400"]);
        let process = Process::start(command, &told)?;
        let leader = process.pid();
        let mut guard = None;
        await_that("a guard runs its program", || {
            let found = children(leader).into_iter();
            guard = found.into_iter().find(|&guard| !children(guard).is_empty());
            guard.is_some()
        })?;
        let conditions = "plain HTTP, run -- PROGRAM";
        self.watched.push(Watched {
            who: ELECTOR,
            role: "leader",
            conditions,
            pid: leader,
            process: Some((process, way)),
            first: None,
        });
        self.watched.push(Watched {
            who: ELECTOR,
            role: "guard",
            conditions,
            pid: guard.unwrap_or(leader),
            process: None,
            first: None,
        });
        Ok(())
    }

    /// When [`finish`](Self::finish) has to wait no more but for what it does itself.
    #[must_use]
    pub fn ready_at(&self) -> Instant {
        self.settled_at + WATCHED
    }

    /// Takes the first reading once they have settled: to be called before anything that lasts longer than
    /// that, or by [`finish`](Self::finish).
    ///
    /// # Errors
    /// When one of them is gone.
    pub fn begin(&mut self) -> Result<(), String> {
        sleep_until(self.settled_at);
        for watched in &mut self.watched {
            if watched.first.is_none() {
                watched.first = Some(watched.read()?);
            }
        }
        Ok(())
    }

    /// Waits until they have been watched for long enough, and ends them.
    ///
    /// # Errors
    /// When one of them is gone, or never said anything.
    pub fn finish(mut self) -> Result<Vec<Figure>, String> {
        self.begin()?;
        sleep_until(self.ready_at());
        let mut figures = Vec::new();
        for watched in &mut self.watched {
            figures.extend(watched.figures()?);
        }
        Ok(figures)
    }
}

impl Watched {
    fn read(&mut self) -> Result<Reading, String> {
        if let Some((process, _)) = &mut self.process
            && !process.is_running()
        {
            return Err(format!("a {} of {} has ended", self.role, self.who));
        }
        Ok(Reading {
            at: Instant::now(),
            processor: processor_time(self.pid)?,
            counted: self
                .process
                .as_ref()
                .map(|(_, way)| way.counted())
                .unwrap_or_default(),
        })
    }

    fn figures(&mut self) -> Result<Vec<Figure>, String> {
        let last = self.read()?;
        let first = self.first.unwrap_or(last);
        let hours = (last.at - first.at).as_secs_f64() / 3600.0;
        let Memory {
            resident,
            own,
            threads,
        } = memory(self.pid)?;
        let processor = (last.processor - first.processor).as_secs_f64() / hours;
        let below = |most: f64| Aim::median_below(most, "what the design aims at");
        let one = |what: &str, unit, value, aim| {
            let what = format!("{what}, {}", self.role);
            let spread = Spread::single(value);
            figure(self.who, &what, self.conditions, unit, spread, aim)
        };
        let mut figures = vec![
            one("resident memory", "MB", resident / MB, below(RESIDENT_MB)),
            one("memory of its own", "MB", own / MB, None),
            one("threads", "", threads, None),
            one(
                "processor time",
                "s/h",
                processor,
                below(CPU_SECONDS_AN_HOUR),
            ),
        ];
        if self.process.is_some() {
            let (now, then) = (last.counted, first.counted);
            let requests = now.requests - then.requests;
            if requests == 0 {
                return Err(format!("a {} of {} asked for nothing", self.role, self.who));
            }
            let hourly = |bytes: u64| bytes as f64 / 1e3 / hours;
            figures.extend([
                one("requests", "requests/h", requests as f64 / hours, None),
                one("sent", "kB/h", hourly(now.sent - then.sent), None),
                one(
                    "received",
                    "kB/h",
                    hourly(now.received - then.received),
                    None,
                ),
                one(
                    "new connections",
                    "connections/h",
                    (now.connections - then.connections) as f64 / hours,
                    None,
                ),
            ]);
        }
        Ok(figures)
    }
}

fn sleep_until(instant: Instant) {
    thread::sleep(instant.saturating_duration_since(Instant::now()));
}
