//! `elector init --from` between gists.

use elector::emulator::Options;
use serde_json::Value;

use crate::support::eventually;
use crate::support::process::program::Start;
use crate::support::process::steering::{
    Place, Ran, logged_pause, moves_and_returns, program_of, ran,
};
use crate::support::process::{Elector, Fixture, TOKEN};

/// Access token of another account.
const OTHER_TOKEN: &str = "ghp_TheSecretOfTheNewPlace0123456789abcd";

/// Two gists on a service each.
pub(super) struct Move {
    pub(super) old: Fixture,
    pub(super) new: Fixture,
}

impl Move {
    pub(super) fn new() -> Move {
        Move {
            old: Fixture::new(),
            new: new_place(TOKEN),
        }
    }

    /// Returns `elector init --from` with the settings that lead to both.
    pub(super) fn command(&self) -> Start {
        let command = Place::gist(&self.new).command(&["init", "--from", &lock(&self.old)]);
        command.with("FROM_GITHUB_API_URL", self.old.service.url())
    }

    pub(super) fn run(&self) -> Ran {
        ran(self.command())
    }

    /// Checks that the election has moved, and that a candidate leads in the new place.
    fn assert_moved(&self, token: u64) -> Elector {
        let (old, new) = (self.old.record(), self.new.record());
        assert_eq!(old["movedTo"], lock(&self.new), "{old}");
        assert_eq!(
            old["holderIdentity"].as_str().unwrap_or_default(),
            "",
            "{old}"
        );
        assert_eq!(new["checkpoint"], true, "{new}");
        assert!(highest_token(&self.new) > highest_token(&self.old), "{new}");
        let next = self.new.start("next");
        assert!(next.await_leading() > token);
        next
    }
}

/// Starts a service that permits this access token, with a gist of another id than that of a usual fixture.
fn new_place(token: &str) -> Fixture {
    let options = Options {
        tokens: vec![token.parse().unwrap()],
        seed: 2,
        ..Options::default()
    };
    let mut fixture = Fixture::on(options, "");
    fixture.gist = fixture
        .service
        .create_gist(&[("leader.json", "{}")])
        .unwrap();
    fixture
}

/// Returns the text of `LOCK`.
fn lock(fixture: &Fixture) -> String {
    format!("gist:{}", fixture.gist)
}

fn highest_token(fixture: &Fixture) -> Option<u64> {
    let records = fixture.records();
    let tokens = records
        .iter()
        .map(|record| record["leaderTransitions"].as_u64());
    tokens.max().flatten()
}

fn writes(fixture: &Fixture) -> u64 {
    fixture.service.requests().of("PATCH", "", "")
}

#[test]
fn election_moves_and_returns() {
    let both = Move::new();
    let (old, new) = (Place::gist(&both.old), Place::gist(&both.new));
    let from = ["GITHUB_API_URL"];
    moves_and_returns((&old, &from), (&new, &from));
}

/// Returns a file of a gist as a place.
fn file<'a>(fixture: &'a Fixture, name: &'static str) -> Place<'a> {
    let mut file = Place::gist(fixture);
    file.settings
        .push(("GIST_FILE".to_owned(), name.to_owned()));
    file.record = Box::new(move || {
        let head = &fixture.service.history(&fixture.gist)[0];
        let text = head.files.get(name).map_or("", String::as_str);
        serde_json::from_str(text).unwrap_or(Value::Null)
    });
    file
}

#[test]
fn election_moves_to_another_file() {
    let fixture = Fixture::with_files(&[("leader.json", "{}"), ("notes.txt", "x")]);
    // The places have separate terms.
    fixture.passed_over.set(true);
    let (old, new) = (file(&fixture, "leader.json"), file(&fixture, "new.json"));
    moves_and_returns((&old, &[]), (&new, &[]));
}

