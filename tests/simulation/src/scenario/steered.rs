//! Scenarios in which operators steer the election.

use std::time::Duration;

use fastrand::Rng;

use super::{Place, Scenario};

impl Scenario {
    /// Draws a run with all other faults in which operators pause, resume and switch over, and preferred
    /// candidates ask for handovers.
    pub fn steered(seed: u64) -> Scenario {
        let mut scenario = Scenario::draw(seed);
        let mut rng = Rng::with_seed(seed ^ 0x57ee7);
        scenario.kind = "steered";
        scenario.faults.limits = false;
        scenario.counted = false;
        scenario.faults.steering = 60.0 * rng.f64();
        if rng.bool() {
            // Without foreign writes, which end a pause.
            scenario.client_go = 0;
            scenario.faults.operator_edits = 0.0;
        }
        scenario.draw_preferred(&mut rng);
        scenario
    }

    /// Draws a run without faults in which operators switch over, and no candidate is preferred.
    pub fn switching(seed: u64) -> Scenario {
        let drawn = Scenario::draw(seed);
        let mut scenario = Scenario {
            place: drawn.place,
            candidates: drawn.candidates,
            confirm_delay: drawn.confirm_delay,
            ..Scenario::calm(seed)
        };
        scenario.kind = "switching";
        scenario.counted = false;
        scenario.content = None;
        for (index, config) in scenario.candidates.iter_mut().enumerate() {
            config.identity = format!("c{index}");
        }
        scenario.faults.steering = 10.0;
        if scenario.place != Place::Gist {
            // `elector doctor` wants reads to take at most an eighth of the retry period, 2 s.
            scenario.faults.usual_way = Duration::from_millis(125);
        }
        scenario
    }

    fn draw_preferred(&mut self, rng: &mut Rng) {
        for config in &mut self.candidates {
            config.preferred = rng.u8(..3) == 0;
            if config.preferred && rng.u8(..4) > 0 {
                config.failback_after = Some(Duration::from_secs(rng.u64(10..200)));
            }
        }
    }
}
