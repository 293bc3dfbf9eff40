//! `guard-workload`: the workload's parent, a small process of its own.
//!
//! This file owns the loop around the [`Watch`], which decides: what the guard waits for, and how it
//! does what is asked. It has one thread and waits for nothing else, above all not for whoever reads
//! what it writes.
//!
//! ```text
//!   control pipe ──┐                 ┌──► start CMD, signals, TERM, KILL
//!   signalfd ──────┼──► Watch ───────┤
//!   timerfd ───────┘                 └──► report pipe
//! ```
//!
//! All signals are blocked: those that end a program are for the elector, which passes on what is
//! meant for the workload. Only SIGKILL and SIGSTOP reach a guard; what the first leaves falls to the
//! elector, and a guard that was stopped is killed by it in time.

mod output;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, close};

use self::output::{Reports, say};
use super::message::{LONGEST_LINE, Lines, ToGuard};
use super::process::descendants::{self, kill_all_below};
use super::process::reaping::{Left, reap_all};
use super::process::{self, EXEC_COMMAND, GUARD_COMMAND, SELF};
use super::watch::{Watch, WatchAction};
use crate::system::clock::BootClock;
use crate::system::timer::Timer;

/// What `ps -e` and `top` show; at most 15 bytes.
const NAME: &std::ffi::CStr = c"elector-guard";

/// CMD could not be started, as a shell says it.
const NOT_STARTED: i32 = 126;

/// The exit code for wrong usage.
const USAGE: u8 = 2;

/// How much is read in one go before the time is looked at again, of signals and of what the elector
/// says, which never says so much.
const MOST_READS: usize = 16;

/// How long a guard that cannot go on tries to leave nothing behind. The elector takes care of the
/// rest.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// Guards a workload; `args` is what follows the subcommand's name:
/// `CONTROL_FD REPORT_FD GRACE_NANOS -- CMD ARG...`.
pub fn run(args: &[OsString]) -> ExitCode {
    let Some(orders) = Orders::parse(args) else {
        return misused(GUARD_COMMAND);
    };
    let mut guard = match Guard::new(&orders) {
        Ok(guard) => guard,
        Err(error) => {
            say(&format!(
                "the guard of a workload cannot be set up: {error}"
            ));
            return ExitCode::FAILURE;
        }
    };
    let Err(error) = guard.run() else {
        return ExitCode::SUCCESS;
    };
    say(&format!(
        "the guard of the workload cannot go on: {error}; the workload is killed"
    ));
    let _ = kill_all_below(BootClock::now() + LAST_PATIENCE, |_| ());
    ExitCode::FAILURE
}

/// For whoever tries a command that is the program's own business.
pub(super) fn misused(command: &str) -> ExitCode {
    let _ = writeln!(
        io::stderr(),
        "elector: `{command}` is what elector starts for itself: use `elector run -- CMD`"
    );
    ExitCode::from(USAGE)
}

/// What the guard was started with.
struct Orders<'a> {
    control: i32,
    report: i32,
    grace: Duration,
    command: &'a [OsString],
}

impl<'a> Orders<'a> {
    fn parse(args: &'a [OsString]) -> Option<Self> {
        let [control, report, grace, dashes, command @ ..] = args else {
            return None;
        };
        let grace = Duration::from_nanos(grace.to_str()?.parse().ok()?);
        let descriptor = |text: &OsString| text.to_str()?.parse().ok().filter(|&number| number > 2);
        (dashes == "--" && !command.is_empty()).then_some(Orders {
            control: descriptor(control)?,
            report: descriptor(report)?,
            grace,
            command,
        })
    }
}

/// CMD, as far as it has been started.
#[derive(Clone, Copy)]
struct Child {
    /// Its process, and its process group.
    pid: Pid,
    /// Its number is free for others; its group may live on.
    reaped: bool,
}

struct Guard<'a> {
    command: &'a [OsString],
    watch: Watch,
    child: Option<Child>,
    /// KILL has been sent.
    killing: bool,
    /// Not everything has been reached by the last one: something forks meanwhile.
    escaping: bool,
    /// None once it has ended, or spoken nonsense.
    control: Option<File>,
    lines: Lines,
    reports: Reports,
    signals: SignalFd,
    timer: Timer,
}

