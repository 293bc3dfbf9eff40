//! The file of the gist that holds the record, and its content before the first record.

use elector::election::lock::{Content, LockError, ResourceLock};

use crate::lock::support::{
    FILE, PATIENCE, Rig, create, get, held, record, try_get, try_update, update,
};

#[test]
fn missing_named_file_is_created() {
    let rig = Rig::with(&[("notes.txt", "hello"), ("z.json", "{}")]);
    let mut lock = rig.lock("a");
    assert_eq!(get(&mut lock).content, Content::NeverWritten);
    create(&mut lock, "baz", 1);
    assert_eq!(held(&rig.read_afresh()), ("baz", 1));
    let files = &rig.service.history(&rig.id)[0].files;
    assert_eq!(
        (files["notes.txt"].as_str(), files["z.json"].as_str()),
        ("hello", "{}")
    );
}

#[test]
fn blank_file_was_never_written() {
    for blank in ["", " \n\t"] {
        let rig = Rig::new();
        rig.paste(blank);
        let mut lock = rig.lock("a");
        assert_eq!(get(&mut lock).content, Content::NeverWritten);
        create(&mut lock, "baz", 1);
        assert_eq!(held(&rig.read_afresh()), ("baz", 1));
    }
}

#[test]
fn empty_object_keeps_its_fields() {
    let rig = Rig::with(&[(
        FILE,
        r#"{"note":"keep me","writeId":"x","checkpoint":true,"n":{"a":1}}"#,
    )]);
    let mut lock = rig.lock("a");
    create(&mut lock, "baz", 1);
    let stored = rig.json();
    assert_eq!(
        (&stored["note"], &stored["n"]["a"]),
        (&"keep me".into(), &1.into())
    );
    assert_eq!(stored["checkpoint"], serde_json::Value::Null);
    let Content::Record(seen) = get(&mut lock).content else {
        panic!("no record");
    };
    lock.update(&seen, PATIENCE).unwrap();
    assert_eq!(rig.json()["note"], "keep me");
}

#[test]
fn unrelated_text_is_refused_first() {
    for text in ["dear diary", "[]", "{\"holderIdentity\":", "\"x\"", "null"] {
        let rig = Rig::with(&[(FILE, text)]);
        let mut lock = rig.lock("a");
        for _ in 0..2 {
            let result = try_get(&mut lock);
            assert!(matches!(result, Err(LockError::Refused(_))), "{result:?}");
        }
        assert!(lock.create(&record("baz", 1), PATIENCE).is_err());
        assert!(try_update(&mut lock, "baz", 1).is_err());
        assert_eq!((rig.patches(), rig.text().as_str()), (0, text));
    }
}

#[test]
fn unrelated_text_before_record_is_refused() {
    let rig = Rig::new();
    let mut lock = rig.lock("a");
    get(&mut lock);
    rig.paste("dear diary");
    let result = try_get(&mut lock);
    assert!(matches!(result, Err(LockError::Refused(_))), "{result:?}");
}

#[test]
fn unrelated_text_over_record_is_corrupt() {
    let rig = Rig::new();
    let mut lock = rig.lock("a");
    create(&mut lock, "baz", 4);
    rig.paste("dear diary");
    let observed = get(&mut lock);
    assert!(
        matches!(observed.content, Content::Corrupt(_)),
        "{observed:?}"
    );
    assert_eq!(observed.highest_fencing_token, Some(4));
    let result = try_get(&mut rig.lock("fresh"));
    assert!(matches!(result, Err(LockError::Refused(_))), "{result:?}");
}

#[test]
fn only_file_is_kept() {
    let rig = Rig::with(&[("any name.json", "{}")]);
    let mut lock = rig.lock_on("a", None);
    create(&mut lock, "baz", 1);
    rig.service
        .edit(&rig.id, |files| {
            files.insert("another".into(), "x".into());
        })
        .unwrap();
    let observed = get(&mut lock);
    assert_eq!((held(&observed), observed.mine), (("baz", 1), Some(1)));
    update(&mut lock, "baz", 1);
    assert_eq!(get(&mut lock).mine, Some(2));
}

#[test]
fn several_files_need_a_name() {
    let rig = Rig::with(&[("a.json", "{}"), ("b.json", "{}")]);
    let mut lock = rig.lock_on("a", None);
    for result in [
        try_get(&mut lock).map(drop),
        lock.create(&record("baz", 1), PATIENCE).map(drop),
    ] {
        let Err(LockError::Refused(why)) = result else {
            panic!("{result:?}");
        };
        assert!(
            why.contains("a.json") && why.contains("b.json") && why.contains("GIST_FILE"),
            "{why}"
        );
    }
    assert_eq!(rig.patches(), 0);
    rig.service
        .edit(&rig.id, |files| {
            files.remove("b.json");
        })
        .unwrap();
    create(&mut lock, "baz", 1);
}

