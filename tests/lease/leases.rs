//! Leases of an API server, as Kubernetes 1.34 keeps and refuses them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Fields of a Lease's `spec`. The server drops others.
const FIELDS: [&str; 7] = [
    "holderIdentity",
    "leaseDurationSeconds",
    "acquireTime",
    "renewTime",
    "leaseTransitions",
    "strategy",
    "preferredHolder",
];

/// Leases of one namespace, `jobs`.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    objects: BTreeMap<String, Value>,
    /// Number of changes.
    version: u64,
    uids: u64,
    /// Whether it carries out every write.
    pub(crate) ignores_conditions: bool,
}

/// Status code and body of an answer.
type Answer = (u16, Value);

impl Leases {
    /// Carries out a request.
    pub(crate) fn respond(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let rest = path.strip_prefix("/apis/coordination.k8s.io/v1/namespaces/");
        let Some(("jobs", rest)) = rest.and_then(|rest| rest.split_once('/')) else {
            let text = format!("no namespace in {path}");
            return status(404, "NotFound", &text, "namespaces");
        };
        let name = rest.trim_start_matches("leases").trim_start_matches('/');
        let object = serde_json::from_str(body);
        match (method, object) {
            ("GET", _) => self.get(name),
            ("POST", Ok(object)) => self.create(&object),
            ("PUT", Ok(object)) => self.update(name, &object),
            ("PUT" | "POST", Err(error)) => status(400, "BadRequest", &error.to_string(), "leases"),
            _ => status(405, "MethodNotAllowed", method, "leases"),
        }
    }

    fn get(&self, name: &str) -> Answer {
        match self.objects.get(name) {
            Some(object) => (200, object.clone()),
            None => {
                let text = format!("leases.coordination.k8s.io {name:?} not found");
                status(404, "NotFound", &text, "leases")
            }
        }
    }

    fn create(&mut self, object: &Value) -> Answer {
        let object = match decoded(object).and_then(validated) {
            Ok(object) => object,
            Err(refusal) => return refusal,
        };
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let name = name.to_owned();
        if self.objects.contains_key(&name) && !self.ignores_conditions {
            return status(409, "AlreadyExists", "already exists", "leases");
        }
        (201, self.keep(&name, object))
    }

    fn update(&mut self, name: &str, object: &Value) -> Answer {
        let object = match decoded(object) {
            Ok(object) => object,
            Err(refusal) => return refusal,
        };
        let given = &object["metadata"];
        let (version, uid) = (&given["resourceVersion"], &given["uid"]);
        let stored = self.objects.get(name);
        let conflict = match stored.map(|stored| &stored["metadata"]) {
            _ if version.is_null() => {
                let text = "resourceVersion: must be specified for an update";
                return status(422, "Invalid", text, "leases");
            }
            _ if self.ignores_conditions => false,
            Some(stored) => {
                *version != stored["resourceVersion"] || !uid.is_null() && *uid != stored["uid"]
            }
            // A Lease that was deleted is created again, unless the body has its uid.
            None => !uid.is_null(),
        };
        if conflict {
            let text =
                "the object has been modified; please apply your changes to the latest version";
            return status(409, "Conflict", text, "leases");
        }
        let code = if stored.is_none() { 201 } else { 200 };
        match validated(object) {
            Ok(object) => (code, self.keep(name, object)),
            Err(refusal) => refusal,
        }
    }

    /// Stores an object under a new version. Like the server, a write that changes nothing keeps the version.
    fn keep(&mut self, name: &str, mut object: Value) -> Value {
        match self.objects.get(name) {
            Some(stored) => object["metadata"]["uid"] = stored["metadata"]["uid"].clone(),
            None => {
                self.uids += 1;
                object["metadata"]["uid"] = format!("uid-{}", self.uids).into();
            }
        }
        if let Some(stored) = self.objects.get(name) {
            object["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
            if object == *stored {
                return object;
            }
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = (100 + self.version).to_string().into();
        self.objects.insert(name.to_owned(), object.clone());
        object
    }

    // ---- other clients ----

    /// Returns an object; null if there is none.
    pub(crate) fn object(&self, name: &str) -> Value {
        self.objects.get(name).cloned().unwrap_or_default()
    }

    /// Changes an object, as a client does that read it before.
    pub(crate) fn edit(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.object(name);
        change(&mut object);
        self.keep(name, object);
    }

    pub(crate) fn delete(&mut self, name: &str) {
        self.objects.remove(name);
        self.version += 1;
    }
}

/// Returns the object as the server understands it, or an answer that it does not.
fn decoded(object: &Value) -> Result<Value, Answer> {
    let mut object = object.clone();
    let spec = object["spec"].as_object().cloned().unwrap_or_default();
    let spec: Map<String, Value> = spec
        .into_iter()
        .filter(|(field, value)| FIELDS.contains(&field.as_str()) && !value.is_null())
        .collect();
    let bad = |text: &str| Err(status(400, "BadRequest", text, "leases"));
    for field in ["acquireTime", "renewTime"] {
        let digits = spec.get(field).map(|time| {
            let time = time.as_str().unwrap_or_default();
            let digits = time.strip_suffix('Z').and_then(|time| time.split_once('.'));
            digits.map_or(0, |(_, digits)| digits.len())
        });
        if digits.is_some_and(|digits| digits != 6) {
            return bad("a MicroTime has six digits");
        }
    }
    let is_int = |value: &Value| value.as_i64().is_some_and(|n| i32::try_from(n).is_ok());
    for field in ["leaseTransitions", "leaseDurationSeconds"] {
        if spec.get(field).is_some_and(|value| !is_int(value)) {
            return bad("the field is an int32");
        }
    }
    object["spec"] = spec.into();
    Ok(object)
}

/// Returns the object, or an answer that the server does not store it.
fn validated(object: Value) -> Result<Value, Answer> {
    let duration = object["spec"]["leaseDurationSeconds"].as_i64();
    if duration.is_some_and(|seconds| seconds <= 0) {
        let text = "spec.leaseDurationSeconds: Invalid value: must be greater than 0";
        return Err(status(422, "Invalid", text, "leases"));
    }
    Ok(object)
}

/// Returns an answer of the kind `Status`.
pub(crate) fn status(code: u16, reason: &str, message: &str, kind: &str) -> Answer {
    let body = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": {"name": "report", "group": "coordination.k8s.io", "kind": kind},
        "code": code,
    });
    (code, body)
}
