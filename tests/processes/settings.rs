//! Tests `elector run` with wrong settings: exit code 2 and all problems in one message, or a warning.

use crate::support::for_each;
use crate::support::process::Fixture;
use crate::support::process::program::{Start, bytes};

fn refused(fixture: &Fixture, start: Start) -> String {
    let mut elector = fixture.spawn(start);
    assert_eq!(elector.await_exit(), Some(2), "{}", elector.text());
    assert_eq!(fixture.service.requests().total(), 0);
    elector.text()
}

#[test]
fn all_problems_are_in_one_message() {
    let fixture = Fixture::new();
    let start = fixture
        .elector("me")
        .without("GIST_ID")
        .without("GITHUB_API_TOKEN")
        .with("POLL_PERIOD", "2")
        .with("RELEASE_ON_CANCEL", "perhaps")
        .with("GITHUB_API_URL", "ftp://example.com");
    let printed = refused(&fixture, start);
    for part in [
        "GIST_ID: not set",
        "GITHUB_API_TOKEN: not set",
        "POLL_PERIOD",
        "RELEASE_ON_CANCEL",
        "GITHUB_API_URL",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
}

#[test]
fn every_broken_relation_is_reported() {
    let fixture = Fixture::new();
    let start = fixture
        .elector("me")
        .with("RENEW_DEADLINE", "900ms")
        .with("LEASE_DURATION", "1s")
        .with("CONFIRM_DELAY", "5s");
    let printed = refused(&fixture, start);
    for part in ["LEASE_DURATION", "RENEW_DEADLINE", "CONFIRM_DELAY"] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
}

#[test]
fn unusable_file_is_named() {
    let cases = [
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("SSL_CERT_FILE", "/dev/null"),
        ("GITHUB_API_TOKEN_FILE", "/nowhere/token"),
        ("GITHUB_API_TOKEN_FILE", "/dev/null"),
        ("GITHUB_API_TOKEN_FILE", "/tmp"),
    ];
    for_each(&cases, |(variable, path)| {
        let fixture = Fixture::new();
        let mut start = fixture.elector("me").with(variable, path);
        if *variable == "GITHUB_API_TOKEN_FILE" {
            start = start.without("GITHUB_API_TOKEN");
        }
        let printed = refused(&fixture, start);
        assert!(
            printed.contains(variable) && printed.contains(path),
            "{printed}"
        );
        assert_eq!(printed.lines().count(), 1, "{printed}");
    });
}

#[test]
fn non_utf_8_setting_is_refused() {
    let fixture = Fixture::new();
    let name = bytes(b"\xff\xfe");
    let printed = refused(&fixture, fixture.elector("me").with("LEADER_NAME", name));
    assert!(printed.contains("LEADER_NAME"), "{printed}");
}

#[test]
fn misspelt_setting_is_warned_about() {
    let fixture = Fixture::new();
    let start = fixture
        .elector("me")
        .with("ELECTOR_LEASE_DURATON", "9s")
        .with("ELECTOR_VERBOSE", "1")
        .with("ELECTOR_EMPTY", "")
        .with("ELECTOR_SERVICE_HOST", "10.0.0.1")
        .with("ELECTOR_PORT_4040_TCP_ADDR", "10.0.0.1")
        .with("NODE_NAME", "node-1")
        .with("RETRY_PERIODS", "1s");
    let mut me = fixture.spawn(start);
    me.await_leading();
    me.leave();
    let log = me.log();
    let warnings = log.iter().filter(|line| line.event() == "settings_warning");
    let warnings: Vec<_> = warnings.map(|line| line.message()).collect();
    assert_eq!(
        warnings,
        [
            "ELECTOR_LEASE_DURATON: not a setting, so it has no effect; did you mean \
             ELECTOR_LEASE_DURATION?",
            "ELECTOR_VERBOSE: not a setting, so it has no effect; see `elector help settings`",
            "RETRY_PERIODS: not a setting, so it has no effect; did you mean RETRY_PERIOD?",
        ]
    );
}

#[test]
fn missing_setting_suggests_the_misspelt_one() {
    let fixture = Fixture::new();
    let start = fixture.elector("me").without("GIST_ID");
    let printed = refused(&fixture, start.with("GIST_IDS", &fixture.gist));
    assert!(printed.contains("GIST_ID: not set"), "{printed}");
    assert!(printed.contains("did you mean GIST_ID?"), "{printed}");
}

#[test]
fn unknown_log_level_keeps_info() {
    for_each(
        &["verbose", "elector=loud", "error,2", "ureq=debug"],
        |filter| {
            let fixture = Fixture::new();
            let mut me = fixture.spawn(fixture.elector("me").with("RUST_LOG", filter));
            // An event of level info.
            me.await_leading();
            me.leave();
            assert!(me.has_text("RUST_LOG: `"), "{}", me.text());
        },
    );
}
