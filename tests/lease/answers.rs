//! Every answer of an API server, and of what may stand in front of it.

use std::io::Write;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use elector::election::lock::{Content, LockError, ResourceLock};
use elector::lock::credentials::{TokenCredentials, TokenForm};
use elector::lock::exchange::{Exchange as _, HttpExchange};
use elector::lock::store::Request;
use elector::net::{AccessTokenSource, ProxySettings};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::client::{AMPLE, held, kind, open, spec};
use crate::leases::status;
use crate::server::{ApiServer, Fault, http};
use crate::support::process::TOKEN;
use crate::support::record;

/// Longest sentence, in characters.
const LONGEST: usize = 600;

/// Returns an answer of the kind `Status`.
fn api(code: u16, message: &str) -> Vec<u8> {
    api_with(code, &[], message)
}

fn api_with(code: u16, headers: &[(&str, &str)], message: &str) -> Vec<u8> {
    let (code, body) = status(code, "X", message, "leases");
    http(code, headers, body.to_string().as_bytes())
}

fn gzip(size: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&vec![b' '; size]).unwrap();
    encoder.finish().unwrap()
}

/// Checks the form of an error's text.
fn check_text(error: &LockError) {
    let text = error.to_string();
    assert!(text.chars().count() < LONGEST, "{text}");
    assert!(!text.contains('\n') && !text.contains(TOKEN), "{text}");
}

