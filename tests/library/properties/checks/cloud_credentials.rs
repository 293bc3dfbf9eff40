//! Credentials that a cloud's servers give: the answers of AWS's token service (XML), of a container's server
//! and the instance metadata (JSON), and of Google's metadata server (JSON).

use std::time::Duration;

use elector::lock::object::aws::fetch::{parse_json, parse_xml};
use elector::lock::object::aws::keys::Keys;
use elector::lock::object::aws::sign::{Scope, sign};
use elector::lock::object::google::parse_token;
use elector::lock::object::temporary::Fetched;
use elector::lock::object::xml;
use elector::lock::store::Request;

const NOW: i64 = 1_796_000_000;

pub fn check(data: &[u8]) {
    for fetched in [parse_xml(data, NOW), parse_json(data, NOW)]
        .into_iter()
        .flatten()
    {
        signs_in_one_line(&fetched);
    }
    if let Some(fetched) = parse_token(data) {
        let longest = Duration::from_secs(24 * 3600);
        assert!(fetched.valid_for.is_some_and(|time| time <= longest));
    }
    let text = String::from_utf8_lossy(data);
    if let Some(found) = xml::element(&text, "Code") {
        assert!(text.contains("<Code>") && text.contains("</Code>"));
        assert!(!found.contains('<'), "{found}");
    }
}

/// Checks that the keys fit into headers.
fn signs_in_one_line(fetched: &Fetched<Keys>) {
    let scope = Scope {
        region: "us-east-1".to_owned(),
        service: "s3",
    };
    let request = Request::get("/key");
    let headers = sign(&request, "host", &scope, &fetched.value, NOW).unwrap();
    for (name, value) in headers {
        let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        assert!(plain && !value.is_empty(), "{name}: {value:?}");
    }
}
