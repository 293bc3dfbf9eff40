//! Tests `LEADER_FILE`: it exists while the elector leads, and its deadline always holds.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

use elector::system::clock::BootClock;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::file_names;
use crate::support::process::program::Start;
use crate::support::process::{Elector, Fixture, TIMES};
use crate::support::{eventually, never_for};

/// Content of a leader file.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
struct Line {
    token: u64,
    until: f64,
}

/// Reads the file, which must be complete whenever it exists.
fn line(path: &Path) -> Option<Line> {
    let text = fs::read_to_string(path).ok()?;
    assert!(
        text.ends_with('\n') && text.lines().count() == 1,
        "{text:?}"
    );
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["identity"], "first");
    Some(Line {
        token: line["fencingToken"].as_u64().unwrap(),
        until: line["validUntil"].as_f64().unwrap(),
    })
}

fn uptime() -> f64 {
    BootClock::now().since_boot().as_secs_f64()
}

struct Stage {
    fixture: Fixture,
    folder: TempDir,
    path: PathBuf,
}

impl Stage {
    fn new() -> Stage {
        let folder = tempfile::tempdir().unwrap();
        Stage {
            fixture: Fixture::new(),
            path: folder.path().join("leader"),
            folder,
        }
    }

    fn start(&self) -> Start {
        self.fixture
            .elector("first")
            .with("LEADER_FILE", &self.path)
            .with("RUST_LOG", "debug")
    }

    /// Starts an elector, and waits until its file shows that it leads.
    fn leader(&self) -> Elector {
        let elector = self.fixture.spawn(self.start());
        elector.await_leading();
        self.await_file();
        elector
    }

    fn line(&self) -> Option<Line> {
        line(&self.path)
    }

    fn await_file(&self) -> Line {
        eventually("the file is there", || self.line().is_some());
        self.line().unwrap()
    }

    fn await_no_file(&self) {
        eventually("the file is removed", || !self.path.exists());
        assert_eq!(file_names(&self.folder), [""; 0], "nothing else is left");
    }

    /// Returns the result of the documented reader.
    fn reader_leads(&self) -> bool {
        let output = Command::new("sh")
            .args(["-c", &reader()])
            .env("LEADER_FILE", &self.path)
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!(complaints, "", "the reader is right, or silent");
        output.status.success()
    }
}

/// Returns the shell function in `docs/usage.md`, and a call of it.
fn reader() -> String {
    let text = include_str!("../../../docs/usage.md");
    let (_, script) = text.split_once("```sh\n").unwrap();
    let (function, _) = script.split_once("```").unwrap();
    format!("{function}leads\n")
}

