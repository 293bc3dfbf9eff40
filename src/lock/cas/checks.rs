//! Checks of `elector doctor` for stores with a conditional write: credentials, connection, rights, place,
//! a conditional write, latency and clock.

use std::time::Duration;

use super::origin::Stored;
use super::probe::Probe;
use super::protocol::parse;
use super::session::{Session, Timing, drive, inspected};
use crate::election::lock::LockError;
use crate::fmt::brief;
use crate::lock::admin::{CALL_TIMEOUT, Checks, Finding};
use crate::lock::clocks::{Clocks, Comparison};
use crate::lock::store::{Snapshot, Step, Store as _};

/// Names of the checks.
pub(super) const ALL: &[&str] = &[
    "credentials",
    "connection",
    "rights",
    "place",
    "latency",
    "clock",
];

/// Part of the retry period that a read may take. Why: a renewal takes a few such requests.
const LATENCY_DIVISOR: u32 = 8;

/// Number of reads whose median is the latency.
const READS: usize = 3;

/// Runs the checks. Tries one write, which the store must refuse.
pub(super) fn run(admin: &mut Session) -> Checks {
    let credentials = match admin.exchange.check_credentials(CALL_TIMEOUT) {
        Ok(source) => Finding::ok("credentials", source),
        Err(failure) => {
            let why = failure.error(false).to_string();
            return unfinished(vec![Finding::fail("credentials", why)]);
        }
    };
    let mut reads = Vec::new();
    for _ in 0..READS {
        match admin.read() {
            Ok(read) => reads.push(read),
            Err(error) => {
                let mut findings = vec![credentials];
                findings.extend(failed(&error, admin.exchange.proxy()));
                return unfinished(findings);
            }
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
    let mut findings = vec![
        credentials,
        connection(admin.exchange.proxy()),
        rights(admin, &snapshot),
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
    findings.extend(admin.kind.findings(&mut admin.exchange));
    Checks {
        findings,
        record: Some(inspected(&snapshot)),
    }
}

/// Tries a write that the store must refuse, as every elector does at its start.
fn rights(admin: &mut Session, snapshot: &Snapshot) -> Finding {
    let stored = parse(snapshot.value.as_deref());
    if snapshot.value.is_none() || matches!(stored, Stored::Unrelated(_)) {
        return Finding::ok(
            "rights",
            "reads are permitted; writes were not tried, because there is no record",
        );
    }
    let probe = Probe::new(&stored, snapshot.value.as_ref());
    let step = probe.write(&mut admin.store);
    let Step::Wrote(result) = drive(&mut *admin.store, &mut admin.exchange, step) else {
        return Finding::fail(
            "rights",
            "internal error: the result belongs to another call",
        );
    };
    match probe.next(result, &admin.store.describe()) {
        Ok(_) => Finding::ok(
            "rights",
            "reads and writes are permitted, and a stale write is refused; elector doctor --race tests \
             simultaneous ones",
        ),
        Err(error @ (LockError::Refused(_) | LockError::Unauthorized(_))) => {
            Finding::fail("rights", error.to_string())
        }
        Err(error) => Finding::warn("rights", format!("a write could not be tried: {error}")),
    }
}

/// Adds the checks that could not run.
fn unfinished(mut findings: Vec<Finding>) -> Checks {
    let left = ALL.iter().skip(findings.len());
    findings.extend(left.map(|check| Finding::skipped(check)));
    Checks {
        findings,
        record: None,
    }
}

/// Returns the findings of a read that failed.
fn failed(error: &LockError, proxy: Option<String>) -> Vec<Finding> {
    let text = error.to_string();
    match error {
        LockError::Unauthorized(_) => vec![connection(proxy), Finding::fail("rights", text)],
        LockError::NotFound(_) | LockError::Refused(_) => vec![
            connection(proxy),
            Finding::skipped("rights"),
            Finding::fail("place", text),
        ],
        _ => vec![Finding::fail("connection", text)],
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
