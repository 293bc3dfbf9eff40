//! Tests the settings with separate environments.

use std::os::unix::ffi::OsStringExt;

use super::*;

/// Settings without a default.
const MINIMUM: &[(&str, &str)] = &[("GIST_ID", "923dcb52"), ("GITHUB_API_TOKEN", "ghp_abc123")];

fn read_os(variables: &[(&str, OsString)]) -> Result<Settings, SettingsError> {
    let lookup = |name: &str| {
        let found = variables.iter().rev().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone())
    };
    Settings::read(&lookup, Some("host-1"))
}

fn read_only(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (*name, OsString::from(value)))
        .collect();
    read_os(&variables)
}

/// Reads the minimum, overridden by `variables`.
fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    read_only(&[MINIMUM, variables].concat())
}

fn problems(variables: &[(&str, &str)]) -> Vec<String> {
    read(variables).unwrap_err().problems
}

/// Asserts that exactly one problem is reported, and that it contains all `parts`.
fn assert_problem(variables: &[(&str, &str)], parts: &[&str]) {
    let problems = problems(variables);
    assert_eq!(problems.len(), 1, "{problems:?}");
    for part in parts {
        assert!(problems[0].contains(part), "{part} in {}", problems[0]);
    }
}

#[test]
fn minimum_gives_defaults() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.lock.backend().lease_name(), "923dcb52");
    assert_eq!(settings.election, LeaderElectionConfig::new("host-1"));
    let confirm_delay = settings.lock.backend().confirm_delay();
    assert_eq!(confirm_delay, Some(Duration::from_secs(2)));
    assert_eq!(settings.log_filter, "info");
    assert_eq!(settings.warnings(), [] as [&str; 0]);
}

#[test]
fn table_shows_the_real_defaults() {
    let given: Vec<_> = all()
        .filter(|row| !row.default.contains(' ') && !["none", "required"].contains(&row.default))
        .map(|row| (row.name, row.default))
        .collect();
    assert_eq!(given.len(), 13, "{given:?}");
    let (given, unset) = (read(&given).unwrap(), read(&[]).unwrap());
    assert_eq!(format!("{given:?}"), format!("{unset:?}"));
}

#[test]
fn every_setting_has_both_forms() {
    let asked = std::cell::RefCell::new(Vec::new());
    let lookup = |name: &str| {
        asked.borrow_mut().push(name.to_owned());
        None
    };
    Settings::read(&lookup, None).unwrap_err();
    let expected: Vec<_> = all()
        .flat_map(|row| [format!("ELECTOR_{}", row.name), row.name.to_owned()])
        .collect();
    let mut asked = asked.into_inner();
    asked.sort();
    let mut sorted = expected;
    sorted.sort();
    assert_eq!(asked, sorted);
}

#[test]
fn prefixed_name_wins_and_empty_is_unset() {
    let settings = read(&[
        ("ELECTOR_GIST_FILE", "ours"),
        ("GIST_FILE", "theirs"),
        ("ELECTOR_LEADER_NAME", ""),
        ("LEADER_NAME", "plain"),
        ("RETRY_PERIOD", ""),
        ("SSL_CERT_FILE", ""),
    ])
    .unwrap();
    assert_eq!(settings.lock.backend().lease_name(), "923dcb52/ours");
    assert_eq!(settings.election.identity, "plain");
    assert_eq!(settings.election.retry_period, Duration::from_secs(8));
    assert_eq!(settings.ca_file, None);
}

