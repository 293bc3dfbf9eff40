//! `elector demo`: three candidates, one gist, and what happens when the leader goes.
//!
//! The gist service runs in this process, each candidate in one of its own, as users run it. What is
//! shown is what they say. At the end stand the terms, and an exit code that tells whether they were
//! as promised.

mod cast;
mod terms;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use self::cast::{Candidate, Line, Said};
use self::terms::Terms;
use super::command::{Arguments, Command, CommandError, CommandResult, Operands};
use crate::election::time::Instant;
use crate::emulator::{GistService, Options};
use crate::system::clock::BootClock;

/// Who stands for election, and the colour (ANSI) of what they say.
const CAST: [(&str, &str); 3] = [("napoleon", "34"), ("cleopatra", "33"), ("stalin", "31")];

/// A fifth of the default times, so that the demonstration takes about half a minute; the relations
/// are the same.
const TIMES: [(&str, &str); 7] = [
    ("LEASE_DURATION", "6s"),
    ("RENEW_DEADLINE", "3200ms"),
    ("RETRY_PERIOD", "1600ms"),
    ("POLL_PERIOD", "400ms"),
    ("CONFIRM_DELAY", "400ms"),
    ("TERMINATION_GRACE", "1s"),
    ("STOP_TIMEOUT", "5s"),
];

/// What a takeover must not take longer than, on a machine however busy: several leases.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long each scene is left as it is, so that it can be read.
const PAUSE: Duration = Duration::from_secs(5);

/// What happens during a demonstration.
enum Event {
    /// A candidate wrote a line.
    Said(Line),
    /// A person pressed Ctrl-C.
    Interrupted,
}

/// Why it did not come to its end.
enum Trouble {
    /// The system, or the terminal, does not play along.
    System(io::Error),
    /// What should have come did not.
    Missing(String),
    /// A person pressed Ctrl-C.
    Interrupted,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::System(error)
    }
}

/// The command.
pub const COMMAND: Command = Command {
    name: "demo",
    summary: "three candidates on an embedded gist service, without an account",
    details: "\
Shows an election on this machine: three candidates and a gist service in memory. It
needs no account and no cluster.",
    options: &[],
    operands: Operands::None,
    notes: "Exit codes: 0 every promise was kept, 1 failed, 2 wrong usage.",
    run,
};

fn run(_: &Arguments) -> CommandResult {
    let (events, stage_door) = channel();
    let interrupt = events.clone();
    ctrlc::set_handler(move || drop(interrupt.send(Event::Interrupted)))
        .map_err(|error| CommandError::failed(format!("Ctrl-C cannot be caught: {error}")))?;
    match Stage::open(events, stage_door).and_then(Stage::play) {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        // The reader has read enough.
        Err(Trouble::System(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::FAILURE)
        }
        Err(Trouble::System(error)) => Err(CommandError::failed(format!(
            "the demonstration cannot go on: {error}"
        ))),
        Err(Trouble::Missing(what)) => Err(CommandError::failed(what)),
        Err(Trouble::Interrupted) => Err(CommandError::failed(
            "interrupted; the candidates are stopped",
        )),
    }
}

/// Everything that a demonstration needs.
struct Stage {
    _service: GistService,
    api_url: String,
    gist_id: String,
    began: Instant,
    coloured: bool,
    events: Sender<Event>,
    stage_door: Receiver<Event>,
    candidates: Vec<Candidate>,
    terms: Terms,
    /// Whom each candidate hailed last.
    hailed: Vec<(&'static str, String)>,
}

impl Stage {
    fn open(events: Sender<Event>, stage_door: Receiver<Event>) -> Result<Stage, Trouble> {
        let service = GistService::start(Options::default()).map_err(io::Error::other)?;
        let gist_id = service
            .create_gist(&[("leader.json", "{}")])
            .map_err(io::Error::other)?;
        Ok(Stage {
            api_url: service.url(),
            _service: service,
            gist_id,
            began: BootClock::now(),
            coloured: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            events,
            stage_door,
            candidates: Vec::new(),
            terms: Terms::default(),
            hailed: Vec::new(),
        })
    }

