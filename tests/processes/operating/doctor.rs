//! `elector doctor`.

use std::collections::BTreeMap;
use std::io::Write;

use elector::emulator::Options;
use serde_json::json;

use crate::operating::command::{Run, free_address, ours, revisions};
use crate::support::for_each;
use crate::support::process::{Fixture, TOKEN};
use crate::support::wire::{exchange, request};

/// Result of the doctor: exit code, and level and text of each check.
#[derive(Debug)]
struct Diagnosis {
    code: Option<i32>,
    found: BTreeMap<String, (String, String)>,
    last: String,
}

impl Diagnosis {
    fn of(run: Run) -> Diagnosis {
        let ran = run.ran();
        assert_eq!(ran.err, "", "{ran:?}");
        let mut found = BTreeMap::new();
        let findings = ran.out.split("\n\n").next().unwrap();
        let findings = findings.replace(&format!("\n{:19}", ""), " ");
        for line in findings.lines() {
            let (level, check) = (line[..6].trim(), line[6..19].trim());
            let text = line[19..].to_owned();
            found.insert(check.to_owned(), (level.to_owned(), text));
        }
        Diagnosis {
            code: ran.code,
            found,
            last: ran.out.lines().last().unwrap().to_owned(),
        }
    }

    fn level(&self, check: &str) -> &str {
        &self.found[check].0
    }

    fn text(&self, check: &str) -> &str {
        &self.found[check].1
    }

    /// Checks the level of this check, and that the exit code fits all levels.
    #[track_caller]
    fn assert(&self, check: &str, level: &str, part: &str) {
        assert_eq!(self.level(check), level, "{check}: {self:#?}");
        assert!(self.text(check).contains(part), "{check}: {self:#?}");
        let fails = self.found.values().any(|(level, _)| level == "FAIL");
        assert_eq!(self.code, Some(i32::from(fails)), "{self:#?}");
    }
}

fn doctor(fixture: &Fixture) -> Run {
    Run::on(fixture, &["doctor"])
}

fn diagnosis(fixture: &Fixture) -> Diagnosis {
    Diagnosis::of(doctor(fixture))
}

#[test]
fn expiration_of_token_is_shown() {
    let fixture = Fixture::new();
    for (expiration, level, part) in [
        ("2099-12-24 18:00:00 UTC", "ok", "on 2099-12-24T18:00:00Z"),
        ("2099-12-24 18:00:00 +0100", "ok", "on 2099-12-24T17:00:00Z"),
        (
            "2020-12-24 18:00:00 UTC",
            "warn",
            "expired on 2020-12-24T18:00:00Z",
        ),
    ] {
        let faults = json!({ "token_expiration": expiration });
        fixture.set_faults(&faults.to_string());
        diagnosis(&fixture).assert("token", level, part);
    }
}

#[test]
fn healthy_lock_passes_every_check() {
    let fixture = Fixture::new();
    fixture.put(&ours(&fixture, "napoleon", 3).to_string());
    let before = revisions(&fixture);
    let found = Diagnosis::of(doctor(&fixture).with("LEASE_DURATION", "30s"));
    for (check, part) in [
        ("settings", "LEASE_DURATION=30s"),
        ("connection", &fixture.service.url()),
        ("token", "a classic token, from GITHUB_API_TOKEN, accepted"),
        ("rights", "may write gists"),
        ("gist", "secret, owned by gist-user"),
        ("file", "\"leader.json\", the gist's only file"),
        ("record", "napoleon leads, fencing token 3, renewed "),
        ("history", "a start costs 1 request"),
        ("writes", "4,500 per hour"),
        ("requests", "reports no limit"),
        ("limit", "reports none"),
        ("clock", "agrees"),
    ] {
        found.assert(check, "ok", part);
    }
    assert_eq!(found.code, Some(0));
    assert_eq!(found.found.len(), 12, "{found:#?}");
    assert_eq!(found.last, "Everything is ok.");
    assert_eq!(revisions(&fixture), before);
    assert_eq!(fixture.service.requests().of("PATCH", "", ""), 0);
}

/// Problem, the check that finds it, and the checks that it prevents.
struct Illness {
    make: fn(&Fixture, Run) -> Run,
    check: &'static str,
    level: &'static str,
    parts: &'static [&'static str],
    skipped: &'static [&'static str],
}

fn after_fault(faults: &'static str) -> impl Fn(&Fixture, Run) -> Run {
    move |fixture, run| {
        fixture.set_faults(faults);
        run
    }
}

