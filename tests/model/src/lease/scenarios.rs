//! Scenarios, each with one kind of fault, small enough to be explored completely.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;

use super::{Bounds, Faults, Request};
use crate::Scenario;

/// Timings as short as the rules allow in whole ticks.
fn config() -> LeaderElectionConfig {
    let seconds = Duration::from_secs;
    LeaderElectionConfig {
        lease_duration: seconds(7),
        renew_deadline: seconds(3),
        retry_period: seconds(2),
        termination_grace: seconds(1),
        stop_timeout: seconds(2),
        takeover_stagger: Duration::ZERO,
        // A candidate polls at every tick; the random addition is nothing.
        poll_period: Duration::from_nanos(4),
        ..LeaderElectionConfig::new("")
    }
}

/// Two true clocks; and one that is slower by slightly less than the limit.
const CLOCKS: [[u32; 2]; 2] = [[1000, 1000], [SLOW, 1000]];

/// 3 % slow, in thousandths of the true rate.
const SLOW: u32 = 971;

const NO_FAULTS: Faults = Faults {
    slow: 0,
    lost: 0,
    lost_writes: 0,
    freezes: 0,
    stops: 0,
    kills: 0,
    annotations: 0,
};

fn bounds(ticks: u32, confirmation: Option<u64>, faults: Faults) -> Bounds {
    Bounds {
        ticks,
        config: config(),
        confirmation: confirmation.map(Duration::from_secs),
        rates: CLOCKS.into(),
        pid: 1,
        requests: Vec::new(),
        faults,
    }
}

/// Acknowledged writes stay; a candidate is frozen.
pub fn frozen() -> Scenario<Bounds> {
    let faults = Faults {
        slow: 1,
        freezes: 1,
        ..NO_FAULTS
    };
    Scenario {
        name: "a frozen candidate",
        bounds: bounds(14, None, faults),
        states: 860_000,
    }
}

/// Acknowledged writes stay; one answer is lost, and one is late.
pub fn lost_answers() -> Scenario<Bounds> {
    let faults = Faults {
        slow: 1,
        lost: 1,
        ..NO_FAULTS
    };
    Scenario {
        name: "a lost answer",
        bounds: bounds(12, None, faults),
        states: 740_000,
    }
}

/// Writes are lost.
pub fn lost_writes() -> Scenario<Bounds> {
    let faults = Faults {
        slow: 1,
        lost_writes: 1,
        ..NO_FAULTS
    };
    Scenario {
        name: "lost writes",
        bounds: bounds(15, Some(1), faults),
        states: 430_000,
    }
}

/// Writes are lost, and either candidate is frozen.
pub fn lost_writes_and_frozen() -> Scenario<Bounds> {
    let faults = Faults {
        slow: 1,
        lost_writes: 1,
        freezes: 1,
        ..NO_FAULTS
    };
    Scenario {
        name: "lost writes and a frozen candidate",
        bounds: Bounds {
            rates: vec![[SLOW, 1000]],
            ..bounds(13, Some(1), faults)
        },
        states: 2_900_000,
    }
}

/// A candidate is asked to stop.
pub fn stopping() -> Scenario<Bounds> {
    let faults = Faults {
        slow: 1,
        stops: 1,
        ..NO_FAULTS
    };
    Scenario {
        name: "a graceful stop",
        bounds: bounds(17, Some(1), faults),
        states: 710_000,
    }
}

/// The process of a container is killed.
pub fn killed_containers() -> Scenario<Bounds> {
    let faults = Faults {
        slow: 1,
        kills: 1,
        ..NO_FAULTS
    };
    Scenario {
        name: "killed containers",
        bounds: bounds(12, None, faults),
        states: 900_000,
    }
}

/// Electors are killed, and their guards stop their workloads.
pub fn killed_electors() -> Scenario<Bounds> {
    let faults = Faults {
        slow: 1,
        kills: 1,
        ..NO_FAULTS
    };
    Scenario {
        name: "killed electors",
        bounds: Bounds {
            pid: 7,
            ..bounds(12, None, faults)
        },
        states: 1_000_000,
    }
}

