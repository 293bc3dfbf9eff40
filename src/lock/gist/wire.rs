//! Requests to GitHub's gist API and their answers, apart from any connection.
//!
//! The protocol sends a [`Request`] and receives an [`Answer`]. This module converts them to and from HTTP
//! and JSON. Connections and timeouts are left to the client. Nothing here uses a socket, a clock or the
//! environment.
//!
//! ```text
//! Request --to_http--> method, URL, headers, JSON  ~~client~~>  Head, body --answer--> Answer
//!         (request.rs)                                          (head.rs, parse.rs)
//! ```

pub mod head;
pub mod parse;
pub mod rate;
pub mod request;
pub mod target;

use std::io::Read;
use std::sync::Arc;

use super::revision::Revision;
use crate::election::lock::LockError;
pub use crate::lock::stats::RateLimit;
use head::{Asked, Head, unclear};
use parse::{History, Want};
pub use target::{GistId, Target};

/// Length in bytes from which a cut text counts as cut because of its length. GitHub shows 1 MB of such a
/// text.
const LONGEST_WITHHELD: usize = 500_000;

/// A request to the gist API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Read the gist: `GET /gists/{id}`.
    Gist {
        /// Entity tag of an earlier answer: a 304 says that it still holds.
        etag: Option<Arc<str>>,
        /// Revision down to which the history is needed.
        until: Option<Revision>,
    },
    /// Read the gist with all of the history that the answer shows: `GET /gists/{id}`. A long history may
    /// have megabytes.
    History,
    /// Read the lock's file in a revision: `GET /gists/{id}/{sha}`.
    Revision(Revision),
    /// Read a page of the history: `GET /gists/{id}/commits`.
    Commits {
        /// Number of the page, from 1.
        page: u32,
        /// Entries per page, at most 100; a service may return fewer.
        per_page: usize,
    },
    /// Write the lock's file: `PATCH /gists/{id}`.
    Write {
        /// Whole text of the file.
        content: String,
        /// Revision down to which the history in the answer is needed.
        until: Revision,
    },
    /// Create a secret gist with only the lock's file: `POST /gists`. The client's own gist does not matter.
    Create {
        /// Description of the gist, one line.
        description: String,
        /// Whole text of the file.
        content: String,
    },
}

/// Answer to a request, or its failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The server's clock (the `Date` header), in seconds since the Unix epoch.
    pub date: Option<i64>,
    /// Rate limit of the account; `None` if the answer does not state it.
    pub rate: Option<RateLimit>,
    /// Content of the answer.
    pub reply: Result<Reply, LockError>,
}

/// Content of a successful answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// 304: the answer with the entity tag still holds.
    NotModified,
    /// Answer to [`Request::Gist`], [`Request::History`] and [`Request::Write`].
    Gist(GistPage),
    /// Answer to [`Request::Revision`].
    Revision(Text),
    /// Answer to [`Request::Commits`], newest first; a page beyond the oldest revision is empty.
    Commits(Vec<Commit>),
    /// Answer to [`Request::Create`]: id of the new gist.
    Created(GistId),
}

/// The read part of a gist in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GistPage {
    /// Entity tag for the next conditional request.
    pub etag: Option<Arc<str>>,
    /// Names of the gist's files, a few of them if there are many.
    pub files: Vec<String>,
    /// Names of other files that hold election records, a few of them if there are many.
    pub elections: Vec<String>,
    /// Largest other files, at most three, and their sizes in bytes.
    pub largest: Vec<(String, u64)>,
    /// Text of the lock's file; of the first file if none was named.
    pub text: Text,
    /// Newest revisions, newest first. More may exist below the last one.
    pub history: Vec<Commit>,
    /// Scopes of the access token (`X-OAuth-Scopes`), if the server states them.
    pub scopes: Option<Arc<str>>,
    /// Id, for display.
    pub id: Option<Arc<str>>,
    /// Owner and visibility.
    pub about: About,
}

/// Owner and visibility of a gist, for display; `None` for values that were not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct About {
    /// Whether the gist is public.
    pub public: Option<bool>,
    /// Login of the owner.
    pub owner: Option<Arc<str>>,
}

/// Entry of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    /// Name of the revision.
    pub revision: Revision,
    /// Time of the commit by the server's clock, in seconds since the Unix epoch.
    pub committed_at: Option<i64>,
}

/// Text of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Text {
    /// The file does not exist.
    #[default]
    Missing,
    /// The whole text.
    Whole(Arc<str>),
    /// The beginning of a text that is too large for the API.
    Cut(Arc<str>),
}

impl Text {
    /// Returns whether the text was cut although it is short: the gist holds too much.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        matches!(self, Text::Cut(beginning) if beginning.len() < LONGEST_WITHHELD)
    }
}

/// Converts an HTTP answer to `request`. Reads no more of the body than needed.
pub fn answer(
    request: &Request,
    target: &Target,
    head: &Head,
    limits_before: u32,
    body: impl Read,
) -> Answer {
    let asked = Asked {
        api: &target.api,
        write: request.is_write(),
        limits_before,
    };
    Answer {
        date: head.date,
        rate: head.rate(),
        reply: reply(request, target, &asked, head, body),
    }
}

fn reply(
    request: &Request,
    target: &Target,
    asked: &Asked<'_>,
    head: &Head,
    body: impl Read,
) -> Result<Reply, LockError> {
    match head.status {
        200 | 201 => {}
        304 if matches!(request, Request::Gist { etag: Some(_), .. }) => {
            return Ok(Reply::NotModified);
        }
        304 => {
            let why = "answered 304 to an unconditional request; check any proxy on the way";
            return Err(unclear(asked.write, format!("{} {why}", target.api.host())));
        }
        _ => return Err(asked.failure(head, parse::read_message(body).as_deref())),
    }
    let history = match request {
        Request::Gist {
            until: Some(until), ..
        }
        | Request::Write { until, .. } => History::Until(*until),
        Request::Gist { until: None, .. } => History::Newest,
        Request::History => History::Shown,
        _ => History::Nothing,
    };
    let want = Want {
        file: target.file.as_deref(),
        history,
    };
    let read = match request {
        Request::Create { .. } => parse::read_id(body).map(Reply::Created),
        Request::Commits { .. } => parse::read_commits(body).map(Reply::Commits),
        Request::Revision(_) => parse::read_gist(body, want).map(|gist| Reply::Revision(gist.text)),
        Request::Gist { .. } | Request::History | Request::Write { .. } => {
            let page = parse::read_gist(body, want);
            page.map(|page| {
                Reply::Gist(GistPage {
                    etag: head.etag.clone(),
                    scopes: head.scopes.clone(),
                    ..page
                })
            })
        }
    };
    read.map_err(|why| unclear(asked.write, format!("{}: {why}", target.api.host())))
}
