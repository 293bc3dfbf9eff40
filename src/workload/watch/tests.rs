//! The guard's decisions, one by one and under random sequences of everything.

use super::*;

const GRACE: Duration = Duration::from_secs(5);

fn at(seconds: u64) -> Instant {
    Instant::from_boot(Duration::from_secs(seconds))
}

fn until(seconds: u64) -> ToGuard {
    ToGuard::Until(at(seconds))
}

fn stop(seconds: u64) -> ToGuard {
    ToGuard::Stop {
        signal: 15,
        kill_at: at(seconds),
    }
}

fn drain(watch: &mut Watch) -> Vec<WatchAction> {
    std::iter::from_fn(|| watch.poll_action()).collect()
}

/// Runs from second 10 on, until second 100.
fn running() -> Watch {
    let mut watch = Watch::new(GRACE);
    watch.handle_message(at(10), until(100));
    assert_eq!(drain(&mut watch), [WatchAction::Start]);
    watch.handle_started(7);
    let started = WatchAction::Report(FromGuard::Started(7));
    assert_eq!(drain(&mut watch), [started]);
    watch
}

/// Lets the time go on to `now`, with every timeout on the way.
fn pass(watch: &mut Watch, now: Instant) -> Vec<(Instant, WatchAction)> {
    let mut actions = Vec::new();
    while let Some(due) = watch.poll_timeout().filter(|due| *due <= now) {
        watch.handle_timeout(due);
        actions.extend(drain(watch).into_iter().map(|action| (due, action)));
    }
    watch.handle_timeout(now);
    actions.extend(drain(watch).into_iter().map(|action| (now, action)));
    actions
}

/// When everything is killed, if nothing more is said.
fn killed_at(mut watch: Watch) -> Instant {
    let actions = pass(&mut watch, at(1_000));
    let kill = actions
        .iter()
        .find(|(_, action)| *action == WatchAction::KillAll);
    kill.expect("it is killed").0
}

fn gone(code: Option<i32>) -> [WatchAction; 2] {
    [
        WatchAction::Report(FromGuard::Gone(code)),
        WatchAction::Finish,
    ]
}

#[test]
fn nothing_is_started_when_the_time_is_over_already() {
    for seconds in [0, 9, 10] {
        let mut watch = Watch::new(GRACE);
        watch.handle_message(at(10), until(seconds));
        assert_eq!(drain(&mut watch), gone(None));
        watch.handle_message(at(10), until(100));
        assert_eq!(drain(&mut watch), [], "it is too late for that");
    }
}

#[test]
fn what_ends_before_it_began_is_never_started() {
    let ends: [fn(&mut Watch); 4] = [
        |watch| watch.handle_message(at(10), stop(50)),
        |watch| watch.handle_message(at(10), ToGuard::Kill),
        |watch| watch.handle_disconnected(at(10)),
        |watch| {
            watch.handle_message(at(10), until(9));
            watch.handle_timeout(at(10));
        },
    ];
    for end in ends {
        let mut watch = Watch::new(GRACE);
        end(&mut watch);
        assert_eq!(drain(&mut watch), gone(None));
        // Nor when the driver had not got to it yet.
        let mut watch = Watch::new(GRACE);
        watch.handle_message(at(10), until(100));
        end(&mut watch);
        assert_eq!(drain(&mut watch), gone(None));
    }
}

#[test]
fn the_time_runs_out_with_term_and_after_the_grace_with_kill() {
    let mut watch = running();
    let actions = pass(&mut watch, at(105));
    assert_eq!(
        actions,
        [
            (at(100), WatchAction::TermAll),
            (at(105), WatchAction::KillAll)
        ]
    );
}

#[test]
fn the_time_can_be_extended_and_shortened() {
    let mut watch = running();
    watch.handle_message(at(50), until(200));
    assert_eq!(pass(&mut watch, at(199)), []);
    watch.handle_message(at(199), until(199));
    watch.handle_timeout(at(199));
    assert_eq!(drain(&mut watch), [WatchAction::TermAll]);
    assert_eq!(killed_at(watch), at(204));

    let mut watch = running();
    watch.handle_message(at(50), until(20));
    watch.handle_timeout(at(50));
    assert_eq!(
        drain(&mut watch),
        [WatchAction::KillAll],
        "the grace is over too"
    );
}

