//! The machine of a measurement, and its load.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use elector::system::clock;
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gb: f64,
    pub kernel: String,
}

impl Machine {
    /// Returns this machine, as the kernel describes it.
    #[must_use]
    pub fn here() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpus = read("/proc/cpuinfo");
        let release = read("/proc/sys/kernel/osrelease");
        Machine {
            processor: field(&cpus, "model name").unwrap_or("unknown").to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_gb: field(&read("/proc/meminfo"), "MemTotal")
                .and_then(|total| total.trim_end_matches(" kB").parse::<f64>().ok())
                .map_or(0.0, |kilobytes| (kilobytes / 104_857.6).round() / 10.0),
            // The suffix of a distribution says little about the kernel.
            kernel: format!("Linux {}", release.trim().split('-').next().unwrap_or("")),
        }
    }
}

/// Returns the value of the first `name : value` line with this name.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| key.trim() == name);
    found.map(|(_, value)| value.trim())
}

/// Returns the date and time in UTC.
#[must_use]
pub fn date() -> String {
    clock::utc_timestamp()
        .replace('T', " ")
        .replace('Z', " UTC")
}

/// Share of all processors' time that was used, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Busy {
    pub mean: f64,
    /// Mean of the busiest five seconds.
    pub most: f64,
    /// Share of the mean that the bench itself used, including its children.
    pub own: f64,
}

/// Short enough to show a burst of load, long enough to ignore noise.
const WINDOW: Duration = Duration::from_secs(5);

/// Measures the load of the machine until it is stopped.
#[derive(Debug)]
pub struct Watch {
    over: Arc<AtomicBool>,
    busy: Arc<Mutex<Busy>>,
    thread: JoinHandle<()>,
    since: Instant,
}

impl Watch {
    #[must_use]
    pub fn start() -> Watch {
        let over = Arc::new(AtomicBool::new(false));
        let busy = Arc::new(Mutex::new(Busy::default()));
        let (its_over, its_busy) = (Arc::clone(&over), Arc::clone(&busy));
        let watches = move || {
            let first = ticks();
            let mut last = first;
            while !its_over.load(Ordering::Relaxed) {
                thread::park_timeout(WINDOW);
                let now = ticks();
                let mut busy = its_busy.lock().unwrap_or_else(PoisonError::into_inner);
                busy.mean = part(first, now);
                // A window that was cut short is not representative.
                if !its_over.load(Ordering::Relaxed) {
                    busy.most = busy.most.max(part(last, now));
                }
                last = now;
            }
        };
        Watch {
            over,
            busy,
            thread: thread::spawn(watches),
            since: Instant::now(),
        }
    }

    /// Ends the measurement. Call it when every child has ended and was reaped, because others are
    /// not counted.
    #[must_use]
    pub fn end(self) -> Busy {
        self.over.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let _ = self.thread.join();
        let busy = *self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Busy {
            own: used() / (self.since.elapsed().as_secs_f64() * cores as f64),
            ..busy
        }
    }
}

/// Returns the CPU time of this process and of its reaped children, in seconds.
fn used() -> f64 {
    let of = |who| {
        getrusage(who).map_or(0.0, |usage| {
            let times = [usage.user_time(), usage.system_time()];
            times
                .iter()
                .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
                .sum()
        })
    };
    of(UsageWho::RUSAGE_SELF) + of(UsageWho::RUSAGE_CHILDREN)
}

/// Returns the busy and the total ticks of all processors since boot.
fn ticks() -> (u64, u64) {
    parse(&fs::read_to_string("/proc/stat").unwrap_or_default()).unwrap_or_default()
}

/// Parses the first line: user, nice, system, idle, iowait, irq, softirq, steal.
fn parse(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let all: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map_while(|word| word.parse().ok())
        .collect();
    let idle = all.get(3)? + all.get(4)?;
    let sum: u64 = all.iter().sum();
    Some((sum - idle, sum))
}

fn part(from: (u64, u64), to: (u64, u64)) -> f64 {
    let all = to.1.saturating_sub(from.1);
    match all {
        0 => 0.0,
        _ => to.0.saturating_sub(from.0) as f64 / all as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_idle_time_is_busy() {
        let before = parse("cpu  10 0 10 70 10 0 0 0 5 5\ncpu0 1\n").unwrap();
        assert_eq!(before, (20, 100));
        let after = parse("cpu  30 0 20 130 20 0 0 0 0 0\n").unwrap();
        assert!((part(before, after) - 0.3).abs() < 1e-9);
        assert_eq!(parse("intr 1"), None);
        assert!(part(after, after).abs() < 1e-9);
    }

    #[test]
    fn cpu_time_is_counted() {
        let before = used();
        let mut sum = 0_u64;
        while used() <= before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }

    #[test]
    fn field_is_found_by_name() {
        let text = "MemFree:  1 kB\nmodel name\t: A B\nmodel name : C\n";
        assert_eq!(field(text, "model name"), Some("A B"));
        assert_eq!(field(text, "none"), None);
    }
}
