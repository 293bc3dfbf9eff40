//! `/`, `/status` and `/metrics`.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::endpoints::watched::{Watched, spawn, watch, watch_two};
use crate::support::eventually;
use crate::support::process::Fixture;
use crate::support::tools;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[test]
fn front_is_json_or_page() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first \"quoted\"");
    first.await_leading();
    for accept in ["*/*", "application/json", ""] {
        let answer = first.ask("GET", "/", &[("Accept", accept)]);
        assert_eq!(answer.text(), r#"{"name":"first \"quoted\""}"#);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("vary"), Some("Accept"));
    }
    let page = first.ask("GET", "/", &[("Accept", BROWSER)]);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("vary"), Some("Accept"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(page.text().contains("<bdi>first &quot;quoted&quot;</bdi>"));
    assert!(page.body.len() < 20_000, "{}", page.body.len());
}

/// Paths of the endpoints for GET.
const ENDPOINTS: [&str; 7] = [
    "/",
    "/status",
    "/leader",
    "/isLeader",
    "/healthz",
    "/readyz",
    "/metrics",
];

#[test]
fn head_matches_get_without_caching() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    for path in ENDPOINTS.iter().chain(&["/nothing", "/step-down"]) {
        let get = first.get(path);
        let head = first.ask("HEAD", path, &[]);
        assert_eq!(get.status, head.status, "{path}");
        assert_eq!(get.header("content-type"), head.header("content-type"));
        assert_eq!(get.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(get.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn wrong_path_or_method_is_rejected() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    let missing = first.get("/leaders");
    assert_eq!(missing.status, 404);
    for path in ["/status", "/leader", "/metrics", "/step-down"] {
        assert!(missing.text().contains(path), "{}", missing.text());
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let refused = first.ask(method, "/status", &[]);
        assert_eq!(
            (refused.status, refused.header("allow")),
            (405, Some("GET, HEAD"))
        );
        assert_eq!(first.ask(method, "/leaders", &[]).status, 404);
    }
    assert_eq!(first.get("/status/").status, 404);
    assert_eq!(first.get("/status?x=y").status, 200);
}

#[test]
fn expiration_of_token_is_shown() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    let metric = "elector_access_token_expiration_timestamp_seconds";
    assert_eq!(first.metric(metric), None);
    assert_eq!(first.status()["accessTokenExpiresAt"], Value::Null);
    fixture.set_faults(r#"{"token_expiration":"2099-12-24 18:00:00 +0100"}"#);
    eventually("the metric shows it", || {
        first.metric(metric) == Some(4_101_814_800.0)
    });
    let shown = &first.status()["accessTokenExpiresAt"];
    assert_eq!(shown, "2099-12-24T17:00:00Z");
    fixture.set_faults("{}");
    eventually("the metric is gone", || first.metric(metric).is_none());
}

#[test]
fn status_describes_leader_and_standby() {
    let fixture = Fixture::new();
    let (first, second) = watch_two(&fixture);
    let status = first.status();
    assert_eq!(status["identity"], "first");
    assert_eq!(status["role"], "leader");
    assert_eq!(status["holder"], "first");
    assert_eq!(status["leading"], true);
    assert_eq!(status["term"]["fencingToken"], 0);
    within(&status["term"]["secondsLeft"], 0.0, 2.5);
    within(&status["lease"]["secondsLeft"], 0.0, 2.5);
    assert_eq!(status["record"]["holderIdentity"], "first");
    assert_eq!(status["settings"]["leaseDurationSeconds"], 5.0);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["terms"][0]["mine"], true);
    assert_eq!(status["acquiresIn"], Value::Null);

    let status = second.status();
    assert_eq!(
        (&status["role"], &status["holder"]),
        (&json!("candidate"), &json!("first"))
    );
    assert_eq!(status["leading"], false);
    assert_eq!(status["term"], Value::Null);
    within(&status["lease"]["secondsLeft"], 0.0, 5.0);
    within(&status["acquiresIn"], 0.0, 6.0);
    assert_eq!(status["lease"]["leaseSeconds"], 5.0);
    assert_eq!(status["record"]["leaseDurationSeconds"], 5);
    assert_eq!(status["terms"][0]["holder"], "first");
    assert_eq!(status["terms"][0]["mine"], false);
    assert!(status["terms"][0]["acquireTime"].is_string(), "{status}");
    assert!(status["requests"]["answers"]["GET 200"].as_u64() >= Some(1));
    assert!(status["lock"].as_str().unwrap().contains(&fixture.gist));
    assert_camel_case(&status);
}

fn within(value: &Value, least: f64, most: f64) {
    let number = value.as_f64().unwrap_or(f64::NAN);
    assert!((least..=most).contains(&number), "{value}");
}

/// Asserts that names are in camel case, except keys for requests and exit codes.
fn assert_camel_case(value: &Value) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        let ok = name.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(
            ok && name.starts_with(|c: char| c.is_ascii_lowercase()),
            "{name}"
        );
        if name != "answers" && name != "exits" {
            assert_camel_case(value);
        }
    }
}

