//! `guard-workload`: the parent of the wrapped program, in a small separate process.
//!
//! This file owns the loop around [`GuardState`], which decides: the loop waits for events and performs the
//! actions. It has one thread and never waits for a reader of its output.
//!
//! ```text
//!   control pipe ──┐                      ┌──► start the program, signals, TERM, KILL
//!   signalfd ──────┼──► GuardState ───────┤
//!   timerfd ───────┘                      └──► report pipe
//! ```
//!
//! The guard blocks all signals. Those that end a program are for the elector, which passes on the ones
//! for the program. Only SIGKILL and SIGSTOP affect a guard. The elector kills what a killed guard leaves,
//! and kills a stopped guard in time.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, close, getppid};

use super::guard_state::{GuardAction, GuardState};
use super::message::{FromGuard, LONGEST_LINE, LineBuffer, ToGuard};
use super::process::descendants::{
    descendants, kill_descendants, kill_pass, terminate_descendants,
};
use super::process::procfs::Process;
use super::process::reaping::{
    ChildState, Remaining, keep_exit_codes, reap_exited, suspension_change,
};
use super::process::{
    EXEC_COMMAND, GUARD_COMMAND, GUARD_NAME, SELF, become_subreaper, refuse_manual_use,
};
use super::state_file::note_stopped;
use super::suspension::Suspension;
use crate::system::clock::BootClock;
use crate::system::timer::Timer;

/// Exit code of a program that could not be started, as in shells.
const NOT_STARTED: i32 = 126;

/// Most processes left behind that are reported, so that the pipe has room for all reports.
const MOST_LISTED: usize = 10;

/// Signals and pipe reads handled before the deadline is checked again.
const MOST_READS: usize = 16;