#[test]
fn every_setting_is_used() {
    let settings = read_only(&[
        ("GIST_ID", "abc"),
        ("GIST_FILE", "lease.json"),
        ("GITHUB_API_TOKEN_FILE", "/run/secrets/token"),
        ("GITHUB_API_URL", "http://ghe.example.org/api/v3/"),
        ("ALLOW_INSECURE_HTTP", "TRUE"),
        ("SSL_CERT_FILE", "/etc/ca.pem"),
        ("LEASE_DURATION", "1m30s"),
        ("RENEW_DEADLINE", "40s"),
        ("RETRY_PERIOD", "20s"),
        ("POLL_PERIOD", "1s"),
        ("CONFIRM_DELAY", "3s"),
        ("TAKEOVER_STAGGER", "1500ms"),
        ("TERMINATION_GRACE", "0"),
        ("STOP_TIMEOUT", "1h"),
        ("PREFERRED", "true"),
        ("FAILBACK_AFTER", "10m"),
        ("RELEASE_ON_CANCEL", "0"),
        ("EXIT_ON_LOST_LEASE", "1"),
        ("RUST_LOG", "debug"),
    ])
    .unwrap();
    assert_eq!(settings.lock.backend().lease_name(), "abc/lease.json");
    let lock = format!("{:?}", settings.lock);
    for part in [
        "File(\"/run/secrets/token\")",
        "http://ghe.example.org/api/v3",
        "Some(\"/etc/ca.pem\")",
    ] {
        assert!(lock.contains(part), "{part} in {lock}");
    }
    let expected = LeaderElectionConfig {
        lease_duration: Duration::from_secs(90),
        renew_deadline: Duration::from_secs(40),
        retry_period: Duration::from_secs(20),
        poll_period: Duration::from_secs(1),
        termination_grace: Duration::ZERO,
        stop_timeout: Duration::from_secs(3600),
        release_on_cancel: false,
        exit_on_lost_lease: true,
        takeover_stagger: Duration::from_millis(1500),
        preferred: true,
        failback_after: Some(Duration::from_secs(600)),
        ..LeaderElectionConfig::new("host-1")
    };
    assert_eq!(settings.election, expected);
    let confirm_delay = settings.lock.backend().confirm_delay();
    assert_eq!(confirm_delay, Some(Duration::from_secs(3)));
    assert_eq!(settings.log_filter, "debug");
}

#[test]
fn all_problems_are_in_one_error() {
    let error = read_only(&[
        ("GITHUB_API_URL", "ftp://x"),
        ("LEASE_DURATION", "10"),
        ("RENEW_DEADLINE", "40s"),
        ("ELECTOR_RETRY_PERIOD", "-8s"),
        ("RELEASE_ON_CANCEL", "yes"),
    ])
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "wrong settings:
  GIST_ID: not set, and neither is LOCK; give the id of the gist that holds the record, the last part \
of its web address, or another place in LOCK
  GITHUB_API_TOKEN: not set, and neither is GITHUB_API_TOKEN_FILE; give an access token that may \
write gists, or a file that holds one
  GITHUB_API_URL: `ftp://x` starts with neither https:// nor http://; set the API's address
  LEASE_DURATION: unknown duration `10`; write it like 30s, 1m30s or 500ms
  ELECTOR_RETRY_PERIOD: negative duration `-8s`; remove the minus sign
  RELEASE_ON_CANCEL: `yes` is not valid; use true or false
See `elector help settings`."
    );
}

#[test]
fn broken_relations_are_reported_too() {
    let problems = problems(&[
        ("LEASE_DURATION", "20s"),
        ("CONFIRM_DELAY", "5s"),
        ("GIST_FILE", "a/b"),
    ]);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].starts_with("GIST_FILE: `a/b`"));
    assert!(problems[1].starts_with("LEASE_DURATION: 20s"));
    assert!(problems[2].starts_with("CONFIRM_DELAY: 5s"));
}

#[test]
fn failback_needs_preference_and_time() {
    assert_problem(
        &[("PREFERRED", "true"), ("FAILBACK_AFTER", "29s")],
        &["FAILBACK_AFTER: too short", "30s"],
    );
    let alone = read(&[("FAILBACK_AFTER", "5m")]).unwrap();
    assert_eq!(alone.election.failback_after, None);
    assert!(alone.warnings()[0].contains("PREFERRED is not true"));
}

#[test]
fn misplaced_access_token_is_refused() {
    for (variable, value) in [
        ("GIST_ID", "ghp_abc123"),
        ("GIST_FILE", "ghp_abc123"),
        ("GITHUB_API_URL", "https://ghe.example/ghp_abc123"),
        ("LEADER_NAME", "github_pat_abc123"),
        ("CLUSTER_NAME", "gho_abc123"),
        ("POD_NAME", "ghs_abc123"),
    ] {
        let problems = problems(&[(variable, value)]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(variable), "{problems:?}");
        assert!(problems[0].contains("GITHUB_API_TOKEN"), "{problems:?}");
        assert!(!problems[0].contains("abc123"), "{problems:?}");
    }
}

