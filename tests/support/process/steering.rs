//! Commands that steer an election, and what must hold for them on every kind of lock.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test helper, of which every test uses another part"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::program::Start;
use super::{Elector, Fixture, TIMES, TOKEN, await_one_leading, check};
use crate::support::{eventually, never_for};

/// A program that prints its process id, and ends at TERM.
const PROGRAM: &str =
    "trap 'exit 0' TERM; echo program=$$; while true; do sleep 0.05 & wait $!; done";

/// A program that prints its process id, and ends after TERM once the file `$GO` exists.
const SLOW_PROGRAM: &str = "trap 'until [ -e \"$GO\" ]; do sleep 0.05; done; exit 0' TERM
    echo program=$$; while true; do sleep 0.05 & wait $!; done";

/// Settings of a gist that `init --from` needs, besides its lock.
pub const FROM_GIST: [&str; 3] = ["GITHUB_API_URL", "GITHUB_API_TOKEN", "CONFIRM_DELAY"];

/// Place of a lock as electors and commands use it.
pub struct Place<'a> {
    /// Settings of the lock and the timings.
    pub settings: Vec<(String, String)>,
    /// Returns the present record; null for none.
    pub record: Box<dyn Fn() -> Value + 'a>,
}

/// Exit code and output of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub text: String,
}

impl Ran {
    /// Checks that the command succeeded, and returns its output.
    #[track_caller]
    pub fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.text);
        self.text
    }

    /// Checks that the command exited with 1, and that its output contains this.
    #[track_caller]
    pub fn failed(self, part: &str) -> String {
        assert_eq!(self.code, Some(1), "{}", self.text);
        assert!(self.text.contains(part), "{part}: {}", self.text);
        self.text
    }
}

