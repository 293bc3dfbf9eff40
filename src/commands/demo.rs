//! `elector demo`: three candidates, one gist, and a takeover after a crash and after a shutdown.
//!
//! The gist service runs in this process, and each candidate in a separate one. The demonstration shows
//! what the candidates log and when. It reads their events from `LOG_FORMAT=json`, and ends with a table
//! of the terms and the promises that were broken, if any.

mod candidate;
mod summary;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use self::candidate::{Candidate, Event, Line};
use self::summary::Summary;
use super::command::{Arguments, Command, CommandError, CommandResult, Operands};
use crate::election::time::Instant;
use crate::emulator::{GistService, Options};
use crate::system::clock::BootClock;

/// The command.
pub const COMMAND: Command = Command {
    name: "demo",
    summary: "show an election of three candidates, without an account",
    details: "\
Shows an election on this machine: three candidates and a gist service in memory. It
needs no account and no cluster.",
    options: &[],
    operands: Operands::None,
    notes: "Exit codes: 0 every promise was kept, 1 failed, 2 wrong usage.",
    run,
};

/// Candidates, and the colour (ANSI) of their lines.
const CANDIDATES: [(&str, &str); 3] = [("napoleon", "34"), ("cleopatra", "33"), ("hannibal", "31")];

/// A fifth of the default times, so that the demonstration takes about half a minute.
const TIMES: [(&str, &str); 7] = [
    ("LEASE_DURATION", "6s"),
    ("RENEW_DEADLINE", "3200ms"),
    ("RETRY_PERIOD", "1600ms"),
    ("POLL_PERIOD", "400ms"),
    ("CONFIRM_DELAY", "400ms"),
    ("TERMINATION_GRACE", "1s"),
    ("STOP_TIMEOUT", "5s"),
];

/// Longest wait for an event: several leases, for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two steps, so that a person can read along.
const PAUSE: Duration = Duration::from_secs(5);

/// Returns the error of a demonstration that did not reach its end.
fn failed(why: impl Into<String>) -> io::Error {
    io::Error::other(why.into())
}

fn run(_: &Arguments) -> CommandResult {
    let (sender, events) = channel();
    let interrupt = sender.clone();
    ctrlc::set_handler(move || drop(interrupt.send(Event::Interrupted)))
        .map_err(|error| CommandError::failed(format!("Ctrl-C cannot be caught: {error}")))?;
    match Demo::new(sender, events).and_then(Demo::play) {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        // The reader has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::FAILURE),
        Err(error) => Err(CommandError::failed(error)),
    }
}

/// Demonstration under way.
struct Demo {
    /// Runs until it is dropped.
    _service: GistService,
    api_url: String,
    gist_id: String,
    began: Instant,
    coloured: bool,
    sender: Sender<Event>,
    events: Receiver<Event>,
    candidates: Vec<Candidate>,
    summary: Summary,
    /// Last leader that each candidate observed.
    observed: Vec<(&'static str, String)>,
}

impl Demo {
    fn new(sender: Sender<Event>, events: Receiver<Event>) -> io::Result<Demo> {
        let service = GistService::start(Options::default())?;
        let gist_id = service
            .create_gist(&[("leader.json", "{}")])
            .map_err(io::Error::other)?;
        Ok(Demo {
            api_url: service.url(),
            _service: service,
            gist_id,
            began: BootClock::now(),
            coloured: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            sender,
            events,
            candidates: Vec::new(),
            summary: Summary::default(),
            observed: Vec::new(),
        })
    }

