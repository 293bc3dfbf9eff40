//! An object as a store.

use std::sync::Arc;

use super::service::{Judgement, Service};
use crate::election::lock::LockError;
use crate::fmt::unix_time;
use crate::lock::store::{Answer, Response, Snapshot, Step, Store, Version};

/// An object.
#[derive(Clone, Debug)]
pub struct ObjectStore {
    service: Arc<dyn Service>,
    /// Newest state that was read.
    known: Option<Known>,
    /// Whether answers to unchanged reads show enough of the object.
    conditional: bool,
    call: Call,
}

#[derive(Clone, Debug)]
struct Known {
    value: Arc<[u8]>,
    version: Version,
    written_at: Option<i64>,
}

impl Known {
    /// Returns the version for the lock. Where versions recur, the time of the write is part of it.
    fn full_version(&self, service: &dyn Service) -> Version {
        match self.written_at {
            Some(time) if service.versions_recur() => {
                Version(format!("{} {time}", self.version).into())
            }
            _ => self.version.clone(),
        }
    }
}

/// Returns the version as the service knows it.
fn plain(version: &Version) -> Version {
    let plain = version.0.split_once(' ').map(|(plain, _)| plain);
    plain.map_or_else(|| version.clone(), Version::from)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Read,
    Write,
}

impl ObjectStore {
    /// Returns an object that was not read yet.
    #[must_use]
    pub fn new(service: Arc<dyn Service>) -> ObjectStore {
        ObjectStore {
            service,
            known: None,
            conditional: true,
            call: Call::Read,
        }
    }

    fn handle_read(&mut self, response: Response) -> Step {
        let server_time = response.date();
        let written_at = response.header("last-modified").and_then(unix_time);
        let known = match (response.status, self.known.take()) {
            (200, _) => {
                let Some(version) = self.service.version(&response) else {
                    return Step::Read(Err(self.without_version()));
                };
                if response.cut {
                    return Step::Read(Err(LockError::Refused(format!(
                        "{}: the content is too long for a lease record; it is left unchanged; use \
                         another place",
                        self.describe()
                    ))));
                }
                Known {
                    value: response.body.into(),
                    version,
                    written_at,
                }
            }
            (304, Some(known)) if self.service.versions_recur() && written_at.is_none() => {
                // It does not tell whether the same bytes were written again.
                drop(known);
                self.conditional = false;
                return self.read();
            }
            (304, Some(known)) => Known {
                written_at: written_at.or(known.written_at),
                ..known
            },
            _ => {
                return Step::Read(match self.service.judge(&response, false) {
                    Judgement::Missing => Ok(Snapshot {
                        server_time,
                        ..Snapshot::default()
                    }),
                    Judgement::Conflict => Err(LockError::Unavailable(format!(
                        "{} answered {} to a read; check any proxy on the way",
                        self.describe(),
                        response.status
                    ))),
                    Judgement::Error(error) => Err(error),
                });
            }
        };
        let snapshot = Snapshot {
            value: Some(Arc::clone(&known.value)),
            version: Some(known.full_version(&*self.service)),
            server_time,
            written_at: known.written_at,
        };
        self.known = Some(known);
        Step::Read(Ok(snapshot))
    }

    fn handle_write(&self, response: &Response) -> Step {
        Step::Wrote(match response.status {
            200..300 => match self.service.version(response) {
                Some(version) => Ok(version),
                None => Err(self.without_version()),
            },
            _ => match self.service.judge(response, true) {
                Judgement::Missing | Judgement::Conflict => Err(LockError::Conflict),
                Judgement::Error(error) => Err(error),
            },
        })
    }

    fn without_version(&self) -> LockError {
        let why = format!(
            "{}: the answer names no version; check the address and any proxy on the way",
            self.describe()
        );
        match self.call {
            Call::Read => LockError::Unavailable(why),
            Call::Write => LockError::OutcomeUnknown(why),
        }
    }
}

impl Store for ObjectStore {
    fn read(&mut self) -> Step {
        self.call = Call::Read;
        let known = self.known.as_ref().filter(|_| self.conditional);
        let request = self.service.ask_read(known.map(|known| &known.version));
        // A server that compresses an answer may change its version.
        Step::ask(request.header("accept-encoding", "identity"))
    }

    fn write(&mut self, expected: Option<&Version>, value: &[u8]) -> Step {
        self.call = Call::Write;
        let expected = expected.map(plain);
        let request = self.service.ask_write(expected.as_ref(), value.to_vec());
        Step::ask(request.header("content-type", "application/json"))
    }

    fn handle(&mut self, answer: Answer) -> Step {
        match (answer.reply, self.call) {
            (Ok(response), Call::Read) => self.handle_read(response),
            (Ok(response), Call::Write) => self.handle_write(&response),
            (Err(failure), Call::Read) => Step::Read(Err(failure.error(false))),
            (Err(failure), Call::Write) => Step::Wrote(Err(failure.error(true))),
        }
    }

    fn impossible_version(&self) -> Version {
        self.service.impossible_version()
    }

    fn describe(&self) -> String {
        self.service.describe()
    }
}