#[test]
fn no_secret_is_printed() {
    let secret = "ghp_S3cr3tS3cr3t";
    let settings = read(&[("GITHUB_API_TOKEN", secret)]).unwrap();
    assert!(!format!("{settings:?}").contains("S3cr3t"));
    let with_password = format!("https://me:{secret}@api.github.com");
    let spaced = format!("{secret} S3cr3t");
    // Whichever variable it was put into by mistake.
    for name in all().map(|row| row.name) {
        for value in [secret, &with_password, &spaced] {
            if let Err(error) = read(&[(name, value)]) {
                assert!(!error.to_string().contains("S3cr3t"), "{error}");
            }
        }
    }
    assert_problem(
        &[("GITHUB_API_URL", "https://me:hunter2@ghe.example.org")],
        &["GITHUB_API_URL: contains a user name or password"],
    );
}

#[test]
fn non_utf8_value_names_its_variable() {
    let broken = OsString::from_vec(vec![b'a', 0xff]);
    for row in all() {
        let mut variables: Vec<_> = MINIMUM
            .iter()
            .map(|(name, value)| (*name, OsString::from(value)))
            .filter(|(name, _)| !(row.name == "GITHUB_API_TOKEN_FILE" && name.contains("TOKEN")))
            .collect();
        variables.push((row.name, broken.clone()));
        let read = read_os(&variables);
        if row.name == "WEBHOOK_TOKEN_FILE" {
            assert!(read.unwrap_err().problems[0].contains("not a path with a `/`"));
        } else if [
            "GITHUB_API_TOKEN_FILE",
            "SSL_CERT_FILE",
            "LEADER_FILE",
            "STATE_DIR",
        ]
        .contains(&row.name)
        {
            assert!(
                read.is_ok(),
                "{} is a path, which may hold any bytes",
                row.name
            );
        } else {
            let problems = read.unwrap_err().problems;
            assert_eq!(problems.len(), 1, "{problems:?}");
            let why = match row.name {
                // They count only with LOCK.
                "LOCK_TOKEN" | "LOCK_TOKEN_FILE" | "LOCK_CA_FILE" | "LOCK_USER" => "set",
                _ => "not valid UTF-8",
            };
            assert!(problems[0].starts_with(&format!("{}: {why}", row.name)));
        }
    }
}

#[test]
fn identity_comes_from_pod_or_host() {
    let name = |variables: &[(&str, &str)]| read(variables).unwrap().election.identity;
    let (cluster, namespace, pod) = (
        ("CLUSTER_NAME", "napoleon"),
        ("POD_NAMESPACE", "default"),
        ("POD_NAME", "elector-7d4f"),
    );
    assert_eq!(
        name(&[cluster, namespace, pod]),
        "napoleon/default/elector-7d4f"
    );
    assert_eq!(name(&[cluster, pod]), "napoleon/elector-7d4f");
    assert_eq!(name(&[namespace]), "default");
    assert_eq!(name(&[cluster, ("LEADER_NAME", "cleopatra")]), "cleopatra");
    assert_eq!(name(&[]), "host-1");
    let lookup = |name: &str| {
        let found = MINIMUM.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    for nameless in [None, Some("")] {
        let error = Settings::read(&lookup, nameless).unwrap_err();
        assert!(error.problems[0].starts_with("LEADER_NAME: not set"));
        assert_eq!(error.problems.len(), 1);
    }
}

#[test]
fn identity_may_hold_any_character() {
    for name in ["a \"b\"\n\u{1b}[31m", "Клеопатра/😀", &"x".repeat(10_000)] {
        let settings = read(&[("LEADER_NAME", name)]).unwrap();
        assert_eq!(settings.election.identity, name);
    }
    assert_problem(
        &[("LEADER_NAME", &"x".repeat(70_000))],
        &["LEADER_NAME", "70000 bytes"],
    );
}

#[test]
fn pod_without_cluster_name_warns() {
    let settings = read(&[("POD_NAME", "elector-0")]).unwrap();
    assert!(settings.warnings()[0].starts_with("CLUSTER_NAME: not set"));
}

#[test]
fn settings_beyond_rate_limits_warn() {
    let hasty = [
        ("RETRY_PERIOD", "5s"),
        ("POLL_PERIOD", "100ms"),
        ("CONFIRM_DELAY", "1s"),
    ];
    let settings = read(&hasty).unwrap();
    let warnings = settings.warnings();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].contains("RETRY_PERIOD: 5s makes 720 writes per hour"));
    assert!(warnings[1].contains("POLL_PERIOD: 100ms makes 600 requests"));
    assert!(warnings[2].contains("CONFIRM_DELAY: 1s"));
    let elsewhere = [
        &hasty[..],
        &[("GITHUB_API_URL", "https://ghe.example.org/api/v3")],
    ]
    .concat();
    assert_eq!(read(&elsewhere).unwrap().warnings(), [] as [&str; 0]);
}