#[test]
fn locks_in_one_gist_are_independent() {
    const FILES: [&str; 3] = ["a.json", "b.json", "c.json"];
    let rig = Rig::with(&[("notes.txt", "hello")]);
    let lock = |role: &str, file| rig.lock_on(&format!("{role}{file}"), Some(file));
    let mut leaders = FILES.map(|file| lock("l", file));
    let mut candidates = FILES.map(|file| lock("c", file));
    // The third file's leader ends immediately. The scan of its candidate must be short nevertheless.
    for (index, leader) in leaders.iter_mut().enumerate() {
        create(leader, FILES[index], 1);
        get(&mut candidates[index]);
    }
    let third = get(&mut candidates[2]).resource_version;
    for round in 2..=400 {
        for (index, leader) in leaders.iter_mut().enumerate().take(2) {
            let ((), requests) = rig.counting(|| update(leader, FILES[index], round));
            assert!(requests <= 3, "round {round}: {requests} to write");
        }
        for (index, candidate) in candidates.iter_mut().enumerate() {
            let (observed, requests) = rig.counting(|| get(candidate));
            assert!(
                requests <= 2 || round == 2,
                "round {round}: {requests} to look"
            );
            let token = if index == 2 { 1 } else { round };
            assert_eq!(held(&observed), (FILES[index], token));
            assert!(observed.age.is_some() && observed.foreign_wait.is_none());
        }
    }
    assert_eq!(get(&mut candidates[2]).resource_version, third);
    update(&mut candidates[2], "heir", 2);
    assert!(try_update(&mut leaders[2], FILES[2], 1).is_err());
}

#[test]
fn new_lock_among_others_reads_little() {
    let rig = Rig::with(&[("notes.txt", "hello")]);
    let files = ["a.json", "b.json", "c.json"];
    let mut leaders = files.map(|file| rig.lock_on(&format!("l{file}"), Some(file)));
    for (leader, file) in leaders.iter_mut().zip(files) {
        create(leader, file, 1);
    }
    for round in 2..200 {
        for (leader, file) in leaders.iter_mut().zip(files) {
            update(leader, file, round);
        }
    }
    for file in files {
        let mut fresh = rig.lock_on("fresh", Some(file));
        let (observed, requests) = rig.counting(|| get(&mut fresh));
        assert_eq!(held(&observed), (file, 199));
        assert!(requests <= 7, "{file}: {requests}");
    }
}

#[test]
fn racing_other_files_cost_no_lease() {
    let rig = Rig::with(&[("notes.txt", "hello")]);
    let (mut a, mut b) = (
        rig.lock_on("a", Some("a.json")),
        rig.lock_on("b", Some("b.json")),
    );
    create(&mut a, "a", 1);
    create(&mut b, "b", 1);
    rig.faults(r#"{"race":"stack","race_window_ms":[1,10]}"#);
    let threads = [(a, "a"), (b, "b")].map(|(mut lock, holder)| {
        std::thread::spawn(move || {
            for token in 2..40 {
                update(&mut lock, holder, token);
            }
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn missing_file_beside_election_is_refused() {
    let rig = Rig::with(&[("leader.json", "{}"), ("notes.txt", "hello")]);
    create(&mut rig.lock("a"), "baz", 1);
    let patches = rig.patches();
    let mut mistyped = rig.lock_on("b", Some("leader.jsn"));
    mistyped.permit_new_election(false);
    for result in [
        try_get(&mut mistyped).map(drop),
        mistyped.create(&record("bing", 1), PATIENCE).map(drop),
    ] {
        let Err(LockError::Refused(why)) = result else {
            panic!("{result:?}");
        };
        let expected = format!(
            "gist {} has no file leader.jsn; its elections are in leader.json; create another one with \
             `elector init`",
            rig.id
        );
        assert!(why.contains(&expected), "{why}");
    }
    assert_eq!(rig.patches(), patches);
}

#[test]
fn file_deleted_later_is_not_refused() {
    let rig = Rig::new();
    let mut lock = rig.lock("a");
    lock.permit_new_election(false);
    create(&mut lock, "baz", 4);
    rig.service
        .edit(&rig.id, |files| {
            let record = files.remove(FILE).unwrap();
            files.insert("copy.json".into(), record);
        })
        .unwrap();
    let observed = get(&mut lock);
    assert_eq!(observed.content, Content::Deleted);
    assert_eq!(observed.highest_fencing_token, Some(4));
}
