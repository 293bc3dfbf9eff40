//! A Lease as a store. Its version is `metadata.resourceVersion`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::lease;
use crate::election::lock::LockError;
use crate::lock::store::{Answer, Request, Response, Snapshot, Step, Store, Version};

/// Version of no object: an API server counts changes, and its first ones are its own.
const IMPOSSIBLE_VERSION: &str = "1";

/// A Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseStore {
    /// Path of the namespace's Leases.
    folder: String,
    namespace: String,
    name: String,
    /// Host of another cluster, for messages.
    server: Option<String>,
    /// Newest object read or written. A write sends all of it back, because the API server replaces the
    /// object. Its `uid` keeps a deleted Lease from being created again by an update.
    object: Option<Value>,
    call: Call,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Read,
    Update,
    Create,
}

impl LeaseStore {
    /// Returns a Lease that was not read yet. `server` is the host of another cluster than the own one, for
    /// messages.
    #[must_use]
    pub fn new(namespace: &str, name: &str, server: Option<String>) -> LeaseStore {
        LeaseStore {
            folder: format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            server,
            object: None,
            call: Call::Read,
        }
    }

    fn failed(&self, error: LockError) -> Step {
        match self.call {
            Call::Read => Step::Read(Err(error)),
            _ => Step::Wrote(Err(error)),
        }
    }

    /// Keeps an object that the server returned. Returns its version.
    fn take(&mut self, response: &Response) -> Option<Version> {
        if response.cut {
            return None;
        }
        let object: Value = serde_json::from_slice(&response.body).ok()?;
        let version = object["metadata"]["resourceVersion"].as_str()?.into();
        self.object = Some(object);
        Some(version)
    }

    fn unreadable(&self) -> LockError {
        let why = format!(
            "{}: the answer is not a Lease; check the address and any proxy on the way",
            self.describe()
        );
        match self.call {
            Call::Read => LockError::Unavailable(why),
            _ => LockError::OutcomeUnknown(why),
        }
    }

    fn handle_read(&mut self, response: &Response) -> Step {
        let server_time = response.date();
        match response.status {
            200 => {
                let Some(version) = self.take(response) else {
                    return Step::Read(Err(self.unreadable()));
                };
                let value = self.object.as_ref().map(lease::record);
                Step::Read(Ok(Snapshot {
                    value: value.map(|text| Arc::from(text.into_bytes())),
                    version: Some(version),
                    server_time,
                    written_at: None,
                }))
            }
            404 if is_status(response) => {
                self.object = None;
                Step::Read(Ok(Snapshot {
                    server_time,
                    ..Snapshot::default()
                }))
            }
            404 => Step::Read(Err(LockError::NotFound(format!(
                "{}: the server has no Kubernetes API; check the address in LOCK",
                self.describe()
            )))),
            _ => Step::Read(Err(self.error(response))),
        }
    }

    fn handle_write(&mut self, response: &Response) -> Step {
        Step::Wrote(match (response.status, self.call) {
            (200 | 201, _) => self.take(response).ok_or_else(|| self.unreadable()),
            (409, _) | (404, Call::Update) => Err(LockError::Conflict),
            (404, _) => Err(LockError::NotFound(format!(
                "{}: the namespace does not exist; create it",
                self.describe()
            ))),
            _ => Err(self.error(response)),
        })
    }

    fn error(&self, response: &Response) -> LockError {
        let status: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let message = status["message"].as_str().unwrap_or_default();
        response.error(&self.describe(), message, self.call != Call::Read)
    }
}

/// Returns whether an answer is one of an API server that refers to Leases.
fn is_status(response: &Response) -> bool {
    let status: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    status["kind"] == "Status" && status["details"]["kind"] == "leases"
}

impl Store for LeaseStore {
    fn read(&mut self) -> Step {
        self.call = Call::Read;
        // Without resourceVersion, the answer is the newest state, not one of a cache.
        let request = Request::get(format!("{}/{}", self.folder, self.name));
        Step::ask(request.header("accept", "application/json"))
    }

    fn write(&mut self, expected: Option<&Version>, value: &[u8]) -> Step {
        let mut object = match expected {
            Some(version) => {
                self.call = Call::Update;
                let mut object = self.object.clone().unwrap_or_default();
                object["metadata"]["resourceVersion"] = (*version.0).into();
                object
            }
            None => {
                self.call = Call::Create;
                json!({"metadata": {"name": self.name, "namespace": self.namespace}})
            }
        };
        object["apiVersion"] = "coordination.k8s.io/v1".into();
        object["kind"] = "Lease".into();
        object["metadata"]["name"] = self.name.as_str().into();
        let text = std::str::from_utf8(value).unwrap_or_default();
        if lease::put(&mut object, text).is_none() {
            return self.failed(LockError::Refused(format!(
                "{}: a Lease holds nothing but a record",
                self.describe()
            )));
        }
        let (method, path) = match self.call {
            Call::Create => ("POST", self.folder.clone()),
            _ => ("PUT", format!("{}/{}", self.folder, self.name)),
        };
        let request = Request::write(method, path, object.to_string().into_bytes());
        let request = request.header("accept", "application/json");
        Step::ask(request.header("content-type", "application/json"))
    }

    fn handle(&mut self, answer: Answer) -> Step {
        let writes = self.call != Call::Read;
        match answer.reply {
            Err(failure) => self.failed(failure.error(writes)),
            Ok(response) if writes => self.handle_write(&response),
            Ok(response) => self.handle_read(&response),
        }
    }

    fn impossible_version(&self) -> Version {
        IMPOSSIBLE_VERSION.into()
    }

    fn describe(&self) -> String {
        let (namespace, name) = (&self.namespace, &self.name);
        match &self.server {
            Some(server) => format!("Lease {namespace}/{name} at {server}"),
            None => format!("Lease {namespace}/{name}"),
        }
    }
}
