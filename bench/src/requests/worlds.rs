//! The simulated worlds that are measured.

use std::time::Duration;

use multi_cluster_leader_election::election::config::LeaderElectionConfig;
use simulation::faults::Latency;
use simulation::ledger::{End, Ledger};
use simulation::scenario::{Ends, Scenario};
use simulation::world::{Checks, run};

pub const NEAR: Latency = Latency { read: Duration::from_millis(1), write: Duration::from_millis(1) };
pub const GITHUB: Latency = Latency { read: Duration::from_millis(150), write: Duration::from_millis(500) };

pub fn curve(args: &[String]) {
    let seconds = |text: &str| text.parse::<f64>().unwrap();
    let hours = seconds(&args[0]);
    println!("how limits latency candidates stagger: takeovers, writes/takeover mean p50 p90 most, lost mean p90 max, took p10 median p90 worst mean, 1st write..; lost terms; cpu");
    for limits in [true, false] {
        for (name, latency) in [("github", GITHUB), ("near", NEAR)] {
            for n in [3, 10, 30, 100] {
                for stagger in [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4] {
                    let began = std::time::Instant::now();
                    let config = LeaderElectionConfig { takeover_stagger: Duration::from_secs_f64(stagger), ..LeaderElectionConfig::new("?") };
                    let mut scenario = Scenario::measured(7, &config, n, latency, Duration::from_secs_f64(3600.0 * hours));
                    scenario.faults.limits = limits;
                    let s = Duration::from_secs;
                    scenario.ends = Some(Ends { how: End::Killed, after: if limits { (s(60), s(180)) } else { (s(16), s(32)) }, away: (s(1), s(10)) });
                    let ledger = ledger(&scenario);
                    show(&format!("{} {name:6} {n:>3} {stagger:>3}", if limits {"limits"} else {"free  "}), &ledger, began.elapsed());
                }
            }
        }
    }
}

pub fn ledger(scenario: &Scenario) -> Ledger {
    match run(scenario, Checks::All) {
        Ok(tally) => *tally.ledger.unwrap(),
        Err(violation) => panic!("{violation}"),
    }
}

fn show(what: &str, ledger: &Ledger, took: Duration) {
    let mut times: Vec<f64> = ledger.changes.iter().filter_map(|c| c.took()).map(|t| t.as_secs_f64()).collect();
    let mut writes: Vec<f64> = ledger.changes.iter().filter(|c| c.led_at.is_some()).map(|c| f64::from(c.writes())).collect();
    let mut lost: Vec<f64> = ledger.changes.iter().filter(|c| c.led_at.is_some()).map(|c| f64::from(c.lost)).collect();
    let st = |v: &mut Vec<f64>| { v.sort_by(f64::total_cmp); let at = |p: f64| v[((v.len()-1) as f64 * p).round() as usize]; (at(0.1), at(0.5), at(0.9), at(1.0), v.iter().sum::<f64>() / v.len() as f64) };
    let w = st(&mut writes); let l = st(&mut lost); let t = st(&mut times);
    println!("{what}: {:>4}  writes {:.2} {} {} {}  lost {:.2} {} {}  took {:.2} {:.2} {:.2} {:.2} mean {:.2}; {} lost terms; {:.1}s; least {:?} at once {}",
        times.len(), w.4, w.1, w.2, w.3, l.4, l.2, l.3, t.0, t.1, t.2, t.3, t.4, ledger.lost_terms, took.as_secs_f64(), ledger.least_left.iter().take(3).collect::<Vec<_>>(), ledger.most_at_once);
}
