//! A store with a conditional write in memory: its step machine, and the server.

use elector::election::lock::LockError;
use elector::election::time::Instant;
use elector::lock::store::{Answer, Failure, Request, Response, Snapshot, Step, Store, Version};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Store of one value, at `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CellStore {
    writes: bool,
}

/// Returns the time of a header in seconds since the Unix epoch.
fn unix_time(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(time.unix_timestamp())
}

/// Returns a time as a header carries it.
fn header_time(time: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(time).unwrap();
    time.format(&Rfc3339).unwrap()
}

impl Store for CellStore {
    fn read(&mut self) -> Step {
        self.writes = false;
        Step::ask(Request::get("/"))
    }

    fn write(&mut self, expected: Option<&Version>, value: &[u8]) -> Step {
        self.writes = true;
        let request = Request::write("PUT", "/", value.to_vec());
        Step::ask(match expected {
            Some(version) => request.header("if-match", version.to_string()),
            None => request.header("if-none-match", "*"),
        })
    }

    fn handle(&mut self, answer: Answer) -> Step {
        let writes = self.writes;
        let failed = |error| match writes {
            true => Step::Wrote(Err(error)),
            false => Step::Read(Err(error)),
        };
        let response = match answer.reply {
            Ok(response) => response,
            Err(failure) => return failed(failure.error(writes)),
        };
        let version = response.header("etag").map(Version::from);
        let value = (response.status == 200).then(|| response.body.clone().into());
        match (writes, response.status, version) {
            (false, 200 | 404, version) => Step::Read(Ok(Snapshot {
                value,
                version,
                server_time: response.date(),
                written_at: response.header("last-modified").and_then(unix_time),
            })),
            (true, 200, Some(version)) => Step::Wrote(Ok(version)),
            (true, 412, _) => Step::Wrote(Err(LockError::Conflict)),
            _ => failed(response.error("the cell", "", writes)),
        }
    }

    fn impossible_version(&self) -> Version {
        "never".into()
    }

    fn describe(&self) -> String {
        "the cell".to_owned()
    }
}

/// Returns an answer to the only server, which came at this time.
pub fn answer(at: Instant, received_at: i64, reply: Result<Response, Failure>) -> Answer {
    Answer {
        member: 0,
        at,
        received_at,
        reply,
    }
}

/// Server of one value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CellServer {
    /// Stored value.
    pub value: Option<Vec<u8>>,
    /// Number of the version.
    pub version: u64,
    /// Clock in seconds since the Unix epoch; `None` for answers without a date.
    pub date: Option<i64>,
    /// Time of the last write by that clock; `None` for a server that does not tell.
    pub written_at: Option<i64>,
    /// Whether a place without a value has a version too, like a branch without the file.
    pub versions_nothing: bool,
    /// Whether it carries out every write.
    pub ignores_conditions: bool,
    /// Whether it carries out every creation.
    pub ignores_if_none_match: bool,
}

impl CellServer {
    /// Returns a server without a value, at this time.
    pub fn new(date: i64) -> CellServer {
        CellServer {
            value: None,
            version: 0,
            date: Some(date),
            written_at: None,
            versions_nothing: false,
            ignores_conditions: false,
            ignores_if_none_match: false,
        }
    }

    /// Replaces the value without a condition.
    pub fn put(&mut self, value: &str) {
        self.store(value.as_bytes().to_vec());
    }

    fn store(&mut self, value: Vec<u8>) {
        self.value = Some(value);
        self.version += 1;
        self.written_at = self.written_at.and(self.date);
    }

    /// Removes the value without a condition.
    pub fn delete(&mut self) {
        self.value = None;
        self.version += 1;
    }

    /// Returns the value as text; empty for none.
    pub fn text(&self) -> String {
        String::from_utf8(self.value.clone().unwrap_or_default()).unwrap()
    }

    /// Carries out a request.
    pub fn respond(&mut self, request: &Request) -> Response {
        let header = |name| {
            let found = request.headers.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.as_str())
        };
        let has_version = self.value.is_some() || self.versions_nothing;
        let status = match &request.body {
            None if self.value.is_none() => 404,
            None => 200,
            Some(value) => {
                let permitted = match header("if-match") {
                    Some(version) => has_version && version == self.version.to_string(),
                    None => !has_version || self.ignores_if_none_match,
                };
                if permitted || self.ignores_conditions {
                    self.store(value.clone());
                    200
                } else {
                    412
                }
            }
        };
        let mut headers = Vec::new();
        if let Some(date) = self.date {
            headers.push(("date".to_owned(), header_time(date)));
        }
        if let Some(written_at) = self.written_at.filter(|_| status == 200) {
            headers.push(("last-modified".to_owned(), header_time(written_at)));
        }
        if (self.value.is_some() || self.versions_nothing) && status != 412 {
            headers.push(("etag".to_owned(), self.version.to_string()));
        }
        Response {
            status,
            headers,
            body: match request.body {
                None => self.value.clone().unwrap_or_default(),
                Some(_) => Vec::new(),
            },
            cut: false,
        }
    }
}

/// Fate of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It arrives, and its answer too.
    Answered,
    /// It does not arrive.
    Lost,
    /// It arrives, and its answer is lost.
    AnswerLost,
    /// It arrives twice; the second answer comes.
    Doubled,
    /// The value is deleted just before it arrives.
    Deleted,
    /// It is answered with this status, and not carried out.
    Status(u16),
}

impl Fate {
    /// Passes a request to the server. Returns what the client learns.
    pub fn apply(self, server: &mut CellServer, request: &Request) -> Result<Response, Failure> {
        let lost = || Failure::NoAnswer("no answer".to_owned());
        match self {
            Fate::Answered => Ok(server.respond(request)),
            Fate::Lost => Err(lost()),
            Fate::AnswerLost => {
                server.respond(request);
                Err(lost())
            }
            Fate::Doubled => {
                server.respond(request);
                Ok(server.respond(request))
            }
            Fate::Deleted => {
                server.delete();
                Ok(server.respond(request))
            }
            Fate::Status(status) => Ok(Response {
                status,
                ..Response::default()
            }),
        }
    }
}