#[test]
fn a_time_that_was_seen_to_be_over_cannot_be_extended() {
    let mut watch = running();
    watch.handle_timeout(at(101));
    assert_eq!(drain(&mut watch), [WatchAction::TermAll]);
    watch.handle_message(at(102), until(300));
    assert_eq!(drain(&mut watch), []);
    assert_eq!(killed_at(watch), at(105));
}

#[test]
fn an_extension_that_a_starved_guard_reads_late_counts() {
    let mut watch = running();
    // This one is over as well by the time it is read, and the next one is not.
    watch.handle_message(at(121), until(120));
    watch.handle_message(at(121), until(200));
    assert_eq!(pass(&mut watch, at(199)), []);
}

#[test]
fn a_polite_stop_has_its_own_time_while_the_lease_is_kept_alive() {
    let mut watch = running();
    watch.handle_message(at(90), stop(130));
    let polite = [WatchAction::SignalGroup(15), WatchAction::ContinueGroup];
    assert_eq!(drain(&mut watch), polite);
    watch.handle_message(at(95), until(115));
    assert_eq!(killed_at(watch.clone()), at(120), "with the lease");
    watch.handle_message(at(110), until(200));
    assert_eq!(pass(&mut watch, at(129)), []);
    assert_eq!(killed_at(watch), at(130), "when the stop says");
}

#[test]
fn a_later_stop_may_only_be_sooner() {
    let mut watch = running();
    watch.handle_message(at(20), stop(50));
    watch.handle_message(at(20), stop(60));
    assert_eq!(killed_at(watch.clone()), at(50));
    watch.handle_message(at(20), stop(30));
    assert_eq!(killed_at(watch.clone()), at(30));
    drain(&mut watch);
    watch.handle_message(at(20), stop(19));
    let actions = drain(&mut watch);
    assert_eq!(actions.last(), Some(&WatchAction::KillAll));
}

#[test]
fn without_an_elector_it_ends_within_the_grace() {
    let mut watch = running();
    watch.handle_disconnected(at(20));
    assert_eq!(drain(&mut watch), [WatchAction::TermAll]);
    assert_eq!(killed_at(watch), at(25));
    let mut watch = running();
    watch.handle_message(at(20), until(21));
    watch.handle_message(at(20), stop(24));
    watch.handle_disconnected(at(20));
    assert_eq!(killed_at(watch), at(24));
}

#[test]
fn what_a_workload_leaves_behind_is_ended_before_it_counts_as_gone() {
    let mut watch = running();
    watch.handle_exited(at(20), 3);
    let exited = WatchAction::Report(FromGuard::Exited(3));
    assert_eq!(drain(&mut watch), [exited, WatchAction::TermAll]);
    assert_eq!(killed_at(watch.clone()), at(25));
    watch.handle_nothing_left(at(21));
    assert_eq!(drain(&mut watch), gone(Some(3)));
    assert_eq!(pass(&mut watch, at(1_000)), []);

    let mut watch = running();
    watch.handle_message(at(20), stop(22));
    watch.handle_exited(at(21), 3);
    assert_eq!(killed_at(watch), at(22), "not later than was asked for");
}

#[test]
fn an_end_that_leaves_nothing_is_told_in_order() {
    let mut watch = running();
    watch.handle_exited(at(20), 137);
    watch.handle_nothing_left(at(20));
    let [report, finish] = gone(Some(137));
    let exited = WatchAction::Report(FromGuard::Exited(137));
    assert_eq!(drain(&mut watch), [exited, report, finish]);
}

#[test]
fn what_ends_after_it_was_told_to_did_not_end_by_itself() {
    let ends: [fn(&mut Watch); 4] = [
        |watch| watch.handle_timeout(at(100)),
        |watch| watch.handle_message(at(20), stop(50)),
        |watch| watch.handle_message(at(20), ToGuard::Kill),
        |watch| watch.handle_disconnected(at(20)),
    ];
    for end in ends {
        let mut watch = running();
        end(&mut watch);
        drain(&mut watch);
        watch.handle_exited(at(101), 0);
        let stopped = WatchAction::Report(FromGuard::Stopped(0));
        assert_eq!(watch.poll_action(), Some(stopped));
    }
}