#[test]
fn endpoints_and_files_are_read() {
    let settings = read(&[
        ("HTTP_ADDR", ":4040"),
        ("READY_WHEN", "Leader"),
        ("LEADER_FILE", "/run/leader"),
        ("WORKLOAD_HEALTH_URL", "http://127.0.0.1:8080/healthz"),
        ("WEBHOOK_URL", "https://hooks.example.com/s3cr3t"),
    ])
    .unwrap();
    assert_eq!(settings.http_addr, Some(":4040".parse().unwrap()));
    assert_eq!(settings.ready_when, ReadyWhen::Leader);
    assert_eq!(settings.leader_file, Some(PathBuf::from("/run/leader")));
    assert!(settings.workload_health_url.is_some());
    let webhook = settings.webhook_url.unwrap();
    assert_eq!(webhook.uri(), "https://hooks.example.com/s3cr3t");
    assert!(!format!("{webhook:?} {webhook}").contains("s3cr3t"));
    assert_eq!(read(&[("HTTP_ADDR", "off")]).unwrap().http_addr, None);
}

#[test]
fn election_is_named_after_its_lock() {
    assert_eq!(read(&[]).unwrap().name, "923dcb52");
    let in_file = read(&[("GIST_FILE", "a.json")]).unwrap();
    assert_eq!(in_file.name, "923dcb52/a.json");
    let named = read(&[("GIST_FILE", "a.json"), ("LOCK_NAME", "Payments")]).unwrap();
    assert_eq!(named.name, "Payments");
    assert_problem(&[("LOCK_NAME", "ghp_abc123")], &["LOCK_NAME", "not shown"]);
}

#[test]
fn bad_addresses_are_refused() {
    assert_problem(&[("HTTP_ADDR", "4040")], &["HTTP_ADDR", "`4040`", ":PORT"]);
    assert_problem(&[("READY_WHEN", "soon")], &["READY_WHEN", "candidate"]);
    assert_problem(&[("LOG_FORMAT", "xml")], &["LOG_FORMAT", "json"]);
    assert_problem(&[("WEBHOOK_URL", "s3cr3t")], &["WEBHOOK_URL", "https://"]);
    assert!(!problems(&[("WEBHOOK_URL", "s3cr3t")])[0].contains("s3cr3t"));
    for elsewhere in [
        "http://example.com/",
        "https://localhost/",
        "http://10.0.0.1/",
    ] {
        assert_problem(
            &[("WORKLOAD_HEALTH_URL", elsewhere)],
            &["not on this machine"],
        );
    }
    for here in [
        "http://localhost:80/x",
        "http://[::1]/",
        "http://127.3.2.1/",
    ] {
        assert!(read(&[("WORKLOAD_HEALTH_URL", here)]).is_ok(), "{here}");
    }
}

#[test]
fn webhook_token_file_is_checked() {
    let url = |url: &'static str| ("WEBHOOK_URL", url);
    let file = ("WEBHOOK_TOKEN_FILE", "/run/token");
    let settings = read(&[url("https://hooks.example.com/"), file]).unwrap();
    assert_eq!(settings.webhook_token_file, Some("/run/token".into()));
    assert_eq!(settings.warnings(), [""; 0]);
    for (variables, part) in [
        (vec![file], "WEBHOOK_URL is not set"),
        (vec![url("http://hooks.example.com/"), file], "unencrypted"),
    ] {
        let settings = read(&variables).unwrap();
        assert!(settings.warnings()[0].contains(part), "{part}");
    }
    let settings = read(&[url("http://127.0.0.1:1/"), file]).unwrap();
    assert_eq!(settings.warnings(), [""; 0]);
    assert_problem(
        &[url("https://me:hunter2@hooks.example.com/"), file],
        &["WEBHOOK_TOKEN_FILE: WEBHOOK_URL contains a user name"],
    );
    let problems = problems(&[("ELECTOR_WEBHOOK_TOKEN_FILE", "xoxb-hunter2")]);
    assert!(problems[0].starts_with("ELECTOR_WEBHOOK_TOKEN_FILE: not a path"));
    assert!(!problems[0].contains("hunter2"));
}