    /// Runs all steps. Returns whether every promise was kept.
    fn play(mut self) -> io::Result<bool> {
        self.narrate("Three candidates share nothing but a gist.")?;
        self.narrate(
            "The lease lasts 6s here, by default 30s: all times are a fifth of the defaults.",
        )?;
        for (name, _) in CANDIDATES {
            self.start(name)?;
        }
        let first = self.await_leader("")?;
        self.await_observed_by_all(&first)?;
        self.watch_for(PAUSE)?;

        // On a machine too busy to renew in time, another candidate may lead by now.
        let first = self.await_leader("")?;
        self.narrate(&format!(
            "{first} is killed (SIGKILL). Its lease must expire first."
        ))?;
        let killed_at = self.now();
        let killed = self.kill(&first)?;
        let second = self.await_leader(&first)?;
        let took = self.last_start_since(killed_at);
        self.narrate(&format!("{second} took over {took:.1}s after the kill."))?;
        self.await_observed_by_all(&second)?;
        self.watch_for(PAUSE)?;

        self.narrate(&format!(
            "{killed} comes back, as one candidate among three."
        ))?;
        self.start(killed)?;
        self.await_observed(killed, &second)?;
        self.watch_for(PAUSE)?;

        let second = self.await_leader("")?;
        self.narrate(&format!(
            "{second} is stopped (SIGTERM). It releases the lease."
        ))?;
        let stopped_at = self.now();
        self.candidate(&second)?.terminate()?;
        let third = self.await_leader(&second)?;
        let took = self.last_start_since(stopped_at);
        self.narrate(&format!(
            "{third} leads {took:.1}s after {second} was stopped."
        ))?;
        self.await_exit(&second)?;
        self.await_observed_by_all(&third)?;
        self.watch_for(PAUSE)?;

        self.narrate("The curtain falls: the other two are stopped as well.")?;
        for name in self.names() {
            self.candidate(name)?.terminate()?;
        }
        for name in self.names() {
            self.await_exit(name)?;
        }
        self.report()
    }

    fn report(&self) -> io::Result<bool> {
        let flaws = self.summary.flaws();
        self.narrate("The terms, by this process's clock:")?;
        let mut out = io::stdout().lock();
        write!(out, "\n{}\n", self.summary.table())?;
        if flaws.is_empty() {
            writeln!(
                out,
                "No two terms overlapped, and every fencing token rose."
            )?;
        }
        for flaw in &flaws {
            writeln!(out, "BROKEN PROMISE: {flaw}")?;
        }
        Ok(flaws.is_empty())
    }

    // ---- the candidates ----

    fn start(&mut self, name: &'static str) -> io::Result<()> {
        let mut settings = TIMES.to_vec();
        settings.extend([
            ("GIST_ID", self.gist_id.as_str()),
            ("GITHUB_API_URL", self.api_url.as_str()),
            ("GITHUB_API_TOKEN", "demonstration"),
        ]);
        let candidate = Candidate::start(name, &settings, self.sender.clone())?;
        self.candidates.push(candidate);
        Ok(())
    }

    fn names(&self) -> Vec<&'static str> {
        self.candidates.iter().map(|one| one.name).collect()
    }

    fn candidate(&mut self, name: &str) -> io::Result<&mut Candidate> {
        let mut candidates = self.candidates.iter_mut();
        candidates
            .find(|candidate| candidate.name == name)
            .ok_or_else(|| failed(format!("{name} does not run")))
    }

