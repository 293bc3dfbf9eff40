//! Whether a workload is healthy, by the answers that it gives: pure, the time is handed in.
//!
//! ```text
//!                first success          failures in a row: enough
//!   Starting ──────────────────▶ Watched ─────────────────────────▶ Failed
//! ```
//!
//! What fails before the first success counts for nothing: a workload takes its time to start, and what
//! never answers at this address is no reason to stop it. An answer is good if a kubelet would take it
//! for good, with a status from 200 to 399.

use std::time::Duration;

use crate::election::time::Instant;

/// How a workload's health is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthConfig {
    /// From one question to the next.
    pub period: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// This many failures in a row are a failed workload.
    pub failures: u32,
    /// A workload that has not been healthy once for so long is told of.
    pub patience: Duration,
}

impl Default for HealthConfig {
    /// A kubelet asks every 10 s, gives an answer 1 s, and takes three failures. Here another cluster
    /// waits to take over: asked every 5 s, a workload that hangs is found out within 17 s, about as soon
    /// as a leader that has crashed. A busy machine takes more than a second now and then, and being
    /// wrong costs a change of leaders: hence 2 s.
    fn default() -> Self {
        HealthConfig {
            period: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            failures: 3,
            patience: Duration::from_secs(60),
        }
    }
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing new.
    AsBefore,
    /// It is healthy for the first time: from now on failures count.
    Started,
    /// It is healthy again, after so many failures.
    Recovered(u32),
    /// That many failures in a row, and why the last one was one.
    Failing(u32, String),
    /// It has not been healthy once, for longer than one should wait; said once, with the reason.
    NeverHealthy(String),
    /// It has failed, and for this reason the last time.
    Failed(String),
}

/// One run of a workload.
#[derive(Clone, Debug)]
pub struct Health {
    config: HealthConfig,
    started_at: Instant,
    ask_at: Instant,
    /// It was healthy once.
    started: bool,
    failures: u32,
    /// It was said that it is never healthy.
    told: bool,
}

impl Health {
    /// A workload that is started now, and asked at once.
    #[must_use]
    pub fn new(config: HealthConfig, now: Instant) -> Self {
        Health {
            config,
            started_at: now,
            ask_at: now,
            started: false,
            failures: 0,
            told: false,
        }
    }

    /// When it is to be asked next.
    #[must_use]
    pub fn ask_at(&self) -> Instant {
        self.ask_at
    }

    /// It was asked at `asked_at`, and it is now known what came of it: a status, or why there is none.
    pub fn handle_answer(
        &mut self,
        asked_at: Instant,
        now: Instant,
        answer: Result<u16, String>,
    ) -> Verdict {
        self.ask_at = now.max(asked_at + self.config.period);
        match answer {
            Ok(200..=399) => self.succeeded(),
            Ok(status) => self.failed(now, format!("it answered {status}")),
            Err(why) => self.failed(now, why),
        }
    }

    fn succeeded(&mut self) -> Verdict {
        let failures = std::mem::take(&mut self.failures);
        match (std::mem::replace(&mut self.started, true), failures) {
            (false, _) => Verdict::Started,
            (true, 0) => Verdict::AsBefore,
            (true, failures) => Verdict::Recovered(failures),
        }
    }

    fn failed(&mut self, now: Instant, why: String) -> Verdict {
        if !self.started {
            let late = now.since(self.started_at) >= self.config.patience;
            return match late && !std::mem::replace(&mut self.told, late) {
                true => Verdict::NeverHealthy(why),
                false => Verdict::AsBefore,
            };
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.config.failures {
            return Verdict::Failed(why);
        }
        Verdict::Failing(self.failures, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(1000 + seconds))
    }

    struct Rig {
        health: Health,
    }

    impl Rig {
        fn new() -> Self {
            Rig {
                health: Health::new(HealthConfig::default(), at(0)),
            }
        }

        /// Asks as soon as it is time; the answer takes no time.
        fn answer(&mut self, answer: Result<u16, &str>) -> Verdict {
            let now = self.health.ask_at();
            self.health
                .handle_answer(now, now, answer.map_err(str::to_owned))
        }
    }

    #[test]
    fn three_failures_in_a_row_are_a_failed_workload() {
        let mut rig = Rig::new();
        assert_eq!(rig.answer(Ok(200)), Verdict::Started);
        assert_eq!(
            rig.answer(Ok(500)),
            Verdict::Failing(1, "it answered 500".into())
        );
        assert_eq!(rig.answer(Err("gone")), Verdict::Failing(2, "gone".into()));
        assert_eq!(
            rig.answer(Ok(404)),
            Verdict::Failed("it answered 404".into())
        );
    }

    #[test]
    fn a_success_in_between_starts_the_count_anew() {
        let mut rig = Rig::new();
        assert_eq!(rig.answer(Ok(204)), Verdict::Started);
        for _ in 0..10 {
            assert!(matches!(rig.answer(Err("slow")), Verdict::Failing(1, _)));
            assert!(matches!(rig.answer(Err("slow")), Verdict::Failing(2, _)));
            assert_eq!(rig.answer(Ok(302)), Verdict::Recovered(2));
            assert_eq!(rig.answer(Ok(200)), Verdict::AsBefore);
        }
    }

    #[test]
    fn what_fails_before_the_first_success_does_not_count_and_is_told_of_once() {
        let mut rig = Rig::new();
        let mut told = Vec::new();
        for _ in 0..100 {
            let now = rig.health.ask_at();
            match rig.answer(Err("refused")) {
                Verdict::AsBefore => {}
                Verdict::NeverHealthy(why) => told.push((now, why)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(told, [(at(60), "refused".to_owned())]);
        assert_eq!(rig.answer(Ok(200)), Verdict::Started);
        assert!(matches!(rig.answer(Err("gone")), Verdict::Failing(1, _)));
    }

    #[test]
    fn only_what_a_kubelet_takes_for_good_is_good() {
        for (status, good) in [
            (101, false),
            (199, false),
            (200, true),
            (399, true),
            (400, false),
            (503, false),
            (999, false),
        ] {
            let mut rig = Rig::new();
            let verdict = rig.answer(Ok(status));
            assert_eq!(verdict == Verdict::Started, good, "{status}");
        }
    }

    #[test]
    fn it_is_asked_once_in_a_period_however_long_an_answer_takes() {
        let mut health = Health::new(HealthConfig::default(), at(0));
        assert_eq!(health.ask_at(), at(0), "at once");
        health.handle_answer(at(0), at(2), Ok(200));
        assert_eq!(health.ask_at(), at(5));
        // The machine was suspended meanwhile.
        health.handle_answer(at(5), at(900), Err("late".into()));
        assert_eq!(health.ask_at(), at(900));
    }
}