/// Time in which a guard that fails tries to kill the workload. Afterwards the elector does that.
const LAST_KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Guards a workload. `args` are the arguments after the subcommand:
/// `CONTROL_FD REPORT_FD STATE_FD GRACE_NANOS -- CMD ARG...`.
pub fn run(args: &[OsString]) -> ExitCode {
    let Some(options) = Options::parse(args) else {
        return refuse_manual_use(GUARD_COMMAND);
    };
    let mut guard = match Guard::new(&options) {
        Ok(guard) => guard,
        Err(error) => {
            print_error(&format!("guard: cannot be set up: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let Err(error) = guard.run() else {
        return ExitCode::SUCCESS;
    };
    print_error(&format!("guard: failed, killing the workload: {error}"));
    let _ = kill_descendants(BootClock::now() + LAST_KILL_TIMEOUT, |_| ());
    ExitCode::FAILURE
}

/// Arguments of a guard.
struct Options<'a> {
    control: i32,
    report: i32,
    /// State file, whose lock this process shares; 0 for none.
    state: i32,
    grace: Duration,
    command: &'a [OsString],
}

impl<'a> Options<'a> {
    fn parse(args: &'a [OsString]) -> Option<Self> {
        let [control, report, state, grace, dashes, command @ ..] = args else {
            return None;
        };
        let grace = Duration::from_nanos(grace.to_str()?.parse().ok()?);
        let descriptor = |text: &OsString| text.to_str()?.parse().ok().filter(|&number| number > 2);
        (dashes == "--" && !command.is_empty()).then_some(Options {
            control: descriptor(control)?,
            report: descriptor(report)?,
            state: state.to_str()?.parse().ok()?,
            grace,
            command,
        })
    }
}

/// The wrapped program, once it was started.
#[derive(Clone, Copy)]
struct Program {
    /// Process id, also of the process group.
    pid: Pid,
    /// Whether it was reaped, so that the kernel may reuse its process id. Its group may still have members.
    reaped: bool,
}

struct Guard<'a> {
    command: &'a [OsString],
    /// Parent of this process at its start.
    elector: Pid,
    /// Descriptor of the state file. It is not reopened, because only this one shares the lock; 0 for none.
    state_file: i32,
    state: GuardState,
    program: Option<Program>,
    suspension: Suspension,
    /// KILL has been sent.
    killing: bool,
    /// The last KILL did not reach all processes, because some fork continuously.
    escaping: bool,
    /// `None` once the elector has ended or sent an invalid message.
    control: Option<File>,
    lines: LineBuffer,
    report: File,
    signals: SignalFd,
    timer: Timer,
}

impl<'a> Guard<'a> {
    fn new(options: &Options<'a>) -> io::Result<Self> {
        // First of all, because from here on no signal may end this process.
        let all = SigSet::all();
        all.thread_block()?;
        keep_exit_codes()?;
        let signals = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        become_subreaper()?;
        prctl::set_name(GUARD_NAME)?;
        let control = take_inherited(options.control, OFlag::O_RDONLY)?;
        let report = take_inherited(options.report, OFlag::O_WRONLY)?;
        Ok(Guard {
            command: options.command,
            elector: getppid(),
            state_file: options.state,
            state: GuardState::new(options.grace),
            program: None,
            suspension: Suspension::default(),
            killing: false,
            escaping: false,
            control: Some(control),
            lines: LineBuffer::default(),
            report,
            signals,
            timer: Timer::new()?,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            let more = self.reap()?;
            self.read_messages()?;
            self.check_suspension();
            self.state.handle_timeout(BootClock::now());
            if self.act() {
                self.note_stopped();
                return Ok(());
            }
            if more {
                continue;
            }
            if self.escaping {
                self.kill_all();
            } else {
                self.wait()?;
            }
        }
    }

    /// Reaps exited processes. Returns whether there may be more.
    fn reap(&mut self) -> io::Result<bool> {
        // SIGCHLD only wakes this process, and the other signals are ignored.
        for _ in 0..MOST_READS {
            if self.signals.read_signal()?.is_none() {
                break;
            }
        }
        let reaped = reap_exited()?;
        // A process that exited may have forked just before.
        self.escaping |= self.killing && !reaped.exited.is_empty();
        let now = BootClock::now();
        if let Some(program) = &mut self.program
            && !program.reaped
            && let Some(exited) = reaped
                .exited
                .iter()
                .find(|exited| exited.pid == program.pid.as_raw())
        {
            program.reaped = true;
            self.state.handle_exited(now, exited.code);
        }
        if reaped.remaining == Remaining::None {
            self.state.handle_workload_stopped();
        }
        Ok(reaped.remaining == Remaining::MaybeExited)
    }

    /// Reports that the program was suspended or continues.
    fn check_suspension(&mut self) {
        let now = BootClock::now();
        let Some(program) = self.unreaped() else {
            self.suspension = Suspension::None;
            return;
        };
        let continued = match suspension_change(program) {
            Some(ChildState::Suspended(signal)) => {
                self.suspension.handle_suspended(now, signal);
                None
            }
            Some(ChildState::Continued) => self.suspension.handle_continued(),
            None => None,
        };
        let report = continued.or_else(|| self.suspension.handle_timeout(now));
        if let Some(report) = report {
            self.report(report);
        }
    }

    /// Reads and handles the elector's messages.
    fn read_messages(&mut self) -> io::Result<()> {
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
                self.disconnect("the elector has ended");
                return Ok(());
            }
            self.lines.push(&bytes[..read]);
            while let Some(line) = self.lines.next_line() {
                match line.and_then(|line| ToGuard::parse(&line)) {
                    Ok(message) => self.state.handle_message(BootClock::now(), message),
                    Err(error) => {
                        self.disconnect(&error.to_string());
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes for the elector's next process that nothing is left, if the elector is dead.
    fn note_stopped(&self) {
        if self.state_file == 0 || getppid() == self.elector {
            return;
        }
        if let Err(error) = note_stopped(self.state_file) {
            print_error(&format!(
                "guard: STATE_DIR: cannot note the end of the workload: {error}"
            ));
        }
    }

    fn disconnect(&mut self, reason: &str) {
        self.control = None;
        self.state.handle_disconnected(BootClock::now());
        if self.program.is_some() {
            print_error(&format!("guard: stopping the workload: {reason}"));
        }
    }

    /// Performs the state's actions. Returns whether the guard must exit.
    fn act(&mut self) -> bool {
        while let Some(action) = self.state.poll_action() {
            match action {
                GuardAction::Start => self.start(),
                GuardAction::SignalProgram(number) => {
                    if let Ok(signal) = Signal::try_from(number) {
                        self.signal_program(signal);
                    }
                }
                GuardAction::ContinueGroup => signal_group(self.unreaped(), Signal::SIGCONT),
                GuardAction::TerminateAll => self.terminate_all(),
                GuardAction::TerminateOthers => self.terminate_others(),
                GuardAction::KillAll => self.kill_all(),
                GuardAction::Report(report) => {
                    self.report(report);
                    if let FromGuard::Exited(_) = report {
                        self.report_left_behind();
                    }
                }
                GuardAction::Exit => return true,
            }
        }
        false
    }

    /// Sends a signal to the program alone; those of job control go to its group, as from a terminal.
    fn signal_program(&self, signal: Signal) {
        let program = self.unreaped();
        match signal {
            Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU | Signal::SIGCONT => {
                signal_group(program, signal);
            }
            _ => {
                if let Some(program) = program {
                    let _ = kill(program, signal);
                }
            }
        }
    }

    /// Reports what runs although the program has exited.
    fn report_left_behind(&mut self) {
        // If `/proc` cannot be read now, nothing is known of them.
        let mut left = descendants().unwrap_or_default();
        left.retain(|process| !process.is_zombie);
        let count = u32::try_from(left.len()).unwrap_or(u32::MAX);
        for process in left.iter().take(MOST_LISTED) {
            let (pid, name) = (process.pid, process.name);
            self.report(FromGuard::LeftBehind { pid, name, count });
        }
    }

    /// Sends a report. The pipe never blocks. It has room for thousands of reports, so that one is lost only
    /// if the elector is suspended for very long, or has ended.
    fn report(&mut self, report: FromGuard) {
        let _ = self.report.write_all(report.to_line().as_bytes());
    }

    fn start(&mut self) {
        let valid_until = self.state.valid_until();
        let started = Command::new(SELF)
            .arg(EXEC_COMMAND)
            .arg(std::process::id().to_string())
            .arg(self.state_file.to_string())
            .arg(valid_until.since_boot().as_nanos().to_string())
            .arg("--")
            .args(self.command)
            .process_group(0)
            .spawn();
        match started {
            Ok(child) => {
                let pid = Pid::from_raw(child.id().cast_signed());
                self.program = Some(Program { pid, reaped: false });
                self.state.handle_started(pid.as_raw());
            }
            Err(error) => {
                print_error(&format!("wrapped program: cannot be started: {error}"));
                self.state.handle_exited(BootClock::now(), NOT_STARTED);
                self.state.handle_workload_stopped();
            }
        }
    }

    /// Returns the process and process group of the program, while the kernel cannot reuse the id.
    fn unreaped(&self) -> Option<Pid> {
        let program = self.program.filter(|program| !program.reaped);
        program.map(|program| program.pid)
    }

    fn kill_all(&mut self) {
        self.killing = true;
        let program = self.unreaped();
        let all = kill_pass(|| signal_group(program, Signal::SIGKILL));
        // If `/proc` cannot be read now, the state machine repeats the KILL later.
        self.escaping = !all.unwrap_or(true);
    }

    fn terminate_all(&self) {
        let program = self.unreaped();
        let in_group = |process: &Process| program.is_some_and(|it| it.as_raw() == process.group);
        // If `/proc` cannot be read now, KILL ends the remaining processes later.
        let _ = terminate_descendants(in_group, |signal| signal_group(program, signal));
    }

    fn terminate_others(&self) {
        let program = self.unreaped();
        let is_program = |process: &Process| program.is_some_and(|it| it.as_raw() == process.pid);
        let _ = terminate_descendants(is_program, |_| ());
    }

    /// Waits until there is something to do.
    fn wait(&mut self) -> io::Result<()> {
        let timeouts = [self.state.poll_timeout(), self.suspension.poll_timeout()];
        self.timer.set(timeouts.into_iter().flatten().min())?;
        let control = self
            .control
            .as_ref()
            .map(|pipe| (pipe.as_fd(), PollFlags::POLLIN));
        let events = [
            Some((self.signals.as_fd(), PollFlags::POLLIN)),
            // A fired timer stays readable until it is set again before the next wait.
            Some((self.timer.as_fd(), PollFlags::POLLIN)),
            control,
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

/// Takes ownership of an inherited pipe, so that the program does not inherit it. It is reopened by its
/// path, because safe Rust cannot own a bare descriptor number.
fn take_inherited(number: i32, access: OFlag) -> io::Result<File> {
    let path = format!("/proc/self/fd/{number}");
    let flags = access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let pipe = open(path.as_str(), flags, Mode::empty())?;
    close(number)?;
    Ok(File::from(pipe))
}

/// Sends a signal to the program's process group.
fn signal_group(program: Option<Pid>, signal: Signal) {
    if let Some(program) = program
        && killpg(program, signal) == Err(Errno::ESRCH)
    {
        // The program has left its own group.
        let _ = kill(program, signal);
    }
}

/// Writes an error to standard error, unless that would block.
///
/// Why: it is reopened because all processes that share an open file also share its blocking mode.
fn print_error(text: &str) {
    let stderr = OpenOptions::new()
        .append(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open("/proc/self/fd/2");
    if let Ok(mut stderr) = stderr {
        let _ = stderr.write_all(format!("elector: {text}\n").as_bytes());
    }
}