impl<'a> Guard<'a> {
    fn new(orders: &Orders<'a>) -> io::Result<Self> {
        // First of all: nothing may end this process from here on.
        let all = SigSet::all();
        all.thread_block()?;
        // Where SIGCHLD is ignored, as a parent may have left it, ends cannot be seen. What a handler
        // is there for is not ignored; it never runs, and no program that is started inherits it.
        let unused = Arc::default();
        signal_hook::flag::register(Signal::SIGCHLD as i32, unused)?;
        let signals = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        process::become_subreaper()?;
        prctl::set_name(NAME)?;
        let control = take_over(orders.control, OFlag::O_RDONLY)?;
        let report = take_over(orders.report, OFlag::O_WRONLY)?;
        Ok(Guard {
            command: orders.command,
            watch: Watch::new(orders.grace),
            child: None,
            killing: false,
            escaping: false,
            control: Some(control),
            lines: Lines::new(),
            reports: Reports::to(report),
            signals,
            timer: Timer::new()?,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            let more = self.reap()?;
            self.listen()?;
            self.watch.handle_timeout(BootClock::now());
            if self.act() {
                return Ok(());
            }
            self.reports.flush();
            if more {
                continue;
            }
            if self.escaping {
                self.kill();
            } else {
                self.wait()?;
            }
        }
    }

    /// Reaps what has ended; says whether there may be more.
    fn reap(&mut self) -> io::Result<bool> {
        // SIGCHLD only wakes: the ends themselves are seen below. All others are dropped.
        for _ in 0..MOST_READS {
            if self.signals.read_signal()?.is_none() {
                break;
            }
        }
        let reaped = reap_all()?;
        // Who ends may have forked just before.
        self.escaping |= self.killing && !reaped.ended.is_empty();
        let now = BootClock::now();
        if let Some(child) = &mut self.child
            && !child.reaped
            && let Some(ended) = reaped
                .ended
                .iter()
                .find(|ended| ended.pid == child.pid.as_raw())
        {
            child.reaped = true;
            self.watch.handle_exited(now, ended.code);
        }
        if reaped.left == Left::Nothing {
            self.watch.handle_nothing_left(now);
        }
        Ok(reaped.left == Left::More)
    }

    /// Hears what the elector says.
    fn listen(&mut self) -> io::Result<()> {
        let mut bytes = [0; LONGEST_LINE];
        for _ in 0..MOST_READS {
            let Some(control) = &mut self.control else {
                break;
            };
            let read = match control.read(&mut bytes) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if read == 0 {
                self.disconnect("the elector is gone");
                return Ok(());
            }
            self.lines.push(&bytes[..read]);
            while let Some(line) = self.lines.next_line() {
                match line.and_then(|line| ToGuard::parse(&line)) {
                    Ok(message) => self.watch.handle_message(BootClock::now(), message),
                    Err(error) => {
                        self.disconnect(&error.to_string());
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn disconnect(&mut self, why: &str) {
        self.control = None;
        self.watch.handle_disconnected(BootClock::now());
        if self.child.is_some() {
            say(&format!("{why}: the workload is stopped"));
        }
    }

    /// Does what is asked for; says whether that was all.
    fn act(&mut self) -> bool {
        while let Some(action) = self.watch.poll_action() {
            match action {
                WatchAction::Start => self.start(),
                WatchAction::SignalGroup(number) => {
                    if let Ok(signal) = Signal::try_from(number) {
                        signal_group(self.child, signal);
                    }
                }
                WatchAction::ContinueGroup => signal_group(self.child, Signal::SIGCONT),
                WatchAction::TermAll => self.term(),
                WatchAction::KillAll => self.kill(),
                WatchAction::Report(report) => self.reports.add(report),
                WatchAction::Finish => {
                    self.reports.flush();
                    return true;
                }
            }
        }
        false
    }

    fn start(&mut self) {
        let until = self.watch.until();
        let started = Command::new(SELF)
            .arg(EXEC_COMMAND)
            .arg(std::process::id().to_string())
            .arg(until.since_boot().as_nanos().to_string())
            .arg("--")
            .args(self.command)
            .process_group(0)
            .spawn();
        match started {
            Ok(child) => {
                let pid = Pid::from_raw(child.id().cast_signed());
                self.child = Some(Child { pid, reaped: false });
                self.watch.handle_started(pid.as_raw());
            }
            Err(error) => {
                say(&format!("the workload cannot be started: {error}"));
                let now = BootClock::now();
                self.watch.handle_exited(now, NOT_STARTED);
                self.watch.handle_nothing_left(now);
            }
        }
    }

    fn kill(&mut self) {
        self.killing = true;
        let whole = self.child.filter(|child| !child.reaped);
        let all = descendants::kill_below(|| signal_group(whole, Signal::SIGKILL));
        // What cannot be seen in this moment is looked for again, until nothing is left.
        self.escaping = !all.unwrap_or(true);
    }

    fn term(&self) {
        let whole = self.child.filter(|child| !child.reaped);
        let group = whole.map(|child| child.pid.as_raw());
        // What cannot be seen in this moment, KILL will find.
        let _ = descendants::term_below(group, |signal| signal_group(whole, signal));
    }

    /// Waits until there is something to do.
    fn wait(&mut self) -> io::Result<()> {
        self.timer.set(self.watch.poll_timeout())?;
        let control = self
            .control
            .as_ref()
            .map(|pipe| (pipe.as_fd(), PollFlags::POLLIN));
        let reports = self
            .reports
            .waiting()
            .map(|pipe| (pipe, PollFlags::POLLOUT));
        let events = [
            Some((self.signals.as_fd(), PollFlags::POLLIN)),
            // It is set anew before the next wait, which ends its being readable.
            Some((self.timer.as_fd(), PollFlags::POLLIN)),
            control,
            reports,
        ];
        let mut fds: Vec<PollFd> = events
            .into_iter()
            .flatten()
            .map(|(fd, event)| PollFd::new(fd, event))
            .collect();
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Takes a pipe that was inherited under this number, so that CMD does not inherit it. A number alone
/// is nobody's property, hence the way through its path.
fn take_over(number: i32, access: OFlag) -> io::Result<File> {
    let path = format!("/proc/self/fd/{number}");
    let flags = access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let pipe = open(path.as_str(), flags, Mode::empty())?;
    close(number)?;
    Ok(File::from(pipe))
}

/// Sends a signal to CMD's process group.
fn signal_group(child: Option<Child>, signal: Signal) {
    let Some(child) = child else {
        return;
    };
    if child.reaped {
        // Its number may be somebody else's: by those who are in the group.
        descendants::signal_group_below(child.pid.as_raw(), signal);
    } else if killpg(child.pid, signal) == Err(Errno::ESRCH) {
        // CMD has left its own group.
        let _ = kill(child.pid, signal);
    }
}