/// Returns answers to a read, with the kind of error and a part of the sentence.
fn read_answers() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let html = b"<html>\nnot found";
    let deep = "[".repeat(100_000);
    let location = [("location", "https://elsewhere.example/x")];
    let big_header = "x".repeat(100_000);
    vec![
        (
            "401",
            api(401, "Unauthorized"),
            "unauthorized",
            "check the credentials",
        ),
        (
            "403",
            api(403, "leases is forbidden"),
            "unauthorized",
            "lack this right",
        ),
        (
            "403 page",
            http(403, &[], html),
            "unauthorized",
            "lack this right",
        ),
        (
            "404 page",
            http(404, &[], html),
            "not found",
            "check the address in LOCK",
        ),
        ("406", api(406, "x"), "refused", "406"),
        ("409", api(409, "x"), "refused", "409"),
        ("422", api(422, "x"), "refused", "422"),
        ("429", api(429, "x"), "rate limited", "429"),
        (
            "500",
            api(500, "etcdserver: leader changed"),
            "unavailable",
            "leader changed",
        ),
        ("503", api(503, "x"), "unavailable", "503"),
        (
            "503 busy",
            api_with(503, &[("retry-after", "1")], "x"),
            "rate limited",
            "503",
        ),
        (
            "504",
            api(504, "etcdserver: request timed out"),
            "unavailable",
            "timed out",
        ),
        (
            "301",
            http(301, &location, b""),
            "unavailable",
            "elsewhere.example",
        ),
        (
            "302",
            http(302, &location, b""),
            "unavailable",
            "use that address in LOCK",
        ),
        (
            "307",
            http(307, &location, b""),
            "unavailable",
            "elsewhere.example",
        ),
        ("308", http(308, &[], b""), "unavailable", "redirected"),
        (
            "200 page",
            http(200, &[], html),
            "unavailable",
            "not a Lease",
        ),
        (
            "200 empty",
            http(200, &[], b""),
            "unavailable",
            "not a Lease",
        ),
        (
            "200 null",
            http(200, &[], b"null"),
            "unavailable",
            "not a Lease",
        ),
        (
            "200 list",
            http(200, &[], br#"{"items":[]}"#),
            "unavailable",
            "not a Lease",
        ),
        (
            "200 number",
            http(200, &[], br#"{"metadata":{"resourceVersion":7}}"#),
            "unavailable",
            "not a Lease",
        ),
        (
            "200 deep",
            http(200, &[], deep.as_bytes()),
            "unavailable",
            "not a Lease",
        ),
        (
            "200 binary",
            http(200, &[], &[0xff; 64]),
            "unavailable",
            "not a Lease",
        ),
        ("204", http(204, &[], b""), "unavailable", "204"),
        (
            "10 MB",
            http(200, &[], &vec![b' '; 10_000_000]),
            "unavailable",
            "not a Lease",
        ),
        (
            "10 MB error",
            http(500, &[], &vec![b'x'; 10_000_000]),
            "unavailable",
            "500",
        ),
        (
            "50 MB packed",
            http(200, &[("content-encoding", "gzip")], &gzip(50_000_000)),
            "unavailable",
            "not a Lease",
        ),
        (
            "cut off",
            b"HTTP/1.1 200 X\r\ncontent-length: 1000\r\nconnection: close\r\n\r\n{}".to_vec(),
            "unavailable",
            "broke off",
        ),
        (
            "no HTTP",
            b"SSH-2.0 connection: close\r\n\r\n".to_vec(),
            "unavailable",
            "HTTP",
        ),
        (
            "big header",
            http(200, &[("connection: close\r\nx", &big_header)], b"{}"),
            "unavailable",
            "header is too big",
        ),
    ]
}

#[test]
fn bad_reads_name_fix() {
    let (server, mut lock) = held();
    for (case, answer, expected, part) in read_answers() {
        // A broken idle connection is replaced, and the request sent again.
        server.always("GET", Fault::Answer(answer));
        let error = lock.get(AMPLE).unwrap_err();
        assert_eq!(kind(&error), expected, "{case}: {error}");
        assert!(error.to_string().contains(part), "{case}: {error}");
        check_text(&error);
        server.without_faults();
        lock.get(AMPLE).unwrap();
    }
    lock.update(&record("napoleon", 7), AMPLE).unwrap();
}

#[test]
fn missing_lease_is_deleted_content() {
    let server = ApiServer::start(None);
    let observed = open(&server, "a").get(AMPLE).unwrap();
    assert_eq!(observed.content, Content::Deleted);
    // The fencing token is the server's clock.
    assert!(observed.highest_fencing_token > Some(1_700_000_000));
}

#[test]
fn retry_after_is_followed() {
    let (server, mut lock) = held();
    for (header, seconds) in [("7", 7), ("99999999", 3600), ("soon", 1), ("-1", 1)] {
        let answer = api_with(429, &[("retry-after", header)], "too many requests");
        for method in ["GET", "PUT"] {
            server.next(method, [Fault::Answer(answer.clone())]);
            let error = match method {
                "GET" => lock.get(AMPLE).unwrap_err(),
                _ => lock.update(&record("napoleon", 7), AMPLE).unwrap_err(),
            };
            let LockError::RateLimited { retry_after, .. } = error else {
                panic!("{error}");
            };
            assert_eq!(retry_after, Duration::from_secs(seconds), "{header}");
        }
    }
}

#[test]
fn refused_writes_name_fix() {
    let location = [("location", "https://elsewhere.example/x")];
    for (answer, expected, part) in [
        (api(400, "MicroTime"), "refused", "MicroTime"),
        (
            api(401, "Unauthorized"),
            "unauthorized",
            "check the credentials",
        ),
        (
            api(403, "leases is forbidden"),
            "unauthorized",
            "is forbidden",
        ),
        (api(413, "x"), "refused", "413"),
        (
            api(422, "must be greater than 0"),
            "refused",
            "greater than 0",
        ),
        (api(429, "x"), "rate limited", "429"),
        (
            http(307, &location, b""),
            "unavailable",
            "elsewhere.example",
        ),
    ] {
        let (server, mut lock) = held();
        let before = spec(&server);
        server.next("PUT", [Fault::Answer(answer)]);
        let error = lock.update(&record("napoleon", 8), AMPLE).unwrap_err();
        assert_eq!(kind(&error), expected, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        check_text(&error);
        assert_eq!(spec(&server), before);
        lock.update(&record("napoleon", 8), AMPLE).unwrap();
    }
}

#[test]
fn missing_namespace_refuses_creation() {
    let server = ApiServer::start(None);
    let mut lock = open(&server, "a");
    lock.get(AMPLE).unwrap();
    let (code, body) = status(
        404,
        "NotFound",
        "namespaces \"jobs\" not found",
        "namespaces",
    );
    server.next(
        "POST",
        [Fault::Answer(http(code, &[], body.to_string().as_bytes()))],
    );
    let error = lock.create(&record("napoleon", 1), AMPLE).unwrap_err();
    assert_eq!(kind(&error), "not found", "{error}");
    assert!(error.to_string().contains("create it"), "{error}");
}

#[test]
fn repeated_token_is_not_shown() {
    let (server, mut lock) = held();
    let location = format!("https://elsewhere.example/{TOKEN}");
    let bearer = format!("you sent Bearer {TOKEN}");
    for answer in [
        api(403, &bearer),
        api(500, &bearer),
        http(302, &[("location", &location)], bearer.as_bytes()),
        api_with(429, &[("retry-after", TOKEN)], &bearer),
        http(400, &[(TOKEN, TOKEN)], bearer.as_bytes()),
        format!("HTTP/1.1 {TOKEN}\r\nconnection: close\r\n\r\n").into_bytes(),
        format!("{TOKEN} connection: close\r\n\r\n").into_bytes(),
        format!("HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: {TOKEN}\r\n\r\n")
            .into_bytes(),
        format!("HTTP/1.1 200 X\r\nconnection: close\r\ncontent-encoding: {TOKEN}\r\n\r\n{TOKEN}")
            .into_bytes(),
    ] {
        for method in ["GET", "PUT"] {
            server.next(method, [Fault::Answer(answer.clone())]);
            let error = match method {
                "GET" => lock.get(AMPLE).err(),
                _ => lock.update(&record("napoleon", 7), AMPLE).err(),
            };
            if let Some(error) = error {
                assert!(
                    !format!("{error} {error:?}").contains("TheSecret"),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn redirect_gets_no_token() {
    let (server, mut lock) = held();
    let elsewhere = ApiServer::start(None);
    let location = format!("http://{}/x", elsewhere.address);
    for method in ["GET", "PUT"] {
        let answer = http(307, &[("location", &location)], b"");
        server.next(method, [Fault::Answer(answer)]);
    }
    lock.get(AMPLE).unwrap_err();
    lock.update(&record("napoleon", 7), AMPLE).unwrap_err();
    assert!(elsewhere.received().is_empty());
}

#[test]
fn repeated_basic_credentials_are_censored() {
    let server = ApiServer::start(None);
    let token = AccessTokenSource::Value(TOKEN.to_owned());
    let form = TokenForm::Basic("me".to_owned());
    let credentials = Box::new(TokenCredentials::open(&token, "LOCK_TOKEN", form).unwrap());
    let url = format!("http://{}", server.address).parse().unwrap();
    let exchange = HttpExchange::new(&url, None, &ProxySettings::default(), credentials);
    let mut exchange = exchange.unwrap();
    let sent = BASE64_STANDARD.encode(format!("me:{TOKEN}"));
    let location = format!("/{sent}");
    let answer = http(
        403,
        &[("location", &location)],
        format!("{sent} {TOKEN}").as_bytes(),
    );
    server.next("GET", [Fault::Answer(answer)]);
    let reply = exchange.call(&Request::get("/"), AMPLE).reply.unwrap();
    assert!(server.received()[0].head.contains("authorization: basic"));
    assert_eq!(String::from_utf8(reply.body.clone()).unwrap(), "… …");
    assert_eq!(reply.header("location"), Some("/…"));
}
