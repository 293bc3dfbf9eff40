//! Requests to the gist service, and state files as it writes them.

use fastrand::Rng;
use serde_json::json;

use super::{json, one, record};

/// Returns a sequence of requests, in the format of the check.
pub fn requests(rng: &mut Rng) -> String {
    let requests: Vec<_> = (0..rng.usize(1..6)).map(|_| request(rng)).collect();
    requests.join("\n---\n")
}

fn request(rng: &mut Rng) -> String {
    match rng.u8(..9) {
        0 => "GET /gists/g\nIf-None-Match: *".to_owned(),
        1 => format!(
            "GET /gists/g/commits?per_page={}&page={}",
            json::number(rng),
            json::number(rng)
        ),
        2 => "GET /gists/g/{head}".to_owned(),
        3 => format!(
            "{} /_faults\n\n{}",
            one(rng, &["PUT", "PATCH"]),
            faults(rng)
        ),
        4 => format!("POST /gists\n\n{}", new_gist(rng)),
        5 => format!(
            "{} {}",
            one(rng, &["GET", "HEAD", "DELETE", "PUT", "PATCH"]),
            one(
                rng,
                &[
                    "/",
                    "/gists",
                    "/rate_limit",
                    "/_requests",
                    "/gists/g",
                    "/api/v3/gists/g",
                    "/x"
                ]
            ),
        ),
        _ => format!("PATCH /gists/g\n\n{}", edit(rng)),
    }
}

fn edit(rng: &mut Rng) -> String {
    let files: Vec<_> = (0..rng.usize(..4))
        .map(|_| (name(rng), change(rng)))
        .collect();
    let files = json::object(rng, files);
    let description = json::text(rng);
    if rng.u8(..20) == 0 {
        return format!("[null,{files}]");
    }
    let fields = [("files", files), ("description", description)];
    json::object(
        rng,
        fields.map(|(name, value)| (name.to_owned(), value)).into(),
    )
}

fn new_gist(rng: &mut Rng) -> String {
    let files: Vec<_> = (0..rng.usize(..3))
        .map(|_| (name(rng), change(rng)))
        .collect();
    let files = json::object(rng, files);
    let fields = [("public", "true".to_owned()), ("files", files)];
    json::object(
        rng,
        fields.map(|(name, value)| (name.to_owned(), value)).into(),
    )
}

fn name(rng: &mut Rng) -> String {
    one(
        rng,
        &[
            "leader.json",
            "leader.json",
            "a",
            "b",
            "a/b",
            "",
            "\\u0000",
            "\\\"",
            "\u{e9}",
        ],
    )
    .to_owned()
}

fn change(rng: &mut Rng) -> String {
    let content = || json!({"content": "x"}).to_string();
    match rng.u8(..9) {
        0 => "null".to_owned(),
        1 => json!({"filename": name(rng)}).to_string(),
        2 => json!({"filename": name(rng), "content": "moved"}).to_string(),
        3 => json!({"content": " \n"}).to_string(),
        4 => json::value(rng, 2),
        5 => content(),
        _ => json!({"content": record::text(rng)}).to_string(),
    }
}

fn faults(rng: &mut Rng) -> String {
    let names = [
        "drop",
        "read_ms",
        "write_ms",
        "race",
        "race_window_ms",
        "stale_reads",
        "stale_age_ms",
        "error_5xx",
        "error_status",
        "unauthorized",
        "primary_limit",
        "primary_window_s",
        "primary_status",
        "secondary_per_minute",
        "retry_after_s",
        "history_cap",
        "per_page_cap",
        "no_etag",
        "no_date",
        "clock_offset_s",
        "swallow_blank",
        "identical_makes_revision",
        "lost_readable",
        "hang_ms",
        "seed",
        "duplicate_writes",
        "unheard_of",
    ];
    let fields = (0..rng.usize(..5)).map(|_| {
        let value = match rng.u8(..6) {
            0 => format!("[{},{}]", json::number(rng), json::number(rng)),
            1 => one(
                rng,
                &["true", "false", "null", "\"lose\"", "\"stack\"", "0.5"],
            )
            .to_owned(),
            2 => json::value(rng, 1),
            _ => json::number(rng),
        };
        (one(rng, &names).to_owned(), value)
    });
    let fields = fields.collect();
    json::object(rng, fields)
}

/// Returns a state file with one or two gists. Most of its lines are well-formed.
pub fn state_file(rng: &mut Rng) -> Vec<u8> {
    let mut lines = vec![json!({"elector-gist-server": 1}).to_string()];
    for gist in ["g", "h"].into_iter().take(rng.usize(1..3)) {
        lines.push(
            json!({"gist": gist, "event": "created", "description": "", "public": rng.bool(), "at": at(rng)})
                .to_string(),
        );
        let mut parent = None;
        for number in 0..rng.u8(..6) {
            lines.push(event(rng, gist, number, parent));
            parent = Some(number);
        }
    }
    for _ in 0..rng.usize(..2) {
        let (a, b) = (rng.usize(..lines.len()), rng.usize(..lines.len()));
        match rng.u8(..4) {
            0 => lines.swap(a, b),
            1 => lines.insert(b, lines[a].clone()),
            2 => drop(lines.remove(a)),
            _ => {}
        }
    }
    let mut file = (lines.join("\n") + "\n").into_bytes();
    if rng.u8(..4) == 0 {
        file.truncate(rng.usize(..file.len()));
    }
    file
}

fn at(rng: &mut Rng) -> i64 {
    [1_800_000_000, 0, -1, i64::MAX, i64::MIN, 253_402_300_800][rng.usize(..6).min(rng.usize(..6))]
}

fn event(rng: &mut Rng, gist: &str, number: u8, parent: Option<u8>) -> String {
    let name = |number: u8| format!("{number:040x}");
    let old = name(rng.u8(..=number));
    match rng.u8(..12) {
        0 if number > 0 => {
            json!({"gist": gist, "event": "head_moved", "revision": old, "at_ms": at(rng)})
                .to_string()
        }
        1 => json!({"gist": gist, "event": "described", "description": "e\u{0}\"", "at": at(rng)})
            .to_string(),
        2 if rng.u8(..4) == 0 => json!({"gist": gist, "event": "deleted"}).to_string(),
        _ => {
            let files = json!({"leader.json": record::text(rng), "b": rng.bool().then_some("x")});
            json!({
                "gist": gist, "event": "committed", "revision": name(number),
                "parent": parent.map(name), "committed_at": at(rng), "at_ms": at(rng), "files": files,
            })
            .to_string()
        }
    }
}
