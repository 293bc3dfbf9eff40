//! Scenarios with a cell: a store with a conditional write.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use elector::election::record::LeaderElectionRecord;
use elector::lock::cas::origin::{to_foreign_text, to_text};
use fastrand::Rng;

use super::{Place, Scenario};

impl Scenario {
    /// Draws a run with a cell: a store with a conditional write.
    pub fn cas(seed: u64) -> Scenario {
        let mut scenario = Scenario::gist(seed);
        let mut rng = Rng::with_seed(seed ^ 0xca5);
        scenario.kind = "cas";
        scenario.place = Place::Cell {
            ahead: rng.i64(-900..=900),
            versions_nothing: rng.bool(),
            dates_writes: rng.bool(),
        };
        scenario.counted = false;
        scenario.faults.draw_cell(&mut rng);
        // A newcomer cannot know a longer lease that a foreign write replaced.
        let alike = rng.u8(..4) > 0 || scenario.has_foreign_writes();
        let tight = rng.bool();
        if tight {
            // Half of a call's time, which a write gets, is then as short as 0.6 s.
            scenario.faults.usual_way = Duration::from_millis(150);
        }
        let first = draw_cell_config(&mut rng, tight);
        for config in &mut scenario.candidates {
            *config = LeaderElectionConfig {
                identity: config.identity.clone(),
                seed: config.seed,
                ..match alike {
                    true => first.clone(),
                    false => draw_cell_config(&mut rng, tight),
                }
            };
        }
        scenario.draw_staggers(2);
        scenario.content = draw_cell_content(&mut rng);
        scenario.content_age = match rng.u8(..3) {
            0 => 0,
            1 => rng.i64(0..600),
            _ => rng.i64(600..100_000),
        };
        scenario
    }

    /// Draws a short run with a cell of which an older value is restored once. Processes that never knew the
    /// newer ones cannot notice, and after a claim of such a process two terms may have one fencing token.
    pub fn restored(seed: u64) -> Scenario {
        let mut scenario = Scenario::cas(seed);
        scenario.kind = "restored";
        scenario.client_go = 0;
        scenario.faults.operator_edits = 0.0;
        scenario.fault_period = Duration::from_secs(600);
        scenario.faults.restores = 6.0;
        scenario
    }

    /// Draws a run over a gist or a cell in which most candidates have a state file. Their processes are
    /// killed often, and start again soon.
    pub fn restarting(seed: u64) -> Scenario {
        let mut scenario = match seed % 2 {
            0 => Scenario::gist(seed),
            _ => Scenario::cas(seed),
        };
        scenario.kind = "restarting";
        scenario.restarts = true;
        scenario.faults.crashes = scenario.faults.crashes.max(20.0) * 4.0;
        scenario
    }

    fn has_foreign_writes(&self) -> bool {
        self.client_go > 0 || self.faults.operator_edits > 0.0
    }
}

/// Draws the default timings of a Lease, or timings as tight as the rules allow.
fn draw_cell_config(rng: &mut Rng, tight: bool) -> LeaderElectionConfig {
    let default = LeaderElectionConfig {
        lease_duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(6),
        retry_period: Duration::from_secs(2),
        poll_period: Duration::from_secs(1),
        exit_on_lost_lease: rng.u8(..8) == 0,
        release_on_cancel: rng.u8(..8) > 0,
        ..LeaderElectionConfig::new("?")
    };
    if !tight {
        return default;
    }
    let config = LeaderElectionConfig {
        lease_duration: Duration::from_secs(rng.u64(10..40)),
        retry_period: Duration::from_millis(rng.u64(500..2500)),
        poll_period: Duration::from_millis(rng.u64(200..3000)),
        termination_grace: Duration::from_millis(rng.u64(..2500)),
        ..default
    };
    let kept = config.retry_period + config.termination_grace + config.margin();
    LeaderElectionConfig {
        renew_deadline: config.lease_duration - kept,
        ..config
    }
}

fn draw_cell_content(rng: &mut Rng) -> Option<String> {
    let record = |holder: &str, lease| LeaderElectionRecord {
        holder_identity: holder.to_owned(),
        lease_duration_seconds: lease,
        leader_transitions: 7,
        ..LeaderElectionRecord::default()
    };
    match rng.u8(..7) {
        0 => None,
        1 => Some("{}".to_owned()),
        2 => Some(to_foreign_text(&record("", 15), false)),
        3 => Some(to_foreign_text(&record("somebody-long-gone", 15), false)),
        4 => Some(to_text(&record("", 1), None, "old-1", false)),
        5 => Some(to_text(&record("", 1), None, "old-1", true)),
        _ => Some(to_text(
            &record("somebody-long-gone", 15),
            None,
            "old-1",
            false,
        )),
    }
}
