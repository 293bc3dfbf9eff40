//! One run of the wrapped program under its guard: performs the actions of the supervisor.

use std::io::{self, PipeReader, Read};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;

use nix::sys::signal::Signal;

use super::reports::ReportLog;
use super::{Event, Shared};
use crate::election::time::Instant;
use crate::runtime::callbacks::{Stop, Term};
use crate::runtime::health::Prober;
use crate::runtime::timer_thread::TimerThread;
use crate::system::clock::BootClock;
use crate::workload::message::{FromGuard, LineBuffer, MessageError};
use crate::workload::process::ControlPipe;
use crate::workload::process::descendants::{descendants, kill_descendants};
use crate::workload::supervisor::{KILL_TIMEOUT, Supervisor, SupervisorAction, WorkloadEnd};

/// Attempts to kill the processes of a lost guard, which share [`KILL_TIMEOUT`]. Why: this process may be
/// suspended during one.
const KILL_ATTEMPTS: u32 = 5;

/// Surviving processes that a log line lists.
const MAX_LISTED: usize = 10;

/// One run of the wrapped program.
pub(super) struct Run<'a> {
    shared: &'a Shared,
    /// Number of the run within its term.
    number: u64,
    supervisor: Supervisor,
    control: ControlPipe,
    timer: TimerThread,
    /// Leadership deadline and stop that the supervisor knows.
    valid_until: Instant,
    stop: Option<Stop>,
    reports_ended: bool,
    unhealthy: bool,
    log: ReportLog,
    /// Polls the program's health until it is dropped.
    _prober: Option<Prober>,
}

/// Result of a run.
pub(super) struct RunEnd {
    pub(super) end: WorkloadEnd,
    /// The workload was stopped because it was unhealthy.
    pub(super) unhealthy: bool,
}

impl<'a> Run<'a> {
    /// Starts a guard, which starts the program.
    ///
    /// # Errors
    /// Returns an error if no process, thread, pipe or timer is left.
    pub(super) fn start(
        shared: &'a Shared,
        number: u64,
        term: &Term,
        sender: &SyncSender<Event>,
    ) -> io::Result<Self> {
        let timeouts = sender.clone();
        let timer = TimerThread::start(move || {
            // If the queue is full, the events in it wake the thread.
            let _ = timeouts.try_send(Event::Wake);
            true
        })?;
        let valid_until = term.valid_until();
        let mut supervisor = Supervisor::start(valid_until, shared.grace, shared.margin);
        let guard = shared.spawn_guard(term.fencing_token())?;
        supervisor.handle_guard_spawned();
        forward_reports(number, guard.report, sender.clone())?;
        Ok(Run {
            shared,
            number,
            supervisor,
            control: guard.control,
            timer,
            valid_until,
            stop: None,
            reports_ended: false,
            unhealthy: false,
            log: ReportLog::default(),
            _prober: shared.start_prober(sender)?,
        })
    }

    /// Handles events until the workload has stopped.
    pub(super) fn drive(mut self, term: &Term, events: &Receiver<Event>) -> RunEnd {
        loop {
            self.apply_term(term);
            self.act();
            if let Some(end) = self.supervisor.end() {
                // If the guard has not reported the end, the exit code is not counted.
                self.shared.counts.ended(None);
                return RunEnd {
                    end,
                    unhealthy: self.unhealthy,
                };
            }
            if let Err(error) = self.timer.set(self.supervisor.poll_timeout()) {
                log::error!(error:% = error; "cannot set timer of the supervisor");
            }
            // This run holds senders, so that the queue stays open.
            if let Ok(event) = events.recv() {
                self.handle(event);
            }
        }
    }

