//! Electors in one gist with candidates that behave like client-go on a lock that reads, compares
//! and patches: their records have no `writeId`, so all their writes are foreign.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::process::{Fixture, LEASE, TOKEN, await_one_leading};
use crate::support::wire::{exchange, request};
use crate::support::{eventually, never_for};
use serde_json::{Value, json};

/// Retry period: client-go's 2 s, scaled like the lease.
const RETRY_PERIOD: Duration = Duration::from_millis(250);

/// A candidate on its own thread, which ends without a release.
struct Legacy {
    name: &'static str,
    killed: Arc<AtomicBool>,
    /// Time and fencing token of the last acknowledged write.
    renewed: Arc<Mutex<Option<(Instant, u64)>>>,
    thread: Option<JoinHandle<()>>,
}

impl Legacy {
    fn start(fixture: &Fixture, name: &'static str) -> Legacy {
        let address = fixture.service.url();
        let mut candidate = Candidate {
            name,
            address: address.strip_prefix("http://").unwrap().parse().unwrap(),
            path: format!("/gists/{}", fixture.gist),
            observed: None,
        };
        let killed = Arc::new(AtomicBool::new(false));
        let renewed = Arc::new(Mutex::new(None));
        let (stop, told) = (Arc::clone(&killed), Arc::clone(&renewed));
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let sent = Instant::now();
                if let Some(token) = candidate.try_acquire_or_renew() {
                    *told.lock().unwrap() = Some((sent, token));
                }
                thread::sleep(RETRY_PERIOD);
            }
        });
        Legacy {
            name,
            killed,
            renewed,
            thread: Some(thread),
        }
    }

    /// Returns the fencing token of its term and the time of its last write; `None` before it led.
    fn renewed(&self) -> Option<(Instant, u64)> {
        *self.renewed.lock().unwrap()
    }

    fn await_leading(&self) -> u64 {
        let name = self.name;
        eventually(&format!("{name} leads"), || self.renewed().is_some());
        self.renewed().unwrap().1
    }

    /// Kills the candidate; returns the time of its last write.
    fn kill(mut self) -> Instant {
        self.end();
        self.renewed().unwrap().0
    }

    fn end(&mut self) {
        self.killed.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Legacy {
    fn drop(&mut self) {
        self.killed.store(true, Ordering::SeqCst);
    }
}

/// Port of client-go's `tryAcquireOrRenew`.
struct Candidate {
    name: &'static str,
    address: SocketAddr,
    path: String,
    /// Record observed last, and the time of its first observation.
    observed: Option<(String, Instant)>,
}

impl Candidate {
    fn ask(&self, method: &str, body: &str) -> Value {
        let token = format!("Bearer {TOKEN}");
        let headers = [("Authorization", token.as_str())];
        let answer = exchange(self.address, request(method, &self.path, &headers, body));
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    fn read(&self) -> String {
        let gist = self.ask("GET", "");
        let text = gist["files"]["leader.json"]["content"].as_str();
        text.unwrap().to_owned()
    }

    /// Returns the fencing token of its term, if it leads.
    fn try_acquire_or_renew(&mut self) -> Option<u64> {
        let text = self.read();
        if self.observed.as_ref().is_none_or(|(seen, _)| *seen != text) {
            self.observed = Some((text.clone(), Instant::now()));
        }
        let seen_at = self.observed.as_ref()?.1;
        let record: Value = serde_json::from_str(&text).unwrap();
        let holder = record["holderIdentity"].as_str();
        let mine = holder == Some(self.name);
        let lease = Duration::from_secs(record["leaseDurationSeconds"].as_u64().unwrap_or(0));
        let held = holder.is_some_and(|holder| !holder.is_empty());
        if held && !mine && seen_at.elapsed() < lease {
            return None;
        }
        let token = match record["leaderTransitions"].as_u64() {
            Some(token) if mine => token,
            Some(token) => token + 1,
            None => 0,
        };
        self.compare_and_patch(&text, token)
    }

    fn compare_and_patch(&mut self, expected: &str, token: u64) -> Option<u64> {
        let now = time::OffsetDateTime::now_utc();
        let record = json!({
            "holderIdentity": self.name,
            "leaseDurationSeconds": LEASE.as_secs(),
            "acquireTime": "2026-01-01T00:00:00Z",
            "renewTime": now.to_string(),
            "leaderTransitions": token,
        })
        .to_string();
        if self.read() != expected {
            return None;
        }
        let body = json!({"files": {"leader.json": {"content": record}}});
        self.ask("PATCH", &body.to_string());
        self.observed = Some((record, Instant::now()));
        Some(token)
    }
}

/// Asserts that an elector leads now, after the lease written at `renewed` has expired.
fn took_over_in_time(renewed: Instant) {
    assert!(renewed.elapsed() >= LEASE, "an unexpired lease was taken");
}

#[test]
fn both_kinds_lead_in_turn() {
    let fixture = Fixture::new();
    let legacy = Legacy::start(&fixture, "legacy");
    assert_eq!(legacy.await_leading(), 0);
    let mut ours = [fixture.start("one"), fixture.start("two")];
    for elector in &ours {
        elector.await_observed("legacy");
    }
    never_for(LEASE * 3 / 2, "the living leader is deposed", || {
        fixture.holder() != "legacy"
    });

    let last = legacy.kill();
    let leader = await_one_leading(&ours.each_ref());
    took_over_in_time(last);
    assert_eq!(ours[leader].leads(), Some(1));

    let legacy = Legacy::start(&fixture, "legacy two");
    never_for(LEASE * 3 / 2, "ours is deposed", || {
        ours[leader].leads().is_none() || legacy.renewed().is_some()
    });
    ours[1 - leader].kill();
    ours[leader].kill();
    assert!(legacy.await_leading() >= 2);

    let mut third = fixture.start("three");
    third.await_observed("legacy two");
    let last = legacy.kill();
    let token = third.await_leading();
    took_over_in_time(last);
    assert!(token >= 3);

    let legacy = Legacy::start(&fixture, "legacy three");
    third.leave();
    assert!(legacy.await_leading() > token);
    tokens_never_fell(&fixture);
}

/// Both kinds wait for the same lease, and exactly one acquires it.
#[test]
fn one_of_both_kinds_acquires_lease() {
    let fixture = Fixture::new();
    let mut first = fixture.start_leader("first");
    let second = fixture.start("second");
    second.await_observed("first");
    let legacy = Legacy::start(&fixture, "legacy");
    first.kill();
    eventually("one of them leads", || {
        second.leads().is_some() || legacy.renewed().is_some()
    });
    let records = fixture.records().len();
    eventually("it continues", || fixture.records().len() > records + 4);
    let holder = fixture.holder();
    assert_eq!(second.leads().is_some(), holder == "second", "{holder}");
    tokens_never_fell(&fixture);
}

fn tokens_never_fell(fixture: &Fixture) {
    let records = fixture.records();
    let tokens: Vec<_> = records
        .iter()
        .filter_map(|record| record["leaderTransitions"].as_u64())
        .collect();
    assert!(tokens.is_sorted(), "{tokens:?}");
}
