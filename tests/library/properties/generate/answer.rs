//! Answers of the gist API, in the form that the check reads.

use fastrand::Rng;
use serde_json::Value;

use super::{json, one, record};

pub fn text(rng: &mut Rng) -> String {
    let kind = one(
        rng,
        &[
            "GET", "GET", "PATCH", "PATCH", "REVISION", "COMMITS", "AGAIN", "HISTORY", "POST",
        ],
    );
    let file = one(
        rng,
        &["leader.json", "leader.json", "leader.json", "-", "b"],
    );
    let until = version(rng.u8(..45));
    let status = match rng.u8(..10) {
        0..=6 => 200,
        7 => rng.u16(..700),
        8 => [304, 401, 403, 404, 409, 422, 429, 500, 502][rng.usize(..9)],
        _ => 201,
    };
    let headers = headers(rng);
    let body = match (status, kind) {
        (200 | 201, "COMMITS") => history(rng),
        (200 | 201, _) => gist(rng),
        _ => failure(rng),
    };
    format!("{kind} {file} {until}\n{status}\n{headers}\n{body}")
}

fn version(number: u8) -> String {
    format!("{number:040x}")
}

fn headers(rng: &mut Rng) -> String {
    let date = |rng: &mut Rng| {
        let day = rng.u8(..33);
        let year = one(rng, &["2020", "1970", "9999", "0000", "70", "20200"]);
        format!("Mon, {day:02} Apr {year} 17:{:02}:06 GMT", rng.u8(..61))
    };
    let number = |rng: &mut Rng| json::number(rng);
    let mut headers = String::new();
    for _ in 0..rng.usize(..6) {
        let (name, value) = match rng.u8(..8) {
            0 => ("date", date(rng)),
            1 => ("retry-after", date(rng)),
            2 => ("retry-after", number(rng)),
            3 => ("x-ratelimit-limit", number(rng)),
            4 => ("X-RateLimit-Remaining", rng.u32(..3).to_string()),
            5 => ("x-ratelimit-reset", number(rng)),
            6 => ("etag", json::text(rng).replace('\n', "")),
            _ => ("x-oauth-scopes", one(rng, &["gist", "", "repo"]).to_owned()),
        };
        headers += &format!("{name}: {value}\n");
    }
    headers
}

fn gist(rng: &mut Rng) -> String {
    let files = files(rng);
    let history = history(rng);
    let fields = [
        ("url", json::text(rng)),
        ("id", format!("\"aa{:x}\"", rng.u32(..))),
        ("files", files),
        ("public", "false".into()),
        ("owner", json::value(rng, 2)),
        ("history", history),
        ("truncated", "false".into()),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    json::object(rng, fields.into())
}

fn files(rng: &mut Rng) -> String {
    let names = ["a", "leader.json", "b", "c"];
    let mut files = Vec::new();
    for name in names {
        if name == "leader.json" || rng.u8(..3) == 0 {
            files.push((name.to_owned(), file(rng)));
        }
    }
    json::object(rng, files)
}

fn file(rng: &mut Rng) -> String {
    if rng.u8(..20) == 0 {
        return json::value(rng, 2);
    }
    let content = match rng.u8(..6) {
        0 => json::text(rng),
        1 => "null".to_owned(),
        _ => Value::from(record::text(rng)).to_string(),
    };
    let truncated = one(rng, &["false", "false", "false", "true", "null", "\"no\""]);
    let fields = [
        ("filename", json::text(rng)),
        ("size", json::number(rng)),
        ("truncated", truncated.to_owned()),
        ("content", content),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    json::object(rng, fields.into())
}

fn history(rng: &mut Rng) -> String {
    let length = [0, 1, 3, 6, 40, 310][rng.usize(..6).min(rng.usize(..6))];
    let entries: Vec<_> = (0..length).map(|_| entry(rng)).collect();
    format!("[{}]", entries.join(","))
}

fn entry(rng: &mut Rng) -> String {
    if rng.u8(..200) == 0 {
        return json::value(rng, 2);
    }
    let at = match rng.u8(..8) {
        0 => json::text(rng),
        1 => "null".to_owned(),
        _ => format!("\"2020-04-{:02}T17:24:{:02}Z\"", rng.u8(..32), rng.u8(..62)),
    };
    let fields = [
        ("user", "{\"login\":\"s\"}".to_owned()),
        ("version", format!("\"{}\"", version(rng.u8(..50)))),
        ("committed_at", at),
    ];
    let fields = fields
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
    // Whole sizes, so that most long lists are well-formed.
    match rng.u8(..100) {
        0 => json::object(rng, fields),
        _ => {
            let fields: Vec<_> = fields.iter().map(|(n, v)| format!("\"{n}\":{v}")).collect();
            format!("{{{}}}", fields.join(","))
        }
    }
}

fn failure(rng: &mut Rng) -> String {
    match rng.u8(..4) {
        0 => json::value(rng, 2),
        1 => format!("<html>{}</html>", json::text(rng)),
        _ => format!("{{\"message\":{}}}", json::text(rng)),
    }
}