    /// Passes changes of the term to the supervisor.
    fn apply_term(&mut self, term: &Term) {
        let view = term.view();
        if view.valid_until != self.valid_until {
            self.valid_until = view.valid_until;
            self.supervisor.extend(view.valid_until);
        }
        if let Some(stop) = view.stop
            && self.stop != Some(stop)
        {
            if self.stop.replace(stop).is_none() {
                log::info!(
                    event = "workload_stopping", reason:% = stop.reason;
                    "stopping the workload"
                );
            }
            if stop.reason.is_loss() {
                self.supervisor.terminate(stop.kill_at);
            } else {
                let signal = self.shared.stop_signal(stop);
                self.supervisor.stop(signal, stop.kill_at);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let now = BootClock::now();
        match event {
            Event::Wake => {}
            // Reports of an earlier run's guard are outdated.
            Event::Report(run, _) | Event::ReportsEnded(run) if run != self.number => {}
            Event::Report(_, report) => {
                self.count(report);
                self.log.log(report);
                self.supervisor.handle_report(now, report);
            }
            Event::ReportsEnded(_) => self.reports_ended = true,
            Event::Signal(signal) => self.supervisor.signal(signal as i32),
            Event::Unhealthy => {
                self.unhealthy = true;
                let kill_at = now + self.shared.grace;
                self.supervisor.stop(Signal::SIGTERM as i32, kill_at);
            }
            Event::Kill => self.supervisor.kill(now),
        }
        // The guard may be reaped before its last report is read.
        if self.reports_ended && self.shared.state().guard.is_none() {
            self.supervisor.handle_guard_exited();
        }
        self.supervisor.handle_timeout(now);
    }

    fn count(&self, report: FromGuard) {
        match report {
            FromGuard::Started(_) => self.shared.counts.started(),
            FromGuard::WorkloadStopped(code) => self.shared.counts.ended(code),
            _ => {}
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.supervisor.poll_action() {
            match action {
                // Done by `start`.
                SupervisorAction::SpawnGuard => {}
                SupervisorAction::SendToGuard(message) => {
                    if let Err(error) = self.control.send(message) {
                        log::debug!(error:% = error, message:? = message; "lost message to the guard");
                    }
                }
                SupervisorAction::KillGuard => {
                    log::warn!(
                        event = "guard_overdue";
                        "killing overdue guard and its workload"
                    );
                    if !self.shared.kill_guard() {
                        self.supervisor.handle_guard_exited();
                    }
                }
                SupervisorAction::KillDescendants => {
                    let all_ended = kill_all_descendants();
                    self.supervisor.handle_descendants_killed(all_ended);
                }
            }
        }
    }
}

/// Starts a thread that queues the guard's reports until its pipe ends.
fn forward_reports(run: u64, mut reports: PipeReader, sender: SyncSender<Event>) -> io::Result<()> {
    thread::Builder::new()
        .name("guard".into())
        .spawn(move || {
            if let Err(error) = read_reports(run, &mut reports, &sender) {
                log::error!(event = "guard_failed", error:%; "cannot read reports of the guard");
            }
            let _ = sender.send(Event::ReportsEnded(run));
        })
        .map(drop)
}

fn read_reports(
    run: u64,
    reports: &mut PipeReader,
    sender: &SyncSender<Event>,
) -> Result<(), MessageError> {
    let mut lines = LineBuffer::default();
    let mut buffer = [0; 512];
    while let Ok(length @ 1..) = reports.read(&mut buffer) {
        lines.push(&buffer[..length]);
        while let Some(line) = lines.next_line() {
            let report = FromGuard::parse(&line?)?;
            let _ = sender.send(Event::Report(run, report));
        }
    }
    Ok(())
}

/// Kills and reaps all descendants, until none is left or [`KILL_TIMEOUT`] has passed. Returns whether none is
/// left.
fn kill_all_descendants() -> bool {
    let pause = KILL_TIMEOUT / KILL_ATTEMPTS;
    let mut problem = String::new();
    for _ in 0..KILL_ATTEMPTS {
        match kill_descendants(BootClock::now() + pause, |_| ()) {
            Ok(true) => return true,
            Ok(false) => problem = format!("processes {} survived SIGKILL", surviving()),
            Err(error) => {
                problem = format!("processes cannot be listed: {error}");
                thread::sleep(pause);
            }
        }
    }
    log::error!(
        event = "workload_stuck", problem;
        "cannot kill workload, no longer waiting for it; kill it by hand"
    );
    false
}

/// Lists the process ids of the descendants.
fn surviving() -> String {
    let all = descendants().unwrap_or_default();
    let running = all.iter().filter(|process| !process.is_zombie);
    let pids: Vec<String> = running
        .take(MAX_LISTED)
        .map(|process| process.pid.to_string())
        .collect();
    pids.join(", ")
}
