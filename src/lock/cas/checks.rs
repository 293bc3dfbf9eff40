//! Checks of `elector doctor` for stores with a conditional write: connection, credentials, place, latency
//! and clock.

use std::time::Duration;

use super::kind::Kind;
use super::session::{Session, Timing, inspected};
use crate::election::lock::LockError;
use crate::fmt::brief;
use crate::lock::admin::{Checks, Finding};
use crate::lock::clocks::{Clocks, Comparison};
use crate::lock::store::Store as _;

/// Names of the checks.
pub(super) const ALL: &[&str] = &["connection", "rights", "place", "latency", "clock"];

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
    let Timing { sent, answered } = timing;
    let took = Duration::from_millis(u64::try_from(answered - sent).unwrap_or(0));
    let clocks = snapshot.server_time.map(|date| Clocks {
        sent,
        answered,
        date,
    });
    let findings = vec![
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
        latency(took, admin.election.retry_period),
        clock(clocks),
    ];
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

fn latency(took: Duration, retry_period: Duration) -> Finding {
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
fn clock(clocks: Option<Clocks>) -> Finding {
    let Some(clocks) = clocks else {
        return Finding::fail(
            "clock",
            "the answers have no date, which fencing tokens depend on; check any proxy on the way",
        );
    };
    let said = |what: &str| format!("this machine's clock {what} the server's");
    match clocks.compare() {
        Comparison::Same => Finding::ok("clock", said("agrees with")),
        Comparison::Close(apart) => Finding::ok("clock", said(&format!("is {apart}"))),
        Comparison::Apart(apart) => Finding::warn(
            "clock",
            format!("{}; set the wrong one (NTP)", said(&format!("is {apart}"))),
        ),
    }
}
