//! Tests `elector run` with a service that fails, limits rates or revokes rights: which errors end it, which
//! are retried, and that no candidate leads past its deadline.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use crate::support::process::{Elector, Fixture, LEASE, TOKEN, await_one_leading};
use crate::support::{eventually, for_each, never_for};
use elector::emulator::{InitialGist, Options};
use elector::http::ListenAddr;
use nix::sys::signal::Signal;

/// Returns a port that is free at present.
fn free_port() -> u16 {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    taken.local_addr().unwrap().port()
}

/// Returns the options of a service at this port, with the gist `demo`.
fn service_at(port: u16) -> Options {
    Options {
        listen: ListenAddr::loopback(port),
        gists: vec![InitialGist {
            id: "demo".into(),
            file: "leader.json".into(),
            content: "{}".into(),
        }],
        tokens: vec![TOKEN.parse().unwrap()],
        ..Options::default()
    }
}

/// Waits until the elector has ended because it cannot take part, and returns its error.
fn refused(elector: &mut Elector) -> String {
    assert_eq!(elector.await_exit(), Some(1), "{}", elector.text());
    let lines = elector.lines();
    let errors: Vec<_> = lines
        .iter()
        .filter(|line| line.contains(r#""level":"error""#))
        .collect();
    assert_eq!(errors.len(), 1, "one sentence says it: {lines:#?}");
    errors[0].clone()
}

#[test]
fn service_down_at_start_is_retried() {
    let port = free_port();
    let mut fixture = Fixture::new();
    fixture.gist = "demo".into();
    let address = format!("http://127.0.0.1:{port}");
    let mut first = fixture.spawn(fixture.elector("first").with("GITHUB_API_URL", &address));
    first.await_text("reading the lease failed");
    never_for(LEASE, "it gives up", || !first.is_running());
    fixture.restart(service_at(port));
    assert_eq!(first.await_leading(), 0);
    assert!(first.has_logged("calls_recovered"), "{}", first.text());
    first.leave();
}

#[test]
fn unresolvable_name_is_retried() {
    let fixture = Fixture::new();
    let start = fixture
        .elector("first")
        .with("GITHUB_API_URL", "http://nowhere.invalid")
        .with("ALLOW_INSECURE_HTTP", "true");
    let mut first = fixture.spawn(start);
    first.await_text("nowhere.invalid");
    never_for(LEASE, "it gives up", || !first.is_running());
    first.leave();
}

#[test]
fn outage_stops_leader_by_deadline() {
    for_each(
        &[
            r#"{"outage":true}"#,
            r#"{"error_5xx":1}"#,
            r#"{"hang_reads":1,"hang_writes":1}"#,
            r#"{"truncated_answers":1}"#,
        ],
        |faults| {
            let fixture = Fixture::new();
            let first = fixture.start_leader("first");
            let second = fixture.start("second");
            second.await_observed("first");
            fixture.set_faults(faults);
            first.await_logged("workload_stopped");
            never_for(LEASE * 3 / 2, "a candidate leads", || {
                first.leads().or(second.leads()).is_some()
            });
            fixture.set_faults("{}");
            eventually("a candidate leads again", || {
                first.leads().or(second.leads()).is_some()
            });
        },
    );
}

#[test]
fn leader_survives_short_outage() {
    let fixture = Fixture::new();
    let start = fixture
        .elector("first")
        .with("LEASE_DURATION", "20s")
        .with("RENEW_DEADLINE", "15s");
    let first = fixture.spawn(start);
    first.await_leading();
    fixture.set_faults(r#"{"outage":true}"#);
    first.await_text("renewing the lease failed");
    fixture.set_faults("{}");
    first.await_logged("calls_recovered");
    let records = fixture.records().len();
    eventually("it renews", || fixture.records().len() > records + 1);
    assert_eq!(first.leads(), Some(0));
    assert!(!first.has_logged("workload_stopped"), "{}", first.text());
}

/// Writes an access token as Kubernetes does, so that no half of it is read.
fn put_token(path: &Path, token: &str) {
    let new = path.with_extension("new");
    fs::write(&new, token).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn term_survives_rotation_to_bad_token() {
    let mut options = service_at(0);
    for token in ["ghp_without_scope_gist:", "ghp_another_good_one"] {
        options.tokens.push(token.parse().unwrap());
    }
    let fixture = Fixture::on(options, "demo");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    put_token(&path, TOKEN);
    let start = fixture.elector("first").without("GITHUB_API_TOKEN");
    let first = fixture.spawn(start.with("GITHUB_API_TOKEN_FILE", &path));
    first.await_leading();
    let renewed = |times| {
        let records = fixture.records().len();
        eventually("it renews", || fixture.records().len() > records + times);
    };
    for (n, bad) in ["ghp_unknown", "ghp_without_scope_gist"]
        .into_iter()
        .enumerate()
    {
        put_token(&path, bad);
        eventually("the new access token is refused", || {
            first.count_logged("access_token_refused") == n + 1
        });
        renewed(3);
    }
    put_token(&path, "ghp_another_good_one");
    eventually("it reads the file", || {
        first.count_logged("access_token_changed") == 3
    });
    renewed(1);
    fixture.set_faults(&format!(r#"{{"rejected_tokens":["{TOKEN}"]}}"#));
    renewed(3);
    assert_eq!(first.leads(), Some(0));
    let text = first.text();
    assert_eq!(first.count_logged("access_token_refused"), 2, "{text}");
    assert!(!first.has_logged("workload_stopped"), "{text}");
    // Revoked as well, so the term ends by its deadline.
    let faults = format!(r#"{{"rejected_tokens":["{TOKEN}","ghp_another_good_one"]}}"#);
    fixture.set_faults(&faults);
    first.await_logged("workload_stopped");
    for token in [
        TOKEN,
        "ghp_unknown",
        "ghp_without_scope_gist",
        "ghp_another",
    ] {
        assert!(!first.text().contains(token), "{}", first.text());
    }
}

#[test]
fn rate_limited_leader_leads_until_deadline() {
    let fixture = Fixture::new();
    let first = fixture.start_leader("first");
    fixture.set_faults(r#"{"secondary_per_minute":1,"retry_after_s":8}"#);
    first.await_text("rate limited");
    assert_eq!(first.leads(), Some(0), "it works on: {}", first.text());
    first.await_logged("rate_limited");
    let limited = first.last_logged("rate_limited");
    assert_eq!(limited.text("retry_after"), "8s");
    assert_eq!(limited.text("lease"), "5s");
    assert!(
        limited
            .message()
            .contains("no candidate can renew or acquire until 20")
    );
    fixture.service.reset_requests();
    fixture.set_faults("{}");
    first.await_logged("workload_stopped");
    assert_eq!(
        fixture.service.requests().total(),
        0,
        "it waits for retry_after"
    );
    assert_eq!(first.last_logged("call_failed").text("retry_in"), "8s");
    eventually("it leads again", || first.leads() == Some(1));
}

#[test]
fn rate_limited_leader_skips_release() {
    let fixture = Fixture::new();
    let mut first = fixture.start_leader("first");
    let second = fixture.start("second");
    second.await_observed("first");
    // The first request is the only one of this minute.
    fixture.set_faults(r#"{"primary_limit":1,"primary_window_s":60}"#);
    first.await_logged("rate_limited");
    second.await_text("rate limited");
    fixture.service.reset_requests();
    first.await_logged("workload_stopped");
    first.signal(Signal::SIGTERM);
    assert_eq!(first.await_exit(), Some(0), "{}", first.text());
    assert!(first.has_logged("release_failed"), "{}", first.text());
    let asked = fixture.service.requests().total();
    assert_eq!(asked, 0, "{}", fixture.all_output());
    assert_eq!(fixture.holder(), "first");
}

#[test]
fn scarce_requests_slow_standbys_only() {
    let fixture = Fixture::new();
    let mut first = fixture.start_leader("first");
    let others = [fixture.start("second"), fixture.start("third")];
    for other in &others {
        other.await_observed("first");
    }
    // 4,500 renewals an hour, a quarter more and a twentieth of the limit are the leader's: what is
    // left does not suffice for two candidates that poll every 150 ms.
    fixture.set_faults(r#"{"primary_limit":6100}"#);
    eventually("they look less often than the leader renews", || {
        fixture.service.reset_requests();
        eventually("it renews", || {
            fixture.service.requests().of("PATCH", "", "") >= 5
        });
        fixture.service.requests().of("GET", "", "") <= 8
    });
    for other in &others {
        assert!(other.has_logged("polling_slowed"));
    }
    first.kill();
    await_one_leading(&[&others[0], &others[1]]);
    for elector in [&first, &others[0], &others[1]] {
        assert!(!elector.has_text("rate limited"), "{}", elector.text());
    }
}

#[test]
fn missing_rights_end_process_at_start() {
    let cases: [(&str, &[&str]); 4] = [
        (
            r#"{"unauthorized":1}"#,
            &["Bad credentials", "GITHUB_API_TOKEN"],
        ),
        (
            r#"{"forbidden_writes":1}"#,
            &["lacks the permission", "scope gist"],
        ),
        (r#"{"not_found_writes":1}"#, &["write the gist", "owner"]),
        ("{}", &["no such gist", "GIST_ID"]),
    ];
    for_each(&cases, |(faults, sentence)| {
        let fixture = Fixture::new();
        fixture.set_faults(faults);
        let mut start = fixture.elector("first").with("RUST_LOG", "trace");
        if *faults == "{}" {
            start = start.with("GIST_ID", "0123456789abcdef0123");
        }
        let error = refused(&mut fixture.spawn(start));
        for part in *sentence {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(fixture.holder().is_empty());
    });
}

#[test]
fn unknown_access_token_is_never_shown() {
    let fixture = Fixture::new();
    let start = fixture
        .elector("first")
        .with("GITHUB_API_TOKEN", "ghp_TheSecretOfSomebodyElse")
        .with("RUST_LOG", "trace");
    let error = refused(&mut fixture.spawn(start));
    assert!(error.contains("access token rejected"), "{error}");
}

#[test]
fn rights_lost_later_are_waited_for() {
    for_each(
        &[
            r#"{"unauthorized":1}"#,
            r#"{"forbidden_writes":1}"#,
            r#"{"not_found_writes":1}"#,
        ],
        |faults| {
            let fixture = Fixture::new();
            let mut first = fixture.start_leader("first");
            // A candidate that never wrote ends when its first writes are refused.
            let second = fixture.start("second");
            second.await_observed("first");
            fixture.set_faults(faults);
            first.await_logged("workload_stopped");
            never_for(LEASE, "it ends", || !first.is_running());
            fixture.set_faults("{}");
            eventually("a candidate leads again", || {
                first.leads().or(second.leads()).is_some()
            });
            assert!(first.is_running());
        },
    );
}

#[test]
fn replaced_access_token_file_is_reread() {
    let later = "ghp_TheSecretThatCameLater";
    let folder = tempfile::tempdir().unwrap();
    let (file, new) = (folder.path().join("token"), folder.path().join("new"));
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let mut options = service_at(free_port());
    options.state = Some(folder.path().join("state"));
    let mut fixture = Fixture::on(options.clone(), "demo");
    let start = fixture
        .elector("first")
        .without("GITHUB_API_TOKEN")
        .with("GITHUB_API_TOKEN_FILE", &file)
        .with("LEASE_DURATION", "60s")
        .with("RENEW_DEADLINE", "50s");
    let mut first = fixture.spawn(start);
    first.await_leading();
    fs::write(&new, format!("{later}\n")).unwrap();
    fs::rename(&new, &file).unwrap();
    options.tokens = vec![later.parse().unwrap()];
    fixture.restart(options);
    let before = fixture.records().len();
    eventually("it renews with the new token", || {
        fixture.records().len() > before + 2
    });
    assert_eq!(first.leads(), Some(0), "{}", first.text());
    first.leave();
}

#[test]
fn stop_during_outage_exits_with_0() {
    let fixture = Fixture::new();
    let mut first = fixture.start_leader("first");
    fixture.set_faults(r#"{"outage":true}"#);
    let asked = std::time::Instant::now();
    first.signal(Signal::SIGTERM);
    assert_eq!(first.await_exit(), Some(0), "{}", first.text());
    assert!(asked.elapsed() < Duration::from_secs(20));
    assert!(first.has_logged("release_failed"), "{}", first.text());
}
