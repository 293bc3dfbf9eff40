//! A command that runs to its end, and its output.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::process::{Fixture, SECRET, TIMES, TOKEN};

/// Command to run.
pub(crate) struct Run {
    command: Command,
}

/// Exit code and output of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// Creates a command with an empty environment.
    pub(crate) fn new(args: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_elector"));
        command.args(args).env_clear().stdin(Stdio::null());
        Run { command }
    }

    /// Creates a command with the settings of an elector of this fixture.
    pub(crate) fn on(fixture: &Fixture, args: &[&str]) -> Run {
        let mut run = Run::new(args);
        run.command.envs(TIMES);
        run.with("LEADER_NAME", "operator")
            .with("GIST_ID", &fixture.gist)
            .with("GITHUB_API_URL", fixture.service.url())
            .with("GITHUB_API_TOKEN", TOKEN)
    }

    pub(crate) fn with(mut self, variable: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(variable, value);
        self
    }

    pub(crate) fn without(mut self, variable: &str) -> Run {
        self.command.env_remove(variable);
        self
    }

    /// Returns the underlying command, for other options.
    pub(crate) fn command(self) -> Command {
        self.command
    }

    pub(crate) fn ran(mut self) -> Ran {
        Ran::of(self.command.output().unwrap())
    }
}

impl Ran {
    /// Checks what must hold for every output.
    pub(crate) fn of(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Ran {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        for text in [&ran.out, &ran.err] {
            assert!(!text.contains(SECRET), "the token is shown: {ran:?}");
            assert!(!text.contains("panicked"), "{ran:?}");
        }
        ran
    }

    /// Checks that it exited with 0 without output on standard error, and returns its output.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        self.out
    }

    /// Checks that it exited with this code and only wrote to standard error, and returns that.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{self:?}");
        assert!(self.err.starts_with("elector "), "{self:?}");
        self.err
    }

    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.well()).unwrap()
    }
}

/// Returns an elector's record that is effective on top of the present gist.
pub(crate) fn ours(fixture: &Fixture, holder: &str, token: u64) -> Value {
    let head = fixture.service.history(&fixture.gist)[0].revision;
    serde_json::json!({
        "holderIdentity": holder,
        "leaseDurationSeconds": 30,
        "acquireTime": "2026-11-22T10:00:00Z",
        "renewTime": "2026-11-22T10:04:08Z",
        "leaderTransitions": token,
        "protocol": 1,
        "writeId": format!("test-{token}"),
        "supersedes": head.to_string(),
    })
}

/// Returns the number of the gist's revisions.
pub(crate) fn revisions(fixture: &Fixture) -> usize {
    fixture.service.history(&fixture.gist).len()
}

/// Failure that all commands report alike: its name, and parts of the message.
pub(crate) struct Trouble {
    pub(crate) name: &'static str,
    pub(crate) parts: &'static [&'static str],
    run: fn(&Fixture, Run) -> Run,
}

pub(crate) const TROUBLES: [Trouble; 7] = [
    Trouble {
        name: "a bad token",
        parts: &["access token rejected", "GITHUB_API_TOKEN"],
        run: |_, run| run.with("GITHUB_API_TOKEN", "ghp_TheSecretThatNobodyKnows"),
    },
    Trouble {
        name: "a gist that is not there",
        parts: &["no such gist", "GIST_ID"],
        run: |_, run| run.with("GIST_ID", "0123456789abcdef"),
    },
    Trouble {
        name: "several files",
        parts: &["GIST_FILE", "leader.json", "other.json"],
        run: |fixture, run| {
            fixture
                .service
                .edit(&fixture.gist, |files| {
                    files.insert("other.json".into(), "{}".into());
                })
                .unwrap();
            run
        },
    },
    Trouble {
        name: "no request left",
        parts: &["rate limited", "retry in"],
        run: |fixture, run| {
            fixture.set_faults(r#"{"primary_limit": 0}"#);
            run
        },
    },
    Trouble {
        name: "a service that fails",
        parts: &["failed", "502"],
        run: |fixture, run| {
            fixture.set_faults(r#"{"error_5xx": 1}"#);
            run
        },
    },
    Trouble {
        name: "a service that hangs up",
        parts: &["closed the connection"],
        run: |fixture, run| {
            fixture.set_faults(r#"{"outage": true}"#);
            run
        },
    },
    Trouble {
        name: "a service that is down",
        parts: &["cannot connect to", "check the network"],
        run: |_, run| run.with("GITHUB_API_URL", format!("http://{}", free_address())),
    },
];

impl Trouble {
    /// Causes the failure.
    pub(crate) fn make(&self, fixture: &Fixture, run: Run) -> Run {
        (self.run)(fixture, run)
    }
}

/// Address without a listener.
pub(crate) fn free_address() -> std::net::SocketAddr {
    // The reserved port of an obsolete service (tcpmux), because another test may reuse a port that was just
    // released.
    std::net::SocketAddr::from(([127, 0, 0, 1], 1))
}

#[test]
fn wrong_usage_names_nearest_option() {
    for (args, part) in [
        (["status", "--jsno"], "did you mean `--json`?"),
        (["status", "now"], "`now`"),
        (["doctor", "--hepl"], "did you mean `--help`?"),
        (["doctor", "all"], "`all`"),
        (["depose", "--yse"], "did you mean `--yes`?"),
        (["depose", "napoleon"], "`napoleon`"),
        (["step-down", "--hepl"], "did you mean `--help`?"),
    ] {
        let printed = Run::new(&args).ran().failed(2);
        assert!(printed.contains(part), "{args:?}: {printed}");
        assert!(printed.contains("See `elector help"), "{args:?}: {printed}");
    }
}

#[test]
fn help_is_shown_on_request() {
    for command in ["status", "doctor", "depose", "step-down"] {
        let usage = format!("Usage: elector {command}");
        for args in [["help", command], [command, "--help"], [command, "-h"]] {
            let text = Run::new(&args).ran().well();
            assert!(text.starts_with(&usage), "{text}");
            assert!(text.contains("Exit codes: 0"), "{text}");
        }
    }
    let text = Run::new(&["status", "--json", "--help"]).ran().well();
    assert!(text.starts_with("Usage: elector status"), "{text}");
}

#[test]
fn missing_settings_are_listed_together() {
    for args in [&["status"][..], &["doctor"], &["depose", "--yes"]] {
        let printed = Run::new(args).with("LEADER_NAME", "x").ran().failed(2);
        for part in ["GIST_ID: not set", "GITHUB_API_TOKEN"] {
            assert!(printed.contains(part), "{args:?}: {part} in {printed}");
        }
    }
}
