//! The gist service's bodies and headers, compared with GitHub's: keys, order and types.

use crate::support::wire::{call, get, put, start};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// JSON reduced to the compared part: keys in their order, and types.
#[derive(Debug, PartialEq)]
enum Shape {
    Null,
    Bool,
    Number,
    Text,
    List(Vec<Shape>),
    Object(Vec<(String, Shape)>),
}

impl Shape {
    fn keys(&self) -> Vec<&str> {
        match self {
            Self::Object(pairs) => pairs.iter().map(|(key, _)| key.as_str()).collect(),
            other => panic!("no object: {other:?}"),
        }
    }

    fn at(&self, key: &str) -> &Shape {
        match self {
            Self::Object(pairs) => &pairs.iter().find(|(k, _)| k == key).expect(key).1,
            Self::List(items) => &items[key.parse::<usize>().unwrap()],
            other => panic!("nothing in {other:?}"),
        }
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Shape;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Shape, E> {
                Ok(Shape::Null)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
                Ok(Shape::Bool)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
                Ok(Shape::Number)
            }
            fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
                Ok(Shape::Text)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Shape::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Shape::Object(pairs))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

const GIST_KEYS: &[&str] = &[
    "url",
    "forks_url",
    "commits_url",
    "id",
    "node_id",
    "git_pull_url",
    "git_push_url",
    "html_url",
    "files",
    "public",
    "created_at",
    "updated_at",
    "description",
    "comments",
    "user",
    "comments_url",
    "owner",
    "forks",
    "history",
    "truncated",
];
const FILE_KEYS: &[&str] = &[
    "filename",
    "type",
    "language",
    "raw_url",
    "size",
    "truncated",
    "content",
];
const ENTRY_KEYS: &[&str] = &["user", "version", "committed_at", "change_status", "url"];
const USER_KEYS: &[&str] = &[
    "login",
    "id",
    "node_id",
    "avatar_url",
    "gravatar_id",
    "url",
    "html_url",
    "followers_url",
    "following_url",
    "gists_url",
    "starred_url",
    "subscriptions_url",
    "organizations_url",
    "repos_url",
    "events_url",
    "received_events_url",
    "type",
    "site_admin",
];

#[test]
fn body_has_github_keys_and_types() {
    let (_service, addr, id) = start();
    put(addr, &id, "two");
    let shape: Shape = serde_json::from_slice(&get(addr, &format!("/gists/{id}")).body).unwrap();
    assert_eq!(shape.keys(), GIST_KEYS);
    for text in [
        "url",
        "id",
        "node_id",
        "created_at",
        "updated_at",
        "description",
        "comments_url",
    ] {
        assert_eq!(*shape.at(text), Shape::Text, "{text}");
    }
    assert_eq!(*shape.at("user"), Shape::Null);
    assert_eq!(*shape.at("comments"), Shape::Number);
    assert_eq!(
        (shape.at("public"), shape.at("truncated")),
        (&Shape::Bool, &Shape::Bool)
    );
    assert_eq!(*shape.at("forks"), Shape::List(Vec::new()));
    let file = shape.at("files").at("leader.json");
    assert_eq!(file.keys(), FILE_KEYS);
    assert_eq!(
        (file.at("size"), file.at("truncated"), file.at("content")),
        (&Shape::Number, &Shape::Bool, &Shape::Text)
    );
    assert_eq!(shape.at("owner").keys(), USER_KEYS);
    let entry = shape.at("history").at("1");
    assert_eq!(entry.keys(), ENTRY_KEYS);
    assert_eq!(entry.at("user"), shape.at("owner"));
    assert_eq!(
        entry.at("change_status").keys(),
        ["total", "additions", "deletions"]
    );
    assert_eq!(
        (entry.at("version"), entry.at("committed_at")),
        (&Shape::Text, &Shape::Text)
    );
}

#[test]
fn write_and_read_answers_are_equal() {
    let (_service, addr, id) = start();
    let written = put(addr, &id, "one");
    let read = get(addr, &format!("/gists/{id}"));
    assert_eq!((written.status, read.status), (200, 200));
    assert_eq!(written.text(), read.text());
    assert_eq!(written.header("etag"), read.header("etag"));
    assert!(read.header("etag").unwrap().starts_with("W/\""));
}

#[test]
fn answer_has_github_headers() {
    let (_service, addr, id) = start();
    let answer = get(addr, &format!("/gists/{id}"));
    for (name, start) in [
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "private, max-age=60, s-maxage=60"),
        ("vary", "Accept, Authorization, Cookie, X-GitHub-OTP"),
        ("x-oauth-scopes", "gist"),
        ("x-github-media-type", "github.v3"),
        ("etag", "W/\""),
        ("last-modified", ""),
        ("date", ""),
    ] {
        assert!(
            answer
                .header(name)
                .is_some_and(|value| value.starts_with(start)),
            "{name}: {answer:?}"
        );
    }
    assert!(answer.header("last-modified").unwrap().ends_with(" GMT"));
    assert_eq!(
        answer.header("x-ratelimit-limit"),
        None,
        "nothing is limited"
    );
}

#[test]
fn large_content_is_shown_truncated() {
    let (service, addr, id) = start();
    let large = "é".repeat(700_000);
    let file = put(addr, &id, &large).json()["files"]["leader.json"].clone();
    assert_eq!(
        (&file["size"], &file["truncated"]),
        (&1_400_000.into(), &true.into())
    );
    assert_eq!(file["content"].as_str().unwrap().len(), 1_048_576);
    assert_eq!(service.history(&id)[0].files["leader.json"], large);
}

#[test]
fn ten_thousand_revisions_fit_one_body() {
    let (service, addr, id) = start();
    for n in 0..10_000 {
        service
            .edit(&id, |files| {
                files.insert("leader.json".to_owned(), format!("{n:0300}"));
            })
            .unwrap();
    }
    let answer = get(addr, &format!("/gists/{id}"));
    assert!(answer.body.len() > 8_000_000);
    assert_eq!(answer.json()["history"].as_array().unwrap().len(), 10_001);
    let etag = answer.header("etag").unwrap();
    assert_eq!(
        call(
            addr,
            "GET",
            &format!("/gists/{id}"),
            &[("If-None-Match", etag)],
            ""
        )
        .status,
        304
    );
}
