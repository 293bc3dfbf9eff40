//! Checks of `elector doctor` for stores with a conditional write: connection, credentials, place, latency
//! and clock.

use std::time::Duration;

use super::kind::Kind;
use super::session::{Session, Timing, inspected};
use crate::election::lock::LockError;
use crate::fmt::{brief, span};
use crate::lock::admin::{Checks, Finding};
use crate::lock::store::{Snapshot, Store as _};

/// Names of the checks.
pub(super) const ALL: &[&str] = &["connection", "rights", "place", "latency", "clock"];

/// Clocks that differ by less agree well enough to compare two logs, in milliseconds.
const CLOSE_CLOCKS: i64 = 5_000;

/// Part of the retry period that a read may take. Why: a renewal takes a few such requests.
const LATENCY_DIVISOR: u32 = 8;

/// Number of reads whose median is the latency.
const READS: usize = 3;

/// Runs the checks. Writes nothing.
pub(super) fn run<K: Kind>(admin: &mut Session<K>) -> Checks {
    let mut reads = Vec::new();
    for _ in 0..READS {
        match admin.read() {
            Ok(read) => reads.push(read),
            Err(error) => return failed(&error, admin.exchange.proxy()),
        }
    }
    reads.sort_by_key(|(_, timing)| timing.answered - timing.sent);
    let (snapshot, timing) = reads.swap_remove(READS / 2);
    let place = admin.store.describe();
    let mut findings = vec![
        connection(admin.exchange.proxy()),
        Finding::ok(
            "rights",
            "reads are permitted; elector doctor --race also tries conditional writes",
        ),
        match snapshot.value {
            Some(_) => Finding::ok("place", format!("{place} exists")),
            None => Finding::ok(
                "place",
                format!("{place} holds no record yet; create one with elector init"),
            ),
        },
        latency(timing, admin.election.retry_period),
        clock(&snapshot, timing),
    ];
    findings.extend(admin.kind.findings(&snapshot));
    Checks {
        findings,
        record: Some(inspected(&snapshot)),
    }
}

/// Returns the findings of a read that failed.
fn failed(error: &LockError, proxy: Option<String>) -> Checks {
    let text = error.to_string();
    let mut findings = match error {
        LockError::Unauthorized(_) => vec![connection(proxy), Finding::fail("rights", text)],
        LockError::NotFound(_) | LockError::Refused(_) => vec![
            connection(proxy),
            Finding::skipped("rights"),
            Finding::fail("place", text),
        ],
        _ => vec![Finding::fail("connection", text)],
    };
    let known = findings.len();
    findings.extend(ALL[known..].iter().map(|check| Finding::skipped(check)));
    Checks {
        findings,
        record: None,
    }
}

fn connection(proxy: Option<String>) -> Finding {
    Finding::ok(
        "connection",
        match proxy {
            Some(proxy) => format!("the server answers, through the proxy {proxy}"),
            None => "the server answers".to_owned(),
        },
    )
}

fn latency(timing: Timing, retry_period: Duration) -> Finding {
    let millis = u64::try_from(timing.answered - timing.sent).unwrap_or(0);
    let took = Duration::from_millis(millis);
    let text = format!("a read takes {}", brief(took));
    if took <= retry_period / LATENCY_DIVISOR {
        return Finding::ok("latency", text);
    }
    Finding::warn(
        "latency",
        format!("{text}, which is long for RETRY_PERIOD={retry_period:?}; use longer times"),
    )
}

/// Compares this machine's clock with the store's.
fn clock(snapshot: &Snapshot, timing: Timing) -> Finding {
    let Some(date) = snapshot.server_time else {
        return Finding::fail(
            "clock",
            "the answers have no date, which fencing tokens depend on; check any proxy on the way",
        );
    };
    let here = timing.sent.midpoint(timing.answered);
    // Dates are cut off to whole seconds and lack half of one on average.
    let ahead = here.saturating_sub(date.saturating_mul(1_000).saturating_add(500));
    if ahead.abs() < 1_000 {
        return Finding::ok("clock", "this machine's clock agrees with the server's");
    }
    let apart = span(Duration::from_millis(ahead.unsigned_abs()));
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let text = format!("this machine's clock is {apart} {side} the server's");
    if ahead.abs() <= CLOSE_CLOCKS {
        return Finding::ok("clock", text);
    }
    Finding::warn("clock", format!("{text}; set the wrong one (NTP)"))
}