    /// Kills a candidate and returns its name. Its term counts until its process has ended.
    fn kill(&mut self, name: &str) -> io::Result<&'static str> {
        let candidate = self.candidate(name)?;
        let name = candidate.name;
        candidate.kill()?;
        let ended = self.now();
        self.handle_pending()?;
        self.summary.end(name, ended, "killed");
        self.observed.retain(|(observer, _)| *observer != name);
        self.candidates.retain(|candidate| candidate.name != name);
        Ok(name)
    }

    /// Returns the time since the demonstration began.
    fn now(&self) -> Duration {
        BootClock::now().since(self.began)
    }

    /// Returns the seconds from `then` until the last term began.
    fn last_start_since(&self, then: Duration) -> f64 {
        let start = self.summary.last_start().unwrap_or(then);
        start.saturating_sub(then).as_secs_f64()
    }

    // ---- waiting ----

    /// Waits until a candidate other than `former` leads, and returns its name.
    fn await_leader(&mut self, former: &str) -> io::Result<String> {
        self.wait("no candidate acquired the lease", |demo| {
            let leader = demo.summary.leader()?;
            (leader != former).then(|| leader.to_owned())
        })
    }

    /// Waits until all standbys have observed the leader.
    fn await_observed_by_all(&mut self, leader: &str) -> io::Result<()> {
        for name in self.names().into_iter().filter(|name| *name != leader) {
            self.await_observed(name, leader)?;
        }
        Ok(())
    }

    fn await_observed(&mut self, name: &'static str, leader: &str) -> io::Result<()> {
        let what = format!("{name} did not observe that {leader} leads");
        self.wait(&what, |demo| {
            let mut observed = demo.observed.iter();
            observed
                .any(|(observer, observed)| *observer == name && observed == leader)
                .then_some(())
        })
    }

    /// Waits until a stopped candidate has ended with success.
    fn await_exit(&mut self, name: &str) -> io::Result<()> {
        let deadline = BootClock::now() + TIMEOUT;
        loop {
            self.watch_for(Duration::from_millis(20))?;
            if let Some(status) = self.candidate(name)?.ended()? {
                self.handle_pending()?;
                self.candidates.retain(|candidate| candidate.name != name);
                return match status.success() {
                    true => Ok(()),
                    false => Err(failed(format!("{name} ended with {status}"))),
                };
            }
            if BootClock::now() > deadline {
                return Err(failed(format!("{name} does not stop")));
            }
        }
    }

    /// Handles events for this time.
    fn watch_for(&mut self, time: Duration) -> io::Result<()> {
        let end = BootClock::now() + time;
        self.watch_until(end, |_| None::<()>).map(drop)
    }

    /// Handles events until `done` has a result, and returns that.
    fn wait<T>(&mut self, what: &str, done: impl Fn(&Demo) -> Option<T>) -> io::Result<T> {
        let result = self.watch_until(BootClock::now() + TIMEOUT, done)?;
        result.ok_or_else(|| failed(format!("{what} within {}s", TIMEOUT.as_secs())))
    }

    fn watch_until<T>(
        &mut self,
        end: Instant,
        done: impl Fn(&Demo) -> Option<T>,
    ) -> io::Result<Option<T>> {
        loop {
            if let Some(result) = done(self) {
                return Ok(Some(result));
            }
            let left = end.since(BootClock::now());
            let Ok(event) = self.events.recv_timeout(left) else {
                return Ok(None);
            };
            self.handle(event)?;
        }
    }

    fn handle_pending(&mut self) -> io::Result<()> {
        while let Ok(event) = self.events.try_recv() {
            self.handle(event)?;
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> io::Result<()> {
        let line = match event {
            Event::Interrupted => return Err(failed("interrupted; the candidates are stopped")),
            Event::Line(line) => line,
        };
        let at = line.at.since(self.began);
        self.show(at, &line)?;
        let Line {
            candidate: name,
            log,
            ..
        } = line;
        match (log.event.as_str(), log.fencing_token) {
            ("started_leading", Some(fencing_token)) => {
                self.summary.begin(name, fencing_token, at);
            }
            ("workload_stopped", _) => self.summary.end(name, at, self.end_of_term(name)),
            ("new_leader", _) => {
                self.observed.retain(|(observer, _)| *observer != name);
                self.observed.push((name, log.leader));
            }
            _ => {}
        }
        Ok(())
    }

    fn end_of_term(&self, name: &str) -> &'static str {
        let mut stopped = self.candidates.iter().filter(|one| one.stopped);
        match stopped.any(|one| one.name == name) {
            true => "released",
            false => "lost the lease",
        }
    }

    // ---- the terminal ----

    fn show(&self, at: Duration, line: &Line) -> io::Result<()> {
        let name = line.candidate;
        let colour = CANDIDATES.iter().find(|(known, _)| *known == name);
        let (on, off) = match colour {
            Some((_, colour)) if self.coloured => (format!("\x1b[{colour}m"), "\x1b[0m"),
            _ => (String::new(), ""),
        };
        writeln!(
            io::stdout(),
            "{:>6.2}s  {on}{name:<9}{off} | {}",
            at.as_secs_f64(),
            line.text()
        )
    }

    fn narrate(&self, text: &str) -> io::Result<()> {
        let (on, off) = match self.coloured {
            true => ("\x1b[1m", "\x1b[0m"),
            false => ("", ""),
        };
        let at = self.now().as_secs_f64();
        writeln!(io::stdout(), "{at:>6.2}s  {on}-- {text}{off}")
    }
}
