//! Interface of Azure Blob Storage.

use crate::client::ACCOUNT;
use crate::objects::{BUCKET, Condition, Objects, Unmodified, Written};
use crate::support::server::Received;

/// Returns the body of an error.
pub(crate) fn xml(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<Error>\n  <Code>{code}</Code>\n  \
         <Message>{message}\nRequestId:87031a7b-b367-4ce6-a4f3-c7c788a9f355\n\
         Time:2026-11-30T10:17:37.011Z</Message>\n</Error>"
    )
}

/// Returns an error.
pub(crate) fn error(objects: &Objects, status: u16, code: &str, message: &str) -> Vec<u8> {
    let headers = [
        ("x-ms-error-code", code),
        ("content-type", "application/xml"),
    ];
    objects.answer(status, &headers, &xml(code, message))
}

pub(crate) fn respond(objects: &mut Objects, request: &Received) -> Vec<u8> {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let passes = objects.passes.lock().unwrap().clone();
    if !passes
        .iter()
        .any(|pass| pass.id == query && pass.is_valid())
    {
        let text = "Server failed to authenticate the request. Make sure the value of the \
                    Authorization header is formed correctly including the signature.";
        return error(objects, 403, "AuthenticationFailed", text);
    }
    if request.header("x-ms-version").is_none() {
        return error(objects, 400, "MissingRequiredHeader", "x-ms-version");
    }
    let path = path
        .strip_prefix(&format!("/{ACCOUNT}/"))
        .unwrap_or_default();
    let key = match path.split_once('/') {
        Some((BUCKET, key)) => key.to_owned(),
        _ => {
            let text = "The specified container does not exist.";
            return error(objects, 404, "ContainerNotFound", text);
        }
    };
    match &*request.method {
        "GET" => read(objects, request, &key),
        "PUT" if request.header("x-ms-blob-type") == Some("BlockBlob") => {
            write(objects, request, &key)
        }
        _ => error(objects, 400, "InvalidHeaderValue", "x-ms-blob-type"),
    }
}

fn read(objects: &Objects, request: &Received, key: &str) -> Vec<u8> {
    let Some(object) = objects.get(key) else {
        let text = "The specified blob does not exist.";
        return error(objects, 404, "BlobNotFound", text);
    };
    let modified = Objects::modified(object);
    let version = [("x-ms-version-id", "2026-11-30T10:17:37.0110000Z")];
    let version = if objects.versioned { &version[..] } else { &[] };
    let full = [("etag", &*object.version), ("last-modified", &*modified)];
    let full = [&full[..], version].concat();
    let known = request.header("if-none-match") == Some(&object.version);
    let bare = [("x-ms-error-code", "ConditionNotMet")];
    match objects.unmodified {
        Unmodified::Full if known => objects.answer(304, &full, ""),
        Unmodified::Bare if known => objects.answer(304, &bare, ""),
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
        Written::Landed(object) => {
            let modified = Objects::modified(&object);
            let headers = [("etag", &*object.version), ("last-modified", &*modified)];
            objects.answer(201, &headers, "")
        }
        Written::Exists => error(
            objects,
            409,
            "BlobAlreadyExists",
            "The specified blob already exists.",
        ),
        Written::Stale | Written::Nothing => error(
            objects,
            412,
            "ConditionNotMet",
            "The condition specified using HTTP conditional header(s) is not met.",
        ),
    }
}