#[test]
fn each_place_has_own_credentials() {
    let both = Move {
        old: Fixture::new(),
        new: new_place(OTHER_TOKEN),
    };
    let mut first = both.old.start_leader("first");
    first.leave();
    let command = || both.command().with("GITHUB_API_TOKEN", OTHER_TOKEN);
    let before = both.old.content();
    let refused = ran(command());
    refused.failed("access token rejected");
    assert_eq!(both.old.content(), before);
    let text = ran(command().with("FROM_GITHUB_API_TOKEN", TOKEN)).well();
    assert!(text.contains("created "), "{text}");
    assert_eq!(both.old.record()["movedTo"], lock(&both.new));
    assert_eq!(both.new.record()["checkpoint"], true);
}

#[test]
fn killed_leader_is_waited_for() {
    let both = Move::new();
    let mut first = both.old.start_leader("first");
    first.kill();
    both.run().well();
    assert_eq!(both.old.holder(), "first", "its lease expired");
    let second = both.old.start("second");
    let moved = logged_pause(&second);
    assert_eq!(moved, format!("moved to {}", lock(&both.new)));
    assert!(both.new.start("next").await_leading() > 0);
    assert_eq!(second.leads(), None);
}

/// Starts the command, kills it once `reached` holds, and runs it again without faults.
fn interrupt(both: &Move, step: &str, reached: impl Fn(&Move) -> bool) -> String {
    let mut command = both.command().spawn();
    eventually(step, || reached(both));
    command.kill();
    for fixture in [&both.old, &both.new] {
        fixture.set_faults("{}");
    }
    both.run().well()
}

fn is_marked(both: &Move) -> bool {
    both.old.record()["movedTo"].is_string()
}

#[test]
fn move_continues_if_killed_before_mark() {
    let both = Move::new();
    let first = both.old.start_leader("first");
    let token = first.leads().unwrap();
    drop(first);
    let before = both.old.content();
    let written = writes(&both.old);
    both.old.set_faults(r#"{"hang_writes":1}"#);
    let mut command = both.command().spawn();
    eventually("it marks the record", || writes(&both.old) > written);
    command.kill();
    assert_eq!(both.old.content(), before);
    assert_eq!(both.new.content(), "{}");
    both.old.set_faults("{}");
    both.run().well();
    assert!(is_marked(&both));
    assert!(highest_token(&both.new) > Some(token));
}

#[test]
fn move_continues_if_killed_at_mark() {
    let both = Move::new();
    let first = both.old.start_leader("first");
    let token = first.leads().unwrap();
    let text = interrupt(&both, "the record is marked", is_marked);
    assert!(text.contains("created "), "{text}");
    both.assert_moved(token);
    assert_eq!(first.leads(), None);
}

#[test]
fn move_continues_if_killed_in_wait() {
    let both = Move::new();
    let folder = tempfile::tempdir().unwrap();
    let end = folder.path().join("end");
    let first = both
        .old
        .spawn(Place::gist(&both.old).with_slow_program("first", &end));
    program_of(&first);
    let token = first.await_leading();
    let mut command = both.command().spawn();
    // The leader renews until its program has ended.
    first.await_logged("stopped_leading");
    command.await_text("waiting until nobody leads there");
    command.kill();
    std::fs::write(&end, "").unwrap();
    eventually("it releases", || both.old.holder().is_empty());
    assert_eq!(both.new.content(), "{}");
    let text = both.run().well();
    assert!(text.contains("created "), "{text}");
    both.assert_moved(token);
}

#[test]
fn move_continues_if_killed_before_creation() {
    let both = Move::new();
    let first = both.old.start_leader("first");
    let token = first.leads().unwrap();
    both.new.set_faults(r#"{"hang_writes":1}"#);
    let text = interrupt(&both, "it creates the record", |both| writes(&both.new) > 0);
    assert!(text.contains("created "), "{text}");
    both.assert_moved(token);
}

#[test]
fn move_continues_if_killed_after_creation() {
    let both = Move::new();
    let first = both.old.start_leader("first");
    let token = first.leads().unwrap();
    both.new.set_faults(r#"{"lost_answers":1}"#);
    let created = |both: &Move| !both.new.record()["checkpoint"].is_null();
    let text = interrupt(&both, "the record is created", created);
    assert!(text.contains("nothing to do: "), "{text}");
    both.assert_moved(token);
}
