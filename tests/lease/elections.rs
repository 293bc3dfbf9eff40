//! Whole electors over TLS.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::spec;
use crate::server::{ApiServer, Fault, http};
use crate::support::authority::Authority;
use crate::support::process::program::Start;
use crate::support::process::{CAS_TIMES, Elector, TOKEN, await_next_term, check, refusal};
use crate::support::{eventually, for_each, never_for};

/// An API server and the files that lead to it.
pub(crate) struct Hub {
    pub(crate) server: ApiServer,
    folder: tempfile::TempDir,
}

impl Hub {
    pub(crate) fn new() -> Hub {
        let authority = Authority::for_name("localhost");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), &authority.pem).unwrap();
        std::fs::write(folder.path().join("token"), TOKEN).unwrap();
        Hub {
            server: ApiServer::start(Some(authority.server)),
            folder,
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn elector(&self, name: &str) -> Start {
        let port = self.server.address.port();
        Start::new(name)
            .without("CONFIRM_DELAY")
            .with_all(CAS_TIMES)
            .with("LOCK", format!("lease://localhost:{port}/jobs/report"))
            .with("LOCK_TOKEN_FILE", self.file("token"))
            .with("LOCK_CA_FILE", self.file("ca.crt"))
    }

    fn start(&self, name: &str) -> Elector {
        self.elector(name).spawn()
    }

    /// Writes a record of client-go.
    fn put_foreign(&self, holder: &str) {
        self.server.with(|leases| {
            leases.edit("report", |object| {
                object["metadata"]["name"] = "report".into();
                object["spec"] = json!({
                    "holderIdentity": holder,
                    "leaseDurationSeconds": 3,
                    "acquireTime": "2026-11-22T10:00:00.123456Z",
                    "renewTime": "2026-11-22T10:00:00.123456Z",
                    "leaseTransitions": 5,
                });
            });
        });
    }

    fn holder(&self) -> Value {
        spec(&self.server)["holderIdentity"].clone()
    }
}

#[test]
fn killed_leader_is_replaced() {
    let hub = Hub::new();
    let mut first = hub.start("first");
    let token = first.await_leading();
    let second = hub.start("second");
    second.await_observed("first");
    first.kill();
    assert!(second.await_leading() > token);
    check(&[&first, &second]);
}

#[test]
fn ignoring_server_ends_elector() {
    let hub = Hub::new();
    hub.put_foreign("client-go");
    hub.server.with(|leases| leases.ignores_conditions = true);
    let text = refusal(&mut hub.start("first"));
    assert!(text.contains("honours conditional writes"), "{text}");
    // Where nothing is stored, the first write is probed.
    let hub = Hub::new();
    hub.server.with(|leases| leases.ignores_conditions = true);
    let mut first = hub.start("first");
    refusal(&mut first);
    assert!(!first.has_logged("started_leading"));
}

