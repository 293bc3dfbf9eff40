//! Pages of snapshots: states that a real elector reaches rarely, or only for a moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use elector::election::lock::{Content, Observed};
use elector::election::record::LeaderElectionRecord;
use elector::election::status::{LeaderStatus, ObservedStatus, RoleName, Status};
use elector::election::time::Instant;
use elector::http::{Limits, ListenAddr, Server, ShutdownHandle};
use elector::lock::stats::{RateLimit, StoreStats};
use elector::observe::journal::{CallFailure, Journal};
use elector::observe::routes::{StatusSource, respond};
use elector::observe::{CandidateInfo, ReadyWhen, Snapshot, SteppedDown, WorkloadCounts};
use elector::{LeaderElectionConfig, StopReason};
use time::OffsetDateTime;

use super::layout::LONG;

const NAPOLEON: &str = "napoleon/default/elector-7d4f9";
const CLEOPATRA: &str = "cleopatra/default/elector-9fk2x";
const ME: &str = "hannibal/default/elector-5c8bd";

/// The moment of the snapshots, in seconds since boot.
const NOW: u64 = 200_000;

/// A server that shows one snapshot.
pub(super) struct Still {
    addr: SocketAddr,
    shutdown: ShutdownHandle,
}

struct Source(Snapshot);

impl StatusSource for Source {
    fn snapshot(&self) -> Snapshot {
        self.0.clone()
    }

    fn note_followed(&self) {}

    fn step_down(&self, _: Option<Duration>) -> Option<SteppedDown> {
        None
    }
}

impl Still {
    pub(super) fn show(snapshot: Snapshot) -> Still {
        let server = Server::bind(&ListenAddr::loopback(0), Limits::default()).unwrap();
        let (addr, shutdown) = (server.local_addr(), server.handle());
        let source = Source(snapshot);
        thread::spawn(move || server.serve(move |request| respond(request, &source).into()));
        Still { addr, shutdown }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        self.shutdown.shut_down();
    }
}

fn ago(seconds: u64) -> Instant {
    Instant::from_boot(Duration::from_secs(NOW - seconds))
}

fn ahead(seconds: u64) -> Instant {
    Instant::from_boot(Duration::from_secs(NOW + seconds))
}

fn record(holder: &str, token: u64) -> LeaderElectionRecord {
    LeaderElectionRecord {
        holder_identity: holder.into(),
        lease_duration_seconds: 30,
        leader_transitions: token,
        ..LeaderElectionRecord::default()
    }
}

fn release(by: &str, reason: StopReason, token: u64) -> LeaderElectionRecord {
    let mut record = record("", token);
    record.other.insert("releasedBy".into(), by.into());
    let reason = reason.as_str();
    record.other.insert("stopReason".into(), reason.into());
    record
}

/// Applies a read that showed `content`, changed at `written`.
fn read(snapshot: &mut Snapshot, when: Instant, content: impl Into<Content>, written: u64) {
    let content = content.into();
    snapshot.journal.read_finished(
        when,
        &Ok(Observed {
            content: content.clone(),
            resource_version: written,
            ..Observed::default()
        }),
    );
    snapshot.status.observed = Some(ObservedStatus {
        content,
        since: when,
        acquire_at: when + Duration::from_secs(31),
    });
}

/// Applies the reads of a term with a renewal every 8 s. `from` and `to` are in seconds before now.
fn term(snapshot: &mut Snapshot, holder: &str, token: u64, from: u64, to: u64) {
    for seconds in (to..=from).rev().step_by(4) {
        let record = Content::Record(record(holder, token).into());
        read(snapshot, ago(seconds), record, NOW - seconds / 8);
    }
}

/// Returns a candidate that has run for `uptime` seconds, with some terms of the last 15 minutes.
pub(super) fn standby(uptime: u64) -> Snapshot {
    let mut snapshot = Snapshot {
        now: ago(0),
        wall: OffsetDateTime::from_unix_timestamp(1_795_341_751).unwrap(),
        candidate: Arc::new(CandidateInfo {
            lease_name: "payments".into(),
            name: "payments".into(),
            lock: "gist 1fa0cfa3f1f0d1a4c7e7a5b2e0d3c9f8 at https://api.github.com".into(),
            lock_page: Some("https://gist.github.com/1fa0cfa3f1f0d1a4c7e7a5b2e0d3c9f8".into()),
            config: LeaderElectionConfig::new(ME),
            confirm_delay: Some(Duration::from_secs(2)),
            ready_when: ReadyWhen::Candidate,
            workload: Some(Arc::new(WorkloadCounts::default())),
        }),
        status: Status::default(),
        journal: Journal::new(ago(uptime)),
        store: StoreStats {
            answers: [(("GET", 200), 112), (("GET", 304), 338)].into(),
            not_modified: 338,
            rate_limit: Some(RateLimit {
                limit: 5_000,
                remaining: 4_838,
                resets_at: 1_795_343_000,
            }),
            ..StoreStats::default()
        },
    };
    let s = &mut snapshot;
    read(s, ago(900), Content::NeverWritten, 0);
    term(s, NAPOLEON, 1, 890, 640);
    for seconds in (570..640).rev().step_by(4) {
        let expired = Content::Record(record(NAPOLEON, 1).into());
        read(s, ago(seconds), expired, NOW - 80);
    }
    term(s, ME, 2, 566, 340);
    let handed_over = release(ME, StopReason::HandedOver, 2);
    read(s, ago(336), Content::Record(handed_over.into()), 1);
    term(s, CLEOPATRA, 3, 332, 280);
    // The store has not answered for two minutes.
    term(s, NAPOLEON, 4, 160, 4);
    snapshot
}

