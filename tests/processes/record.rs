//! Tests `elector run` and the gist's file: refusals at start, edits of the record, unusual names.

use std::collections::BTreeMap;

use crate::operating::command::{Run, ours};
use crate::support::process::{Elector, Fixture, LEASE};
use crate::support::{eventually, for_each, never_for};
use serde_json::{Value, json};

fn refused(fixture: &Fixture) -> String {
    let mut elector = fixture.start("first");
    assert_eq!(elector.await_exit(), Some(1), "{}", elector.text());
    elector.text()
}

#[test]
fn file_with_other_text_is_refused() {
    for_each(&["dear diary", "[1,2]", "\"text\"", "17"], |text| {
        let fixture = Fixture::with_files(&[("leader.json", text)]);
        let printed = refused(&fixture);
        for part in ["GIST_FILE", "elector init", "leader.json"] {
            assert!(printed.contains(part), "{part} in {printed}");
        }
        assert_eq!(fixture.content(), *text);
    });
}

#[test]
fn several_files_need_gist_file() {
    let fixture = Fixture::with_files(&[("a.json", "{}"), ("leader.json", "{}")]);
    let printed = refused(&fixture);
    for part in ["GIST_FILE", "a.json", "leader.json"] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    let start = fixture.elector("second").with("GIST_FILE", "leader.json");
    fixture.spawn(start).await_leading();
    assert_eq!(fixture.holder(), "second");
}

#[test]
fn missing_or_blank_file_is_created() {
    for_each(&["\n", " \t ", "{}", "missing"], |content| {
        let fixture = Fixture::with_files(&[("other.txt", "something else")]);
        if *content != "missing" {
            fixture.put(content);
        }
        let start = fixture.elector("first").with("GIST_FILE", "leader.json");
        let first = fixture.spawn(start);
        assert_eq!(first.await_leading(), 0);
        assert_eq!(first.has_logged("file_created"), *content == "missing");
        assert_eq!(fixture.holder(), "first");
        let head = &fixture.service.history(&fixture.gist)[0];
        assert_eq!(head.files["other.txt"], "something else");
    });
}

#[test]
fn missing_file_beside_election_is_refused() {
    let fixture = Fixture::new();
    fixture.start_leader("first").leave();
    let records = fixture.records().len();
    let start = fixture.elector("second").with("GIST_FILE", "leader.jsn");
    let mut mistyped = fixture.spawn(start);
    assert_eq!(mistyped.await_exit(), Some(1), "{}", mistyped.text());
    let printed = mistyped.text();
    let expected = format!(
        "gist {} has no file leader.jsn; its elections are in leader.json; create another one with \
         `elector init`",
        fixture.gist
    );
    assert!(printed.contains(&expected), "{printed}");
    assert_eq!(fixture.records().len(), records);
    // `elector init` creates another election beside it.
    fixture.several_locks.set(true);
    let init = Run::on(&fixture, &["init"]).with("GIST_FILE", "leader.jsn");
    let ran = init.ran();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let start = fixture.elector("third").with("GIST_FILE", "leader.jsn");
    fixture.spawn(start).await_leading();
}

#[test]
fn older_protocol_and_unnamed_file_warn() {
    let fixture = Fixture::new();
    fixture.passed_over.set(true);
    let mut record = ours(&fixture, "napoleon", 3);
    record["protocol"] = 0.into();
    fixture.put(&record.to_string());
    let first = fixture.start("first");
    first.await_logged("protocol_differs");
    let note = |number: u32| {
        let edit = |files: &mut BTreeMap<String, _>| {
            files.insert("notes.txt".into(), number.to_string());
        };
        fixture.service.edit(&fixture.gist, edit).unwrap();
    };
    for number in 0..3 {
        note(number);
        first.await_logged("file_not_named");
        let before = fixture.service.requests().total();
        eventually("it reads the gist again", || {
            fixture.service.requests().total() > before + 2
        });
    }
    assert_eq!(first.count_logged("protocol_differs"), 1);
    assert_eq!(first.count_logged("file_not_named"), 1);
}

#[test]
fn different_lease_is_warned_about_once() {
    let fixture = Fixture::new();
    let first = fixture.start_leader("first");
    let start = fixture.elector("second").with("LEASE_DURATION", "7s");
    let second = fixture.spawn(start);
    second.await_logged("lease_differs");
    let records = fixture.records().len();
    eventually("it renews", || fixture.records().len() > records + 3);
    assert_eq!(second.count_logged("lease_differs"), 1, "{}", second.text());
    assert_eq!(second.last_logged("lease_differs").text("lease"), "5s");
    assert!(!first.has_logged("lease_differs"), "{}", first.text());
}

/// Returns a record as an operator pastes it, without protocol fields.
fn plain(record: &Value) -> String {
    let mut record = record.clone();
    let fields = record.as_object_mut().unwrap();
    for ours in ["writeId", "supersedes", "protocol"] {
        fields.remove(ours);
    }
    record.to_string()
}

type Files = BTreeMap<String, String>;

/// Edit of the record, given the first record and the present one.
struct ManualEdit {
    name: &'static str,
    act: fn(&mut Files, &Value, &Value),
}

fn put(files: &mut Files, text: impl Into<String>) {
    files.insert("leader.json".into(), text.into());
}

