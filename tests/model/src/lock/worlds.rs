//! The worlds that are explored, each with one kind of trouble, small enough to be explored to the end.

use elector::lock::gist::wire::Text;

use super::{Bounds, Calls};
use crate::World;

/// An answer lists every revision there is.
const WHOLE: usize = 99;

/// Has looked at the gist before all begins.
fn warm(looks: u8, writes: u8) -> Calls {
    Calls {
        looks,
        writes,
        warm: true,
    }
}

/// Knows nothing in the beginning.
fn cold(looks: u8, writes: u8) -> Calls {
    Calls {
        looks,
        writes,
        warm: false,
    }
}

/// No trouble but lost answers, late writes and stale reads, which are everywhere.
fn quiet(processes: Vec<Calls>) -> Bounds {
    Bounds {
        processes,
        beginning: Text::Whole("{}".into()),
        overwrites: 0,
        other_files: 0,
        duplicates: 0,
        failures: 0,
        pauses: 0,
        vanishing: 0,
        page: WHOLE,
        jumps: false,
    }
}

/// Two writers, one of them with a second try.
pub fn pair() -> Bounds {
    quiet(vec![warm(1, 2), warm(1, 1)])
}

/// The same, one of whom comes later; answers show the history in pieces.
pub fn walkers(page: usize) -> Bounds {
    Bounds {
        page,
        ..quiet(vec![warm(1, 2), cold(1, 1)])
    }
}

/// Three writers race.
pub fn races() -> World<Bounds> {
    World {
        name: "races",
        bounds: quiet(vec![warm(1, 2), warm(1, 1), warm(1, 1)]),
        states: 1_490_000,
    }
}

/// People edit the file, and another one.
pub fn people() -> World<Bounds> {
    World {
        name: "people",
        bounds: Bounds {
            overwrites: 1,
            other_files: 1,
            ..quiet(vec![warm(1, 2), warm(0, 1)])
        },
        states: 190_000,
    }
}

/// Writes land twice, and processes sleep.
pub fn doubles() -> World<Bounds> {
    World {
        name: "doubles",
        bounds: Bounds {
            duplicates: 1,
            pauses: 1,
            ..pair()
        },
        states: 400_000,
    }
}

/// The history is read in pieces, under a person's hands.
pub fn walks() -> World<Bounds> {
    World {
        name: "walks",
        bounds: Bounds {
            overwrites: 1,
            ..walkers(3)
        },
        states: 560_000,
    }
}

/// Reads fail in the middle of a call.
pub fn failures() -> World<Bounds> {
    World {
        name: "failures",
        bounds: Bounds {
            failures: 1,
            other_files: 1,
            ..walkers(WHOLE)
        },
        states: 500_000,
    }
}

/// A write takes another one with it.
pub fn vanishing() -> World<Bounds> {
    World {
        name: "vanishing",
        bounds: Bounds {
            overwrites: 1,
            vanishing: 1,
            ..pair()
        },
        states: 460_000,
    }
}

pub fn small() -> Vec<World<Bounds>> {
    vec![
        races(),
        people(),
        doubles(),
        walks(),
        failures(),
        vanishing(),
    ]
}

/// The same troubles, more of each.
pub fn large() -> Vec<World<Bounds>> {
    vec![
        World {
            name: "large races",
            bounds: quiet(vec![warm(1, 2), warm(1, 2), warm(0, 1)]),
            states: 5_600_000,
        },
        World {
            name: "large people",
            bounds: Bounds {
                processes: pair().processes,
                ..people().bounds
            },
            states: 1_230_000,
        },
        World {
            name: "large doubles",
            bounds: Bounds {
                other_files: 1,
                ..doubles().bounds
            },
            states: 3_390_000,
        },
        World {
            name: "large walks",
            bounds: Bounds {
                failures: 1,
                page: 2,
                ..walks().bounds
            },
            states: 7_200_000,
        },
        World {
            name: "large vanishing",
            bounds: Bounds {
                pauses: 1,
                ..vanishing().bounds
            },
            states: 2_000_000,
        },
    ]
}
