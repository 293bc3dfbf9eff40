//! What one renewal of a leader costs, and one look of a candidate that finds nothing new: instructions,
//! allocations and bytes, of the real program under valgrind.
//!
//! An elector runs with short periods until it has made a number of requests, and another one three times as
//! many: what they differ by, divided by the requests that they differ by, is one cycle, start and end left
//! out. Instructions are those of the program, not the kernel's. They differ from run to run by a percent or
//! so: threads that meet wait for each other or do not.

use std::fs;
use std::path::Path;
use std::process::Command;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::figure::{Figure, Spread};

use super::process::{Process, Told};
use super::way::Way;
use super::{ELECTOR, Scene, await_that, elector, figure};

/// Requests of the shorter run: enough that what is allocated once has been.
const FEW: u64 = 60;

/// And of the longer one.
const MANY: u64 = 3 * FEW;

/// A candidate looks seldom at a record this far from its end; an hour is the longest lease there is.
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
        what: "a look at what has not changed",
        method: "GET",
        outcome: "304",
        settings: &[("POLL_PERIOD", "20ms")],
        is_led: true,
    },
];

/// Of one run, or of what two differ by.
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

    /// Lets it make that many requests and a few more, which count as well.
    fn run(&self, program: &Path, tool: &str, is_tls: bool, requests: u64) -> Result<Cost, String> {
        let scene = Scene::new()?;
        let content = if self.is_led {
            held_record()
        } else {
            "{}".to_owned()
        };
        let gist = scene.gist(&content)?;
        let way = Way::open(scene.address, is_tls.then_some(&scene.authority));
        let way = way.map_err(|error| format!("a way cannot be opened: {error}"))?;
        let told = Told {
            url: &way.url(),
            gist: &gist,
            name: "counted",
            roots: is_tls.then_some(scene.roots.as_path()),
            settings: self.settings,
        };
        let log = scene.roots.with_extension("log");
        let mut command = Command::new("valgrind");
        command
            .arg(format!("--tool={tool}"))
            .arg(format!("--{tool}-out-file=/dev/null"))
            .arg(format!("--log-file={}", log.display()))
            .arg(program)
            .args(elector(program).get_args());
        let mut process = Process::start(command, &told)?;
        let count = || {
            let counters = scene.service.requests();
            counters.of(self.method, "/gists/{id}", self.outcome)
        };
        await_that(&format!("{requests} times {}", self.what), || {
            count() >= requests
        })?;
        process.leave()?;
        let said = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        let way = way.counted();
        Ok(Cost {
            cycles: count() as f64,
            sent: way.sent as f64,
            received: way.received as f64,
            instructions: optional(tool == "callgrind", || after(&said, "Collected :"))?,
            blocks: optional(tool == "dhat", || after(&said, "bytes in"))?,
            bytes: optional(tool == "dhat", || after(&said, "Total:"))?,
        })
    }
}

fn optional(is_there: bool, read: impl Fn() -> Result<f64, String>) -> Result<f64, String> {
    if is_there { read() } else { Ok(0.0) }
}

/// The number behind the first of these words: `==1== Total:     1,234 bytes in 56 blocks`.
fn after(said: &str, words: &str) -> Result<f64, String> {
    let number = said
        .split_once(words)
        .and_then(|(_, rest)| rest.split_whitespace().next());
    number
        .and_then(|number| number.replace(',', "").parse().ok())
        .ok_or_else(|| format!("valgrind does not say {words:?}: {said}"))
}

/// A record by which somebody leads for longer than this lasts.
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
    fn what_valgrind_says_is_read() {
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