#[test]
fn file_exists_while_leading() {
    let stage = Stage::new();
    let mut first = stage.leader();
    let before = stage.line().unwrap();
    assert_eq!(before.token, 0);
    let mode = fs::metadata(&stage.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    eventually("the file is renewed", || {
        stage.line().is_some_and(|line| line.until > before.until)
    });
    eventually("nothing but the file is there", || {
        file_names(&stage.folder) == ["leader"]
    });
    // The renew deadline is 2.5 s.
    let line = stage.line().unwrap();
    assert!(line.until < uptime() + 2.5, "{line:?}");
    first.leave();
    assert!(
        !stage.path.exists(),
        "the file does not outlive the process"
    );
    assert_eq!(file_names(&stage.folder), [""; 0]);
}

#[test]
fn valid_until_truncates_to_hundredths() {
    let stage = Stage::new();
    let mut first = stage.leader();
    let mut read = BTreeSet::new();
    eventually("it was renewed a few times", || {
        read.extend(stage.line().map(|line| (line.until * 100.0).round() as u64));
        read.len() > 4
    });
    first.leave();
    let logged = first.log();
    let deadlines = logged.iter().map(|line| line.text("valid_until"));
    let printed: Vec<f64> = deadlines
        .filter_map(|deadline| deadline.strip_suffix('s')?.parse().ok())
        .collect();
    for hundredths in read {
        // The log rounds to thousandths.
        let is_it = |limit: &f64| (hundredths as f64) <= limit * 100.0 + 0.1;
        let limit = printed.iter().copied().filter(is_it).reduce(f64::min);
        let limit =
            limit.unwrap_or_else(|| panic!("{hundredths} is above every one of {printed:?}"));
        let behind = limit * 100.0 - hundredths as f64;
        assert!(behind < 1.2, "{hundredths} and {limit}");
    }
}

#[test]
fn uptime_matches_boot_clock() {
    for _ in 0..100 {
        let before = BootClock::now().since_boot().as_millis() / 10;
        let text = fs::read_to_string("/proc/uptime").unwrap();
        let after = BootClock::now().since_boot().as_millis() / 10;
        let (seconds, hundredths) = text.split(' ').next().unwrap().split_once('.').unwrap();
        let shown = seconds.parse::<u128>().unwrap() * 100 + hundredths.parse::<u128>().unwrap();
        assert_eq!(hundredths.len(), 2);
        assert!((before..=after).contains(&shown), "{before} {text} {after}");
    }
}

#[test]
fn documented_reader_rejects_expired_file() {
    let stage = Stage::new();
    assert!(!stage.reader_leads(), "there is no file");
    let mut first = stage.leader();
    assert!(stage.reader_leads());
    first.kill();
    let left = stage.line().expect("a crash leaves the file");
    while stage.reader_leads() {
        assert!(
            uptime() < left.until + 60.0,
            "the reader goes by the file alone"
        );
    }
    assert!(uptime() >= left.until);
    // Another boot restarts the count.
    let text = fs::read_to_string(&stage.path).unwrap();
    let later = text.replace("\"validUntil\":", "\"validUntil\":9");
    fs::write(&stage.path, &later).unwrap();
    assert!(stage.reader_leads(), "{later}");
    let id = later.split("\"bootId\":\"").nth(1).unwrap();
    let other = later.replace(&id[..8], "00000000");
    fs::write(&stage.path, &other).unwrap();
    assert!(!stage.reader_leads(), "{other}");
    for broken in ["", "{", "{\"validUntil\":99999999.00}\n"] {
        fs::write(&stage.path, broken).unwrap();
        assert!(!stage.reader_leads(), "{broken}");
    }
}

#[test]
fn reader_rejects_frozen_leader_before_takeover() {
    let stage = Stage::new();
    let first = stage.leader();
    let second = stage.fixture.start("second");
    second.await_observed("first");
    stage.fixture.passed_over.set(true);
    first.freeze();
    assert!(stage.path.exists());
    while second.leads().is_none() {
        let believed = stage.reader_leads();
        assert!(
            !(believed && second.leads().is_some()),
            "{:?}",
            stage.line()
        );
    }
    assert!(!stage.reader_leads());
    first.signal(Signal::SIGCONT);
    stage.await_no_file();
    first.await_observed("second");
}

#[test]
fn lost_lease_removes_file_immediately() {
    let stage = Stage::new();
    let first = stage.leader();
    let second = stage.fixture.start("second");
    second.await_observed("first");
    stage
        .fixture
        .put(r#"{"holderIdentity":"operator","leaseDurationSeconds":5}"#);
    stage.await_no_file();
    assert!(second.leads().is_none(), "long before the next one leads");
    first.await_logged("stopped_leading");
    let stopped = first.last_logged("stopped_leading");
    assert_eq!(stopped.fencing_token(), Some(0));
    assert_eq!(stopped.text("detail"), "the lease is held by operator");
}

#[test]
fn outage_removes_file_at_deadline() {
    let stage = Stage::new();
    let first = stage.leader();
    stage
        .fixture
        .set_faults(r#"{"hang_reads":1,"hang_writes":1}"#);
    let mut last = stage.line();
    eventually("the file is removed", || {
        let line = stage.line();
        last = line.clone().or(last.take());
        line.is_none()
    });
    let limit = last.unwrap().until;
    // The file is removed at its deadline, not before.
    assert!(uptime() >= limit, "{limit}");
    stage.fixture.set_faults("{}");
    eventually("it leads again, and says so", || {
        stage.line().is_some_and(|line| line.token == 1)
    });
    // Another thread writes the log.
    eventually("the log says so", || first.leads() == Some(1));
}

#[test]
fn immediate_exit_removes_file() {
    let stage = Stage::new();
    let start = stage.start().with("RENEW_DEADLINE", "20s");
    let mut first = stage.fixture.spawn(start.with("LEASE_DURATION", "30s"));
    first.await_leading();
    stage.await_file();
    stage
        .fixture
        .set_faults(r#"{"hang_reads":1,"hang_writes":1}"#);
    first.signal(Signal::SIGTERM);
    stage.await_no_file();
    first.await_logged("workload_stopped");
    // Longer than the window in which a second signal counts as a duplicate.
    never_for(Duration::from_millis(200), "it ends", || {
        !first.is_running()
    });
    first.signal(Signal::SIGTERM);
    assert_eq!(first.await_exit(), Some(1), "{}", first.text());
    stage.await_no_file();
}

#[test]
fn deleted_directory_is_logged_once() {
    let stage = Stage::new();
    let first = stage.leader();
    fs::remove_dir_all(stage.folder.path()).unwrap();
    first.await_logged("leader_file_failed");
    let renewals = stage.fixture.records().len();
    eventually("it renews on", || {
        stage.fixture.records().len() > renewals + 5
    });
    assert_eq!(
        first.count_logged("leader_file_failed"),
        1,
        "{}",
        first.text()
    );
    fs::create_dir(stage.folder.path()).unwrap();
    stage.await_file();
    first.await_logged("leader_file_recovered");
    assert_eq!(first.leads(), Some(0));
}

#[test]
fn file_is_readable_despite_umask() {
    let stage = Stage::new();
    let mut command = Command::new("sh");
    let elector = env!("CARGO_BIN_EXE_elector");
    command.args(["-c", &format!("umask 0777; exec {elector} run")]);
    let start = Start::of("first", command)
        .with_all(TIMES)
        .with("GIST_ID", &stage.fixture.gist)
        .with("GITHUB_API_URL", stage.fixture.service.url())
        .with("GITHUB_API_TOKEN", crate::support::process::TOKEN)
        .with("LEADER_NAME", "first")
        .with("LOG_FORMAT", "json")
        .with("LEADER_FILE", &stage.path);
    let first = stage.fixture.spawn(start);
    first.await_leading();
    stage.await_file();
    let mode = fs::metadata(&stage.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn identity_with_special_characters_is_kept() {
    let stage = Stage::new();
    let name = "Käthe \"the\\great\" \u{1F451}";
    let start = stage.start().with("LEADER_NAME", name);
    let first = stage.fixture.spawn(start);
    eventually("the file is there", || stage.path.exists());
    let text = fs::read_to_string(&stage.path).unwrap();
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["identity"], name);
    assert!(stage.reader_leads());
    assert_eq!(first.leads(), Some(0));
}
