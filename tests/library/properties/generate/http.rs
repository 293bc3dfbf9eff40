//! Requests as clients send them, with their meaning.

use fastrand::Rng;
use serde_json::{Value, json};

use super::one;
use crate::properties::checks::http_request::{BODY_BYTES, latin};

/// Returns a stream of well-formed requests, and what the server's handler must receive.
pub fn requests(rng: &mut Rng) -> (Vec<u8>, Vec<Value>) {
    let (mut bytes, mut heard) = (Vec::new(), Vec::new());
    for _ in 0..rng.usize(1..5) {
        request(rng, &mut bytes, &mut heard);
    }
    (bytes, heard)
}

fn request(rng: &mut Rng, bytes: &mut Vec<u8>, heard: &mut Vec<Value>) {
    let method = one(rng, &["GET", "POST", "PATCH", "HEAD", "DELETE", "X-Y_z!"]);
    let path = one(rng, &["/", "/gists/a", "/a%20b//..", "/~!$&'()*+,;=:@"]);
    let (query, value) = one(
        rng,
        &[
            &("", ""),
            &("?q=a+b", "a+b"),
            &("?p&q=%41%", "%41%"),
            &("?q", ""),
        ],
    );
    let end = "\r\n";
    let x = one(rng, &["", "plain", "a, b;c=\"d\"", "caf\u{e9}"]);
    let body: Vec<u8> = (0..[0, 0, 1, 20, BODY_BYTES][rng.usize(..5)])
        .map(|_| rng.u8(..))
        .collect();
    let mut head = format!("{method} {path}{query} HTTP/1.1{end}hOST: h{end}");
    if !x.is_empty() {
        let blanks = one(rng, &["", " ", "\t "]);
        head += &format!("X:{blanks}{x}{blanks}{end}");
    }
    let needed = !body.is_empty() || rng.bool();
    let repeated = if needed { rng.usize(1..3) } else { 0 };
    head += &format!("Content-Length: {}{end}", body.len()).repeat(repeated);
    bytes.extend(one(rng, &["", "", "\r\n", "\n"]).bytes());
    bytes.extend(head.bytes().chain(end.bytes()).chain(body.iter().copied()));
    heard.push(json!({
        "method": method,
        "path": path,
        "query": latin(value.as_bytes()),
        "host": "h",
        "x": latin(x.as_bytes()),
        "body": latin(&body),
    }));
}
