//! One run of a program under its guard, from start to end: the supervisor's wishes carried out.

use std::io::{self, PipeReader, Read};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Event, Shared};
use crate::election::time::Instant;
use crate::runtime::callbacks::{Stop, Term};
use crate::runtime::health::Prober;
use crate::runtime::timer_thread::TimerThread;
use crate::system::clock::BootClock;
use crate::workload::message::{FromGuard, Lines, MessageError};
use crate::workload::process::Control;
use crate::workload::process::descendants::kill_all_below;
use crate::workload::supervisor::{Action, Ended, Supervisor};

/// How long what a guard left may take to die before that is told, and how often it is looked for then.
const CLEARING: Duration = Duration::from_secs(1);
const CLEARING_PAUSE: Duration = Duration::from_millis(200);

/// One run of the program.
pub(super) struct Run<'a> {
    shared: &'a Shared,
    /// Counts the runs of a term.
    number: u64,
    supervisor: Supervisor,
    control: Control,
    alarm: TimerThread,
    /// What of the term the supervisor knows.
    until: Instant,
    stop: Option<Stop>,
    reports_ended: bool,
    unhealthy: bool,
    /// Asks how the program is, until this is dropped.
    _prober: Option<Prober>,
}

/// The program was stopped because its health was bad.
pub(super) struct Unhealthy;

impl<'a> Run<'a> {
    pub(super) fn start(
        shared: &'a Shared,
        number: u64,
        term: &Term,
        sender: &SyncSender<Event>,
    ) -> io::Result<Self> {
        let ringing = sender.clone();
        let alarm = TimerThread::start(move || {
            // Whatever fills the queue wakes the thread as well.
            let _ = ringing.try_send(Event::Look);
            true
        })?;
        let until = term.valid_until();
        let mut supervisor = Supervisor::start(until, shared.grace, shared.margin);
        let guard = shared.spawn_guard(term.fencing_token())?;
        supervisor.handle_spawned();
        read_reports(number, guard.report, sender.clone())?;
        Ok(Run {
            shared,
            number,
            supervisor,
            control: guard.control,
            alarm,
            until,
            stop: None,
            reports_ended: false,
            unhealthy: false,
            _prober: shared.prober(sender)?,
        })
    }

    /// Does what there is to do until nothing of the program is left.
    pub(super) fn drive(
        mut self,
        term: &Term,
        events: &Receiver<Event>,
    ) -> Result<Ended, Unhealthy> {
        loop {
            self.follow(term);
            self.act();
            if let Some(ended) = self.supervisor.ended() {
                return if self.unhealthy {
                    Err(Unhealthy)
                } else {
                    Ok(ended)
                };
            }
            if let Err(error) = self.alarm.set(self.supervisor.poll_timeout()) {
                log::error!("no timer for the workload, its guard has one: {error}");
            }
            // The run's own senders keep the queue open.
            if let Ok(event) = events.recv() {
                self.handle(event);
            }
        }
    }

    /// Tells the supervisor what has changed of the term.
    fn follow(&mut self, term: &Term) {
        let view = term.view();
        if view.valid_until != self.until {
            self.until = view.valid_until;
            self.supervisor.extend(view.valid_until);
        }
        if let Some(stop) = view.stop
            && self.stop != Some(stop)
        {
            let first = self.stop.replace(stop).is_none();
            let signal = self.shared.stop_signal(stop);
            if first {
                log::info!("the workload is to end: {}", stop.reason);
            }
            self.supervisor.stop(signal, stop.kill_at);
        }
    }

    fn handle(&mut self, event: Event) {
        let now = BootClock::now();
        match event {
            Event::Look => {}
            // Of an earlier run's guard nothing matters any more.
            Event::Report(run, _) | Event::ReportsEnded(run) if run != self.number => {}
            Event::Report(_, report) => {
                self.count(report);
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
        // Its last word may still be on the way when it is reaped.
        if self.reports_ended && self.shared.state().guard.is_none() {
            self.supervisor.handle_guard_ended();
        }
        self.supervisor.handle_timeout(now);
    }

    fn count(&self, report: FromGuard) {
        match report {
            FromGuard::Started(_) => self.shared.counts.started(),
            FromGuard::Gone(code) => self.shared.counts.ended(code),
            FromGuard::Exited(_) | FromGuard::Stopped(_) => {}
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.supervisor.poll_action() {
            match action {
                // The guard was started before anything could happen to it.
                Action::Spawn => {}
                Action::Tell(message) => {
                    if let Err(error) = self.control.send(message) {
                        log::debug!("the workload's guard cannot be told {message:?}: {error}");
                    }
                }
                Action::KillGuard => {
                    log::warn!(
                        "the workload's guard has not said in time that nothing is left: killing it"
                    );
                    if !self.shared.kill_guard() {
                        self.supervisor.handle_guard_ended();
                    }
                }
                Action::Clear => {
                    clear();
                    self.supervisor.handle_cleared();
                }
            }
        }
    }
}

/// Reads what the guard says, on a thread of its own, until it says nothing more.
fn read_reports(run: u64, mut reports: PipeReader, sender: SyncSender<Event>) -> io::Result<()> {
    thread::Builder::new()
        .name("guard".into())
        .spawn(move || {
            if let Err(error) = pass_on_reports(run, &mut reports, &sender) {
                log::error!("{error}");
            }
            let _ = sender.send(Event::ReportsEnded(run));
        })
        .map(drop)
}

fn pass_on_reports(
    run: u64,
    reports: &mut PipeReader,
    sender: &SyncSender<Event>,
) -> Result<(), MessageError> {
    let mut lines = Lines::new();
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

/// Kills and reaps what a guard left, until nothing is left. What the kernel does not let die is waited
/// for as long as that takes: nothing may lead meanwhile.
fn clear() {
    let mut patience = CLEARING;
    loop {
        match kill_all_below(BootClock::now() + patience, |_| ()) {
            Ok(true) => return,
            Ok(false) => log::error!("something that the workload left cannot be killed yet"),
            Err(error) => log::error!("what the workload left cannot be looked for: {error}"),
        }
        thread::sleep(CLEARING_PAUSE);
        patience = Duration::ZERO;
    }
}