/// An operator pauses and resumes the election at any time.
pub fn paused() -> Scenario<Bounds> {
    let faults = Faults {
        slow: 1,
        annotations: 2,
        ..NO_FAULTS
    };
    Scenario {
        name: "a paused election",
        bounds: Bounds {
            requests: vec![Request::Pause, Request::Resume],
            rates: vec![[SLOW, 1000]],
            ..bounds(8, None, faults)
        },
        states: 1_580_000,
    }
}

/// An operator asks the leader to hand over, to the other candidate or to one that does not run.
pub fn handed_over() -> Scenario<Bounds> {
    let faults = Faults {
        slow: 1,
        annotations: 1,
        ..NO_FAULTS
    };
    Scenario {
        name: "a switchover",
        bounds: Bounds {
            requests: vec![Request::HandOver("b"), Request::HandOver("absent")],
            ..bounds(13, None, faults)
        },
        states: 1_710_000,
    }
}

/// An operator annotates the record while writes are lost.
pub fn annotated_and_lost_writes() -> Scenario<Bounds> {
    let faults = Faults {
        slow: 1,
        lost_writes: 1,
        annotations: 1,
        ..NO_FAULTS
    };
    Scenario {
        name: "annotations and lost writes",
        bounds: Bounds {
            requests: vec![Request::Pause, Request::HandOver("")],
            rates: vec![[SLOW, 1000]],
            ..bounds(13, Some(1), faults)
        },
        states: 7_400_000,
    }
}

/// Writes are lost, and one clock is slower than the other by more than the lease's margin and the
/// confirmation compensate.
pub fn drifting() -> Bounds {
    Bounds {
        rates: vec![[800, 1000]],
        ..lost_writes().bounds
    }
}

/// Writes are lost, answers are late, and one is lost, with two true clocks.
pub fn lost_answers_and_writes() -> Bounds {
    let faults = Faults {
        slow: 1,
        lost: 1,
        lost_writes: 1,
        ..NO_FAULTS
    };
    Bounds {
        rates: vec![[1000, 1000]],
        ..bounds(12, Some(1), faults)
    }
}

pub fn small() -> Vec<Scenario<Bounds>> {
    vec![
        frozen(),
        lost_answers(),
        lost_writes(),
        lost_writes_and_frozen(),
        stopping(),
        killed_containers(),
        killed_electors(),
        paused(),
        handed_over(),
    ]
}

/// The same faults, more often, for longer, and with a longer confirmation delay.
pub fn large() -> Vec<Scenario<Bounds>> {
    let long = Bounds {
        config: LeaderElectionConfig {
            lease_duration: Duration::from_secs(11),
            renew_deadline: Duration::from_secs(5),
            retry_period: Duration::from_secs(4),
            ..config()
        },
        ..bounds(18, Some(2), lost_writes().bounds.faults)
    };
    let killed_twice = Bounds {
        rates: vec![[1000, 1000]],
        ..bounds(
            11,
            None,
            Faults {
                kills: 2,
                ..killed_containers().bounds.faults
            },
        )
    };
    let frozen_faults = Faults {
        freezes: 1,
        annotations: 1,
        ..frozen().bounds.faults
    };
    vec![
        annotated_and_lost_writes(),
        Scenario {
            name: "annotations and a frozen candidate",
            bounds: Bounds {
                requests: vec![Request::HandOver("b")],
                rates: vec![[SLOW, 1000]],
                ..bounds(11, None, frozen_faults)
            },
            states: 1_320_000,
        },
        Scenario {
            name: "containers killed twice",
            bounds: killed_twice,
            states: 6_500_000,
        },
        Scenario {
            name: "a candidate frozen for longer",
            bounds: Bounds {
                ticks: 18,
                ..frozen().bounds
            },
            states: 1_800_000,
        },
        Scenario {
            name: "a lost answer and lost writes",
            bounds: Bounds {
                rates: CLOCKS.into(),
                ..lost_answers_and_writes()
            },
            states: 8_500_000,
        },
        Scenario {
            name: "lost writes with a longer confirmation delay",
            bounds: long,
            states: 330_000,
        },
    ]
}
