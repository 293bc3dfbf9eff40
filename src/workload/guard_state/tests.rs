//! Unit tests of single rules.

mod random;

use super::*;

const GRACE: Duration = Duration::from_secs(5);
const INT: i32 = 2;
const TERM: i32 = 15;

fn at(seconds: u64) -> Instant {
    Instant::from_boot(Duration::from_secs(seconds))
}

fn valid_until(seconds: u64) -> ToGuard {
    ToGuard::ValidUntil(at(seconds))
}

fn stop(seconds: u64) -> ToGuard {
    stop_by(TERM, seconds)
}

fn stop_by(signal: i32, seconds: u64) -> ToGuard {
    ToGuard::Stop {
        signal,
        kill_at: at(seconds),
    }
}

fn terminate(seconds: u64) -> ToGuard {
    ToGuard::Terminate {
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

/// Returns the actions of a graceful stop.
fn graceful(signal: i32) -> [GuardAction; 2] {
    [
        GuardAction::SignalProgram(signal),
        GuardAction::ContinueGroup,
    ]
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
    let ends: [fn(&mut GuardState); 5] = [
        |guard| guard.handle_message(at(10), stop(50)),
        |guard| guard.handle_message(at(10), terminate(50)),
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
    assert_eq!(drain(&mut guard), graceful(TERM));
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
    assert_eq!(drain(&mut guard), graceful(TERM));
    guard.handle_message(at(20), stop(60));
    assert_eq!(killed_at(guard.clone()), at(50));
    guard.handle_message(at(20), stop(30));
    assert_eq!(killed_at(guard.clone()), at(30));
    guard.handle_message(at(20), stop_by(INT, 25));
    assert_eq!(drain(&mut guard), [], "signalled twice");
    guard.handle_message(at(20), stop(19));
    assert_eq!(drain(&mut guard), [GuardAction::KillAll]);
}

#[test]
fn lost_lease_terminates_all_once() {
    let repeats: [fn(&mut GuardState); 5] = [
        |guard| guard.handle_message(at(21), terminate(23)),
        |guard| guard.handle_message(at(21), stop(23)),
        |guard| guard.handle_message(at(21), valid_until(21)),
        |guard| guard.handle_disconnected(at(21)),
        |guard| guard.handle_exited(at(21), 0),
    ];
    for repeat in repeats {
        let mut guard = running();
        guard.handle_message(at(20), terminate(24));
        assert_eq!(drain(&mut guard), [GuardAction::TerminateAll]);
        repeat(&mut guard);
        guard.handle_timeout(at(21));
        assert!(drain(&mut guard).iter().all(|action| !is_term(action)));
        assert!(killed_at(guard) <= at(24));
    }
}

fn is_term(action: &GuardAction) -> bool {
    matches!(
        action,
        GuardAction::TerminateAll | GuardAction::TerminateOthers | GuardAction::SignalProgram(_)
    )
}

#[test]
fn owners_message_after_deadline_signals_nothing() {
    let mut guard = running();
    guard.handle_timeout(at(100));
    assert_eq!(drain(&mut guard), [GuardAction::TerminateAll]);
    guard.handle_message(at(100), terminate(105));
    guard.handle_message(at(100), stop(105));
    assert_eq!(drain(&mut guard), []);
    assert_eq!(killed_at(guard), at(105));
}

#[test]
fn end_of_stopping_program_spares_it() {
    let ends: [fn(&mut GuardState); 3] = [
        |guard| guard.handle_message(at(20), terminate(25)),
        |guard| guard.handle_message(at(20), valid_until(20)),
        |guard| guard.handle_disconnected(at(20)),
    ];
    for end in ends {
        for (signal, others) in [
            (TERM, GuardAction::TerminateOthers),
            // It got another signal so far.
            (INT, GuardAction::TerminateAll),
        ] {
            let mut guard = running();
            guard.handle_message(at(15), stop_by(signal, 60));
            assert_eq!(drain(&mut guard), graceful(signal));
            end(&mut guard);
            guard.handle_timeout(at(20));
            assert_eq!(drain(&mut guard), [others]);
            assert_eq!(killed_at(guard), at(25));
        }
    }
}

#[test]
fn leftovers_inherit_the_stop_deadline() {
    let mut guard = running();
    guard.handle_message(at(20), stop(60));
    drain(&mut guard);
    guard.handle_exited(at(21), 143);
    let exited = GuardAction::Report(FromGuard::Terminated(143));
    assert_eq!(drain(&mut guard), [exited, GuardAction::TerminateOthers]);
    assert_eq!(killed_at(guard), at(60));
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
    assert_eq!(drain(&mut guard), [exited, GuardAction::TerminateOthers]);
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
    let ends: [fn(&mut GuardState); 5] = [
        |guard| guard.handle_timeout(at(100)),
        |guard| guard.handle_message(at(20), stop(50)),
        |guard| guard.handle_message(at(20), terminate(50)),
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
    assert_eq!(drain(&mut guard), [GuardAction::SignalProgram(1)]);
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