    /// The whole play. Says whether everything was as promised.
    fn play(mut self) -> Result<bool, Trouble> {
        self.say("Three candidates share nothing but a gist.")?;
        self.say("A lease lasts 6s here. By default it is 30s, and all takes 5 times as long.")?;
        for (name, _) in CAST {
            self.enter(name)?;
        }
        let first = self.await_leader("")?;
        self.await_hail(&first)?;
        self.pause()?;

        // On a machine too busy to renew in time another may lead by now.
        let first = self.await_leader("")?;
        self.say(&format!(
            "{first} is killed (SIGKILL). Its lease has to run out."
        ))?;
        let killed_at = self.kill(&first)?;
        let second = self.await_leader(&first)?;
        let took = self.since(killed_at);
        self.say(&format!("{second} took over {took:.1}s after the kill."))?;
        self.await_hail(&second)?;
        self.pause()?;

        self.say(&format!(
            "{first} comes back, as one candidate among others."
        ))?;
        let first = self.enter_again(&first)?;
        self.await_hail_by(first, &second)?;
        self.pause()?;

        let second = self.await_leader("")?;
        self.say(&format!(
            "{second} is asked to leave (SIGTERM). It gives the lease back."
        ))?;
        let left_at = BootClock::now().since(self.began);
        self.candidate(&second)?.terminate()?;
        let third = self.await_leader(&second)?;
        let took = self.since(left_at);
        self.say(&format!(
            "{third} leads {took:.1}s after {second} was asked to leave."
        ))?;
        self.await_exit(&second)?;
        self.await_hail(&third)?;
        self.pause()?;

        self.say("The curtain falls: the others are asked to leave as well.")?;
        let rest: Vec<&'static str> = self.candidates.iter().map(|one| one.name).collect();
        for name in &rest {
            self.candidate(name)?.terminate()?;
        }
        for name in &rest {
            self.await_exit(name)?;
        }
        self.judge()
    }

    fn judge(&self) -> Result<bool, Trouble> {
        let flaws = self.terms.flaws();
        self.say("The terms, as seen from here:")?;
        let mut out = io::stdout().lock();
        write!(out, "\n{}\n", self.terms.table())?;
        if flaws.is_empty() {
            writeln!(
                out,
                "No two terms overlapped, every token rose, every takeover came."
            )?;
        }
        for flaw in &flaws {
            writeln!(out, "NOT AS PROMISED: {flaw}")?;
        }
        Ok(flaws.is_empty())
    }

    // ---- the candidates ----

    fn enter(&mut self, name: &'static str) -> Result<(), Trouble> {
        let mut settings = TIMES.to_vec();
        settings.extend([
            ("GIST_ID", self.gist_id.as_str()),
            ("GITHUB_API_URL", self.api_url.as_str()),
            ("GITHUB_API_TOKEN", "demonstration"),
        ]);
        let candidate = Candidate::start(name, &settings, self.events.clone())?;
        self.candidates.push(candidate);
        Ok(())
    }

