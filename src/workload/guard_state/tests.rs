//! Unit tests of single rules, and random event sequences checked against a model.

use super::*;

const GRACE: Duration = Duration::from_secs(5);

fn at(seconds: u64) -> Instant {
    Instant::from_boot(Duration::from_secs(seconds))
}

fn valid_until(seconds: u64) -> ToGuard {
    ToGuard::ValidUntil(at(seconds))
}

fn stop(seconds: u64) -> ToGuard {
    ToGuard::Stop {
        signal: 15,
        kill_at: at(seconds),
    }
}

fn drain(guard: &mut GuardState) -> Vec<GuardAction> {
    std::iter::from_fn(|| guard.poll_action()).collect()
}

/// Returns a guard whose program runs since second 10, with its deadline at second 100.
fn running() -> GuardState {
    let mut guard = GuardState::new(GRACE);
    guard.handle_message(at(10), valid_until(100));
    assert_eq!(drain(&mut guard), [GuardAction::Start]);
    guard.handle_started(7);
    let started = GuardAction::Report(FromGuard::Started(7));
    assert_eq!(drain(&mut guard), [started]);
    guard
}

/// Advances the time to `now`, and handles every timeout before it.
fn pass(guard: &mut GuardState, now: Instant) -> Vec<(Instant, GuardAction)> {
    let mut actions = Vec::new();
    while let Some(due) = guard.poll_timeout().filter(|due| *due <= now) {
        guard.handle_timeout(due);
        actions.extend(drain(guard).into_iter().map(|action| (due, action)));
    }
    guard.handle_timeout(now);
    actions.extend(drain(guard).into_iter().map(|action| (now, action)));
    actions
}

/// Returns the time of the first KILL if no other message arrives.
fn killed_at(mut guard: GuardState) -> Instant {
    let actions = pass(&mut guard, at(1_000));
    let kill = actions
        .iter()
        .find(|(_, action)| *action == GuardAction::KillAll);
    kill.expect("no KILL").0
}

fn stopped(code: Option<i32>) -> [GuardAction; 2] {
    [
        GuardAction::Report(FromGuard::WorkloadStopped(code)),
        GuardAction::Exit,
    ]
}

#[test]
fn passed_deadline_starts_nothing() {
    for seconds in [0, 9, 10] {
        let mut guard = GuardState::new(GRACE);
        guard.handle_message(at(10), valid_until(seconds));
        assert_eq!(drain(&mut guard), stopped(None));
        guard.handle_message(at(10), valid_until(100));
        assert_eq!(drain(&mut guard), [], "too late");
    }
}

#[test]
fn end_before_start_starts_nothing() {
    let ends: [fn(&mut GuardState); 4] = [
        |guard| guard.handle_message(at(10), stop(50)),
        |guard| guard.handle_message(at(10), ToGuard::Kill),
        |guard| guard.handle_disconnected(at(10)),
        |guard| {
            guard.handle_message(at(10), valid_until(9));
            guard.handle_timeout(at(10));
        },
    ];
    for end in ends {
        let mut guard = GuardState::new(GRACE);
        end(&mut guard);
        assert_eq!(drain(&mut guard), stopped(None));
        // The same if the start was requested but not yet performed.
        let mut guard = GuardState::new(GRACE);
        guard.handle_message(at(10), valid_until(100));
        end(&mut guard);
        assert_eq!(drain(&mut guard), stopped(None));
    }
}

#[test]
fn deadline_terminates_then_kills() {
    let mut guard = running();
    let actions = pass(&mut guard, at(105));
    assert_eq!(
        actions,
        [
            (at(100), GuardAction::TerminateAll),
            (at(105), GuardAction::KillAll)
        ]
    );
}

#[test]
fn deadline_can_move_both_ways() {
    let mut guard = running();
    guard.handle_message(at(50), valid_until(200));
    assert_eq!(pass(&mut guard, at(199)), []);
    guard.handle_message(at(199), valid_until(199));
    guard.handle_timeout(at(199));
    assert_eq!(drain(&mut guard), [GuardAction::TerminateAll]);
    assert_eq!(killed_at(guard), at(204));

    let mut guard = running();
    guard.handle_message(at(50), valid_until(20));
    guard.handle_timeout(at(50));
    assert_eq!(
        drain(&mut guard),
        [GuardAction::KillAll],
        "the grace has passed too"
    );
}

#[test]
fn passed_deadline_cannot_be_extended() {
    let mut guard = running();
    guard.handle_timeout(at(101));
    assert_eq!(drain(&mut guard), [GuardAction::TerminateAll]);
    guard.handle_message(at(102), valid_until(300));
    assert_eq!(drain(&mut guard), []);
    assert_eq!(killed_at(guard), at(105));
}

#[test]
fn extension_read_late_counts() {
    let mut guard = running();
    // When they are read, the first has passed as well, but not the second.
    guard.handle_message(at(121), valid_until(120));
    guard.handle_message(at(121), valid_until(200));
    assert_eq!(pass(&mut guard, at(199)), []);
}

#[test]
fn renewals_prolong_graceful_shutdown() {
    let mut guard = running();
    guard.handle_message(at(90), stop(130));
    let graceful = [GuardAction::SignalGroup(15), GuardAction::ContinueGroup];
    assert_eq!(drain(&mut guard), graceful);
    guard.handle_message(at(95), valid_until(115));
    assert_eq!(killed_at(guard.clone()), at(120), "by the deadline");
    guard.handle_message(at(110), valid_until(200));
    assert_eq!(pass(&mut guard, at(129)), []);
    assert_eq!(killed_at(guard), at(130), "by the stop");
}

