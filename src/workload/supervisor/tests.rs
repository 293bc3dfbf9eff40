//! Unit tests of single rules.

use super::*;

const GRACE: Duration = Duration::from_secs(5);
const MARGIN: Duration = Duration::from_secs(1);
const TERM: i32 = 15;

fn at(seconds: u64) -> Instant {
    Instant::from_boot(Duration::from_secs(1_000 + seconds))
}

fn actions(supervisor: &mut Supervisor) -> Vec<SupervisorAction> {
    std::iter::from_fn(|| supervisor.poll_action()).collect()
}

/// Returns a supervisor whose program runs, with its deadline in 20 s.
fn running() -> Supervisor {
    let mut supervisor = Supervisor::start(at(20), GRACE, MARGIN);
    assert_eq!(actions(&mut supervisor), [SupervisorAction::SpawnGuard]);
    supervisor.handle_guard_spawned();
    let deadline = SupervisorAction::SendToGuard(ToGuard::ValidUntil(at(20)));
    assert_eq!(actions(&mut supervisor), [deadline]);
    supervisor.handle_report(at(0), FromGuard::Started(7));
    supervisor
}

#[test]
fn exit_code_arrives_once_workload_stopped() {
    let mut supervisor = running();
    supervisor.handle_report(at(3), FromGuard::Exited(3));
    assert_eq!(supervisor.end(), None);
    // The processes that it left behind are stopped.
    supervisor.stop(TERM, at(9));
    supervisor.handle_report(at(7), FromGuard::WorkloadStopped(Some(3)));
    assert_eq!(supervisor.end(), Some(WorkloadEnd::Exited(3)));
}

#[test]
fn exit_after_stop_counts_as_stopped() {
    let mut supervisor = running();
    supervisor.stop(TERM, at(9));
    supervisor.handle_report(at(4), FromGuard::Exited(0));
    supervisor.handle_report(at(4), FromGuard::WorkloadStopped(Some(0)));
    assert_eq!(supervisor.end(), Some(WorkloadEnd::Stopped));
}

#[test]
fn exit_at_deadline_counts_as_stopped() {
    for until in [20, 28] {
        let mut supervisor = running();
        // The message of a renewal may have reached the guard too late.
        supervisor.extend(at(until));
        supervisor.handle_report(at(20), FromGuard::Terminated(0));
        supervisor.handle_report(at(20), FromGuard::WorkloadStopped(Some(0)));
        assert_eq!(supervisor.end(), Some(WorkloadEnd::Stopped));
    }
}

#[test]
fn only_earlier_stops_reach_guard() {
    let mut supervisor = running();
    supervisor.extend(at(28));
    supervisor.signal(1);
    supervisor.stop(TERM, at(40));
    supervisor.stop(TERM, at(50));
    supervisor.extend(at(36));
    supervisor.stop(TERM, at(33));
    supervisor.kill(at(31));
    let stop = |kill_at| {
        SupervisorAction::SendToGuard(ToGuard::Stop {
            signal: TERM,
            kill_at,
        })
    };
    assert_eq!(
        actions(&mut supervisor),
        [
            SupervisorAction::SendToGuard(ToGuard::ValidUntil(at(28))),
            SupervisorAction::SendToGuard(ToGuard::Signal(1)),
            stop(at(40)),
            SupervisorAction::SendToGuard(ToGuard::ValidUntil(at(36))),
            stop(at(33)),
            SupervisorAction::SendToGuard(ToGuard::Kill),
        ]
    );
}

#[test]
fn lost_lease_reaches_guard_during_stop() {
    let mut supervisor = running();
    supervisor.stop(TERM, at(15));
    let terminate = |kill_at| SupervisorAction::SendToGuard(ToGuard::Terminate { kill_at });
    actions(&mut supervisor);
    // Even if it changes nothing about KILL, because the other processes must get TERM now.
    supervisor.terminate(at(25));
    assert_eq!(actions(&mut supervisor), [terminate(at(25))]);
    supervisor.terminate(at(26));
    assert_eq!(actions(&mut supervisor), []);
    supervisor.terminate(at(12));
    assert_eq!(actions(&mut supervisor), [terminate(at(12))]);
    supervisor.stop(TERM, at(13));
    assert_eq!(actions(&mut supervisor), []);
}