#[test]
fn permanent_answers_end_start() {
    let page = http(404, &[], b"<html>");
    let forbidden = http(
        403,
        &[],
        br#"{"kind":"Status","message":"leases is forbidden"}"#,
    );
    let unauthorized = http(401, &[], br#"{"kind":"Status","message":"Unauthorized"}"#);
    for_each(
        &[
            (page, "check the address in LOCK"),
            (forbidden, "lack this right"),
            (unauthorized, "check the credentials"),
        ],
        |(answer, part)| {
            let hub = Hub::new();
            hub.server.always("GET", Fault::Answer(answer.clone()));
            let text = refusal(&mut hub.start("first"));
            assert!(text.contains(part), "{text}");
        },
    );
}

#[test]
fn unusable_token_file_ends_start() {
    let hub = Hub::new();
    std::fs::remove_file(hub.file("token")).unwrap();
    let mut first = hub.start("first");
    assert_eq!(first.await_exit(), Some(2));
    assert!(first.has_text("LOCK_TOKEN_FILE"), "{}", first.text());
    assert!(hub.server.received().is_empty());
}

#[test]
fn leader_survives_faults_of_writes() {
    let hub = Hub::new();
    let first = hub.start("first");
    let token = first.await_leading();
    let renewed = |times: usize| {
        let count = || {
            let received = hub.server.received();
            received.iter().filter(|one| one.method == "PUT").count()
        };
        let before = count();
        eventually("it renews", || count() >= before + times);
    };
    for fault in [
        Fault::Lost,
        Fault::AnswerLost,
        Fault::Doubled,
        Fault::Answer(http(500, &[], b"{}")),
        Fault::Instead(http(504, &[], b"{}")),
    ] {
        hub.server.next("PUT", [fault]);
        renewed(2);
    }
    assert_eq!(first.leads(), Some(token), "{}", first.text());
    assert!(!first.has_logged("workload_stopped"), "{}", first.text());
    check(&[&first]);
}

#[test]
fn deleted_lease_ends_term() {
    let hub = Hub::new();
    let first = hub.start("first");
    let token = first.await_leading();
    let second = hub.start("second");
    second.await_observed("first");
    hub.server.with(|leases| leases.delete("report"));
    first.await_logged("workload_stopped");
    await_next_term(&[&first, &second], token);
    check(&[&first, &second]);
}

#[test]
fn restored_record_ends_term() {
    let hub = Hub::new();
    let first = hub.start("first");
    let token = first.await_leading();
    let second = hub.start("second");
    second.await_observed("first");
    let old = hub.server.with(|leases| leases.object("report"));
    let renew_time = old["spec"]["renewTime"].clone();
    eventually("it renews", || spec(&hub.server)["renewTime"] != renew_time);
    hub.server
        .with(|leases| leases.edit("report", |object| *object = old));
    first.await_text("backup");
    first.await_logged("workload_stopped");
    await_next_term(&[&first, &second], token);
    check(&[&first, &second]);
}

#[test]
fn foreign_record_is_waited_for() {
    let hub = Hub::new();
    hub.put_foreign("client-go");
    let first = hub.start("first");
    first.await_observed("client-go");
    // Renewed once, so that the wait begins anew.
    std::thread::sleep(Duration::from_secs(1));
    hub.server.with(|leases| {
        leases.edit("report", |object| {
            object["spec"]["renewTime"] = "2026-11-22T10:00:01.123456Z".into();
        });
    });
    let renewed = std::time::Instant::now();
    let token = first.await_leading();
    assert!(
        renewed.elapsed() >= Duration::from_secs(3),
        "{}",
        first.text()
    );
    assert!(token > 1_700_000_000, "{token}");
    assert_eq!(hub.holder(), "first");
    hub.put_foreign("client-go");
    first.await_logged("workload_stopped");
    check(&[&first]);
}

#[test]
fn throttled_leader_stops_in_time() {
    let hub = Hub::new();
    let first = hub.start("first");
    let token = first.await_leading();
    let busy = http(429, &[("retry-after", "2")], b"{}");
    for method in ["GET", "PUT"] {
        hub.server.always(method, Fault::Answer(busy.clone()));
    }
    first.await_logged("workload_stopped");
    let requests = hub.server.received().len();
    never_for(Duration::from_secs(1), "it sends requests", || {
        hub.server.received().len() > requests + 1
    });
    hub.server.without_faults();
    await_next_term(&[&first], token);
    check(&[&first]);
}

#[test]
fn huge_answers_need_no_memory() {
    let hub = Hub::new();
    let first = hub.start("first");
    first.await_leading();
    let huge = http(200, &[], &vec![b'x'; 10_000_000]);
    hub.server.always("GET", Fault::Answer(huge.clone()));
    hub.server.always("PUT", Fault::Instead(huge));
    first.await_logged("workload_stopped");
    let requests = hub.server.received().len();
    eventually("it sends requests", || {
        hub.server.received().len() > requests + 5
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", first.pid())).unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let peak: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < 40_000, "{peak} kB");
    check(&[&first]);
}

#[test]
fn repeated_token_is_not_logged() {
    let hub = Hub::new();
    let first = hub.elector("first").with("RUST_LOG", "debug").spawn();
    first.await_leading();
    let message = format!("you sent Bearer {TOKEN}");
    let body = format!(r#"{{"kind":"Status","message":"{message}"}}"#);
    let location = format!("https://{TOKEN}.example/");
    let answer = http(302, &[("location", &location)], body.as_bytes());
    hub.server.next("PUT", [Fault::Answer(answer)]);
    first.await_text("redirected");
    hub.server
        .always("PUT", Fault::Answer(http(403, &[], body.as_bytes())));
    first.await_text("you sent Bearer");
    check(&[&first]);
}