#[test]
fn later_stop_only_advances_kill() {
    let mut guard = running();
    guard.handle_message(at(20), stop(50));
    guard.handle_message(at(20), stop(60));
    assert_eq!(killed_at(guard.clone()), at(50));
    guard.handle_message(at(20), stop(30));
    assert_eq!(killed_at(guard.clone()), at(30));
    drain(&mut guard);
    guard.handle_message(at(20), stop(19));
    let actions = drain(&mut guard);
    assert_eq!(actions.last(), Some(&GuardAction::KillAll));
}

#[test]
fn disconnect_ends_workload_within_grace() {
    let mut guard = running();
    guard.handle_disconnected(at(20));
    assert_eq!(drain(&mut guard), [GuardAction::TerminateAll]);
    assert_eq!(killed_at(guard), at(25));
    let mut guard = running();
    guard.handle_message(at(20), valid_until(21));
    guard.handle_message(at(20), stop(24));
    guard.handle_disconnected(at(20));
    assert_eq!(killed_at(guard), at(24));
}

#[test]
fn leftovers_end_before_workload_stopped() {
    let mut guard = running();
    guard.handle_exited(at(20), 3);
    let exited = GuardAction::Report(FromGuard::Exited(3));
    assert_eq!(drain(&mut guard), [exited, GuardAction::TerminateAll]);
    assert_eq!(killed_at(guard.clone()), at(25));
    guard.handle_workload_stopped();
    assert_eq!(drain(&mut guard), stopped(Some(3)));
    assert_eq!(pass(&mut guard, at(1_000)), []);

    let mut guard = running();
    guard.handle_message(at(20), stop(22));
    guard.handle_exited(at(21), 3);
    assert_eq!(killed_at(guard), at(22), "not after the stop");
}

#[test]
fn reports_arrive_in_order() {
    let mut guard = running();
    guard.handle_exited(at(20), 137);
    guard.handle_workload_stopped();
    let [report, finish] = stopped(Some(137));
    let exited = GuardAction::Report(FromGuard::Exited(137));
    assert_eq!(drain(&mut guard), [exited, report, finish]);
}

#[test]
fn requested_exit_reports_terminated() {
    let ends: [fn(&mut GuardState); 4] = [
        |guard| guard.handle_timeout(at(100)),
        |guard| guard.handle_message(at(20), stop(50)),
        |guard| guard.handle_message(at(20), ToGuard::Kill),
        |guard| guard.handle_disconnected(at(20)),
    ];
    for end in ends {
        let mut guard = running();
        end(&mut guard);
        drain(&mut guard);
        guard.handle_exited(at(101), 0);
        let stopped = GuardAction::Report(FromGuard::Terminated(0));
        assert_eq!(guard.poll_action(), Some(stopped));
    }
}

#[test]
fn failed_start_counts_as_exit() {
    let mut guard = GuardState::new(GRACE);
    guard.handle_message(at(10), valid_until(100));
    drain(&mut guard);
    guard.handle_exited(at(10), 126);
    guard.handle_workload_stopped();
    assert_eq!(drain(&mut guard).last(), Some(&GuardAction::Exit));
}

#[test]
fn kill_repeats_until_workload_stopped() {
    let mut guard = running();
    guard.handle_message(at(20), ToGuard::Kill);
    assert_eq!(drain(&mut guard), [GuardAction::KillAll]);
    guard.handle_message(at(20), ToGuard::Kill);
    assert_eq!(drain(&mut guard), [], "one KILL at a time");
    let kills = pass(&mut guard, at(30));
    assert!((50..200).contains(&kills.len()), "{}", kills.len());
    guard.handle_exited(at(30), 137);
    guard.handle_workload_stopped();
    assert_eq!(drain(&mut guard).last(), Some(&GuardAction::Exit));
    assert_eq!(guard.poll_timeout(), None);
}

#[test]
fn signals_pass_only_while_running() {
    let mut guard = GuardState::new(GRACE);
    guard.handle_message(at(10), ToGuard::Signal(1));
    assert_eq!(drain(&mut guard), []);
    let mut guard = running();
    guard.handle_message(at(10), ToGuard::Signal(1));
    assert_eq!(drain(&mut guard), [GuardAction::SignalGroup(1)]);
    guard.handle_exited(at(10), 0);
    guard.handle_workload_stopped();
    drain(&mut guard);
    guard.handle_message(at(10), ToGuard::Signal(1));
    assert_eq!(drain(&mut guard), []);
}

#[test]
fn zero_grace_skips_term() {
    let mut guard = GuardState::new(Duration::ZERO);
    guard.handle_message(at(10), valid_until(100));
    drain(&mut guard);
    guard.handle_started(7);
    drain(&mut guard);
    assert_eq!(pass(&mut guard, at(100)), [(at(100), GuardAction::KillAll)]);
}

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
    terminated: bool,
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
            terminated: false,
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
                let signal = 15;
                let stop = ToGuard::Stop { signal, kill_at };
                self.guard.handle_message(self.now, stop);
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
                self.bounds.push(self.now + GRACE);
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
                    assert!(
                        !self.terminated && !self.killed,
                        "TERM twice, or after KILL"
                    );
                    assert!(
                        self.expired || self.disconnected || self.exited,
                        "TERM without a reason"
                    );
                    self.terminated = true;
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
                | GuardAction::SignalGroup(_)
                | GuardAction::ContinueGroup => assert!(self.started),
                GuardAction::Exit => panic!("exit without a report"),
            }
        }
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
        if self.expired {
            assert!(self.terminated || self.killed, "no TERM after the deadline");
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
