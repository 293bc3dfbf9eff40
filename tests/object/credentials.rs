//! Credentials that expire, their sources, and the order of these.

use std::time::Duration;

use crate::answers::{answer, check_text};
use crate::client::{AMPLE, Bucket, Variables, kind, open, settings};
use crate::objects::{BUCKET, Kind};
use crate::sources::{self, Files, Source, Sources, variables};
use crate::support::process::{Elector, await_next_term, check};
use crate::support::server::{Fault, Server, http};
use crate::support::{eventually, for_each, record};

const SOURCES: [Source; 4] = [
    Source::WebIdentity,
    Source::Container,
    Source::Instance,
    Source::Google,
];

/// Lifetime of credentials that a test lets expire: more than the leadership deadline.
const SHORT: Duration = Duration::from_secs(3);

const LONG: Duration = Duration::from_secs(3600);

/// A bucket that accepts the credentials of a source, and that source.
struct Rig {
    bucket: Bucket,
    sources: Server<Sources>,
    files: Files,
    source: Source,
}

impl Rig {
    fn new(source: Source, lifetime: Duration) -> Rig {
        let bucket = Bucket::without_passes(match source {
            Source::Google => Kind::Google,
            _ => Kind::S3,
        });
        let sources = sources::start(&bucket, lifetime);
        let files = Files::new(&sources);
        Rig {
            bucket,
            sources,
            files,
            source,
        }
    }

    fn variables(&self) -> Variables {
        variables(&self.bucket, &self.files, self.source)
    }

    fn start(&self, name: &str) -> Elector {
        let mut start = self.bucket.elector(name);
        for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "LOCK_TOKEN"] {
            start = start.without(variable);
        }
        for (variable, value) in self.variables() {
            start = start.with(variable, value);
        }
        start.spawn()
    }

    /// Returns how often the source gave credentials.
    fn given(&self) -> usize {
        self.sources.with(|sources| sources.log.len())
    }

    /// Lets the source answer nothing.
    fn stop_source(&self) {
        for method in ["GET", "PUT", "POST"] {
            self.sources.always(method, Fault::Lost);
        }
    }
}

#[test]
fn leader_survives_expiring_credentials() {
    for_each(&SOURCES, |source| {
        let rig = Rig::new(*source, SHORT);
        let first = rig.start("first");
        let token = first.await_leading();
        let given = rig.given();
        eventually("credentials are replaced", || rig.given() >= given + 2);
        let renewals = || rig.bucket.count(rig.bucket.writes());
        let before = renewals();
        eventually("it renews", || renewals() >= before + 2);
        assert_eq!(first.leads(), Some(token), "{}", first.text());
        assert!(!first.has_logged("workload_stopped"), "{}", first.text());
        check(&[&first]);
    });
}

#[test]
fn lost_source_ends_term_later() {
    for_each(&SOURCES, |source| {
        let rig = Rig::new(*source, SHORT);
        let first = rig.start("first");
        let token = first.await_leading();
        rig.stop_source();
        first.await_logged("workload_stopped");
        let log = first.log();
        let named = match source {
            Source::Google => "no access token",
            _ => "no AWS credentials from",
        };
        assert!(
            log.iter().any(|line| line.text("error").contains(named)),
            "{}",
            first.text()
        );
        rig.sources.without_faults();
        await_next_term(&[&first], token);
        check(&[&first]);
    });
}

#[test]
fn lost_source_keeps_valid_credentials() {
    for_each(&[Source::Instance, Source::Google], |source| {
        // New ones are due after 30 s.
        let rig = Rig::new(*source, Duration::from_secs(100));
        let first = rig.start("first");
        let token = first.await_leading();
        rig.stop_source();
        first.await_logged("credentials_unavailable");
        let before = rig.bucket.count(rig.bucket.writes());
        eventually("it renews", || {
            rig.bucket.count(rig.bucket.writes()) >= before + 2
        });
        assert_eq!(first.leads(), Some(token), "{}", first.text());
        check(&[&first]);
    });
}

#[test]
fn sources_are_asked_once() {
    for source in SOURCES {
        let rig = Rig::new(source, LONG);
        let mut lock = open(&rig.variables());
        lock.get(AMPLE).unwrap();
        for token in 1..4 {
            lock.update(&record("napoleon", token), AMPLE).unwrap();
            lock.get(AMPLE).unwrap();
        }
        assert_eq!(rig.sources.with(|sources| sources.log.clone()), [source]);
    }
}