impl<'a> Place<'a> {
    pub fn new<K: Into<String>, V: Into<String>>(
        settings: impl IntoIterator<Item = (K, V)>,
        record: impl Fn() -> Value + 'a,
    ) -> Place<'a> {
        let settings = settings.into_iter();
        Place {
            settings: settings
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            record: Box::new(record),
        }
    }

    /// Returns the gist of a fixture.
    pub fn gist(fixture: &'a Fixture) -> Place<'a> {
        let mut settings = TIMES.map(|(name, value)| (name, value.to_owned())).to_vec();
        settings.extend([
            ("GIST_ID", fixture.gist.clone()),
            ("GITHUB_API_URL", fixture.service.url()),
            ("GITHUB_API_TOKEN", TOKEN.to_owned()),
        ]);
        Place::new(settings, || fixture.record())
    }

    /// Returns an elector, to change and spawn.
    pub fn elector(&self, name: &str) -> Start {
        self.add_settings(Start::new(name).without("CONFIRM_DELAY"))
    }

    pub fn start(&self, name: &str) -> Elector {
        self.elector(name).spawn()
    }

    /// Returns an elector that runs a program.
    pub fn with_program(&self, name: &str) -> Start {
        self.prefixed(name).running(&["sh", "-c", PROGRAM])
    }

    /// Returns an elector with a program that ends once this file exists.
    pub fn with_slow_program(&self, name: &str, go: &Path) -> Start {
        self.prefixed(name)
            .with("GO", go)
            .with("ELECTOR_STOP_TIMEOUT", "60s")
            .running(&["sh", "-c", SLOW_PROGRAM])
    }

    /// Returns an elector whose settings count in front of every program.
    fn prefixed(&self, name: &str) -> Start {
        let mut start = self.elector(name);
        for (name, value) in &self.settings {
            start = start.without(name).with(&format!("ELECTOR_{name}"), value);
        }
        start
    }

    /// Returns a command of an operator.
    pub fn command(&self, args: &[&str]) -> Start {
        let mut command = Command::new(env!("CARGO_BIN_EXE_elector"));
        command.args(args);
        let start = Start::of(args[0], command).with("LEADER_NAME", "operator");
        self.add_settings(start)
    }

    fn add_settings(&self, start: Start) -> Start {
        let settings = self.settings.iter();
        start.with_all(settings.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        ran(self.command(args))
    }

    /// Runs `init --from` another place, with that place's settings of these names.
    pub fn init_from(&self, from: &Place<'_>, names: &[&str]) -> Ran {
        let mut start = self.command(&["init", "--from", &from.lock()]);
        for name in names {
            start = start.with(&format!("FROM_{name}"), from.setting(name).unwrap());
        }
        ran(start)
    }

    /// Returns the text of `LOCK`.
    fn lock(&self) -> String {
        if let Some(lock) = self.setting("LOCK") {
            return lock.to_owned();
        }
        let gist = self.setting("GIST_ID").unwrap();
        match self.setting("GIST_FILE") {
            Some(file) => format!("gist:{gist}/{file}"),
            None => format!("gist:{gist}"),
        }
    }

    fn setting(&self, name: &str) -> Option<&str> {
        let mut settings = self.settings.iter();
        let (_, value) = settings.find(|(known, _)| known == name)?;
        Some(value)
    }

    pub fn record(&self) -> Value {
        (self.record)()
    }

    pub fn holder(&self) -> String {
        let record = self.record();
        record["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub fn token(&self) -> u64 {
        self.record()["leaderTransitions"].as_u64().unwrap()
    }
}

/// Returns a record without the fields that every write changes.
fn without_origin(mut record: Value) -> Value {
    for field in ["writeId", "supersedes", "check"] {
        record.as_object_mut().unwrap().remove(field);
    }
    record
}

/// Runs a command to its end.
pub fn ran(start: Start) -> Ran {
    let mut command = start.spawn();
    let code = command.await_exit();
    command.output().check();
    Ran {
        code,
        text: command.text(),
    }
}

/// Waits until an elector's program runs, and returns its process id.
pub fn program_of(elector: &Elector) -> i32 {
    let id = || {
        let lines = elector.lines();
        let mut lines = lines.iter().rev();
        lines.find_map(|line| line.strip_prefix("program=")?.parse().ok())
    };
    eventually("its program runs", || id().is_some());
    id().unwrap()
}

/// Returns whether a process runs.
pub fn is_running(process: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !"ZX".contains(state))
}

/// Returns why the elector's last term ended, by its log.
pub fn stop_reason(elector: &Elector) -> String {
    elector.await_logged("stopped_leading");
    let line = elector.last_logged("stopped_leading");
    line.text("reason").to_owned()
}

/// Waits until the elector logs that the election is paused, and returns the reason.
pub fn logged_pause(elector: &Elector) -> String {
    elector.await_logged("paused");
    elector.last_logged("paused").text("reason").to_owned()
}

// ---- scenarios ----

/// Checks that the candidate that a switchover names leads next, and that it hands over to anybody.
pub fn switches_over(place: &Place<'_>) {
    let first = place.with_program("first").spawn();
    let token = first.await_leading();
    let program = program_of(&first);
    let others = ["second", "third"].map(|name| place.start(name));
    for other in &others {
        other.await_observed("first");
    }
    let text = place.run(&["switchover", "--to", "third", "--wait"]).well();
    for part in [
        "asked first to hand over to third",
        "third leads; nobody led for",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!is_running(program), "{}", first.text());
    let record = place.record();
    assert_eq!(record["holderIdentity"], "third");
    for field in ["handover", "preferredHolder"] {
        assert!(record[field].is_null(), "the claim drops it: {record}");
    }
    assert!(others[1].await_leading() > token);
    assert_eq!(others[0].count_logged("started_leading"), 0);

    let text = place.run(&["switchover", "--wait"]).well();
    assert!(
        text.contains("asked third to hand over to another"),
        "{text}"
    );
    let rest = [&first, &others[0]];
    await_one_leading(&rest);
    check(&[&first, &others[0], &others[1]]);
}

/// Checks that nobody leads from the end of a pause to its resumption.
pub fn pauses_and_resumes(place: &Place<'_>, lease: Duration) {
    let first = place.with_program("first").spawn();
    let token = first.await_leading();
    let program = program_of(&first);
    let second = place.start("second");
    second.await_observed("first");
    let text = place.run(&["pause", "--reason", "migration"]).well();
    assert!(text.contains(": migration\nNobody leads"), "{text}");
    assert!(!is_running(program), "{}", first.text());
    let record = place.record();
    assert_eq!(record["holderIdentity"], "", "{record}");
    assert_eq!(record["paused"]["reason"], "migration", "{record}");
    assert_eq!(record["paused"]["by"], "operator", "{record}");
    assert_eq!(record["stopReason"], "paused", "{record}");
    for elector in [&first, &second] {
        let reason = logged_pause(elector);
        assert!(reason.ends_with(": migration"), "{reason}");
    }
    first.await_not_leading();
    let late = place.start("third");
    logged_pause(&late);
    never_for(lease + lease / 2, "a candidate acquires", || {
        !place.holder().is_empty()
    });
    let text = place.run(&["status"]).well();
    assert!(text.contains(": migration"), "{text}");
    place.run(&["switchover"]).failed("paused by operator");

    let text = place.run(&["resume"]).well();
    assert!(text.contains("resumed; a candidate acquires"), "{text}");
    let electors = [&first, &second, &late];
    let leader = await_one_leading(&electors);
    assert!(electors[leader].leads().unwrap() > token);
    assert!(place.record()["paused"].is_null());
    let text = place.run(&["resume"]).well();
    assert!(
        text.contains("nothing to do: the election is not paused"),
        "{text}"
    );
    check(&electors);
}

/// Checks that an election moves from `old` to `new`, and back to where the record was marked. With each
/// place come the names of its settings that `init --from` needs, besides its lock.
pub fn moves_and_returns(
    (old, from_old): (&Place<'_>, &[&str]),
    (new, from_new): (&Place<'_>, &[&str]),
) {
    let first = old.with_program("first").spawn();
    let token = first.await_leading();
    let program = program_of(&first);
    let text = new.init_from(old, from_old).well();
    assert!(text.contains("created "), "{text}");
    assert!(!is_running(program), "{}", first.text());
    let moved = logged_pause(&first);
    assert!(moved.starts_with("moved to "), "{moved}");
    first.await_not_leading();
    assert_eq!((old.holder(), new.holder()), (String::new(), String::new()));
    assert!(new.token() > token && new.token() > old.token());
    assert_eq!(new.record()["checkpoint"], true);
    old.run(&["resume"]).failed("is not resumed here");

    // On a gist, the mark is confirmed again by a write without any change.
    let records = || [without_origin(old.record()), new.record()];
    let before = records();
    let text = new.init_from(old, from_old).well();
    assert!(text.contains("nothing to do: "), "{text}");
    assert_eq!(records(), before);

    let second = new.start("second");
    let second_token = second.await_leading();
    assert!(second_token > token);
    let late = old.start("third");
    assert_eq!(logged_pause(&late), moved);

    let text = old.init_from(new, from_new).well();
    assert!(text.contains("created "), "{text}");
    second.await_not_leading();
    assert!(logged_pause(&second).starts_with("moved to "));
    assert!(new.record()["movedTo"].is_string());
    let electors = [&first, &late];
    let leader = await_one_leading(&electors);
    assert!(electors[leader].leads().unwrap() > second_token);
    assert!(old.record()["movedTo"].is_null());
    check(&[&first, &second, &late]);
}