#[test]
fn a_workload_that_cannot_be_started_is_one_that_ended() {
    let mut watch = Watch::new(GRACE);
    watch.handle_message(at(10), until(100));
    drain(&mut watch);
    watch.handle_exited(at(10), 126);
    watch.handle_nothing_left(at(10));
    assert_eq!(drain(&mut watch).last(), Some(&WatchAction::Finish));
}

#[test]
fn kill_is_repeated_until_nothing_is_left() {
    let mut watch = running();
    watch.handle_message(at(20), ToGuard::Kill);
    assert_eq!(drain(&mut watch), [WatchAction::KillAll]);
    watch.handle_message(at(20), ToGuard::Kill);
    assert_eq!(drain(&mut watch), [], "once for a moment");
    let kills = pass(&mut watch, at(30));
    assert!((50..200).contains(&kills.len()), "{}", kills.len());
    watch.handle_exited(at(30), 137);
    watch.handle_nothing_left(at(30));
    assert_eq!(drain(&mut watch).last(), Some(&WatchAction::Finish));
    assert_eq!(watch.poll_timeout(), None);
}

#[test]
fn signals_are_passed_on_while_anything_runs() {
    let mut watch = Watch::new(GRACE);
    watch.handle_message(at(10), ToGuard::Signal(1));
    assert_eq!(drain(&mut watch), []);
    let mut watch = running();
    watch.handle_message(at(10), ToGuard::Signal(1));
    assert_eq!(drain(&mut watch), [WatchAction::SignalGroup(1)]);
    watch.handle_exited(at(10), 0);
    watch.handle_nothing_left(at(10));
    drain(&mut watch);
    watch.handle_message(at(10), ToGuard::Signal(1));
    assert_eq!(drain(&mut watch), []);
}

#[test]
fn without_any_grace_term_and_kill_are_one() {
    let mut watch = Watch::new(Duration::ZERO);
    watch.handle_message(at(10), until(100));
    drain(&mut watch);
    watch.handle_started(7);
    drain(&mut watch);
    assert_eq!(pass(&mut watch, at(100)), [(at(100), WatchAction::KillAll)]);
}

