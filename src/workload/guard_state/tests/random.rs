//! Random event sequences, checked against an independent model.

use super::*;

/// Independent model of the rules, against which a guard is checked.
struct Model {
    random: fastrand::Rng,
    guard: GuardState,
    now: Instant,
    valid_until: Option<Instant>,
    /// The deadline passed at some time.
    expired: bool,
    /// Latest times of KILL, apart from `valid_until` + grace.
    bounds: Vec<Instant>,
    started: bool,
    exited: bool,
    workload_stopped: bool,
    disconnected: bool,
    lost: bool,
    /// TERM was sent to all processes but perhaps the program, and to the program.
    terminated: bool,
    program_terminated: bool,
    stop_signalled: bool,
    killed: bool,
    finished: bool,
}

impl Model {
    fn new(seed: u64) -> Self {
        Model {
            random: fastrand::Rng::with_seed(seed),
            guard: GuardState::new(GRACE),
            now: at(100),
            valid_until: None,
            expired: false,
            bounds: Vec::new(),
            started: false,
            exited: false,
            workload_stopped: false,
            disconnected: false,
            lost: false,
            terminated: false,
            program_terminated: false,
            stop_signalled: false,
            killed: false,
            finished: false,
        }
    }

    /// Returns a random time around now.
    fn some_time(&mut self) -> Instant {
        let shift = Duration::from_millis(self.random.u64(0..20_000));
        self.now + shift - Duration::from_secs(4)
    }

    fn bound(&self) -> Instant {
        let limit = self.valid_until.map(|until| until + GRACE);
        let bounds = self.bounds.iter().copied().chain(limit);
        bounds.min().expect("a started program has a deadline")
    }

    /// Makes a random event happen, which the guard observes immediately.
    fn step(&mut self) {
        match self.random.u8(0..10) {
            0..4 if !self.disconnected => self.send_valid_until(),
            4 if !self.disconnected => {
                let kill_at = self.some_time();
                if self.valid_until.is_some() {
                    self.bounds.push(kill_at);
                }
                let message = match self.random.u8(0..4) {
                    0 => {
                        self.lost = true;
                        ToGuard::Terminate { kill_at }
                    }
                    1 => ToGuard::Stop {
                        signal: INT,
                        kill_at,
                    },
                    _ => ToGuard::Stop {
                        signal: TERM,
                        kill_at,
                    },
                };
                self.guard.handle_message(self.now, message);
            }
            5 if !self.disconnected => {
                if self.random.u8(0..4) == 0 {
                    if self.valid_until.is_some() {
                        self.bounds.push(self.now);
                    }
                    self.guard.handle_message(self.now, ToGuard::Kill);
                } else {
                    self.guard.handle_message(self.now, ToGuard::Signal(1));
                }
            }
            6 if !self.disconnected && self.random.u8(0..3) == 0 => {
                self.disconnected = true;
                self.bounds.push(self.now + GRACE);
                self.guard.handle_disconnected(self.now);
            }
            7 if self.started && !self.exited => {
                self.exited = true;
                if self.bounds.is_empty() {
                    self.bounds.push(self.now + GRACE);
                }
                self.guard.handle_exited(self.now, 3);
            }
            8 if self.exited => {
                self.workload_stopped = true;
                self.guard.handle_workload_stopped();
            }
            _ => {}
        }
    }

    fn send_valid_until(&mut self) {
        let until = self.some_time();
        self.valid_until = Some(until);
        self.check_deadline();
        self.guard
            .handle_message(self.now, ToGuard::ValidUntil(until));
    }

    fn perform_actions(&mut self) {
        while let Some(action) = self.guard.poll_action() {
            assert!(!self.finished, "{action:?} after Exit");
            match action {
                GuardAction::Start => {
                    assert!(!self.started, "started twice");
                    assert!(self.valid_until.is_some_and(|until| self.now < until));
                    self.started = true;
                    self.guard.handle_started(7);
                }
                GuardAction::TerminateAll => {
                    assert!(!self.program_terminated, "TERM twice to the program");
                    self.program_terminated = true;
                    self.terminate_others();
                }
                GuardAction::TerminateOthers => {
                    assert!(
                        self.program_terminated || self.exited,
                        "no TERM to the program"
                    );
                    self.terminate_others();
                }
                GuardAction::SignalProgram(signal) if signal == TERM || signal == INT => {
                    assert!(!self.stop_signalled, "two signals of a stop");
                    assert!(!self.terminated && !self.killed && !self.exited);
                    self.stop_signalled = true;
                    self.program_terminated = signal == TERM;
                }
                GuardAction::KillAll => {
                    assert!(self.started && self.bound() <= self.now, "KILL too early");
                    self.killed = true;
                }
                GuardAction::Report(FromGuard::WorkloadStopped(code)) => {
                    assert_eq!(code, self.started.then_some(3));
                    assert_eq!(self.guard.poll_action(), Some(GuardAction::Exit));
                    assert!(self.workload_stopped || !self.started);
                    self.finished = true;
                }
                GuardAction::Report(FromGuard::Exited(_) | FromGuard::Terminated(_)) => {
                    assert!(self.exited);
                }
                GuardAction::Report(_)
                | GuardAction::SignalProgram(_)
                | GuardAction::ContinueGroup => assert!(self.started),
                GuardAction::Exit => panic!("exit without a report"),
            }
        }
    }

    fn terminate_others(&mut self) {
        assert!(
            !self.terminated && !self.killed,
            "TERM twice, or after KILL"
        );
        assert!(
            self.expired || self.disconnected || self.exited || self.lost,
            "TERM without a reason"
        );
        self.terminated = true;
    }

    fn check(&self) {
        let Some(next) = self.guard.poll_timeout() else {
            assert!(
                !self.started || self.finished,
                "no timeout although the program runs"
            );
            return;
        };
        assert!(self.now < next, "a due action was not performed");
        if self.expired || self.exited {
            assert!(self.terminated || self.killed, "no TERM when due");
        }
        assert_eq!(
            self.bound() <= self.now,
            self.killed,
            "KILL not exactly when due"
        );
        let latest = if self.killed {
            self.now + LONGEST_REPEAT
        } else {
            self.bound()
        };
        assert!(next <= latest, "timeout too late");
    }

    /// Advances the time, at most to the next timeout unless the guard is starved of CPU time.
    fn advance(&mut self, starved: bool) {
        let mut next = self.now + Duration::from_millis(self.random.u64(0..4_000));
        if let Some(due) = self.guard.poll_timeout()
            && !starved
        {
            next = next.min(due);
        }
        self.now = next;
    }

    /// Notes a passed deadline: no later message can revoke it.
    fn check_deadline(&mut self) {
        if let Some(until) = self.valid_until.filter(|until| *until <= self.now) {
            self.expired = true;
            self.bounds.push(until + GRACE);
        }
    }
}

#[test]
fn random_event_sequences_keep_rules() {
    let mut ends = [0; 3];
    for seed in 0..30_000 {
        let mut model = Model::new(seed);
        let starved = seed % 3 == 0;
        for _ in 0..60 {
            model.step();
            model.check_deadline();
            model.guard.handle_timeout(model.now);
            model.perform_actions();
            model.check();
            model.advance(starved);
        }
        let end = match (model.started, model.finished) {
            (true, true) => 0,
            (false, true) => 1,
            (_, false) => 2,
        };
        ends[end] += 1;
    }
    assert!(ends.iter().all(|&count| count > 100), "{ends:?}");
}