fn leading() -> Snapshot {
    let mut snapshot = standby(900);
    term(&mut snapshot, ME, 5, 120, 16);
    snapshot.journal.started_leading(ago(118), ME, 5);
    snapshot.journal.effective.as_mut().unwrap().mine = true;
    snapshot.candidate.workload.as_ref().unwrap().started();
    snapshot.status.role = RoleName::Leader;
    snapshot.status.leading = Some(LeaderStatus {
        fencing_token: 5,
        valid_until: ahead(5),
    });
    snapshot
}

fn fail(snapshot: &mut Snapshot, failures: u32, message: &str, unreachable: bool) {
    snapshot.status.failures = failures;
    snapshot.journal.last_failure = Some(CallFailure {
        at: ago(1),
        message: message.into(),
        unreachable,
    });
}

/// Returns each state with its name and a part of the page that shows it.
pub(super) fn states() -> Vec<(&'static str, Snapshot, &'static str)> {
    let mut nobody = standby(900);
    let unhealthy = release(NAPOLEON, StopReason::Unhealthy, 4);
    read(&mut nobody, ago(12), Content::Record(unhealthy.into()), 2);
    nobody.journal.answered_at = Some(ago(1));
    nobody.status.stepped_down_until = ahead(600);

    let mut limited = standby(900);
    let message = "reading the lease failed: GitHub's rate limit is reached";
    fail(&mut limited, 1, message, false);
    limited.status.rate_limited_until = ahead(45);

    let mut about_to_stop = leading();
    let message = "renewing the lease failed: no answer from api.github.com within 5s";
    fail(&mut about_to_stop, 3, message, true);

    let mut stopping = leading();
    stopping.status.stopping = true;
    let reason = StopReason::SteppedDown;
    stopping.journal.stopped_leading(ago(2), 5, reason);

    let mut same_name = standby(900);
    same_name.status.same_name = Some(ago(6));

    let mut old = standby(900);
    old.now = ahead(50);
    old.wall += Duration::from_secs(50);

    let mut corrupt = standby(900);
    let reason = "its field leaseDurationSeconds has the wrong type";
    read(&mut corrupt, ago(3), Content::Corrupt(reason.into()), 3);

    let mut long = standby(900);
    term(&mut long, LONG, 9_007_199_254_740_991, 60, 3);
    let long_record = long.journal.effective.as_mut().unwrap();
    let mut asked = record(LONG, 9_007_199_254_740_991);
    asked
        .other
        .insert("preferredHolder".into(), LONG[1..].into());
    long_record.content = Content::Record(asked.into());

    vec![
        ("nobody", nobody, "because it was stepped down"),
        ("rate-limited", limited, "Rate limited."),
        ("about-to-stop", about_to_stop, "About to stop."),
        ("stopping", stopping, "Stopping."),
        ("same-name", same_name, "Same name."),
        ("old-data", old, "Old data."),
        ("corrupt", corrupt, "Corrupt record:"),
        ("long-name", long, "Handover."),
        ("flapping", flapping(), "fencing token 41"),
    ]
}

/// Returns a candidate that has run for a day, with a change of leader every half hour.
fn flapping() -> Snapshot {
    let mut snapshot = standby(90_000);
    for token in 5..41 {
        let from = (42 - token) * 1_800;
        let name = [NAPOLEON, CLEOPATRA, ME][token as usize % 3];
        term(&mut snapshot, name, token, from, from - 1_790 + token * 20);
        let reason = StopReason::Unhealthy;
        let released = Content::Record(release(name, reason, token).into());
        read(
            &mut snapshot,
            ago(from - 1_794 + token * 20),
            released,
            token,
        );
    }
    term(&mut snapshot, CLEOPATRA, 41, 1_000, 3);
    snapshot
}