#[test]
fn sources_have_order_of_aws() {
    let rig = Rig::new(Source::Instance, LONG);
    let mut variables = rig.variables();
    rig.files.add(Source::Container, &mut variables);
    rig.files.add(Source::WebIdentity, &mut variables);
    rig.bucket.permit("AKIASTATIC", "TheSecretStatic", "");
    variables.insert("AWS_ACCESS_KEY_ID", "AKIASTATIC".to_owned());
    variables.insert("AWS_SECRET_ACCESS_KEY", "TheSecretStatic".to_owned());
    for (removed, expected) in [
        (&[][..], None),
        (
            &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
            Some(Source::WebIdentity),
        ),
        (&["AWS_ROLE_ARN"], Some(Source::Container)),
        (
            &["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
            Some(Source::Instance),
        ),
    ] {
        for name in removed {
            variables.remove(name);
        }
        rig.sources.with(|sources| sources.log.clear());
        open(&variables).get(AMPLE).unwrap();
        let asked = rig.sources.with(|sources| sources.log.clone());
        assert_eq!(asked, Vec::from_iter(expected));
    }
    variables.insert("AWS_EC2_METADATA_DISABLED", "true".to_owned());
    let problems = settings(&variables).unwrap_err();
    assert!(
        problems[0].contains("~/.aws/credentials is not read"),
        "{problems:?}"
    );
}

#[test]
fn changed_token_file_is_read() {
    let rig = Rig::new(Source::Container, Duration::ZERO);
    let mut lock = open(&rig.variables());
    lock.get(AMPLE).unwrap();
    std::fs::write(rig.files.path("container"), "TheSecretOther").unwrap();
    let error = lock.get(AMPLE).unwrap_err();
    assert_eq!(kind(&error), "unauthorized", "{error}");
    check_text(&error);
    std::fs::remove_file(rig.files.path("container")).unwrap();
    let error = lock.get(AMPLE).unwrap_err();
    assert_eq!(kind(&error), "unavailable", "{error}");
    std::fs::write(rig.files.path("container"), "TheSecretContainerToken\n").unwrap();
    lock.get(AMPLE).unwrap();
}

#[test]
fn failing_sources_are_named() {
    for (source, part) in [
        (Source::WebIdentity, "role arn:aws:iam::1:role/elector"),
        (Source::Container, "container credentials of 127.0.0.1"),
        (Source::Instance, "AWS instance metadata"),
        (Source::Google, "the metadata server"),
    ] {
        let rig = Rig::new(source, LONG);
        let mut lock = open(&rig.variables());
        let echo = format!("you sent {}", sources::WEB_TOKEN);
        let refusal = answer(Kind::S3, 400, "InvalidIdentityToken", &echo);
        for (answer, expected) in [
            (refusal, "unauthorized"),
            (Bucket::page(403), "unauthorized"),
            (Bucket::page(404), "unauthorized"),
            (Bucket::page(429), "unavailable"),
            (Bucket::page(500), "unavailable"),
            (Bucket::page(200), "unavailable"),
            (http(200, &[], b"{}"), "unavailable"),
            (http(200, &[], br#"{"Expiration":7}"#), "unavailable"),
            (
                http(302, &[("location", "http://127.0.0.1:1/")], b""),
                "unavailable",
            ),
        ] {
            for method in ["GET", "PUT", "POST"] {
                rig.sources.always(method, Fault::Answer(answer.clone()));
            }
            let error = lock.get(AMPLE).unwrap_err();
            // Google's servers share this answer with AWS's.
            let google_busy = source == Source::Google && expected == "unavailable";
            assert!(
                kind(&error) == expected || google_busy,
                "{source:?}: {error}"
            );
            assert!(error.to_string().contains(part), "{error}");
            check_text(&error);
            rig.sources.without_faults();
        }
        lock.get(AMPLE).unwrap();
    }
}

#[test]
fn expired_static_keys_name_fix() {
    let bucket = Bucket::new(Kind::S3);
    bucket.permit("ASIA1", "TheSecret1", "TheSecretSession");
    let mut variables = bucket.variables();
    variables.insert("AWS_ACCESS_KEY_ID", "ASIA1".to_owned());
    variables.insert("AWS_SECRET_ACCESS_KEY", "TheSecret1".to_owned());
    variables.insert("AWS_SESSION_TOKEN", "TheSecretSession".to_owned());
    let mut lock = open(&variables);
    lock.get(AMPLE).unwrap();
    let now = std::time::Instant::now();
    for pass in bucket.passes.lock().unwrap().iter_mut() {
        pass.until = Some(now);
    }
    let before = bucket.count("GET");
    let error = lock.get(AMPLE).unwrap_err();
    assert_eq!(kind(&error), "unauthorized", "{error}");
    assert!(error.to_string().contains("expired"), "{error}");
    check_text(&error);
    assert_eq!(bucket.count("GET"), before + 1);
}

#[test]
fn own_keys_ignore_session_of_workload() {
    let bucket = Bucket::new(Kind::S3);
    let mut variables = bucket.variables();
    for (name, own) in [
        ("AWS_ACCESS_KEY_ID", "ELECTOR_AWS_ACCESS_KEY_ID"),
        ("AWS_SECRET_ACCESS_KEY", "ELECTOR_AWS_SECRET_ACCESS_KEY"),
    ] {
        let value = variables.remove(name).unwrap();
        variables.insert(own, value);
        variables.insert(name, "TheSecretOfTheWorkload".to_owned());
    }
    variables.insert("AWS_SESSION_TOKEN", "TheSecretOfTheWorkload".to_owned());
    open(&variables).get(AMPLE).unwrap();
    // Half of each pair would be wrong.
    variables.remove("ELECTOR_AWS_SECRET_ACCESS_KEY");
    let problems = settings(&variables).unwrap_err();
    assert!(
        problems[0].contains("ELECTOR_AWS_SECRET_ACCESS_KEY"),
        "{problems:?}"
    );
}

#[test]
fn changed_accept_encoding_keeps_signature() {
    // Some proxies set this header anew.
    let (bucket, mut lock) = Bucket::held(Kind::S3);
    lock.get(AMPLE).unwrap();
    let last = bucket.received().pop().unwrap();
    let signed = last.header("authorization").unwrap();
    assert!(!signed.contains("accept-encoding"), "{signed}");
    assert_eq!(last.header("accept-encoding"), Some("identity"));
    assert!(last.path.contains(BUCKET));
}