    fn enter_again(&mut self, name: &str) -> Result<&'static str, Trouble> {
        let (name, _) = CAST
            .into_iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| Trouble::Missing(format!("{name} is not of the cast")))?;
        self.enter(name)?;
        Ok(name)
    }

    fn candidate(&mut self, name: &str) -> Result<&mut Candidate, Trouble> {
        let mut candidates = self.candidates.iter_mut();
        candidates
            .find(|candidate| candidate.name == name)
            .ok_or_else(|| Trouble::Missing(format!("{name} is not on the stage")))
    }

    /// Kills a candidate; returns when that was begun. Its term counts until it was gone.
    fn kill(&mut self, name: &str) -> Result<Duration, Trouble> {
        let began = BootClock::now().since(self.began);
        self.candidate(name)?.kill()?;
        let gone = BootClock::now().since(self.began);
        self.take_what_was_said()?;
        self.terms.end(name, gone, "killed");
        self.hailed.retain(|(who, _)| *who != name);
        self.candidates.retain(|candidate| candidate.name != name);
        Ok(began)
    }

    /// How long ago, in seconds, that was.
    fn since(&self, then: Duration) -> f64 {
        let last = self.terms.last().map_or(then, |term| term.from);
        last.saturating_sub(then).as_secs_f64()
    }

    // ---- waiting for what comes ----

    /// Waits until somebody leads who is not `former`; returns who.
    fn await_leader(&mut self, former: &str) -> Result<String, Trouble> {
        self.wait("nobody took the lead", |stage| {
            stage.terms.leader().is_some_and(|leader| leader != former)
        })?;
        let leader = self.terms.leader().map(str::to_owned);
        leader.ok_or_else(|| Trouble::Missing("nobody took the lead".into()))
    }

    /// Waits until everybody else has hailed the leader.
    fn await_hail(&mut self, leader: &str) -> Result<(), Trouble> {
        let others: Vec<&'static str> = self.candidates.iter().map(|one| one.name).collect();
        for name in others.into_iter().filter(|name| *name != leader) {
            self.await_hail_by(name, leader)?;
        }
        Ok(())
    }

    fn await_hail_by(&mut self, name: &'static str, leader: &str) -> Result<(), Trouble> {
        let what = format!("{name} did not see that {leader} leads");
        self.wait(&what, |stage| {
            stage
                .hailed
                .iter()
                .any(|(who, hailed)| *who == name && hailed == leader)
        })
    }

    /// Waits until a candidate that was asked to leave has left, politely.
    fn await_exit(&mut self, name: &str) -> Result<(), Trouble> {
        let deadline = BootClock::now() + PATIENCE;
        loop {
            self.watch_for(Duration::from_millis(20))?;
            if let Some(status) = self.candidate(name)?.ended()? {
                self.take_what_was_said()?;
                self.candidates.retain(|candidate| candidate.name != name);
                if status.success() {
                    return Ok(());
                }
                return Err(Trouble::Missing(format!("{name} left with {status}")));
            }
            if BootClock::now() > deadline {
                return Err(Trouble::Missing(format!("{name} does not leave")));
            }
        }
    }

    fn pause(&mut self) -> Result<(), Trouble> {
        self.watch_for(PAUSE)
    }

    fn watch_for(&mut self, time: Duration) -> Result<(), Trouble> {
        let end = BootClock::now() + time;
        self.watch_until(end, |_| false).map(drop)
    }

    fn wait(&mut self, what: &str, done: impl Fn(&Stage) -> bool) -> Result<(), Trouble> {
        let deadline = BootClock::now() + PATIENCE;
        if self.watch_until(deadline, done)? {
            return Ok(());
        }
        let patience = PATIENCE.as_secs();
        Err(Trouble::Missing(format!("{what} within {patience}s")))
    }

    /// Shows what is said until `done`, which is answered with true, or `end`.
    fn watch_until(
        &mut self,
        end: Instant,
        done: impl Fn(&Stage) -> bool,
    ) -> Result<bool, Trouble> {
        while !done(self) {
            let left = end.since(BootClock::now());
            let Ok(event) = self.stage_door.recv_timeout(left) else {
                return Ok(false);
            };
            self.handle(event)?;
        }
        Ok(true)
    }

    fn take_what_was_said(&mut self) -> Result<(), Trouble> {
        while let Ok(event) = self.stage_door.try_recv() {
            self.handle(event)?;
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<(), Trouble> {
        let line = match event {
            Event::Interrupted => return Err(Trouble::Interrupted),
            Event::Said(line) => line,
        };
        let at = line.at.since(self.began);
        self.show(at, line.who, &line.text)?;
        match line.said {
            Said::Leads(token) => self.terms.begin(line.who, token, at),
            Said::SteppedDown => self.terms.end(line.who, at, self.why_it_ended(line.who)),
            Said::Hails(leader) => {
                self.hailed.retain(|(who, _)| *who != line.who);
                self.hailed.push((line.who, leader));
            }
            Said::Else => {}
        }
        Ok(())
    }

    fn why_it_ended(&self, name: &str) -> &'static str {
        let mut asked = self.candidates.iter().filter(|one| one.asked_to_leave);
        if asked.any(|one| one.name == name) {
            "left politely"
        } else {
            "lost the lease"
        }
    }

    // ---- the terminal ----

    fn show(&self, at: Duration, who: &str, text: &str) -> io::Result<()> {
        let colour = CAST.iter().find(|(name, _)| *name == who);
        let (on, off) = match colour {
            Some((_, colour)) if self.coloured => (format!("\x1b[{colour}m"), "\x1b[0m"),
            _ => (String::new(), ""),
        };
        writeln!(
            io::stdout(),
            "{:>6.2}s  {on}{who:<9}{off} | {text}",
            at.as_secs_f64()
        )
    }

    fn say(&self, text: &str) -> io::Result<()> {
        let at = BootClock::now().since(self.began);
        let (on, off) = if self.coloured {
            ("\x1b[1m", "\x1b[0m")
        } else {
            ("", "")
        };
        writeln!(
            io::stdout(),
            "{:>6.2}s  {on}-- {text}{off}",
            at.as_secs_f64()
        )
    }
}
