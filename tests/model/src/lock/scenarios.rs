//! Scenarios, each with one kind of fault, small enough to be explored completely.

use elector::lock::gist::wire::Text;

use super::Bounds;
use crate::Scenario;
use crate::calls::{Calls, annotator, cold, warm};

/// An answer lists every revision.
const WHOLE: usize = 99;

/// Returns bounds without faults but lost answers, late writes and stale reads, which every
/// scenario has.
fn undisturbed(processes: Vec<Calls>) -> Bounds {
    Bounds {
        processes,
        beginning: Text::Whole("{}".into()),
        overwrites: 0,
        other_files: 0,
        duplicates: 0,
        failures: 0,
        pauses: 0,
        lost_writes: 0,
        page: WHOLE,
        jumps: false,
    }
}

/// Two writers, one with a second attempt.
pub fn pair() -> Bounds {
    undisturbed(vec![warm(1, 2), warm(1, 1)])
}

/// The same, but one starts without knowledge; answers show the history in pages.
pub fn paged_readers(page: usize) -> Bounds {
    Bounds {
        page,
        ..undisturbed(vec![warm(1, 2), cold(1, 1)])
    }
}

/// Three racing writers.
pub fn races() -> Scenario<Bounds> {
    Scenario {
        name: "races",
        bounds: undisturbed(vec![warm(1, 2), warm(1, 1), warm(1, 1)]),
        states: 1_490_000,
    }
}

/// Operators write the record's file and another one.
pub fn operators() -> Scenario<Bounds> {
    Scenario {
        name: "operators",
        bounds: Bounds {
            overwrites: 1,
            other_files: 1,
            ..undisturbed(vec![warm(1, 2), warm(0, 1)])
        },
        states: 190_000,
    }
}

/// Writes land twice, and processes pause.
pub fn duplicates_and_pauses() -> Scenario<Bounds> {
    Scenario {
        name: "duplicates",
        bounds: Bounds {
            duplicates: 1,
            pauses: 1,
            ..pair()
        },
        states: 400_000,
    }
}

/// The history is read in pages while an operator writes.
pub fn paged_history() -> Scenario<Bounds> {
    Scenario {
        name: "paged history",
        bounds: Bounds {
            overwrites: 1,
            ..paged_readers(3)
        },
        states: 560_000,
    }
}

/// Reads fail in the middle of a call.
pub fn failures() -> Scenario<Bounds> {
    Scenario {
        name: "failures",
        bounds: Bounds {
            failures: 1,
            other_files: 1,
            ..paged_readers(WHOLE)
        },
        states: 500_000,
    }
}

/// A write replaces another one.
pub fn lost_writes() -> Scenario<Bounds> {
    Scenario {
        name: "lost writes",
        bounds: Bounds {
            overwrites: 1,
            lost_writes: 1,
            ..pair()
        },
        states: 460_000,
    }
}

/// A process annotates the record that another one or an operator writes.
pub fn annotated() -> Scenario<Bounds> {
    Scenario {
        name: "annotations",
        bounds: Bounds {
            overwrites: 1,
            ..undisturbed(vec![warm(1, 2), annotator(1, 1)])
        },
        states: 25_000,
    }
}

pub fn small() -> Vec<Scenario<Bounds>> {
    vec![
        races(),
        operators(),
        duplicates_and_pauses(),
        paged_history(),
        failures(),
        lost_writes(),
        annotated(),
    ]
}

/// The same faults, more of each.
pub fn large() -> Vec<Scenario<Bounds>> {
    vec![
        Scenario {
            name: "large annotations",
            bounds: Bounds {
                overwrites: 0,
                duplicates: 1,
                processes: vec![warm(1, 2), annotator(1, 2)],
                ..annotated().bounds
            },
            states: 144_000,
        },
        Scenario {
            name: "annotations among two writers",
            bounds: undisturbed(vec![warm(1, 2), warm(0, 1), annotator(1, 1)]),
            states: 64_000,
        },
        Scenario {
            name: "large races",
            bounds: undisturbed(vec![warm(1, 2), warm(1, 2), warm(0, 1)]),
            states: 5_600_000,
        },
        Scenario {
            name: "large operators",
            bounds: Bounds {
                processes: pair().processes,
                ..operators().bounds
            },
            states: 1_230_000,
        },
        Scenario {
            name: "large duplicates",
            bounds: Bounds {
                other_files: 1,
                ..duplicates_and_pauses().bounds
            },
            states: 3_390_000,
        },
        Scenario {
            name: "large paged history",
            bounds: Bounds {
                failures: 1,
                page: 2,
                ..paged_history().bounds
            },
            states: 7_200_000,
        },
        Scenario {
            name: "large lost writes",
            bounds: Bounds {
                pauses: 1,
                ..lost_writes().bounds
            },
            states: 2_000_000,
        },
    ]
}
