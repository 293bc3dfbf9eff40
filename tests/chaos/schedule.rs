//! The schedule of a round. A seed determines all actions and their times.
//!
//! How the processes react is not determined. An action against the leader is aimed when it is due.

use std::time::Duration;

use fastrand::Rng;

use crate::faults::FAULTS;
use crate::proxy::Network;

/// Longest time between two actions, in milliseconds.
const LONGEST_GAP_MS: u64 = 1100;

/// Probability that a round contains a kind of action. Leaving kinds out matters because one kind of fault
/// may hide the effects of another.
const BELONGS: f64 = 0.75;

/// Share of the actions against candidates that is aimed at the leader.
const AT_THE_LEADER: f64 = 0.6;

/// Candidate at which an action is aimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The leader when the action is due. Without a leader there is no action.
    Leader,
    Number(usize),
}

/// Edit of the gist by an operator or another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Writes to another file, several times in a row.
    OtherFile,
    /// Replaces the record with `{}`.
    Blank,
    /// Writes a foreign record with an old token.
    ByHand,
    /// Writes a foreign record with a higher token.
    HigherByHand,
    /// Writes a foreign record without a holder.
    ClearedByHand,
    /// Pastes an earlier record.
    PasteOld,
    Delete,
}

const EDITS: [Edit; 7] = [
    Edit::OtherFile,
    Edit::Blank,
    Edit::ByHand,
    Edit::HigherByHand,
    Edit::ClearedByHand,
    Edit::PasteOld,
    Edit::Delete,
];

/// Scheduled action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    /// Changes the network of a candidate for a time.
    Network(Target, Network, Duration),
    /// Sends SIGKILL, and restarts the candidate after a time.
    Kill(Target, Duration),
    /// Sends SIGSTOP to the process group, and SIGCONT after a time.
    Freeze(Target, Duration),
    /// Sends SIGTERM, and restarts the candidate after a time.
    Stop(Target, Duration),
    /// Runs a second process under the same name for a time.
    Twin(Target, Duration),
    /// Stops the service with SIGTERM, and restarts it with its state after a time.
    StopService(Duration),
    /// Like `StopService`, but with SIGKILL.
    KillService(Duration),
    /// Freezes the service for a time.
    FreezeService(Duration),
    /// Gives the service the faults with this index for a time.
    Faults(usize, Duration),
    Edit(Edit),
}

/// Kinds of actions with their weights.
const KINDS: [(Kind, u32); 10] = [
    (Kind::Network, 8),
    (Kind::Kill, 3),
    (Kind::Freeze, 4),
    (Kind::Stop, 3),
    (Kind::Twin, 1),
    (Kind::StopService, 1),
    (Kind::KillService, 1),
    (Kind::FreezeService, 1),
    (Kind::Faults, 6),
    (Kind::Edit, 2),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Network,
    Kill,
    Freeze,
    Stop,
    Twin,
    StopService,
    KillService,
    FreezeService,
    Faults,
    Edit,
}

/// Action with its time after the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Planned {
    pub(crate) at: Duration,
    pub(crate) action: Action,
}

/// Returns the schedule of a round of this length.
pub(crate) fn plan(seed: u64, length: Duration, candidates: usize) -> Vec<Planned> {
    let mut rng = Rng::with_seed(seed);
    let mut kinds: Vec<_> = KINDS.iter().filter(|_| rng.f64() < BELONGS).collect();
    if kinds.is_empty() {
        kinds.extend(&KINDS);
    }
    let total: u32 = kinds.iter().map(|(_, weight)| weight).sum();
    let mut actions = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += ms(&mut rng, 0, LONGEST_GAP_MS);
        if at >= length {
            return actions;
        }
        let mut left = rng.u32(..total);
        let drawn = kinds.iter().find(|(_, weight)| {
            let here = left < *weight;
            left = left.saturating_sub(*weight);
            here
        });
        if let Some((kind, _)) = drawn {
            let action = draw(*kind, &mut rng, candidates);
            actions.push(Planned { at, action });
        }
    }
}

fn draw(kind: Kind, rng: &mut Rng, candidates: usize) -> Action {
    let target = match rng.f64() < AT_THE_LEADER {
        true => Target::Leader,
        false => Target::Number(rng.usize(..candidates)),
    };
    match kind {
        Kind::Network => Action::Network(target, network(rng), ms(rng, 200, 5000)),
        Kind::Kill => Action::Kill(target, ms(rng, 0, 4000)),
        Kind::Freeze => Action::Freeze(target, ms(rng, 100, 8000)),
        Kind::Stop => Action::Stop(target, ms(rng, 0, 3000)),
        Kind::Twin => Action::Twin(target, ms(rng, 3000, 12_000)),
        Kind::StopService => Action::StopService(ms(rng, 0, 2500)),
        Kind::KillService => Action::KillService(ms(rng, 0, 2500)),
        Kind::FreezeService => Action::FreezeService(ms(rng, 100, 2500)),
        Kind::Faults => Action::Faults(rng.usize(..FAULTS.len()), ms(rng, 500, 6000)),
        Kind::Edit => Action::Edit(EDITS[rng.usize(..EDITS.len())]),
    }
}

fn network(rng: &mut Rng) -> Network {
    match rng.u8(..9) {
        0 => Network::Refusing,
        1 => Network::Resetting,
        2 => Network::BlackHole,
        3 => Network::Slow(ms(rng, 20, 900)),
        4 => Network::Throttled(rng.usize(20..2000)),
        5 => Network::RequestsDropped,
        6 => Network::AnswersClosed,
        7 => Network::AnswersTruncated,
        _ => Network::AnswersLost,
    }
}

fn ms(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.u64(from..=to))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn same_seed_gives_same_schedule() {
        assert_eq!(plan(7, HOUR, 5), plan(7, HOUR, 5));
        assert_ne!(plan(7, HOUR, 5), plan(8, HOUR, 5));
    }

    #[test]
    fn schedule_is_ordered_and_within_time() {
        let actions = plan(1, HOUR, 5);
        assert!(actions.len() > 3000, "{}", actions.len());
        assert!(actions.windows(2).all(|pair| pair[0].at <= pair[1].at));
        assert!(actions.iter().all(|planned| planned.at < HOUR));
    }

    #[test]
    fn rounds_cover_every_fault() {
        let actions: Vec<_> = (0..20)
            .flat_map(|seed| plan(seed, HOUR / 6, 5))
            .map(|planned| planned.action)
            .collect();
        let done = |is: &dyn Fn(&Action) -> bool| assert!(actions.iter().any(is));
        for edit in EDITS {
            done(&|action| *action == Action::Edit(edit));
        }
        for n in 0..FAULTS.len() {
            done(&|action| matches!(action, Action::Faults(which, _) if *which == n));
        }
        for target in [Target::Leader, Target::Number(0), Target::Number(4)] {
            done(&|action| matches!(action, Action::Kill(who, _) if *who == target));
            done(&|action| matches!(action, Action::Freeze(who, _) if *who == target));
            done(&|action| matches!(action, Action::Network(who, _, _) if *who == target));
        }
        done(&|action| matches!(action, Action::Stop(..)));
        done(&|action| matches!(action, Action::Twin(..)));
        done(&|action| matches!(action, Action::StopService(_)));
        done(&|action| matches!(action, Action::KillService(_)));
        done(&|action| matches!(action, Action::FreezeService(_)));
    }
}