#[test]
fn leftovers_are_waited_for_until_timeout() {
    for exited in [FromGuard::Exited(3), FromGuard::Terminated(3)] {
        let mut supervisor = running();
        supervisor.handle_report(at(3), exited);
        let due = at(3) + GRACE + KILL_TIMEOUT;
        assert_eq!(supervisor.poll_timeout(), Some(due));
        // The leader renews all the time.
        supervisor.extend(at(1_000));
        actions(&mut supervisor);
        assert_eq!(supervisor.poll_timeout(), Some(due));
        supervisor.handle_timeout(due);
        assert_eq!(actions(&mut supervisor), [SupervisorAction::KillGuard]);
        supervisor.handle_guard_exited();
        actions(&mut supervisor);
        let mut stuck = supervisor.clone();
        stuck.handle_descendants_killed(false);
        assert_eq!(stuck.end(), Some(WorkloadEnd::Stuck));
        supervisor.handle_descendants_killed(true);
        let end = match exited {
            FromGuard::Exited(code) => WorkloadEnd::Exited(code),
            _ => WorkloadEnd::GuardOverdue,
        };
        assert_eq!(supervisor.end(), Some(end));
    }
}

#[test]
fn leftovers_inherit_the_stop_deadline() {
    let mut supervisor = running();
    supervisor.extend(at(1_000));
    supervisor.stop(TERM, at(60));
    supervisor.handle_report(at(3), FromGuard::Terminated(143));
    let due = at(60) + MARGIN / REPORT_DIVISOR;
    assert_eq!(supervisor.poll_timeout(), Some(due));
}

#[test]
fn process_surviving_kill_ends_run() {
    let mut supervisor = running();
    supervisor.handle_guard_exited();
    supervisor.handle_descendants_killed(false);
    assert_eq!(supervisor.end(), Some(WorkloadEnd::Stuck));
}

#[test]
fn stop_before_guard_starts_nothing() {
    let mut supervisor = Supervisor::start(at(20), GRACE, MARGIN);
    supervisor.stop(TERM, at(5));
    assert_eq!(actions(&mut supervisor), [SupervisorAction::SpawnGuard]);
    supervisor.handle_guard_spawned();
    assert_eq!(
        actions(&mut supervisor),
        [SupervisorAction::SendToGuard(ToGuard::Kill)]
    );
    supervisor.handle_report(at(1), FromGuard::WorkloadStopped(None));
    assert_eq!(supervisor.end(), Some(WorkloadEnd::Stopped));
}

#[test]
fn extension_before_guard_is_sent() {
    let mut supervisor = Supervisor::start(at(20), GRACE, MARGIN);
    supervisor.extend(at(28));
    actions(&mut supervisor);
    supervisor.handle_guard_spawned();
    let deadline = SupervisorAction::SendToGuard(ToGuard::ValidUntil(at(28)));
    assert_eq!(actions(&mut supervisor), [deadline]);
}

#[test]
fn overdue_guard_is_killed_with_descendants() {
    let mut supervisor = running();
    supervisor.stop(TERM, at(60));
    actions(&mut supervisor);
    // The leadership deadline is earlier than the stop's KILL.
    let overdue = at(25) + MARGIN / REPORT_DIVISOR;
    assert_eq!(supervisor.poll_timeout(), Some(overdue));
    supervisor.handle_timeout(at(25));
    assert_eq!(actions(&mut supervisor), []);
    supervisor.handle_timeout(overdue);
    assert_eq!(actions(&mut supervisor), [SupervisorAction::KillGuard]);
    supervisor.handle_timeout(overdue);
    assert_eq!(actions(&mut supervisor), [], "killed twice");
    supervisor.handle_guard_exited();
    assert_eq!(
        actions(&mut supervisor),
        [SupervisorAction::KillDescendants]
    );
    assert_eq!(supervisor.end(), None);
    supervisor.handle_descendants_killed(true);
    assert_eq!(supervisor.end(), Some(WorkloadEnd::GuardOverdue));
}

#[test]
fn lost_guard_leads_to_clearing() {
    let mut supervisor = running();
    supervisor.extend(at(28));
    supervisor.handle_guard_exited();
    assert_eq!(
        actions(&mut supervisor),
        [SupervisorAction::KillDescendants]
    );
    supervisor.extend(at(36));
    supervisor.kill(at(3));
    assert_eq!(actions(&mut supervisor), [], "sent to no guard");
    supervisor.handle_descendants_killed(true);
    assert_eq!(supervisor.end(), Some(WorkloadEnd::GuardLost));
}

#[test]
fn guard_may_exit_after_last_report() {
    let mut supervisor = running();
    supervisor.handle_report(at(3), FromGuard::Exited(0));
    supervisor.handle_report(at(3), FromGuard::WorkloadStopped(Some(0)));
    supervisor.handle_guard_exited();
    supervisor.handle_timeout(at(100));
    assert_eq!(actions(&mut supervisor), []);
    assert_eq!(supervisor.end(), Some(WorkloadEnd::Exited(0)));
}
