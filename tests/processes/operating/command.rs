//! A command that runs to its end, and what it said.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::process::{SECRET, TIMES, TOKEN, World};

/// A command to be run.
pub(crate) struct Run {
    command: Command,
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// With nothing in its environment.
    pub(crate) fn new(args: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_elector"));
        command.args(args).env_clear().stdin(Stdio::null());
        Run { command }
    }

    /// With the settings of an elector of this world.
    pub(crate) fn on(world: &World, args: &[&str]) -> Run {
        let mut run = Run::new(args);
        run.command.envs(TIMES);
        run.with("LEADER_NAME", "operator")
            .with("GIST_ID", &world.gist)
            .with("GITHUB_API_URL", world.service.url())
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

    /// The command itself, for what is not usual.
    pub(crate) fn command(self) -> Command {
        self.command
    }

    pub(crate) fn ran(mut self) -> Ran {
        Ran::of(self.command.output().unwrap())
    }
}

impl Ran {
    /// What must hold for every output is checked.
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

    /// It ended well, and said nothing on standard error.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        self.out
    }

    /// It ended with this code, said why on standard error, and nothing else.
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

/// A record of an elector's that takes effect on top of the gist as it is.
pub(crate) fn ours(world: &World, holder: &str, token: u64) -> Value {
    let head = world.service.history(&world.gist)[0].revision;
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

/// How many revisions the gist has.
pub(crate) fn revisions(world: &World) -> usize {
    world.service.history(&world.gist).len()
}

/// What goes wrong for all of them alike: its name, and what the message must say.
pub(crate) struct Trouble {
    pub(crate) name: &'static str,
    pub(crate) parts: &'static [&'static str],
    run: fn(&World, Run) -> Run,
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
        run: |world, run| {
            world
                .service
                .edit(&world.gist, |files| {
                    files.insert("other.json".into(), "{}".into());
                })
                .unwrap();
            run
        },
    },
    Trouble {
        name: "no request left",
        parts: &["rate limited", "retry in"],
        run: |world, run| {
            world.set_faults(r#"{"primary_limit": 0}"#);
            run
        },
    },
    Trouble {
        name: "a service that fails",
        parts: &["failed", "502"],
        run: |world, run| {
            world.set_faults(r#"{"error_5xx": 1}"#);
            run
        },
    },
    Trouble {
        name: "a service that hangs up",
        parts: &["closed the connection"],
        run: |world, run| {
            world.set_faults(r#"{"outage": true}"#);
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
    /// Makes it go wrong.
    pub(crate) fn make(&self, world: &World, run: Run) -> Run {
        (self.run)(world, run)
    }
}

/// An address where nobody listens.
pub(crate) fn free_address() -> std::net::SocketAddr {
    // A port that was just given back may be another test's by now. This one, for a service that is long
    // forgotten (tcpmux), is nobody's.
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
        let said = Run::new(&args).ran().failed(2);
        assert!(said.contains(part), "{args:?}: {said}");
        assert!(said.contains("See `elector help"), "{args:?}: {said}");
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
        let said = Run::new(args).with("LEADER_NAME", "x").ran().failed(2);
        for part in ["GIST_ID is not set", "GITHUB_API_TOKEN"] {
            assert!(said.contains(part), "{args:?}: {part} in {said}");
        }
    }
}
