//! The worlds that are explored, each with one kind of trouble, small enough to be explored to the end.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;

use super::{Bounds, Troubles};
use crate::World;

/// As short as the rules allow with whole ticks.
fn config() -> LeaderElectionConfig {
    let seconds = Duration::from_secs;
    LeaderElectionConfig {
        lease_duration: seconds(7),
        renew_deadline: seconds(3),
        retry_period: seconds(2),
        termination_grace: seconds(1),
        stop_timeout: seconds(2),
        takeover_stagger: Duration::ZERO,
        // A candidate looks at every tick, and what is drawn on top of this is nothing.
        poll_period: Duration::from_nanos(4),
        ..LeaderElectionConfig::new("")
    }
}

/// True clocks; and one that goes slower than the other, by a little less than may be.
const CLOCKS: [[u32; 2]; 2] = [[1000, 1000], [SLOW, 1000]];

/// 3 % slower, in thousandths of the true rate.
const SLOW: u32 = 971;

const NO_TROUBLE: Troubles = Troubles {
    slow: 0,
    lost: 0,
    vanishing: 0,
    freezes: 0,
    stops: 0,
};

fn bounds(ticks: u32, confirmation: Option<u64>, troubles: Troubles) -> Bounds {
    Bounds {
        ticks,
        config: config(),
        confirmation: confirmation.map(Duration::from_secs),
        rates: CLOCKS.into(),
        troubles,
    }
}

/// What is acknowledged stays; a candidate is frozen.
pub fn frozen() -> World<Bounds> {
    let troubles = Troubles {
        slow: 1,
        freezes: 1,
        ..NO_TROUBLE
    };
    World {
        name: "a frozen candidate",
        bounds: bounds(14, None, troubles),
        states: 860_000,
    }
}

/// What is acknowledged stays; an answer is lost, and another one late.
pub fn lossy() -> World<Bounds> {
    let troubles = Troubles {
        slow: 1,
        lost: 1,
        ..NO_TROUBLE
    };
    World {
        name: "a lost answer",
        bounds: bounds(12, None, troubles),
        states: 740_000,
    }
}

/// Writes vanish.
pub fn vanishing() -> World<Bounds> {
    let troubles = Troubles {
        slow: 1,
        vanishing: 1,
        ..NO_TROUBLE
    };
    World {
        name: "vanishing writes",
        bounds: bounds(14, Some(1), troubles),
        states: 430_000,
    }
}

/// Writes vanish, and the candidate with the slow clock or the other one is frozen.
pub fn vanishing_and_frozen() -> World<Bounds> {
    let troubles = Troubles {
        slow: 1,
        vanishing: 1,
        freezes: 1,
        ..NO_TROUBLE
    };
    World {
        name: "vanishing writes and a frozen candidate",
        bounds: Bounds {
            rates: vec![[SLOW, 1000]],
            ..bounds(12, Some(1), troubles)
        },
        states: 2_900_000,
    }
}

/// A candidate is asked to stop.
pub fn stopping() -> World<Bounds> {
    let troubles = Troubles {
        slow: 1,
        stops: 1,
        ..NO_TROUBLE
    };
    World {
        name: "a polite stop",
        bounds: bounds(12, Some(1), troubles),
        states: 710_000,
    }
}

/// Writes vanish, and one clock is slower than the other by more than the lease's margin and the
/// confirmation make up for.
pub fn drifting() -> Bounds {
    Bounds {
        rates: vec![[800, 1000]],
        ..vanishing().bounds
    }
}

/// Writes vanish, answers are late, and one is lost, between two true clocks.
pub fn lossy_and_vanishing() -> Bounds {
    let troubles = Troubles {
        slow: 1,
        lost: 1,
        vanishing: 1,
        ..NO_TROUBLE
    };
    Bounds {
        rates: vec![[1000, 1000]],
        ..bounds(12, Some(1), troubles)
    }
}

pub fn small() -> Vec<World<Bounds>> {
    vec![
        frozen(),
        lossy(),
        vanishing(),
        vanishing_and_frozen(),
        stopping(),
    ]
}

/// The same troubles, more of each, for longer, and a longer confirmation delay.
pub fn large() -> Vec<World<Bounds>> {
    let long = Bounds {
        config: LeaderElectionConfig {
            lease_duration: Duration::from_secs(11),
            renew_deadline: Duration::from_secs(5),
            retry_period: Duration::from_secs(4),
            ..config()
        },
        ..bounds(18, Some(2), vanishing().bounds.troubles)
    };
    vec![
        World {
            name: "a frozen candidate, for longer",
            bounds: Bounds {
                ticks: 18,
                ..frozen().bounds
            },
            states: 1_800_000,
        },
        World {
            name: "a lost answer among vanishing writes",
            bounds: Bounds {
                rates: CLOCKS.into(),
                ..lossy_and_vanishing()
            },
            states: 8_500_000,
        },
        World {
            name: "vanishing writes, and a longer confirmation delay",
            bounds: long,
            states: 330_000,
        },
    ]
}
