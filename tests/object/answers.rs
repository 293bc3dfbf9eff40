//! Every answer of the services, and of what may stand in front of them.

use std::time::Duration;

use elector::election::lock::{Content, LockError};

use crate::client::{AMPLE, Bucket, kind, open};
use crate::objects::{ALL, KEY, Kind};
use crate::support::record;
use crate::support::server::{Fault, Server, http};
use crate::{azure, google, s3};

/// Longest sentence, in characters.
const LONGEST: usize = 700;

/// Returns an error of the service.
pub(crate) fn answer(kind: Kind, status: u16, code: &str, message: &str) -> Vec<u8> {
    answer_with(kind, status, &[], code, message)
}

fn answer_with(
    kind: Kind,
    status: u16,
    headers: &[(&str, &str)],
    code: &str,
    message: &str,
) -> Vec<u8> {
    match kind {
        Kind::S3 => http(status, headers, s3::xml(code, message).as_bytes()),
        Kind::Azure => {
            let headers = [headers, &[("x-ms-error-code", code)]].concat();
            http(status, &headers, azure::xml(code, message).as_bytes())
        }
        Kind::Google => {
            let body = google::error_body(status, message);
            http(status, headers, body.as_bytes())
        }
    }
}

/// Checks the form of an error's text.
pub(crate) fn check_text(error: &LockError) {
    let text = format!("{error} {error:?}");
    assert!(error.to_string().chars().count() < LONGEST, "{text}");
    assert!(!error.to_string().contains('\n'), "{text}");
    assert!(!text.contains("TheSecret"), "{text}");
}

