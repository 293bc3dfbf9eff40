//! Cost of one renewal of a leader and of one read of a standby that returns 304: instructions,
//! allocations and bytes, measured with valgrind.
//!
//! One elector runs with short periods until it has made a number of requests, and another runs
//! three times as long. The difference divided by the additional requests is one cycle, without
//! start and end. Kernel instructions are not counted. The figure varies by about a percent,
//! because threads sometimes wait for each other.

use std::fs;
use std::path::Path;
use std::process::Command;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::figure::{Figure, Spread};

use super::process::{Process, Settings};
use super::proxy::Proxy;
use super::{ELECTOR, Setup, await_that, elector, figure};

/// Requests of the shorter run, enough for all one-time allocations.
const FEW: u64 = 60;

/// Requests of the longer run.
const MANY: u64 = 3 * FEW;

/// Lease duration. A standby polls seldom if the lease expires this late; an hour is the maximum.
const LONG_LEASE: u32 = 3600;

struct Cycle {
    what: &'static str,
    method: &'static str,
    outcome: &'static str,
    settings: &'static [(&'static str, &'static str)],
    is_led: bool,
}

const CYCLES: [Cycle; 2] = [
    Cycle {
        what: "a renewal",
        method: "PATCH",
        outcome: "200",
        settings: &[("RETRY_PERIOD", "40ms"), ("CONFIRM_DELAY", "10ms")],
        is_led: false,
    },
    Cycle {
        what: "a read that returns 304",
        method: "GET",
        outcome: "304",
        settings: &[("POLL_PERIOD", "20ms")],
        is_led: true,
    },
];

/// Cost of one run, or the difference of two.
#[derive(Clone, Copy, Debug)]
struct Cost {
    cycles: f64,
    sent: f64,
    received: f64,
    instructions: f64,
    blocks: f64,
    bytes: f64,
}

pub(super) fn measure(program: &Path) -> Result<Vec<Figure>, String> {
    let answered = Command::new("valgrind").arg("--version").output();
    if answered.is_err() {
        eprintln!(
            "bench: left out: instructions and allocations of a cycle: valgrind is missing (apt-get install valgrind)"
        );
        return Ok(Vec::new());
    }
    let mut figures = Vec::new();
    for cycle in &CYCLES {
        for (is_tls, conditions) in [(false, "plain HTTP"), (true, "TLS")] {
            figures.extend(cycle.figures(program, is_tls, conditions)?);
        }
    }
    Ok(figures)
}

impl Cycle {
    fn figures(
        &self,
        program: &Path,
        is_tls: bool,
        conditions: &str,
    ) -> Result<Vec<Figure>, String> {
        let counted = self.difference(program, "callgrind", is_tls)?;
        let allocated = self.difference(program, "dhat", is_tls)?;
        let one = |what: &str, unit, value: f64| {
            let what = format!("{what}, {}", self.what);
            figure(
                ELECTOR,
                &what,
                conditions,
                unit,
                Spread::single(value),
                None,
            )
        };
        Ok(vec![
            one("instructions", "thousand", counted.instructions / 1e3),
            one("allocations", "", allocated.blocks),
            one("allocated", "kB", allocated.bytes / 1e3),
            one("sent", "B", counted.sent),
            one("received", "B", counted.received),
        ])
    }

    fn difference(&self, program: &Path, tool: &str, is_tls: bool) -> Result<Cost, String> {
        let few = self.run(program, tool, is_tls, FEW)?;
        let many = self.run(program, tool, is_tls, MANY)?;
        let cycles = many.cycles - few.cycles;
        Ok(Cost {
            cycles,
            sent: (many.sent - few.sent) / cycles,
            received: (many.received - few.received) / cycles,
            instructions: (many.instructions - few.instructions) / cycles,
            blocks: (many.blocks - few.blocks) / cycles,
            bytes: (many.bytes - few.bytes) / cycles,
        })
    }

    /// Runs the elector until it has made this many requests; a few more count as well.
    fn run(&self, program: &Path, tool: &str, is_tls: bool, requests: u64) -> Result<Cost, String> {
        let setup = Setup::new()?;
        let content = if self.is_led {
            held_record()
        } else {
            "{}".to_owned()
        };
        let gist = setup.gist(&content)?;
        let proxy = Proxy::open(setup.address, is_tls.then_some(&setup.authority));
        let proxy = proxy.map_err(|error| format!("a way cannot be opened: {error}"))?;
        let settings = Settings {
            url: &proxy.url(),
            gist: &gist,
            name: "counted",
            roots: is_tls.then_some(setup.roots.as_path()),
            settings: self.settings,
        };
        let log = setup.roots.with_extension("log");
        let mut command = Command::new("valgrind");
        command
            .arg(format!("--tool={tool}"))
            .arg(format!("--{tool}-out-file=/dev/null"))
            .arg(format!("--log-file={}", log.display()))
            .arg(program)
            .args(elector(program).get_args());
        let mut process = Process::start(command, &settings)?;
        let count = || {
            let counters = setup.service.requests();
            counters.of(self.method, "/gists/{id}", self.outcome)
        };
        await_that(&format!("{requests} times {}", self.what), || {
            count() >= requests
        })?;
        process.leave()?;
        let printed = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        let proxy = proxy.counted();
        Ok(Cost {
            cycles: count() as f64,
            sent: proxy.sent as f64,
            received: proxy.received as f64,
            instructions: optional(tool == "callgrind", || after(&printed, "Collected :"))?,
            blocks: optional(tool == "dhat", || after(&printed, "bytes in"))?,
            bytes: optional(tool == "dhat", || after(&printed, "Total:"))?,
        })
    }
}

fn optional(is_there: bool, read: impl Fn() -> Result<f64, String>) -> Result<f64, String> {
    if is_there { read() } else { Ok(0.0) }
}

/// Returns the number after the first of these words: `==1== Total:     1,234 bytes in 56 blocks`.
fn after(printed: &str, words: &str) -> Result<f64, String> {
    let number = printed
        .split_once(words)
        .and_then(|(_, rest)| rest.split_whitespace().next());
    number
        .and_then(|number| number.replace(',', "").parse().ok())
        .ok_or_else(|| format!("valgrind does not print {words:?}: {printed}"))
}

/// Returns a record whose leader holds the lease for longer than the measurement.
fn held_record() -> String {
    let now = OffsetDateTime::now_utc()
        .replace_nanosecond(0)
        .ok()
        .and_then(|now| now.format(&Rfc3339).ok())
        .unwrap_or_default();
    format!(
        r#"{{"holderIdentity":"somebody","leaseDurationSeconds":{LONG_LEASE},"acquireTime":"{now}","renewTime":"{now}","leaderTransitions":1}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valgrind_output_is_parsed() {
        let dhat = "==7== \n==7== Total:     1,234,567 bytes in 56 blocks\n==7== At t-gmax: 1";
        assert_eq!(after(dhat, "Total:"), Ok(1_234_567.0));
        assert_eq!(after(dhat, "bytes in"), Ok(56.0));
        assert_eq!(
            after("==7== Collected : 62005279", "Collected :"),
            Ok(62_005_279.0)
        );
        assert!(after("", "Total:").is_err());
    }
}
