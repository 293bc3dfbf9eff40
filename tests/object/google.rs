//! JSON interface of Google Cloud Storage.

use serde_json::json;

use crate::objects::{BUCKET, Condition, Objects, Unmodified, Written, parameters};
use crate::support::server::Received;

/// Returns the body of an error.
pub(crate) fn error_body(status: u16, message: &str) -> String {
    let errors = json!([{"domain": "global", "reason": "x", "message": message}]);
    json!({"error": {"code": status, "message": message, "errors": errors}}).to_string()
}

fn error(objects: &Objects, status: u16, message: &str) -> Vec<u8> {
    objects.answer(status, &[], &error_body(status, message))
}

pub(crate) fn respond(objects: &mut Objects, request: &Received) -> Vec<u8> {
    let passes = objects.passes.lock().unwrap().clone();
    let given = request.header("authorization").unwrap_or_default();
    let given = given.strip_prefix("Bearer ").unwrap_or_default();
    if !passes
        .iter()
        .any(|pass| pass.id == given && pass.is_valid())
    {
        return error(objects, 401, "Invalid Credentials");
    }
    let path = request.path.split('?').next().unwrap_or_default();
    let parameters = parameters(&request.path);
    let parameter = |name: &str| parameters.get(name).copied();
    let upload = path.strip_prefix("/upload/storage/v1/b/");
    let direct = path.strip_prefix("/storage/v1/b/");
    let rest = upload.or(direct).unwrap_or_default();
    let (bucket, rest) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket != BUCKET {
        return error(objects, 404, "The specified bucket does not exist.");
    }
    let key = parameter("name").or_else(|| rest.strip_prefix("o/"));
    let key = key.map(|key| key.replace("%2F", "/"));
    match (&*request.method, key) {
        ("GET", None) => {
            let body = json!({"versioning": {"enabled": objects.versioned}});
            objects.answer(200, &[], &body.to_string())
        }
        ("GET", Some(key)) if parameter("alt") == Some("media") => {
            read(objects, parameter("ifGenerationNotMatch"), &key)
        }
        ("POST", Some(key)) if parameter("uploadType") == Some("media") => {
            write(objects, request, parameter("ifGenerationMatch"), &key)
        }
        _ => error(objects, 400, "Invalid request"),
    }
}

fn read(objects: &Objects, known: Option<&str>, key: &str) -> Vec<u8> {
    let Some(object) = objects.get(key) else {
        return objects.answer(404, &[], &format!("No such object: {BUCKET}/{key}"));
    };
    let modified = Objects::modified(object);
    let known = known == Some(&object.version) && objects.unmodified != Unmodified::Never;
    let headers = [
        ("x-goog-generation", &*object.version),
        ("last-modified", &*modified),
    ];
    match objects.unmodified {
        Unmodified::Full if known => objects.answer(304, &headers, ""),
        _ if known => objects.answer(304, &[], ""),
        _ => objects.answer(200, &headers, &object.value),
    }
}

fn write(objects: &mut Objects, request: &Received, expected: Option<&str>, key: &str) -> Vec<u8> {
    let condition = match expected {
        Some("0") => Condition::Missing,
        Some(generation) => Condition::Version(generation),
        None => Condition::None,
    };
    match objects.write(key, &request.body, condition) {
        Written::Landed(object) => {
            let body = json!({"kind": "storage#object", "name": key, "generation": object.version});
            objects.answer(200, &[], &body.to_string())
        }
        Written::Exists | Written::Stale | Written::Nothing => error(
            objects,
            412,
            "At least one of the pre-conditions you specified did not hold.",
        ),
    }
}
