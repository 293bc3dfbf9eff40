//! Scenarios, small enough to be explored completely.

use super::Bounds;
use super::Operation::{Read, Write};
use crate::Scenario;

/// Returns bounds without faults, in which the last member is away.
fn two_of_three(processes: Vec<Vec<super::Operation>>) -> Bounds {
    Bounds {
        processes,
        losses: 0,
        doubles: 0,
        deletions: 0,
        away: true,
    }
}

/// One writer renews while another one writes, and a write arrives twice.
pub fn racing() -> Scenario<Bounds> {
    Scenario {
        name: "racing writers of a quorum",
        bounds: Bounds {
            doubles: 1,
            ..two_of_three(vec![vec![Write, Write], vec![Write]])
        },
        states: 91_000,
    }
}

/// A lost request or answer is settled by a read, and the lost write may arrive late.
pub fn settled() -> Scenario<Bounds> {
    Scenario {
        name: "settled writes of a quorum",
        bounds: Bounds {
            losses: 1,
            ..two_of_three(vec![vec![Write, Read], vec![Read, Write]])
        },
        states: 660_000,
    }
}

pub fn small() -> Vec<Scenario<Bounds>> {
    vec![racing(), settled()]
}
