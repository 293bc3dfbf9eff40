//! Bad settings, and the place that good ones lead to.

use crate::client::{Bucket, Variables, settings};
use crate::objects::{ALL, Kind};

/// Returns the problems of `LOCK` and other variables.
fn problems(lock: &str, others: &[(&'static str, &str)]) -> Vec<String> {
    let mut variables = Variables::from([("LOCK", lock.to_owned())]);
    let others = others.iter();
    variables.extend(others.map(|(name, value)| (*name, (*value).to_owned())));
    settings(&variables).err().unwrap_or_default()
}

/// Checks that each place is refused, and that the message names the fix.
#[track_caller]
fn check(cases: &[(&str, &str)], others: &[(&'static str, &str)]) {
    for (lock, fix) in cases {
        let problems = problems(lock, others);
        assert_eq!(problems.len(), 1, "{lock}: {problems:?}");
        assert!(problems[0].starts_with("LOCK: "), "{problems:?}");
        assert!(problems[0].contains(fix), "{lock}: {problems:?}");
    }
}

#[test]
fn bad_places_of_s3_name_fix() {
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIA1"),
        ("AWS_SECRET_ACCESS_KEY", "TheSecret"),
    ];
    check(
        &[
            ("s3://bucket/key", "add ?region=REGION, or set AWS_REGION"),
            ("s3:bucket/key", "use s3://BUCKET/KEY"),
            ("s3://bucket", "use s3://BUCKET/KEY"),
            ("s3://bucket/key?version=1", "use s3://BUCKET/KEY"),
            (
                "s3://bucket/a//b?region=eu-west-1",
                "the name of the object",
            ),
            ("s3://bucket/key?region=EU", "lower-case letters"),
            ("s3://Bucket/key?region=eu-west-1", "lower-case letters"),
            ("s3://ab/key?region=eu-west-1", "3 to 63"),
            ("s3://alias.mrap/key?region=eu-west-1", "use one bucket"),
            (
                "s3://b--use1-az4--x-s3/key?region=us-east-1",
                "general purpose",
            ),
            (
                "s3://bucket/key?endpoint=https://storage.googleapis.com",
                "use gs://",
            ),
            (
                "s3://bucket/key?endpoint=https://b.Storage.GoogleAPIs.com",
                "use gs://",
            ),
            (
                "s3://bucket/key?endpoint=http://minio:9000",
                "ALLOW_INSECURE_HTTP=true",
            ),
            ("s3://bucket/key?endpoint=minio:9000", "http://HOST[:PORT]"),
        ],
        &keys,
    );
    for (variables, fix) in [
        (&keys[..1], "AWS_SECRET_ACCESS_KEY is not; set both"),
        (&keys[1..], "AWS_ACCESS_KEY_ID is not; set both"),
        (
            &[("AWS_EC2_METADATA_DISABLED", "true")],
            "~/.aws/credentials",
        ),
        (
            &[
                ("AWS_ROLE_ARN", "arn"),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"),
                ("AWS_ENDPOINT_URL_STS", "http://sts.example"),
            ],
            "AWS_ENDPOINT_URL_STS: not encrypted; use https://",
        ),
        (
            &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://elsewhere/x")],
            "AWS_CONTAINER_CREDENTIALS_FULL_URI: neither",
        ),
        (
            &[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@elsewhere/x")],
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: neither",
        ),
        (
            &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "169.254.169.254")],
            "AWS_EC2_METADATA_SERVICE_ENDPOINT: not an address",
        ),
        (
            &[("LOCK_TOKEN", "TheSecret"), keys[0], keys[1]],
            "LOCK_TOKEN: set, but",
        ),
    ] {
        let problems = problems("s3://bucket/key?region=eu-west-1", variables);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(fix), "{problems:?}");
        assert!(!problems[0].contains("TheSecret"), "{problems:?}");
    }
}

#[test]
fn bad_places_of_azure_name_fix() {
    check(
        &[
            ("az://account/container", "use az://ACCOUNT/CONTAINER/KEY"),
            ("az://my-account/container/key", "the account has 3 to 24"),
            ("az://account/a_b/key", "the container has 3 to 63"),
            ("az://account/container/a b", "the name of the object"),
            ("az://account/container/key?region=x", "use az://"),
            (
                "az://account/container/key?endpoint=http://azurite",
                "ALLOW_INSECURE_HTTP",
            ),
        ],
        &[("LOCK_TOKEN", "sv=1&sig=TheSecret")],
    );
    let problems = problems("az://account/container/key", &[]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("give a SAS token"), "{problems:?}");
}

#[test]
fn bad_places_of_google_name_fix() {
    check(
        &[
            ("gs://bucket", "use gs://BUCKET/KEY"),
            ("gs://Bucket/key", "the bucket has 3 to 222"),
            ("gs://bucket/../key", "the name of the object"),
            (
                "gs://bucket/key?endpoint=http://fake",
                "ALLOW_INSECURE_HTTP",
            ),
        ],
        &[],
    );
    let problems = problems("gs://bucket/key", &[("GCE_METADATA_HOST", "a b")]);
    assert!(problems[0].contains("use HOST[:PORT]"), "{problems:?}");
}

#[test]
fn user_in_place_is_not_shown() {
    for service in ALL {
        let bucket = Bucket::new(service);
        let place = bucket.place("elector");
        let place = place.replace("http://", "http://me:TheSecret@");
        let problems = problems(&place, &[]);
        assert!(problems[0].contains("remove it"), "{problems:?}");
        assert!(!problems[0].contains("TheSecret"), "{problems:?}");
    }
}

#[test]
fn endpoint_variable_leads_to_server() {
    let bucket = Bucket::new(Kind::S3);
    let server = format!("http://{}", bucket.address);
    for (name, lower) in [
        ("AWS_ENDPOINT_URL_S3", Some("AWS_ENDPOINT_URL")),
        ("AWS_ENDPOINT_URL", None),
    ] {
        let mut variables = bucket.variables();
        variables.insert("LOCK", "s3://elector/jobs/nightly".to_owned());
        variables.insert("AWS_REGION", "eu-central-1".to_owned());
        variables.insert("AWS_DEFAULT_REGION", "us-east-1".to_owned());
        variables.insert(name, server.clone());
        if let Some(lower) = lower {
            variables.insert(lower, "http://127.0.0.1:1".to_owned());
        }
        let mut lock = crate::client::open(&variables);
        lock.get(crate::client::AMPLE).unwrap();
    }
}