const NEEDS_A_GIST: &[&str] = &["file", "record", "history"];
const NEEDS_AN_ANSWER: &[&str] = &[
    "token", "rights", "gist", "file", "record", "history", "limit", "clock",
];

const ILLNESSES: [Illness; 15] = [
    Illness {
        make: |_, run| run.with("GITHUB_API_TOKEN", "ghp_TheSecretThatNobodyKnows"),
        check: "token",
        level: "FAIL",
        parts: &["access token rejected (401", "GITHUB_API_TOKEN"],
        skipped: &["rights", "gist", "file", "record", "history"],
    },
    Illness {
        make: |_, run| run.with("GITHUB_API_TOKEN", "ghs_TheSecretOfActions"),
        check: "token",
        level: "FAIL",
        parts: &["GITHUB_TOKEN in Actions", "use a personal token"],
        skipped: &["rights"],
    },
    Illness {
        make: |_, run| {
            run.without("GITHUB_API_TOKEN")
                .with("GITHUB_API_TOKEN_FILE", "/nowhere/token")
        },
        check: "token",
        level: "FAIL",
        parts: &["/nowhere/token", "cannot be read"],
        skipped: &["connection", "rights", "gist", "clock"],
    },
    Illness {
        make: |_, run| run.with("GIST_ID", "0123456789abcdef"),
        check: "gist",
        level: "FAIL",
        parts: &["no such gist", "check the id"],
        skipped: NEEDS_A_GIST,
    },
    Illness {
        make: |fixture, run| {
            let more = |files: &mut BTreeMap<_, _>| files.insert("other".into(), "x".into());
            fixture
                .service
                .edit(&fixture.gist, |files| drop(more(files)))
                .unwrap();
            run
        },
        check: "file",
        level: "FAIL",
        parts: &["several files", "leader.json, other", "GIST_FILE"],
        skipped: &["record", "history"],
    },
    Illness {
        make: |fixture, run| {
            fixture.put("dear diary");
            run
        },
        check: "record",
        level: "FAIL",
        parts: &["not a lease record", "elector init"],
        skipped: &[],
    },
    Illness {
        make: |fixture, run| {
            let mut record = ours(fixture, "me", 6);
            record["protocol"] = 99.into();
            fixture.put(&record.to_string());
            run
        },
        check: "record",
        level: "FAIL",
        parts: &["protocol 99", "upgrade"],
        skipped: &[],
    },
    Illness {
        make: |fixture, run| {
            fixture.put(r#"{"holderIdentity":7}"#);
            run
        },
        check: "record",
        level: "warn",
        parts: &["is corrupt", "candidates wait a lease"],
        skipped: &[],
    },
    Illness {
        make: |fixture, run| after_fault(r#"{"primary_limit": 0}"#)(fixture, run),
        check: "limit",
        level: "FAIL",
        parts: &["rate limited", "retry in"],
        skipped: &["gist", "file", "record", "history"],
    },
    Illness {
        make: |fixture, run| {
            fixture.set_faults(r#"{"primary_limit": 100}"#);
            let status = || Run::on(fixture, &["status", "--json"]).ran().json();
            while status()["rateLimit"]["remaining"].as_u64() >= Some(15) {}
            run
        },
        check: "limit",
        level: "warn",
        parts: &["of 100 requests left, all again in", "longer periods"],
        skipped: &[],
    },
    Illness {
        make: |fixture, run| after_fault(r#"{"clock_offset_s": 600}"#)(fixture, run),
        check: "clock",
        level: "warn",
        parts: &["behind the service's", "no decision depends on it", "NTP"],
        skipped: &[],
    },
    Illness {
        make: |fixture, run| after_fault(r#"{"no_date": true}"#)(fixture, run),
        check: "clock",
        level: "warn",
        parts: &["no date"],
        skipped: &[],
    },
    Illness {
        make: |fixture, run| after_fault(r#"{"error_5xx": 1}"#)(fixture, run),
        check: "connection",
        level: "FAIL",
        parts: &["failed (502"],
        skipped: &["token", "rights", "gist", "file", "record", "history"],
    },
    Illness {
        make: |_, run| run.with("GITHUB_API_URL", format!("http://{}", free_address())),
        check: "connection",
        level: "FAIL",
        parts: &["cannot connect to 127.0.0.1:", "check the network"],
        skipped: NEEDS_AN_ANSWER,
    },
    Illness {
        make: |_, run| {
            run.with("GITHUB_API_URL", "http://gist.invalid")
                .with("ALLOW_INSECURE_HTTP", "true")
                .with(
                    "HTTP_PROXY",
                    format!("http://user:TheSecret@{}", free_address()),
                )
        },
        check: "connection",
        level: "FAIL",
        parts: &["(through the proxy 127.0.0.1:"],
        skipped: NEEDS_AN_ANSWER,
    },
];

#[test]
fn each_problem_is_found_and_explained() {
    for_each(&ILLNESSES, |illness| {
        let fixture = Fixture::new();
        let found = Diagnosis::of((illness.make)(&fixture, doctor(&fixture)));
        for part in illness.parts {
            found.assert(illness.check, illness.level, part);
        }
        for check in illness.skipped {
            assert_eq!(found.level(check), "-", "{check}: {found:#?}");
        }
        let skipped = found.found.values().filter(|(level, _)| level == "-");
        assert!(skipped.count() >= illness.skipped.len(), "{found:#?}");
        assert_ne!(found.last, "Everything is ok.");
    });
}

/// Returns a fixture whose service accepts this access token, and a doctor that uses it.
fn with_token(token: &str) -> (Fixture, Run) {
    let options = Options {
        tokens: vec![token.parse().unwrap()],
        gists: vec!["abc123".parse().unwrap()],
        ..Options::default()
    };
    let fixture = Fixture::on(options, "abc123");
    let secret = token.split(':').next().unwrap();
    let run = doctor(&fixture).with("GITHUB_API_TOKEN", secret);
    (fixture, run)
}

#[test]
fn rights_follow_token_scopes() {
    for (token, level, part) in [
        ("ghp_TheSecretOne", "ok", "may write gists"),
        ("ghp_TheSecretOne:gist,repo", "warn", "gist, repo"),
        ("ghp_TheSecretOne:repo", "FAIL", "has the scopes repo"),
        ("ghp_TheSecretOne:", "warn", "show no scopes"),
        ("github_pat_TheSecretOne", "ok", "only a write shows"),
    ] {
        let (_fixture, run) = with_token(token);
        Diagnosis::of(run).assert("rights", level, part);
    }
}

#[test]
fn token_file_is_named() {
    let fixture = Fixture::new();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_owned();
    writeln!(file, "{TOKEN}").unwrap();
    let run = doctor(&fixture).without("GITHUB_API_TOKEN");
    let found = Diagnosis::of(run.with("GITHUB_API_TOKEN_FILE", &path));
    found.assert("token", "ok", "(GITHUB_API_TOKEN_FILE), accepted");
    found.assert("token", "ok", path.to_str().unwrap());
}

#[test]
fn public_gist_warns() {
    let mut fixture = Fixture::new();
    let address = fixture.service.url();
    let address = address.strip_prefix("http://").unwrap().parse().unwrap();
    let body = json!({"public": true, "files": {"leader.json": {"content": "{}"}}});
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str())];
    let made = exchange(
        address,
        request("POST", "/gists", &headers, &body.to_string()),
    )
    .unwrap();
    fixture.gist = made.json()["id"].as_str().unwrap().to_owned();
    let found = diagnosis(&fixture);
    found.assert("gist", "warn", "public: anyone can find it");
    assert_eq!(found.code, Some(0));
    assert_eq!(found.last, "Elections work; 1 warning.");
}

#[test]
fn missing_file_is_ok() {
    let fixture = Fixture::new();
    let found = Diagnosis::of(doctor(&fixture).with("GIST_FILE", "new.json"));
    found.assert("file", "ok", "\"new.json\" does not exist yet");
    found.assert("record", "ok", "no record was ever written");
    let found = Diagnosis::of(doctor(&fixture).with("GIST_FILE", "leader.json"));
    found.assert("file", "ok", "from GIST_FILE");
}

#[test]
fn costly_history_names_fix() {
    let fixture = Fixture::new();
    for number in 0..1_100 {
        fixture.put(&json!({"holderIdentity": format!("client-go-{number}")}).to_string());
    }
    let found = diagnosis(&fixture);
    found.assert("history", "warn", "a start reads more than");
    found.assert("history", "warn", "elector init");
    fixture.put(&ours(&fixture, "napoleon", 3).to_string());
    fixture.service.reset_requests();
    let found = diagnosis(&fixture);
    found.assert("history", "ok", "a start costs 1 request");
    let requests = fixture.service.requests().total();
    assert!(requests <= 6, "{requests}");
}

#[test]
fn settings_warnings_are_listed() {
    let fixture = Fixture::new();
    let run = doctor(&fixture)
        .without("LEADER_NAME")
        .with("POD_NAME", "elector-7d4f");
    Diagnosis::of(run).assert("settings", "warn", "CLUSTER_NAME: not set");
    let run = doctor(&fixture).with("LEASE_DURATON", "9s");
    Diagnosis::of(run).assert("settings", "warn", "did you mean LEASE_DURATION?");
    let run = doctor(&fixture).with("ELECTOR_FOO", "1");
    Diagnosis::of(run).assert("settings", "warn", "ELECTOR_FOO: not a setting");
    let run = doctor(&fixture).with("RUST_LOG", "verbose");
    Diagnosis::of(run).assert("settings", "warn", "RUST_LOG: `verbose` is not a level");
}

#[test]
fn state_directory_is_judged() {
    let fixture = Fixture::new();
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = directory.path();
    let found = || Diagnosis::of(doctor(&fixture).with("STATE_DIR", path));
    found().assert("restart", "ok", "on tmpfs, and holds no state file yet");
    let elector = fixture.elector("operator").with("STATE_DIR", path);
    let elector = fixture.spawn(elector);
    elector.await_leading();
    found().assert("restart", "ok", "after a crash it may resume");
    drop(elector);
    found().assert("restart", "ok", "lets the next elector resume");
    for file in std::fs::read_dir(path).unwrap() {
        std::fs::write(file.unwrap().path(), "{").unwrap();
    }
    found().assert("restart", "warn", "its content cannot be read");
    let run = doctor(&fixture).with("STATE_DIR", path.join("missing"));
    Diagnosis::of(run).assert("restart", "warn", "create it");
}

#[test]
fn lease_of_record_that_differs_warns() {
    let fixture = Fixture::new();
    fixture.put(&ours(&fixture, "napoleon", 3).to_string());
    let found = diagnosis(&fixture);
    found.assert("settings", "warn", "LEASE_DURATION: 5s differs");
    found.assert(
        "settings",
        "warn",
        "the record of napoleon, whose lease is 30s",
    );
}

#[test]
fn record_of_older_protocol_warns() {
    let fixture = Fixture::new();
    let mut record = ours(&fixture, "napoleon", 3);
    record["protocol"] = 0.into();
    fixture.put(&record.to_string());
    let found = diagnosis(&fixture);
    found.assert("file", "warn", "the record follows protocol 0");
}

#[test]
fn missing_file_beside_election_fails() {
    let fixture = Fixture::new();
    fixture.put(&ours(&fixture, "napoleon", 3).to_string());
    fixture.service.reset_requests();
    let found = Diagnosis::of(doctor(&fixture).with("GIST_FILE", "leader.jsn"));
    found.assert(
        "file",
        "FAIL",
        "has no file leader.jsn; its elections are in leader.json",
    );
    assert_eq!(fixture.service.requests().total(), 1);
    for command in ["status", "history"] {
        fixture.service.reset_requests();
        let run = Run::on(&fixture, &[command]).with("GIST_FILE", "leader.jsn");
        let ran = run.ran();
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let part = "has no file leader.jsn; its elections are in leader.json; create another one";
        assert!(ran.err.contains(part), "{ran:?}");
        assert_eq!(fixture.service.requests().total(), 1);
    }
}

#[test]
fn missing_file_needs_no_history_scan() {
    let fixture = Fixture::with_files(&[("notes.txt", "hello")]);
    for number in 0..150 {
        let note =
            |files: &mut BTreeMap<_, _>| files.insert("notes.txt".into(), number.to_string());
        fixture
            .service
            .edit(&fixture.gist, |files| drop(note(files)))
            .unwrap();
    }
    for (command, part) in [
        ("doctor", "\"leader.json\" does not exist yet"),
        ("status", "no record was ever written"),
        (
            "history",
            "has no file leader.json; the first leader creates it",
        ),
    ] {
        fixture.service.reset_requests();
        let run = Run::on(&fixture, &[command]).with("GIST_FILE", "leader.json");
        let ran = run.ran();
        let printed = format!("{}{}", ran.out, ran.err);
        assert!(printed.contains(part), "{ran:?}");
        assert!(fixture.service.requests().total() <= 4, "{command}");
    }
}

#[test]
fn process_with_same_name_warns() {
    let fixture = Fixture::new();
    let _first = fixture.start_leader("first");
    let start = fixture.elector("first").with("HTTP_ADDR", "127.0.0.1:0");
    let second = fixture.spawn(start);
    second.await_logged("same_name_runs");
    let listening = second.last_logged("listening");
    let address = listening.text("url").trim_start_matches("http://");
    assert_eq!(second.last_logged("same_name_runs").level(), "warn");
    let run = doctor(&fixture)
        .with("HTTP_ADDR", address)
        .with("LEADER_NAME", "first");
    Diagnosis::of(run).assert("name", "warn", "another process wrote under the name first");
}
