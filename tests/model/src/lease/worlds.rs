//! The worlds that are explored.

use std::time::Duration;

use multi_cluster_leader_election::election::config::LeaderElectionConfig;

use super::{Bounds, Troubles};

/// A world, and how many states it has at least: one that shrinks shows less.
pub struct World {
    pub name: &'static str,
    pub bounds: Bounds,
    pub states: usize,
}

/// As short as the rules allow with whole ticks.
pub fn config() -> LeaderElectionConfig {
    let seconds = Duration::from_secs;
    LeaderElectionConfig {
        lease_duration: seconds(7),
        renew_deadline: seconds(3),
        retry_period: seconds(2),
        termination_grace: seconds(1),
        stop_timeout: seconds(2),
        takeover_stagger: Duration::ZERO,
        // A candidate looks at every tick; what is drawn on top of this is nothing.
        poll_period: Duration::from_nanos(1),
        ..LeaderElectionConfig::new("")
    }
}

/// True clocks, and one of them slower by a little less than the margin allows.
pub const RATES: [[u32; 2]; 2] = [[1000, 1000], [971, 1000]];

pub fn true_store(ticks: u32) -> Bounds {
    Bounds {
        ticks,
        config: config(),
        confirmation: None,
        rates: RATES.into(),
        troubles: Troubles {
            slow: 2,
            lost: 2,
            vanishing: 0,
            freezes: 0,
            stops: 0,
        },
    }
}

pub fn vanishing(ticks: u32) -> Bounds {
    Bounds {
        confirmation: Some(Duration::from_secs(1)),
        ..true_store(ticks)
    }
}
