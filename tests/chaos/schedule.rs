//! What goes wrong when, from a seed: the same seed gives the same deeds at the same times.
//!
//! What comes of them is up to the processes. "Whoever leads" is looked up when the deed is due.

use std::time::Duration;

use fastrand::Rng;

use crate::faults::FAULTS;
use crate::proxy::Weather;

/// Deeds follow each other after a time up to this, at random.
const LONGEST_GAP_MS: u64 = 1100;

/// Each kind of deed belongs to a round with this chance: what is always there may hide what else
/// can go wrong.
const BELONGS: f64 = 0.75;

/// How much of what is done to a candidate is done to whoever leads.
const AT_THE_LEADER: f64 = 0.6;

/// To whom something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Whoever leads then; nobody if nobody does.
    Leader,
    Number(usize),
}

/// What a person, or another program, does with the gist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Writes to another file, several times at once.
    OtherFile,
    /// Puts `{}` for the record.
    Blank,
    /// Writes a record by hand, with a token of old.
    ByHand,
    /// Writes a record by hand, with a higher token.
    HigherByHand,
    /// Writes by hand that nobody holds the lease.
    ClearedByHand,
    /// Pastes the record as it was some time ago.
    PasteOld,
    /// Deletes the file.
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

/// Something that is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Deed {
    /// The way from a candidate to the service is bad for a time.
    Weather(Whom, Weather, Duration),
    /// SIGKILL, and a start under the same name after a time.
    Kill(Whom, Duration),
    /// SIGSTOP for the whole group, and SIGCONT after a time.
    Freeze(Whom, Duration),
    /// SIGTERM, and a start under the same name after a time.
    Leave(Whom, Duration),
    /// A second process under the same name, for a time.
    Twin(Whom, Duration),
    /// The service is stopped with SIGTERM, and started after a time with its state.
    StopService(Duration),
    /// The same with SIGKILL.
    KillService(Duration),
    /// The service is frozen for a time.
    FreezeService(Duration),
    /// The service has these of the faults for a time.
    Faults(usize, Duration),
    Edit(Edit),
}

/// The kinds of deeds, for the draw of those that belong to a round, each with its weight.
const KINDS: [(Kind, u32); 10] = [
    (Kind::Weather, 8),
    (Kind::Kill, 3),
    (Kind::Freeze, 4),
    (Kind::Leave, 3),
    (Kind::Twin, 1),
    (Kind::StopService, 1),
    (Kind::KillService, 1),
    (Kind::FreezeService, 1),
    (Kind::Faults, 6),
    (Kind::Edit, 2),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Weather,
    Kill,
    Freeze,
    Leave,
    Twin,
    StopService,
    KillService,
    FreezeService,
    Faults,
    Edit,
}

/// A deed, and when it is due after the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Planned {
    pub(crate) at: Duration,
    pub(crate) deed: Deed,
}

/// What is done to `candidates` for that long.
pub(crate) fn plan(seed: u64, length: Duration, candidates: usize) -> Vec<Planned> {
    let mut rng = Rng::with_seed(seed);
    let mut kinds: Vec<_> = KINDS.iter().filter(|_| rng.f64() < BELONGS).collect();
    if kinds.is_empty() {
        kinds.extend(&KINDS);
    }
    let total: u32 = kinds.iter().map(|(_, weight)| weight).sum();
    let mut deeds = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += ms(&mut rng, 0, LONGEST_GAP_MS);
        if at >= length {
            return deeds;
        }
        let mut left = rng.u32(..total);
        let drawn = kinds.iter().find(|(_, weight)| {
            let here = left < *weight;
            left = left.saturating_sub(*weight);
            here
        });
        if let Some((kind, _)) = drawn {
            let deed = draw(*kind, &mut rng, candidates);
            deeds.push(Planned { at, deed });
        }
    }
}

fn draw(kind: Kind, rng: &mut Rng, candidates: usize) -> Deed {
    let whom = match rng.f64() < AT_THE_LEADER {
        true => Whom::Leader,
        false => Whom::Number(rng.usize(..candidates)),
    };
    match kind {
        Kind::Weather => Deed::Weather(whom, weather(rng), ms(rng, 200, 5000)),
        Kind::Kill => Deed::Kill(whom, ms(rng, 0, 4000)),
        Kind::Freeze => Deed::Freeze(whom, ms(rng, 100, 8000)),
        Kind::Leave => Deed::Leave(whom, ms(rng, 0, 3000)),
        Kind::Twin => Deed::Twin(whom, ms(rng, 3000, 12_000)),
        Kind::StopService => Deed::StopService(ms(rng, 0, 2500)),
        Kind::KillService => Deed::KillService(ms(rng, 0, 2500)),
        Kind::FreezeService => Deed::FreezeService(ms(rng, 100, 2500)),
        Kind::Faults => Deed::Faults(rng.usize(..FAULTS.len()), ms(rng, 500, 6000)),
        Kind::Edit => Deed::Edit(EDITS[rng.usize(..EDITS.len())]),
    }
}

fn weather(rng: &mut Rng) -> Weather {
    match rng.u8(..9) {
        0 => Weather::Refusing,
        1 => Weather::Resetting,
        2 => Weather::BlackHole,
        3 => Weather::Slow(ms(rng, 20, 900)),
        4 => Weather::Narrow(rng.usize(20..2000)),
        5 => Weather::DeafToRequests,
        6 => Weather::DeafToAnswers,
        7 => Weather::CuttingAnswers,
        _ => Weather::LosingAnswers,
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
        let deeds = plan(1, HOUR, 5);
        assert!(deeds.len() > 3000, "{}", deeds.len());
        assert!(deeds.windows(2).all(|pair| pair[0].at <= pair[1].at));
        assert!(deeds.iter().all(|planned| planned.at < HOUR));
    }

    #[test]
    fn rounds_cover_every_fault() {
        let deeds: Vec<_> = (0..20)
            .flat_map(|seed| plan(seed, HOUR / 6, 5))
            .map(|planned| planned.deed)
            .collect();
        let done = |is: &dyn Fn(&Deed) -> bool| assert!(deeds.iter().any(is));
        for edit in EDITS {
            done(&|deed| *deed == Deed::Edit(edit));
        }
        for n in 0..FAULTS.len() {
            done(&|deed| matches!(deed, Deed::Faults(which, _) if *which == n));
        }
        for whom in [Whom::Leader, Whom::Number(0), Whom::Number(4)] {
            done(&|deed| matches!(deed, Deed::Kill(who, _) if *who == whom));
            done(&|deed| matches!(deed, Deed::Freeze(who, _) if *who == whom));
            done(&|deed| matches!(deed, Deed::Weather(who, _, _) if *who == whom));
        }
        done(&|deed| matches!(deed, Deed::Leave(..)));
        done(&|deed| matches!(deed, Deed::Twin(..)));
        done(&|deed| matches!(deed, Deed::StopService(_)));
        done(&|deed| matches!(deed, Deed::KillService(_)));
        done(&|deed| matches!(deed, Deed::FreezeService(_)));
    }
}