/// What a world with a watch in it remembers, to hold the watch against.
struct World {
    random: fastrand::Rng,
    watch: Watch,
    now: Instant,
    until: Option<Instant>,
    /// Its time was over at some moment.
    over: bool,
    /// Each of these bounds the life of the workload, beside `until` and the grace.
    bounds: Vec<Instant>,
    started: bool,
    exited: bool,
    nothing_left: bool,
    disconnected: bool,
    termed: bool,
    killed: bool,
    finished: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        World {
            random: fastrand::Rng::with_seed(seed),
            watch: Watch::new(GRACE),
            now: at(100),
            until: None,
            over: false,
            bounds: Vec::new(),
            started: false,
            exited: false,
            nothing_left: false,
            disconnected: false,
            termed: false,
            killed: false,
            finished: false,
        }
    }

    /// Some time around now.
    fn some_time(&mut self) -> Instant {
        let shift = Duration::from_millis(self.random.u64(0..20_000));
        self.now + shift - Duration::from_secs(4)
    }

    fn bound(&self) -> Instant {
        let limit = self.until.map(|until| until + GRACE);
        let bounds = self.bounds.iter().copied().chain(limit);
        bounds.min().expect("there is an end to what runs")
    }

    /// Something happens now, of which the watch hears at once.
    fn step(&mut self) {
        match self.random.u8(0..10) {
            0..4 if !self.disconnected => self.say_until(),
            4 if !self.disconnected => {
                let kill_at = self.some_time();
                if self.until.is_some() {
                    self.bounds.push(kill_at);
                }
                let signal = 15;
                let stop = ToGuard::Stop { signal, kill_at };
                self.watch.handle_message(self.now, stop);
            }
            5 if !self.disconnected => {
                if self.random.u8(0..4) == 0 {
                    if self.until.is_some() {
                        self.bounds.push(self.now);
                    }
                    self.watch.handle_message(self.now, ToGuard::Kill);
                } else {
                    self.watch.handle_message(self.now, ToGuard::Signal(1));
                }
            }
            6 if !self.disconnected && self.random.u8(0..3) == 0 => {
                self.disconnected = true;
                self.bounds.push(self.now + GRACE);
                self.watch.handle_disconnected(self.now);
            }
            7 if self.started && !self.exited => {
                self.exited = true;
                self.bounds.push(self.now + GRACE);
                self.watch.handle_exited(self.now, 3);
            }
            8 if self.exited => {
                self.nothing_left = true;
                self.watch.handle_nothing_left(self.now);
            }
            _ => {}
        }
    }

    fn say_until(&mut self) {
        let until = self.some_time();
        self.until = Some(until);
        self.look_at_the_clock();
        self.watch.handle_message(self.now, ToGuard::Until(until));
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.watch.poll_action() {
            assert!(!self.finished, "{action:?} after the end");
            match action {
                WatchAction::Start => {
                    assert!(!self.started, "it is started once");
                    assert!(self.until.is_some_and(|until| self.now < until));
                    self.started = true;
                    self.watch.handle_started(7);
                }
                WatchAction::TermAll => {
                    assert!(!self.termed && !self.killed, "once, and before KILL");
                    assert!(
                        self.over || self.disconnected || self.exited,
                        "nobody asked"
                    );
                    self.termed = true;
                }
                WatchAction::KillAll => {
                    assert!(self.started && self.bound() <= self.now, "too early");
                    self.killed = true;
                }
                WatchAction::Report(FromGuard::Gone(code)) => {
                    assert_eq!(code, self.started.then_some(3));
                    assert_eq!(self.watch.poll_action(), Some(WatchAction::Finish));
                    assert!(self.nothing_left || !self.started);
                    self.finished = true;
                }
                WatchAction::Report(FromGuard::Exited(_) | FromGuard::Stopped(_)) => {
                    assert!(self.exited);
                }
                WatchAction::Report(FromGuard::Started(_))
                | WatchAction::SignalGroup(_)
                | WatchAction::ContinueGroup => assert!(self.started),
                WatchAction::Finish => panic!("it ends without a word"),
            }
        }
    }

    fn check(&self) {
        let Some(next) = self.watch.poll_timeout() else {
            assert!(!self.started || self.finished, "what runs has a deadline");
            return;
        };
        assert!(self.now < next, "what is due has been done");
        if self.over {
            assert!(self.termed || self.killed, "its time is over");
        }
        assert_eq!(
            self.bound() <= self.now,
            self.killed,
            "it is killed in time"
        );
        let next_rule = if self.killed {
            self.now + LONGEST_REPEAT
        } else {
            self.bound()
        };
        assert!(next <= next_rule, "it looks again in time");
    }

    /// Lets time pass, to the next timeout at the most; a starved guard wakes later.
    fn sleep(&mut self, starved: bool) {
        let mut next = self.now + Duration::from_millis(self.random.u64(0..4_000));
        if let Some(due) = self.watch.poll_timeout()
            && !starved
        {
            next = next.min(due);
        }
        self.now = next;
    }

    /// When its time is over it stays over, whatever is said later.
    fn look_at_the_clock(&mut self) {
        if let Some(until) = self.until.filter(|until| *until <= self.now) {
            self.over = true;
            self.bounds.push(until + GRACE);
        }
    }
}

#[test]
fn no_sequence_of_events_breaks_the_rules() {
    let mut ends = [0; 3];
    for seed in 0..30_000 {
        let mut world = World::new(seed);
        let starved = seed % 3 == 0;
        for _ in 0..60 {
            world.step();
            world.look_at_the_clock();
            world.watch.handle_timeout(world.now);
            world.carry_out();
            world.check();
            world.sleep(starved);
        }
        let end = match (world.started, world.finished) {
            (true, true) => 0,
            (false, true) => 1,
            (_, false) => 2,
        };
        ends[end] += 1;
    }
    assert!(ends.iter().all(|&count| count > 100), "{ends:?}");
}