const EDITS: [ManualEdit; 10] = [
    ManualEdit {
        name: "corrupt",
        act: |files, _, _| put(files, "{\"holderIdentity\":\"fir"),
    },
    ManualEdit {
        name: "another text",
        act: |files, _, _| put(files, "[\"what is this?\"]"),
    },
    ManualEdit {
        name: "no record",
        act: |files, _, _| put(files, "{}"),
    },
    ManualEdit {
        name: "blanked",
        act: |files, _, _| put(files, "\n"),
    },
    ManualEdit {
        name: "renamed",
        act: |files, _, _| {
            let text = files.remove("leader.json").unwrap();
            files.insert("leader.json.bak".into(), text);
        },
    },
    ManualEdit {
        name: "deleted",
        act: |files, _, _| drop(files.remove("leader.json")),
    },
    ManualEdit {
        name: "cleared by hand",
        act: |files, _, now| {
            let mut record = now.clone();
            record["holderIdentity"] = "".into();
            put(files, plain(&record));
        },
    },
    ManualEdit {
        name: "an old record pasted",
        act: |files, old, _| put(files, plain(old)),
    },
    ManualEdit {
        name: "another holder",
        act: |files, _, _| put(files, json!({"holderIdentity": "me"}).to_string()),
    },
    ManualEdit {
        name: "a token beyond belief",
        act: |files, _, _| {
            let token = u64::MAX;
            put(
                files,
                json!({"holderIdentity": "me", "leaderTransitions": token}).to_string(),
            );
        },
    },
];

fn some_token(electors: &[&Elector]) -> Option<u64> {
    electors.iter().find_map(|elector| elector.leads())
}

#[test]
fn edited_record_leads_to_new_term() {
    for_each(&EDITS, |edit| {
        let fixture = Fixture::with_files(&[("leader.json", "{}"), ("other.txt", "stays")]);
        let of = |name| fixture.elector(name).with("GIST_FILE", "leader.json");
        // A second term, so that an older fencing token can be pasted.
        let mut zeroth = fixture.spawn(of("zeroth"));
        zeroth.await_leading();
        let first = fixture.spawn(of("first"));
        first.await_observed("zeroth");
        zeroth.leave();
        assert_eq!(first.await_leading(), 1, "{}", edit.name);
        let second = fixture.spawn(of("second"));
        second.await_observed("first");
        let old = fixture.records()[1].clone();
        assert_eq!(old["leaderTransitions"], 0);
        let now = fixture.record();
        let act = |files: &mut Files| (edit.act)(files, &old, &now);
        fixture.service.edit(&fixture.gist, act).unwrap();
        first.await_logged("workload_stopped");
        eventually(edit.name, || some_token(&[&first, &second]) == Some(2));
        assert_eq!(fixture.record()["leaderTransitions"], 2, "{}", edit.name);
    });
}

#[test]
fn pasted_write_id_deposes_nobody() {
    let fixture = Fixture::new();
    let mut zeroth = fixture.start_leader("zeroth");
    let first = fixture.start("first");
    first.await_observed("zeroth");
    zeroth.leave();
    first.await_leading();
    let old = fixture.records()[1].clone();
    assert!(old["writeId"].is_string() && old["holderIdentity"] == "zeroth");
    fixture.passed_over.set(true);
    fixture.put(&old.to_string());
    let before = fixture.records().len();
    eventually("the leader renews", || {
        fixture.records().len() > before + 2 && fixture.holder() == "first"
    });
    assert_eq!(first.leads(), Some(1));
    assert!(!first.has_logged("workload_stopped"), "{}", first.text());
}

#[test]
fn rewritten_history_makes_no_second_leader() {
    let fixture = Fixture::new();
    let first = fixture.start_leader("first");
    let second = fixture.start("second");
    second.await_observed("first");
    let before = fixture.records().len();
    eventually("there is a history", || {
        fixture.records().len() > before + 2
    });
    fixture.service.remove_newest(&fixture.gist, 2).unwrap();
    let before = fixture.records().len();
    eventually("a candidate keeps leading", || {
        fixture.records().len() > before + 2 && some_token(&[&first, &second]).is_some()
    });
}

#[test]
fn unusual_names_are_stored_unchanged() {
    let long = "ten thousand letters ".repeat(500);
    let names = [
        "say \"hello\" \\ 'you'",
        "two\nlines\r\n\ttabs",
        "наполеон 拿破崙 نابليون 🦅",
        "\u{202e}backwards",
        " blanks ",
        "{\"holderIdentity\":\"nobody\"}",
        &long,
    ];
    for_each(&names, |name| {
        let fixture = Fixture::new();
        let mut first = fixture.start(name);
        fixture.await_holder(name);
        first.await_leading();
        let second = fixture.start("second");
        second.await_logged("new_leader");
        let records = fixture.records().len();
        eventually("it renews", || fixture.records().len() > records + 1);
        assert_eq!(fixture.holder(), *name);
        first.leave();
        assert_eq!(second.await_leading(), 1);
    });
}

#[test]
fn blank_name_is_kept_or_refused() {
    let fixture = Fixture::new();
    let mut first = fixture.start(" ");
    let mut code = None;
    eventually("it leads or is refused", || {
        if !first.is_running() {
            code = first.await_exit();
        }
        code.is_some() || first.leads().is_some()
    });
    assert!(code.is_none_or(|code| code == 2), "{}", first.text());
}

#[test]
fn locks_in_one_gist_are_independent() {
    let fixture = Fixture::with_files(&[("a.json", "{}"), ("b.json", "{}")]);
    let of = |name: &str, file: &str| fixture.spawn(fixture.elector(name).with("GIST_FILE", file));
    fixture.several_locks.set(true);
    let electors = [of("a", "a.json"), of("b", "b.json")];
    for elector in &electors {
        assert_eq!(elector.await_leading(), 0);
    }
    never_for(LEASE, "one of them loses its lease", || {
        electors.iter().any(|elector| elector.leads().is_none())
    });
}