/// Answer of any service, the kinds of error for a read and for a write, and a part of the sentence.
type Case = (Vec<u8>, &'static str, &'static str, &'static str);

/// Returns answers that mean the same at every service.
fn common_answers(kind: Kind) -> Vec<Case> {
    let location = [("location", "https://elsewhere.example/x")];
    let any = |status, message: &str| answer(kind, status, "Any", message);
    let busy = |status| answer_with(kind, status, &[("retry-after", "7")], "Any", "busy");
    let cut = b"HTTP/1.1 500 X\r\ncontent-length: 999\r\nconnection: close\r\n\r\n<".to_vec();
    vec![
        (any(400, "bad"), "refused", "refused", "400: bad"),
        (
            any(401, "no"),
            "unauthorized",
            "unauthorized",
            "check the credentials",
        ),
        (
            any(403, "no"),
            "unauthorized",
            "unauthorized",
            "lack this right",
        ),
        (
            Bucket::page(403),
            "unauthorized",
            "unauthorized",
            "lack this right",
        ),
        (any(405, "bad"), "refused", "refused", "405"),
        (any(429, "slow"), "rate limited", "rate limited", "429"),
        (busy(429), "rate limited", "rate limited", "retry in 7s"),
        (busy(503), "rate limited", "rate limited", "retry in 7s"),
        (any(500, "oops"), "unavailable", "unknown", "500"),
        (Bucket::page(502), "unavailable", "unknown", "502"),
        (Bucket::page(503), "unavailable", "unknown", "503"),
        (Bucket::page(504), "unavailable", "unknown", "504"),
        (
            http(302, &location, b""),
            "unavailable",
            "unavailable",
            "elsewhere.example",
        ),
        (
            http(307, &location, b""),
            "unavailable",
            "unavailable",
            "use that address in LOCK",
        ),
        (
            Bucket::page(200),
            "unavailable",
            "unknown",
            "names no version",
        ),
        (
            http(200, &[], b""),
            "unavailable",
            "unknown",
            "names no version",
        ),
        (
            http(200, &[], &vec![b' '; 3_000_000]),
            "unavailable",
            "unknown",
            "names no version",
        ),
        (cut, "unavailable", "unknown", "broke off"),
        (
            b"SSH-2.0 connection: close\r\n\r\n".to_vec(),
            "unavailable",
            "unknown",
            "HTTP",
        ),
    ]
}

/// Returns answers of one service.
fn own_answers(kind: Kind) -> Vec<Case> {
    let own = |status, code: &str| answer(kind, status, code, "words of the server");
    let (denied, missing) = ("unauthorized", "not found");
    match kind {
        Kind::S3 => {
            let region = [("x-amz-bucket-region", "eu-west-9")];
            let moved = answer_with(kind, 301, &region, "PermanentRedirect", "moved");
            let malformed = s3::xml("AuthorizationHeaderMalformed", "wrong");
            let malformed =
                malformed.replace("<RequestId>", "<Region>eu-west-9</Region><RequestId>");
            vec![
                (own(403, "AccessDenied"), denied, denied, "s3:ListBucket"),
                (
                    own(403, "SignatureDoesNotMatch"),
                    denied,
                    denied,
                    "check the access key",
                ),
                (
                    own(403, "InvalidAccessKeyId"),
                    denied,
                    denied,
                    "check the access key",
                ),
                (http(403, &[], b""), denied, denied, "lack this right"),
                (own(404, "NoSuchBucket"), missing, missing, "create it"),
                (
                    own(404, "XAdminUserNotFound"),
                    denied,
                    denied,
                    "check the access key",
                ),
                (Bucket::page(404), missing, missing, "check the address"),
                (
                    own(503, "SlowDown"),
                    "rate limited",
                    "rate limited",
                    "words of the server",
                ),
                (
                    own(501, "NotImplemented"),
                    "refused",
                    "refused",
                    "use another server",
                ),
                (
                    moved,
                    "refused",
                    "refused",
                    "region \"eu-west-9\", not eu-central-1",
                ),
                (
                    http(400, &[], malformed.as_bytes()),
                    "refused",
                    "refused",
                    "change region=",
                ),
                (
                    own(409, "ConditionalRequestConflict"),
                    "refused",
                    "unknown",
                    "409",
                ),
            ]
        }
        Kind::Azure => vec![
            (
                own(403, "AuthenticationFailed"),
                denied,
                denied,
                "put a new one into LOCK_TOKEN_FILE",
            ),
            (
                own(403, "AuthorizationPermissionMismatch"),
                denied,
                denied,
                "words of the server",
            ),
            (own(404, "ContainerNotFound"), missing, missing, "create it"),
            (
                own(404, "ResourceNotFound"),
                missing,
                missing,
                "words of the server",
            ),
            (Bucket::page(404), missing, missing, "check the address"),
            (
                own(503, "ServerBusy"),
                "unavailable",
                "unknown",
                "words of the server",
            ),
            (own(501, "NotImplemented"), "unavailable", "unknown", "501"),
            (
                own(409, "BlobBeingRehydrated"),
                "refused",
                "refused",
                "words of the server",
            ),
            (
                own(412, "LeaseIdMissing"),
                "refused",
                "refused",
                "words of the server",
            ),
        ],
        Kind::Google => {
            let bucket = "The specified bucket does not exist.";
            vec![
                (own(403, ""), denied, denied, "Storage Object User"),
                (answer(kind, 404, "", bucket), missing, missing, "create it"),
                (Bucket::page(404), missing, missing, "check the address"),
                (own(501, ""), "unavailable", "unknown", "501"),
                (own(409, ""), "refused", "refused", "409"),
            ]
        }
    }
}

#[test]
fn bad_reads_name_fix() {
    for service in ALL {
        let (bucket, mut lock) = Bucket::held(service);
        let cases = [common_answers(service), own_answers(service)].concat();
        for (answer, expected, _, part) in cases {
            // A broken idle connection is replaced, and the request sent again.
            bucket.always("GET", Fault::Answer(answer));
            let error = lock.get(AMPLE).unwrap_err();
            let case = format!("{service:?}, {part}: {error}");
            assert_eq!(kind(&error), expected, "{case}");
            let conflict = part == "409" && service == Kind::S3;
            assert!(conflict || error.to_string().contains(part), "{case}");
            check_text(&error);
            bucket.without_faults();
            lock.get(AMPLE).unwrap();
        }
        lock.update(&record("napoleon", 7), AMPLE).unwrap();
    }
}

#[test]
fn bad_writes_name_fix() {
    for service in ALL {
        let (bucket, mut lock) = Bucket::held(service);
        let mut token = 7;
        for (answer, _, expected, part) in [common_answers(service), own_answers(service)].concat()
        {
            let before = bucket.record();
            bucket.always(bucket.writes(), Fault::Answer(answer));
            token += 1;
            let error = lock.update(&record("napoleon", token), AMPLE).unwrap_err();
            let case = format!("{service:?}, {part}: {error}");
            assert_eq!(kind(&error), expected, "{case}");
            // After an answer that tells nothing, the reason is what was observed.
            assert!(
                expected == "unknown" || error.to_string().contains(part),
                "{case}"
            );
            check_text(&error);
            assert_eq!(bucket.record(), before, "{case}");
            bucket.without_faults();
            lock.get(AMPLE).unwrap();
            lock.update(&record("napoleon", token), AMPLE).unwrap();
        }
    }
}

#[test]
fn missing_object_is_deleted_content() {
    for service in ALL {
        let bucket = Bucket::new(service);
        let mut lock = bucket.open();
        let observed = lock.get(AMPLE).unwrap();
        assert_eq!(observed.content, Content::Deleted);
        // The fencing token is the server's clock.
        assert!(observed.highest_fencing_token > Some(1_700_000_000));
        lock.create(&record("napoleon", 1), AMPLE).unwrap();
        assert_eq!(lock.get(AMPLE).unwrap().mine, Some(1));
    }
}

#[test]
fn missing_bucket_is_not_found() {
    for service in ALL {
        let bucket = Bucket::new(service);
        let mut variables = bucket.variables();
        variables.insert("LOCK", bucket.place("nobucket"));
        let error = open(&variables).get(AMPLE).unwrap_err();
        assert_eq!(kind(&error), "not found", "{error}");
        assert!(error.to_string().contains("create it"), "{error}");
    }
}

#[test]
fn wrong_credentials_are_unauthorized() {
    for service in ALL {
        let bucket = Bucket::new(service);
        for (name, part) in [
            ("AWS_ACCESS_KEY_ID", "check the access key"),
            ("AWS_SECRET_ACCESS_KEY", "check the access key"),
            ("LOCK_TOKEN", ""),
        ] {
            let mut variables = bucket.variables();
            let Some(value) = variables.get_mut(name) else {
                continue;
            };
            value.push_str("TheSecret");
            let error = open(&variables).get(AMPLE).unwrap_err();
            assert_eq!(kind(&error), "unauthorized", "{service:?}: {error}");
            assert!(error.to_string().contains(part), "{error}");
            check_text(&error);
        }
    }
}

#[test]
fn wrong_region_is_named() {
    let bucket = Bucket::new(Kind::S3);
    let mut variables = bucket.variables();
    let place = bucket.place("elector").replace("eu-central-1", "us-east-1");
    variables.insert("LOCK", place);
    let error = open(&variables).get(AMPLE).unwrap_err();
    assert_eq!(kind(&error), "refused", "{error}");
    let text = error.to_string();
    assert!(
        text.contains("in region \"eu-central-1\", not us-east-1"),
        "{text}"
    );
}

#[test]
fn retry_after_is_followed() {
    for service in ALL {
        let (bucket, mut lock) = Bucket::held(service);
        for (header, seconds) in [("7", 7), ("99999999", 3600), ("soon", 1), ("-1", 1)] {
            let busy = answer_with(service, 429, &[("retry-after", header)], "Any", "busy");
            bucket.answer_next("GET", &busy);
            bucket.answer_next(bucket.writes(), &busy);
            for error in [
                lock.get(AMPLE).unwrap_err(),
                lock.update(&record("napoleon", 8), AMPLE).unwrap_err(),
            ] {
                let LockError::RateLimited { retry_after, .. } = error else {
                    panic!("{error}");
                };
                assert_eq!(retry_after, Duration::from_secs(seconds), "{header}");
            }
        }
    }
}

#[test]
fn redirect_gets_no_credentials() {
    for service in ALL {
        let (bucket, mut lock) = Bucket::held(service);
        let elsewhere = Bucket::new(service);
        let location = format!("http://{}/{KEY}", elsewhere.address);
        for status in [301, 302, 303, 307, 308] {
            let answer = http(status, &[("location", &location)], b"");
            bucket.answer_next("GET", &answer);
            bucket.answer_next(bucket.writes(), &answer);
            lock.get(AMPLE).unwrap_err();
            lock.update(&record("napoleon", 8), AMPLE).unwrap_err();
        }
        assert!(Server::received(&elsewhere).is_empty());
    }
}
