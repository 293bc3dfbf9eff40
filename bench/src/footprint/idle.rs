//! Leaders and standbys without events, for minutes: memory and CPU time.
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

use super::process::{Memory, Process, Settings, children, memory, processor_time};
use super::proxy::{Proxy, Traffic};
use super::{CLIENT_GO, Contenders, ELECTOR, Setup, await_that, elector, figure};

/// Time from the last start to the first reading. By then every process has made its first
/// requests, and a leader has renewed.
const SETTLING: Duration = Duration::from_secs(12);

/// Time between the two readings: fifteen renewals and sixty polls at the default settings.
const WATCHED: Duration = Duration::from_secs(120);

const MB: f64 = 1e6;

/// Limits for the elector.
const RESIDENT_MB: f64 = 4.0;
const CPU_SECONDS_AN_HOUR: f64 = 1.0;

/// Contenders whose resources are measured while nothing happens.
pub struct Idle {
    // Dropped in this order: contenders, proxies, service.
    watched: Vec<Watched>,
    setup: Setup,
    settled_at: Instant,
}

struct Watched {
    contender: &'static str,
    role: &'static str,
    conditions: &'static str,
    /// `None` for a guard, whose process belongs to another contender.
    process: Option<(Process, Proxy)>,
    pid: u32,
    first: Option<Reading>,
}

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    processor: Duration,
    counted: Traffic,
}

impl Idle {
    /// Starts all contenders, and returns when each leader leads.
    ///
    /// # Errors
    /// Returns an error if a contender does not start, or a leader does not lead.
    pub fn start(contenders: &Contenders) -> Result<Idle, String> {
        let mut idle = Idle {
            watched: Vec::new(),
            setup: Setup::new()?,
            settled_at: Instant::now(),
        };
        let run = |program: &Path| elector(program);
        for (is_tls, conditions) in [(false, "plain HTTP"), (true, "TLS")] {
            idle.pair(ELECTOR, conditions, is_tls, || run(&contenders.elector))?;
            if let Some(program) = &contenders.client_go {
                idle.pair(CLIENT_GO, conditions, is_tls, || Command::new(program))?;
            }
        }
        idle.guarded(&contenders.elector)?;
        idle.settled_at = Instant::now() + SETTLING;
        Ok(idle)
    }

    /// Starts a leader and a standby with a separate gist.
    fn pair(
        &mut self,
        contender: &'static str,
        conditions: &'static str,
        is_tls: bool,
        command: impl Fn() -> Command,
    ) -> Result<(), String> {
        let gist = self.setup.gist("{}")?;
        for role in ["leader", "candidate"] {
            let proxy = Proxy::open(self.setup.address, is_tls.then_some(&self.setup.authority));
            let proxy = proxy.map_err(|error| format!("a way cannot be opened: {error}"))?;
            let settings = Settings {
                url: &proxy.url(),
                gist: &gist,
                name: role,
                roots: is_tls.then_some(self.setup.roots.as_path()),
                settings: &[],
            };
            let process = Process::start(command(), &settings)?;
            if role == "leader" {
                self.setup.await_holder(&gist, role)?;
            }
            self.watched.push(Watched {
                contender,
                role,
                conditions,
                pid: process.pid(),
                process: Some((process, proxy)),
                first: None,
            });
        }
        Ok(())
    }

    /// Starts an elector with a wrapped program, and the guard between them.
    fn guarded(&mut self, program: &Path) -> Result<(), String> {
        let gist = self.setup.gist("{}")?;
        let proxy = Proxy::open(self.setup.address, None).map_err(|error| error.to_string())?;
        let settings = Settings {
            url: &proxy.url(),
            gist: &gist,
            name: "leader",
            roots: None,
            settings: &[],
        };
        let mut command = elector(program);
        // Longer than any measurement.
        command.args(["--", "sleep", "86400"]);
        let process = Process::start(command, &settings)?;
        let leader = process.pid();
        let mut guard = None;
        await_that("a guard runs its program", || {
            let found = children(leader).into_iter();
            guard = found.into_iter().find(|&guard| !children(guard).is_empty());
            guard.is_some()
        })?;
        let conditions = "plain HTTP, run -- PROGRAM";
        self.watched.push(Watched {
            contender: ELECTOR,
            role: "leader",
            conditions,
            pid: leader,
            process: Some((process, proxy)),
            first: None,
        });
        self.watched.push(Watched {
            contender: ELECTOR,
            role: "guard",
            conditions,
            pid: guard.unwrap_or(leader),
            process: None,
            first: None,
        });
        Ok(())
    }

    /// Time from which [`finish`](Self::finish) does not have to wait any more.
    #[must_use]
    pub fn ready_at(&self) -> Instant {
        self.settled_at + WATCHED
    }

    /// Takes the first reading after the settling time. Call it before anything that lasts longer
    /// than that; otherwise [`finish`](Self::finish) calls it.
    ///
    /// # Errors
    /// Returns an error if a contender has exited.
    pub fn begin(&mut self) -> Result<(), String> {
        sleep_until(self.settled_at);
        for watched in &mut self.watched {
            if watched.first.is_none() {
                watched.first = Some(watched.read()?);
            }
        }
        Ok(())
    }

    /// Waits for the end of the measurement, and ends the contenders.
    ///
    /// # Errors
    /// Returns an error if a contender has exited or never sent a request.
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
            return Err(format!("a {} of {} has ended", self.role, self.contender));
        }
        Ok(Reading {
            at: Instant::now(),
            processor: processor_time(self.pid)?,
            counted: self
                .process
                .as_ref()
                .map(|(_, proxy)| proxy.counted())
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
            figure(self.contender, &what, self.conditions, unit, spread, aim)
        };
        let mut figures = vec![
            one("resident memory", "MB", resident / MB, below(RESIDENT_MB)),
            one("private memory", "MB", own / MB, None),
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
                return Err(format!(
                    "a {} of {} asked for nothing",
                    self.role, self.contender
                ));
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
