//! Secrets that a server repeats, and that no message may show.

use crate::answers::{answer, check_text};
use crate::client::{AMPLE, BEARER, Bucket, SAS, SECRET_KEY, open};
use crate::objects::{ALL, BUCKET, KEY, Kind};
use crate::signature::REGION;
use crate::support::record;
use crate::support::server::http;

/// Session token of static keys.
const SESSION: &str = "IQoTheSecretSession/+0123456789==";

/// Returns a lock, and texts that a server may send back.
fn secrets(bucket: &Bucket) -> (crate::client::Lock, Vec<String>) {
    let mut variables = bucket.variables();
    let texts = match bucket.kind {
        Kind::S3 => {
            bucket.permit("ASIA1", SECRET_KEY, SESSION);
            variables.insert("AWS_ACCESS_KEY_ID", "ASIA1".to_owned());
            variables.insert("AWS_SESSION_TOKEN", SESSION.to_owned());
            vec![SECRET_KEY.to_owned(), SESSION.to_owned()]
        }
        Kind::Azure => {
            let (_, signature) = SAS.split_once("sig=").unwrap();
            let decoded = signature.replace("%2B", "+").replace("%2F", "/");
            let decoded = decoded.replace("%3D", "=");
            vec![SAS.to_owned(), signature.to_owned(), decoded]
        }
        Kind::Google => vec![BEARER.to_owned(), format!("Bearer {BEARER}")],
    };
    let mut lock = open(&variables);
    lock.get(AMPLE).unwrap();
    lock.update(&record("napoleon", 7), AMPLE).unwrap();
    (lock, texts)
}

#[test]
fn repeated_secrets_are_not_shown() {
    for service in ALL {
        let bucket = Bucket::new(service);
        let (mut lock, texts) = secrets(&bucket);
        for text in &texts {
            let said = format!("you sent {text} to us");
            let location = format!("https://elsewhere.example/{text}");
            for answer in [
                answer(service, 400, "Bad", &said),
                answer(service, 403, "AccessDenied", &said),
                answer(service, 403, "AuthenticationFailed", &said),
                answer(service, 403, "InvalidAccessKeyId", &said),
                answer(service, 404, "NoSuchBucket", &said),
                answer(service, 429, "Busy", &said),
                answer(service, 500, text, &said),
                http(302, &[("location", &location)], said.as_bytes()),
                http(301, &[("x-amz-bucket-region", text)], said.as_bytes()),
                http(429, &[("retry-after", text)], said.as_bytes()),
                http(200, &[], said.as_bytes()),
                format!("HTTP/1.1 {text}\r\nconnection: close\r\n\r\n").into_bytes(),
                format!("HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: {text}\r\n\r\n")
                    .into_bytes(),
            ] {
                for method in ["GET", bucket.writes()] {
                    bucket.answer_next(method, &answer);
                    let error = match method {
                        "GET" => lock.get(AMPLE).err(),
                        _ => lock.update(&record("napoleon", 7), AMPLE).err(),
                    };
                    bucket.without_faults();
                    if let Some(error) = error {
                        check_text(&error);
                    }
                }
                lock.get(AMPLE).unwrap();
            }
        }
    }
}

#[test]
fn debug_output_has_no_secrets() {
    for service in ALL {
        let bucket = Bucket::new(service);
        let settings = crate::client::settings(&bucket.variables()).unwrap();
        let text = format!("{settings:?} {:?}", settings.lock.backend());
        assert!(text.contains(KEY) && text.contains(BUCKET), "{text}");
        assert!(!text.contains("TheSecret"), "{text}");
        assert_eq!(service == Kind::S3, text.contains(REGION));
    }
}