#[test]
fn status_lists_terms_with_end_reason() {
    let fixture = Fixture::new();
    let mut first = watch(&fixture, "first");
    first.await_leading();
    let watcher = watch(&fixture, "watcher");
    watcher.await_observed("first");
    first.kill();
    watcher.await_leading();
    let again = watch(&fixture, "again");
    again.await_observed("watcher");
    assert_eq!(watcher.ask("POST", "/step-down", &[]).status, 202);
    again.await_leading();
    eventually("the watcher observed the third term", || {
        watcher.status()["terms"][0]["holder"] == "again"
    });
    let status = watcher.status();
    let terms = status["terms"].as_array().unwrap();
    let told: Vec<_> = terms
        .iter()
        .map(|term| {
            (
                &term["holder"],
                &term["fencingToken"],
                &term["endReason"],
                &term["mine"],
            )
        })
        .map(|(a, b, c, d)| json!([a, b, c, d]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["again", 2, null, false]),
            json!(["watcher", 1, "stepped_down", true]),
            json!(["first", 0, "expired", false]),
        ]
    );
    // It stepped down, and backs off for a lease.
    assert_eq!(status["role"], "candidate");
    assert!(status["acquiresIn"].as_f64() > Some(0.0), "{status}");
}

#[test]
fn metrics_pass_promtool() {
    let fixture = Fixture::new();
    let start = fixture
        .elector("first")
        .with("GIST_FILE", "a \"file\".json");
    let first = spawn(&fixture, start);
    first.await_leading();
    eventually("it has renewed", || {
        first.metric("elector_renew_duration_seconds_count") >= Some(2.0)
    });
    let answer = first.get("/metrics");
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let Some(promtool) = tools::find(&["promtool"], "the metrics are NOT checked") else {
        return;
    };
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(&answer.body).unwrap();
    let checked = check.wait_with_output().unwrap();
    let printed = [checked.stdout, checked.stderr].concat();
    // promtool prints warnings with exit code 0.
    assert!(
        checked.status.success() && printed.is_empty(),
        "{}",
        String::from_utf8_lossy(&printed)
    );
}

