//! Bodies in the format of GitHub's answers, well-formed and corrupt.

use std::io::{self, Cursor, Read};

use super::super::About;
use super::*;

/// Counts what was taken from it.
struct Counted<R> {
    body: R,
    taken: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        self.taken += read as u64;
        Ok(read)
    }
}

fn revision(number: usize) -> Revision {
    let mut name = [0; 20];
    name[12..].copy_from_slice(&(number as u64).to_be_bytes());
    Revision::from_bytes(name)
}

fn entry(number: usize) -> String {
    format!(
        r#"{{"user":{{"login":"someone","id":1958953,"plan":{{"a":[1,2.5e3,null,"\u00e9\n"]}}}},"version":"{}","committed_at":"2020-04-27T17:24:09Z","change_status":{{"total":1,"additions":1,"deletions":0}},"url":"https://api.github.com/gists/x"}}"#,
        revision(number)
    )
}

/// A history of `length`, newest (the highest number) first.
fn history(length: usize) -> String {
    let entries: Vec<String> = (0..length).rev().map(entry).collect();
    format!(r#""history":[{}]"#, entries.join(","))
}

fn file(name: &str, content: &str, rest: &str) -> String {
    format!(
        r#""{name}":{{"filename":"{name}","type":"application/json","language":"JSON","raw_url":"https://gist.example/raw","size":4{rest},"content":{content}}}"#
    )
}

fn files(inside: &str) -> String {
    format!(r#""files":{{{inside}}}"#)
}

fn gist(parts: &[&str]) -> String {
    format!(
        r#"{{"url":"https://api.github.com/gists/x","id":"x","public":false,"description":null,"comments":0,"owner":{{"login":"someone"}},"forks":[],{},"truncated":false}}"#,
        parts.join(r#","user":null,"#)
    )
}

fn ours() -> String {
    files(&format!(
        "{},{}",
        file("a.txt", r#""other""#, ""),
        file("lease.json", r#""{\"a\":1}""#, r#","truncated":false"#)
    ))
}

fn want(file: Option<&str>, history: History) -> Want<'_> {
    Want { file, history }
}

fn whole(text: &str) -> Text {
    Text::Whole(text.into())
}

fn read(body: &str, want: Want<'_>) -> Result<GistPage, String> {
    read_gist(body.as_bytes(), want)
}

#[test]
fn gist_parses_in_any_key_order() {
    for parts in [[ours(), history(3)], [history(3), ours()]] {
        let body = gist(&[&parts[0], &parts[1]]);
        let gist = read(&body, want(Some("lease.json"), History::Newest)).unwrap();
        assert_eq!(gist.text, whole("{\"a\":1}"));
        let seen: Vec<Revision> = gist.history.iter().map(|commit| commit.revision).collect();
        assert_eq!(seen, [revision(2), revision(1), revision(0)]);
        assert_eq!(gist.history[0].committed_at, Some(1_588_008_249));
        assert_eq!(gist.files[0], "a.txt");
    }
}

#[test]
fn unlisted_file_is_missing() {
    for parts in [[ours(), history(3)], [history(3), ours()]] {
        let body = gist(&[&parts[0], &parts[1]]);
        let gist = read(&body, want(Some("LEASE.json"), History::Newest)).unwrap();
        assert_eq!(gist.text, Text::Missing);
        assert_eq!(gist.files, ["a.txt", "lease.json"]);
    }
    let empty = gist(&[&files(""), &history(1)]);
    let gist = read(&empty, want(None, History::Newest)).unwrap();
    assert_eq!((gist.text, gist.files.len()), (Text::Missing, 0));
}

#[test]
fn first_file_counts_without_name() {
    for parts in [[ours(), history(40)], [history(40), ours()]] {
        let body = gist(&[&parts[0], &parts[1]]);
        let gist = read(&body, want(None, History::Newest)).unwrap();
        assert_eq!(gist.text, whole("other"));
        assert_eq!(gist.files, ["a.txt", "lease.json"]);
    }
}

#[test]
fn truncated_file_is_cut() {
    for (entry, text) in [
        (file("f", r#""begin""#, r#","truncated":true"#), "begin"),
        (file("f", "null", ""), ""),
        (file("f", "null", r#","truncated":null"#), ""),
        (r#""f":{"filename":"f","size":4}"#.to_owned(), ""),
        (
            r#""f":{"content":"begin","truncated":true}"#.to_owned(),
            "begin",
        ),
    ] {
        let body = gist(&[&files(&entry), &history(1)]);
        let gist = read(&body, want(Some("f"), History::Newest)).unwrap();
        assert_eq!(gist.text, Text::Cut(text.into()), "{entry}");
    }
}

#[test]
fn long_history_is_read_partly() {
    let body = gist(&[&ours(), &history(10_000)]);
    assert!(body.len() > 2_000_000, "{}", body.len());
    let mut counted = Counted {
        body: Cursor::new(&body),
        taken: 0,
    };
    let gist = read_gist(&mut counted, want(Some("lease.json"), History::Newest)).unwrap();
    assert_eq!(gist.history.len(), USUAL_HISTORY);
    assert!(counted.taken < 32 * 1024, "{} bytes", counted.taken);
}

#[test]
fn history_is_read_to_known_revision() {
    let body = gist(&[&ours(), &history(10_000)]);
    let mut counted = Counted {
        body: Cursor::new(&body),
        taken: 0,
    };
    let until = History::Until(revision(9_950));
    let gist = read_gist(&mut counted, want(Some("lease.json"), until)).unwrap();
    assert_eq!(gist.history.len(), 50);
    assert_eq!(gist.history.last().unwrap().revision, revision(9_950));
    assert!(counted.taken < 50_000, "{} bytes", counted.taken);
}

#[test]
fn kept_history_is_bounded() {
    let until = History::Until(revision(123_456));
    for parts in [[ours(), history(1_000)], [history(1_000), ours()]] {
        let body = gist(&[&parts[0], &parts[1]]);
        let gist = read(&body, want(Some("lease.json"), until)).unwrap();
        assert_eq!(gist.history.len(), LONGEST_HISTORY);
        assert_eq!(gist.text, whole("{\"a\":1}"));
    }
    let short = gist(&[&ours(), &history(5)]);
    let gist = read(&short, want(Some("lease.json"), until)).unwrap();
    assert_eq!(gist.history.len(), 5, "a shorter one is read to its end");
}

#[test]
fn odd_owner_does_not_fail_answer() {
    let body = gist(&[&ours(), &history(3)]);
    let about = read(&body, want(None, History::Newest)).unwrap().about;
    assert_eq!(about.public, Some(false));
    assert_eq!(about.owner.as_deref(), Some("someone"));
    for odd in [
        "null",
        "-1",
        "1",
        "1.5",
        "\"x\"",
        "[]",
        "[[1],{}]",
        "{}",
        "{\"login\":7}",
        "{\"login\":{}}",
    ] {
        let body = body
            .replace("\"public\":false", &format!("\"public\":{odd}"))
            .replace("{\"login\":\"someone\"}", odd);
        let gist = read(&body, want(None, History::Newest)).unwrap();
        assert_eq!(gist.about, About::default(), "{odd}");
        assert_eq!(gist.history.len(), 3, "{odd}");
    }
}

#[test]
fn long_login_is_cut() {
    let body = gist(&[&ours(), &history(3)]).replace("someone", &"é".repeat(10_000));
    let about = read(&body, want(None, History::Newest)).unwrap().about;
    assert_eq!(about.owner.unwrap().chars().count(), LONGEST_LOGIN);
}

#[test]
fn revision_needs_no_history() {
    let mut counted = Counted {
        body: Cursor::new(gist(&[&ours(), &history(1_000)])),
        taken: 0,
    };
    let gist = read_gist(&mut counted, want(Some("lease.json"), History::Nothing)).unwrap();
    assert_eq!(gist.text, whole("{\"a\":1}"));
    assert!(counted.taken < 16 * 1024, "{} bytes", counted.taken);
    let bare = gist_of_nothing_but(&ours());
    assert!(read(&bare, want(Some("lease.json"), History::Nothing)).is_ok());
    assert!(read(&bare, want(Some("lease.json"), History::Newest)).is_err());
}

fn gist_of_nothing_but(part: &str) -> String {
    format!("{{{part}}}")
}

#[test]
fn large_other_files_are_skipped() {
    let huge = format!("\"{}\"", "x".repeat(4_000_000));
    let inside = [
        file("a", &huge, ""),
        file("lease.json", r#""me""#, ""),
        file("b", &huge, ""),
    ]
    .join(",");
    let body = gist(&[&files(&inside), &history(1)]);
    let gist = read(&body, want(Some("lease.json"), History::Newest)).unwrap();
    assert_eq!(gist.text, whole("me"));
    assert_eq!(gist.files, ["a", "lease.json", "b"]);
}

#[test]
fn endless_body_is_refused() {
    let start = r#"{"files":{"a":{"content":""#.as_bytes();
    let body = start.chain(io::repeat(b'x'));
    let error = read_gist(body, want(Some("lease.json"), History::Newest)).unwrap_err();
    assert!(error.to_string().contains("16 MiB"), "{error}");
}

#[test]
fn too_many_files_are_an_error() {
    let many = |count: usize| {
        let list: Vec<String> = (0..count)
            .map(|number| file(&format!("f{number}"), "\"\"", ""))
            .collect();
        gist(&[&files(&list.join(",")), &history(1)])
    };
    let some = read(&many(100), want(Some("none"), History::Newest)).unwrap();
    assert_eq!(some.files.len(), NAMES_KEPT);
    let error = read(&many(300), want(Some("none"), History::Newest)).unwrap_err();
    assert!(error.to_string().contains("300"), "{error}");
    let found = read(&many(300), want(Some("f299"), History::Newest)).unwrap();
    assert_eq!(found.text, whole(""));
}

#[test]
fn other_json_is_unusable() {
    let version = entry(1);
    let corrupt = |from: &str, to: &str| {
        gist(&[
            &ours(),
            &format!("\"history\":[{}]", version.replace(from, to)),
        ])
    };
    let sha = revision(1).to_string();
    for body in [
        String::new(),
        "null".into(),
        "[]".into(),
        "{}".into(),
        "\"files\"".into(),
        "<html><body>Sign in to the WiFi</body></html>".into(),
        gist_of_nothing_but(&history(3)),
        gist_of_nothing_but(&ours()),
        gist(&[&ours(), r#""history":[]"#]),
        gist(&[&ours(), r#""history":null"#]),
        gist(&[&ours(), r#""history":{}"#]),
        gist(&[&ours(), r#""history":["x"]"#]),
        gist(&[r#""files":null"#, &history(1)]),
        gist(&[r#""files":[]"#, &history(1)]),
        gist(&[r#""files":{"lease.json":null}"#, &history(1)]),
        gist(&[r#""files":{"lease.json":"x"}"#, &history(1)]),
        gist(&[r#""files":{"lease.json":["x",false]}"#, &history(1)]),
        gist(&[&ours(), &format!(r#""history":[["{}",null]]"#, revision(1))]),
        gist(&[&files(&file("lease.json", "17", "")), &history(1)]),
        gist(&[
            &files(&file("lease.json", r#""x""#, r#","truncated":"no""#)),
            &history(1),
        ]),
        gist(&[&ours(), &ours(), &history(1)]),
        gist(&[&history(1), &history(1), &ours()]),
        corrupt(&sha, "main"),
        corrupt(&sha, &sha[1..]),
        corrupt(&sha, &format!("{}g", &sha[1..])),
        corrupt(&format!("\"{sha}\""), "17"),
        corrupt("\"version\"", "\"sha\""),
        corrupt("\"2020-04-27T17:24:09Z\"", "17"),
    ] {
        let shown: String = body.chars().take(120).collect();
        let error = read(&body, want(Some("lease.json"), History::Newest));
        assert!(error.is_err(), "{shown}");
    }
    let twice = [file("f", r#""1""#, ""), file("f", r#""2""#, "")].join(",");
    let body = gist(&[&files(&twice), &history(1)]);
    assert!(read(&body, want(Some("f"), History::Newest)).is_err());
}

#[test]
fn malformed_time_is_unknown() {
    for time in ["\"yesterday\"", "null"] {
        let one = entry(1).replace("\"2020-04-27T17:24:09Z\"", time);
        let body = gist(&[&ours(), &format!("\"history\":[{one}]")]);
        let gist = read(&body, want(Some("lease.json"), History::Newest)).unwrap();
        assert_eq!(gist.history[0].committed_at, None);
    }
}

#[test]
fn deep_nesting_is_accepted() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let body = gist(&[&format!("\"deep\":{deep}"), &ours(), &history(1)]);
    let gist = read(&body, want(Some("lease.json"), History::Newest));
    assert!(gist.is_ok(), "skipping needs no stack: {gist:?}");
    assert!(read(&deep, want(None, History::Newest)).is_err());
}

#[test]
fn incomplete_body_is_unusable_unless_sufficient() {
    let body = gist(&[&ours(), &history(3)]);
    let until = want(Some("lease.json"), History::Until(revision(0)));
    let needed = body.find(&revision(0).to_string()).unwrap();
    for length in (0..body.len()).step_by(7) {
        let read = read(&body[..length], until);
        if length < needed {
            assert!(read.is_err(), "{length} bytes");
        } else if let Ok(gist) = read {
            assert_eq!(gist.history.len(), 3);
        }
    }
    let error = read(&body[..40], until).unwrap_err();
    assert!(error.to_string().contains("incomplete"), "{error}");
}

#[test]
fn connection_error_is_reported() {
    struct Late;
    impl Read for Late {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::TimedOut.into())
        }
    }
    let late = b"{\"files\":".chain(Late);
    let error = read_gist(late, want(None, History::Newest)).unwrap_err();
    assert!(error.to_string().contains("in time"), "{error}");
}

#[test]
fn history_pages_are_read() {
    let list = history(3);
    let page = &list[list.find('[').unwrap()..];
    let commits = read_commits(page.as_bytes()).unwrap();
    assert_eq!(commits.len(), 3);
    assert_eq!(commits[2].revision, revision(0));
    assert_eq!(read_commits(&b"[]"[..]).unwrap(), []);
    for corrupt in ["", "{}", "[{}]", "[", &page[..page.len() - 1]] {
        assert!(read_commits(corrupt.as_bytes()).is_err(), "{corrupt}");
    }
    let list = history(1_000);
    let long = &list[list.find('[').unwrap()..];
    assert_eq!(
        read_commits(long.as_bytes()).unwrap().len(),
        LONGEST_HISTORY
    );
}

#[test]
fn failure_message_is_read() {
    let json = br#"{"message":"Not Found","documentation_url":"https://x"}"#;
    for (body, message) in [
        (&json[..], Some("Not Found")),
        (b"upstream broke", Some("upstream broke")),
        (br#"["x"]"#, Some(r#"["x"]"#)),
        (b" <!doctype html>", None),
        (b"\xef\xbb\xbf<html>", None),
        (b"", Some("")),
    ] {
        assert_eq!(read_message(body).as_deref(), message);
    }
    assert!(read_message(io::repeat(b'x')).unwrap().len() <= 65_536);
}

/// Swaps, cuts, doubles and overwrites bytes.
fn mutate(random: &mut fastrand::Rng, body: &mut Vec<u8>) {
    for _ in 0..random.usize(1..6) {
        if body.is_empty() {
            return;
        }
        let at = random.usize(..body.len());
        match random.u8(..5) {
            0 => body[at] = random.u8(..),
            1 => body[at] = b"{}[]\",:\\ntf0-"[random.usize(..13)],
            2 => body.truncate(at),
            3 => drop(body.drain(at..(at + random.usize(..40)).min(body.len()))),
            _ => {
                let piece = body[at..(at + random.usize(..80)).min(body.len())].to_vec();
                body.splice(at..at, piece);
            }
        }
    }
}

#[test]
fn corrupt_bodies_never_panic() {
    let mut random = fastrand::Rng::with_seed(20_201);
    let good = [
        gist(&[&ours(), &history(6)]).into_bytes(),
        gist(&[&history(6), &ours()]).into_bytes(),
    ];
    for round in 0..20_000 {
        let mut body = good[round % 2].clone();
        mutate(&mut random, &mut body);
        let until = History::Until(revision(random.usize(..8)));
        let history = [History::Newest, History::Nothing, until][random.usize(..3)];
        let name = random.bool().then_some("lease.json");
        if let Ok(gist) = read_gist(&body[..], want(name, history)) {
            assert!(gist.history.len() <= LONGEST_HISTORY);
            assert!(gist.files.len() <= NAMES_KEPT);
        }
        let _ = read_commits(&body[..]);
        let _ = read_message(&body[..]);
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..5_000 {
        let body: Vec<u8> = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
        assert!(read_gist(&body[..], want(None, History::Newest)).is_err());
    }
}

#[test]
fn other_elections_and_largest_files_are_named() {
    let record = r#""{\"holderIdentity\":\"a\"}""#;
    let corrupt = r#""\ufeff{\"leaderTransitions\":\"x\"}""#;
    let others = [
        file("a.json", record, ""),
        file("b.json", corrupt, ""),
        file("package.json", r#""{\"name\":\"b\",\"protocol\":1}""#, ""),
        r#""cut":{"size":9000000,"truncated":true,"content":""}"#.to_owned(),
        r#""odd":[7]"#.to_owned(),
    ];
    let body = gist(&[&files(&others.join(",")), &history(2)]);
    let page = read(&body, want(Some("lease.json"), History::Newest)).unwrap();
    assert_eq!(page.elections, ["a.json", "b.json"]);
    assert_eq!(page.id.as_deref(), Some("x"));
    let named: Vec<&str> = page.largest.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(named, ["cut", "a.json", "b.json"]);
}

#[test]
fn files_after_cut_one_are_read() {
    let inside = format!(
        r#"{},"z.bin":{{"size":9000000,"truncated":true,"content":""}}"#,
        file("lease.json", r#""""#, r#","truncated":true"#)
    );
    for history_wanted in [History::Newest, History::Nothing] {
        let body = gist(&[&history(2), &files(&inside)]);
        let page = read(&body, want(Some("lease.json"), history_wanted)).unwrap();
        assert!(page.text.is_withheld());
        assert_eq!(page.largest, [("z.bin".to_owned(), 9_000_000)]);
    }
    assert!(!Text::Cut("x".repeat(1_000_000).into()).is_withheld());
}
