//! Scenarios, each with some kinds of faults, small enough to be explored completely.

use super::Bounds;
use crate::Scenario;
use crate::calls::{Calls, annotator, cold, warm};

/// Returns bounds without faults but lost and late requests and answers, which every scenario has.
fn undisturbed(processes: Vec<Calls>) -> Bounds {
    Bounds {
        processes,
        doubles: 0,
        refusals: 0,
        version_changes: 0,
        overwrites: 0,
        deletions: 0,
    }
}

/// Two writers, one with two attempts, with a doubled write and a changed version.
pub fn doubled() -> Scenario<Bounds> {
    Scenario {
        name: "doubled conditional writes",
        bounds: Bounds {
            doubles: 1,
            version_changes: 1,
            ..undisturbed(vec![warm(0, 2), warm(0, 1)])
        },
        states: 690_000,
    }
}

/// Writes are refused wrongly while operators write.
pub fn refused() -> Scenario<Bounds> {
    Scenario {
        name: "wrongly refused conditional writes",
        bounds: Bounds {
            refusals: 1,
            overwrites: 1,
            ..undisturbed(vec![warm(1, 1), warm(0, 1)])
        },
        states: 220_000,
    }
}

/// A process that probes the store first.
pub fn probed() -> Scenario<Bounds> {
    Scenario {
        name: "probed conditional writes",
        bounds: undisturbed(vec![cold(2, 1), warm(0, 1)]),
        states: 42_000,
    }
}

/// A process annotates the record that another one writes.
pub fn annotated() -> Scenario<Bounds> {
    Scenario {
        name: "annotated conditional writes",
        bounds: undisturbed(vec![warm(1, 2), annotator(1, 1)]),
        states: 1_870_000,
    }
}

/// A process annotates what an operator overwrites, and writes land twice.
pub fn annotated_foreign() -> Scenario<Bounds> {
    Scenario {
        name: "annotated foreign records",
        bounds: Bounds {
            doubles: 1,
            overwrites: 1,
            ..undisturbed(vec![warm(0, 1), annotator(1, 1)])
        },
        states: 195_000,
    }
}

pub fn small() -> Vec<Scenario<Bounds>> {
    vec![
        doubled(),
        refused(),
        probed(),
        annotated(),
        annotated_foreign(),
    ]
}

/// More faults, and a third process.
pub fn large() -> Vec<Scenario<Bounds>> {
    vec![
        Scenario {
            name: "deleted conditional writes",
            bounds: Bounds {
                deletions: 1,
                ..refused().bounds
            },
            states: 1_090_000,
        },
        Scenario {
            name: "three conditional writers",
            bounds: Bounds {
                doubles: 1,
                version_changes: 1,
                ..undisturbed(vec![warm(0, 1), warm(0, 1), warm(0, 1)])
            },
            states: 5_900_000,
        },
        Scenario {
            name: "reading conditional writers",
            bounds: Bounds {
                processes: vec![warm(1, 2), warm(0, 1)],
                ..doubled().bounds
            },
            states: 4_800_000,
        },
    ]
}
