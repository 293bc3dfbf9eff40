//! An answer of object storage. The first line of the input names the service and the call (`s3 read`), the
//! second one the status, and others up to an empty one are headers. The body follows.

use std::sync::{Arc, LazyLock};

use elector::election::time::Instant;
use elector::lock::object::azure::read_blob;
use elector::lock::object::google;
use elector::lock::object::s3;
use elector::lock::object::service::Service;
use elector::lock::object::store::ObjectStore;
use elector::lock::settings::{Noted, Reader};
use elector::lock::store::{Answer, Response, Step, Store, Version};
use elector::lock::{Place, Surroundings};

use super::assert_safe_error;

type Object = LazyLock<Arc<dyn Service>>;

static S3_OBJECT: Object =
    LazyLock::new(|| open("s3://bucket/key?region=us-east-1", s3::read_object));
static BLOB: Object = LazyLock::new(|| open("az://account/container/key", read_blob));
static GOOGLE_OBJECT: Object = LazyLock::new(|| open("gs://bucket/key", google::read_object));

pub fn check(data: &[u8]) {
    let Some((first, response)) = parse(data) else {
        return;
    };
    match first {
        "s3 read" => reads(&S3_OBJECT, &response),
        "s3 write" => writes(&S3_OBJECT, &response),
        "azure read" => reads(&BLOB, &response),
        "azure write" => writes(&BLOB, &response),
        "google read" => reads(&GOOGLE_OBJECT, &response),
        "google write" => writes(&GOOGLE_OBJECT, &response),
        _ => {}
    }
}

fn open<T: Service + 'static>(
    lock: &str,
    read: impl Fn(&mut Reader<'_>, &Place, Surroundings<'_>) -> Result<T, Noted>,
) -> Arc<dyn Service> {
    let lookup = |name: &str| {
        let known = ["LOCK_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        known.contains(&name).then(|| "abc".into())
    };
    let (scheme, rest) = lock.split_once(':').unwrap();
    let place = Place {
        variable: "LOCK".to_owned(),
        value: lock.to_owned(),
        scheme: scheme.to_owned(),
        rest: rest.to_owned(),
    };
    let surroundings = Surroundings {
        ca_file: None,
        new: false,
    };
    Arc::new(read(&mut Reader::new(&lookup), &place, surroundings).unwrap())
}

fn parse(data: &[u8]) -> Option<(&str, Response)> {
    let end = data.windows(2).position(|two| two == b"\n\n")?;
    let head = std::str::from_utf8(&data[..end]).ok()?;
    let mut lines = head.lines();
    let (first, status) = (lines.next()?, lines.next()?);
    let headers = lines.filter_map(|line| line.split_once(": "));
    let response = Response {
        status: status.parse().ok()?,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: data[end + 2..].to_vec(),
        cut: false,
    };
    Some((first, response))
}

fn answer(response: &Response) -> Answer {
    Answer {
        member: 0,
        at: Instant::BOOT,
        received_at: 1_796_000_000,
        reply: Ok(response.clone()),
    }
}

fn reads(service: &Arc<dyn Service>, response: &Response) {
    let mut store = ObjectStore::new(Arc::clone(service));
    // The second read is conditional if the first one succeeded.
    for _ in 0..2 {
        assert!(matches!(store.read(), Step::Ask(_)));
        match store.handle(answer(response)) {
            Step::Read(Ok(snapshot)) => {
                if let Some(value) = &snapshot.value {
                    assert_eq!(**value, *response.body);
                    let version = snapshot.version.as_ref().unwrap();
                    has_condition(&mut store, version);
                }
            }
            Step::Read(Err(error)) => assert_safe_error(&error),
            step => panic!("a read ends with {step:?}"),
        }
    }
}

/// Checks that a write over a version carries a condition in one line.
fn has_condition(store: &mut ObjectStore, version: &Version) {
    let Step::Ask(requests) = store.write(Some(version), b"{}") else {
        panic!("a write asks nothing");
    };
    let headers = requests[0]
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    let all = format!(
        "{}\n{}",
        requests[0].path,
        headers.collect::<Vec<_>>().join("\n")
    );
    assert!(
        all.contains("if-match: ") || all.contains("ifGenerationMatch="),
        "{all}"
    );
    assert!(!all.contains("if-none-match"), "{all}");
}

fn writes(service: &Arc<dyn Service>, response: &Response) {
    for expected in [None, Some(Version::from("\"1\""))] {
        let mut store = ObjectStore::new(Arc::clone(service));
        assert!(matches!(
            store.write(expected.as_ref(), b"{}"),
            Step::Ask(_)
        ));
        match store.handle(answer(response)) {
            Step::Wrote(Ok(_)) => assert!((200..300).contains(&response.status)),
            Step::Wrote(Err(error)) => assert_safe_error(&error),
            step => panic!("a write ends with {step:?}"),
        }
    }
}