#[test]
fn metrics_follow_the_election() {
    let fixture = Fixture::new();
    let mut first = watch(&fixture, "first");
    first.await_leading();
    let second = watch(&fixture, "second");
    second.await_observed("first");
    let master = format!("leader_election_master_status{{name=\"{}\"}}", fixture.gist);
    let slow = "leader_election_slowpath_total";
    assert_eq!(first.metric(&master), Some(1.0));
    assert_eq!(second.metric(&master), Some(0.0));
    assert_eq!(first.metric(slow), Some(0.0));
    assert_eq!(second.metric("elector_fencing_token"), Some(0.0));
    assert!(second.metric("elector_lease_remaining_seconds") > Some(0.0));
    for elector in [&first, &second] {
        let leader = elector.metric("elector_leader_info{holder=\"first\"}");
        assert_eq!(leader, Some(1.0));
        assert_eq!(elector.metric("elector_no_leader_seconds"), Some(0.0));
        assert!(elector.metric("elector_last_answer_timestamp_seconds") > Some(1e9));
    }
    let not_modified = "elector_not_modified_total";
    eventually("nothing changes between two polls", || {
        second.metric(not_modified) > Some(0.0)
    });
    let polls = "elector_requests_total{method=\"GET\",status=\"304\"}";
    assert!(second.metric(polls) >= second.metric(not_modified).map(|_| 1.0));
    fixture.set_faults(r#"{"outage":true}"#);
    eventually("failures are counted", || {
        first.metric("elector_failed_calls_total{role=\"leader\"}") > Some(0.0)
            && first.metric("elector_consecutive_failures") > Some(0.0)
            && second.metric("elector_unanswered_requests_total") > Some(0.0)
    });
    first.await_not_leading();
    assert_eq!(first.metric(&master), Some(0.0));
    let reason = "elector_terms_stopped_total{reason=\"not_renewed\"}";
    assert_eq!(first.metric(reason), Some(1.0));
    assert_eq!(first.metric("elector_terms_started_total"), Some(1.0));
    eventually("no leader is known", || {
        second.metric("elector_leader_info").is_none()
            && second.metric("elector_no_leader_seconds") > Some(0.0)
    });
    let failure = first.status()["lastFailure"]["message"].clone();
    assert!(failure.as_str().unwrap().contains("failed"), "{failure}");
    fixture.set_faults("{}");
    eventually("a candidate leads again", || {
        [&first, &second].map(leads).contains(&true)
    });
    first.leave();
}

fn leads(elector: &Watched) -> bool {
    elector.get("/leader").status == 200
}

#[test]
fn workload_starts_and_exits_are_counted() {
    let fixture = Fixture::new();
    // With a wrapped program only ELECTOR_HTTP_ADDR counts.
    let sleeps = fixture.elector("first").running(&["sleep", "1000"]);
    let sleeps = sleeps.with("ELECTOR_HTTP_ADDR", "127.0.0.1:0");
    let first = spawn(&fixture, sleeps);
    let starts = "elector_workload_starts_total";
    let runs = "elector_workload_running";
    eventually("the workload runs", || first.metric(runs) == Some(1.0));
    assert_eq!(first.metric(starts), Some(1.0));
    assert_eq!(first.status()["workload"]["starts"], 1);
    assert_eq!(first.ask("POST", "/step-down", &[]).status, 202);
    eventually("it was stopped", || first.metric(runs) == Some(0.0));
    let killed = "elector_workload_exits_total{code=\"128+\"}";
    assert_eq!(
        first.metric(killed),
        Some(1.0),
        "SIGTERM is 15, and 143 the code"
    );
    assert_eq!(first.status()["workload"]["exits"]["128+"], 1);
    eventually("it leads again", || first.metric(starts) == Some(2.0));
    let without = watch(&fixture, "without");
    assert_eq!(without.metric(starts), None);
    assert_eq!(without.status()["workload"], Value::Null);
}

#[test]
fn no_endpoint_causes_store_requests() {
    let fixture = Fixture::new();
    fixture.put(r#"{"holderIdentity":"somebody","leaseDurationSeconds":3600}"#);
    let start = fixture.elector("second").with("POLL_PERIOD", "1h");
    let second = spawn(&fixture, start);
    second.await_observed("somebody");
    let before = fixture.service.requests().total();
    for path in ENDPOINTS {
        for accept in ["*/*", BROWSER] {
            second.ask("GET", path, &[("Accept", accept)]);
        }
    }
    assert_eq!(second.ask("POST", "/step-down", &[]).status, 202);
    assert_eq!(fixture.service.requests().total(), before);
}

#[test]
fn no_address_means_no_endpoints() {
    let fixture = Fixture::new();
    for start in [
        fixture.elector("off").with("HTTP_ADDR", "off"),
        fixture.elector("none"),
    ] {
        let mut elector = fixture.spawn(start);
        elector.await_logged("running");
        eventually("it has read the lease", || {
            elector.has_logged("claimed") || elector.has_logged("new_leader")
        });
        assert!(!elector.has_logged("listening"));
        let threads = elector.threads();
        assert!(!threads.iter().any(|name| name == "http"), "{threads:?}");
        elector.leave();
    }
    let with = watch(&fixture, "with");
    // A thread names itself after it has started.
    eventually("the endpoints have a thread", || {
        with.threads().iter().any(|name| name == "http")
    });
}

#[test]
fn taken_port_ends_elector_with_advice() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    let taken = first.addr.to_string();
    let before = fixture.records().len();
    let mut second = fixture.spawn(fixture.elector("second").with("HTTP_ADDR", &taken));
    assert_eq!(second.await_exit(), Some(1));
    let printed = second.text();
    assert!(
        printed.contains(&format!("cannot listen on {taken}")),
        "{printed}"
    );
    assert!(
        printed.contains("set HTTP_ADDR to another address, or to off"),
        "{printed}"
    );
    let by_second = fixture.records().split_off(before);
    assert!(
        by_second
            .iter()
            .all(|record| record["holderIdentity"] != "second")
    );
}
