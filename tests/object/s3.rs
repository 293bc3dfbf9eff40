//! Interface of S3.

use ring::digest::{SHA256, digest};

use crate::objects::{BUCKET, Condition, Objects, Unmodified, Written};
use crate::signature::{self, REGION, hex};
use crate::support::server::Received;

/// Returns the ETag of these bytes, which is the same for the same bytes.
pub(crate) fn etag(value: &str) -> String {
    let hash = hex(digest(&SHA256, value.as_bytes()).as_ref());
    format!("\"{}\"", &hash[..32])
}

/// Returns the body of an error.
pub(crate) fn xml(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>BW5PTQ2FXN3M1Q8T</RequestId></Error>"
    )
}

pub(crate) fn respond(objects: &mut Objects, request: &Received) -> Vec<u8> {
    let error = |objects: &Objects, status, code: &str, message: &str| {
        let headers = [("content-type", "application/xml")];
        objects.answer(status, &headers, &xml(code, message))
    };
    let passes = objects.passes.lock().unwrap().clone();
    match signature::check(request, &passes, objects.now()) {
        Ok(()) => {}
        Err((status, "WrongRegion", message)) => {
            let body = xml("AuthorizationHeaderMalformed", &message);
            let body = body.replace(
                "<RequestId>",
                &format!("<Region>{REGION}</Region><RequestId>"),
            );
            return objects.answer(status, &[], &body);
        }
        Err((status, code, message)) => return error(objects, status, code, &message),
    }
    let path = request.path.trim_start_matches('/');
    let key = match path.split_once('/') {
        Some((BUCKET, key)) => key,
        _ => {
            let text = "The specified bucket does not exist.";
            return error(objects, 404, "NoSuchBucket", text);
        }
    };
    match &*request.method {
        "GET" => read(objects, request, key),
        "PUT" => write(objects, request, key),
        _ => error(objects, 405, "MethodNotAllowed", "not allowed"),
    }
}

fn missing(objects: &Objects) -> Vec<u8> {
    let body = xml("NoSuchKey", "The specified key does not exist.");
    objects.answer(404, &[("content-type", "application/xml")], &body)
}

fn read(objects: &Objects, request: &Received, key: &str) -> Vec<u8> {
    let Some(object) = objects.get(key) else {
        return missing(objects);
    };
    let modified = Objects::modified(object);
    let version = [("x-amz-version-id", "01M8NZAWVYXT4AXDY0XC4HKW41")];
    let version = if objects.versioned { &version[..] } else { &[] };
    let full = [("etag", &*object.version), ("last-modified", &*modified)];
    let full = [&full[..], version].concat();
    let known = request.header("if-none-match") == Some(&object.version);
    match objects.unmodified {
        Unmodified::Full if known => objects.answer(304, &full, ""),
        Unmodified::Bare if known => objects.answer(304, &[("server", "VERSITYGW")], ""),
        _ => objects.answer(200, &full, &object.value),
    }
}

fn write(objects: &mut Objects, request: &Received, key: &str) -> Vec<u8> {
    let condition = match (request.header("if-match"), request.header("if-none-match")) {
        (Some(version), _) => Condition::Version(version),
        (None, Some("*")) => Condition::Missing,
        _ => Condition::None,
    };
    match objects.write(key, &request.body, condition) {
        Written::Landed(object) => objects.answer(200, &[("etag", &object.version)], ""),
        Written::Nothing => missing(objects),
        Written::Exists | Written::Stale => {
            let text = "At least one of the pre-conditions you specified did not hold.";
            objects.answer(412, &[], &xml("PreconditionFailed", text))
        }
    }
}
