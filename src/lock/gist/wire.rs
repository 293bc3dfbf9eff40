//! What the gist lock says to GitHub's gist API and hears from it, apart from any connection.
//!
//! The protocol asks with a [`Request`] and is told with an [`Answer`]. Which HTTP that is, which
//! status means which error and how a body is read stands here; who sends it, and how long that may
//! take, is the client's business. Nothing here knows a socket, a clock or the environment.
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
use head::{Asked, Head};
use parse::{History, Unusable, Want};
pub use rate::RateLimit;

pub use target::{GistId, Target};

/// A request to the gist API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// The gist as it is: `GET /gists/{id}`.
    Gist {
        /// The entity tag of the answer that is known already: a 304 says that it still holds.
        etag: Option<Arc<str>>,
        /// The history need not be read further back than to this revision.
        until: Option<Revision>,
    },
    /// The gist with as much of its history as the answer shows: `GET /gists/{id}`. To be asked by
    /// whoever wants all of it; of a long one this may be megabytes.
    History,
    /// Our file as of a revision: `GET /gists/{id}/{sha}`.
    Revision(Revision),
    /// A page of the history, the first has number 1: `GET /gists/{id}/commits`.
    Commits {
        /// Which page.
        page: u32,
        /// How many entries it is to have, at most 100; a service may give fewer.
        per_page: usize,
    },
    /// A new content of our file: `PATCH /gists/{id}`.
    Write {
        /// The whole text of the file.
        content: String,
        /// The history in the answer need not be read further back than to this revision.
        until: Revision,
    },
    /// A new, secret gist with our file alone: `POST /gists`. Which gist the client is for does not
    /// matter.
    Create {
        /// A line about the gist.
        description: String,
        /// The whole text of the file.
        content: String,
    },
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The server's own clock (the `Date` header), in seconds since the Unix epoch.
    pub date: Option<i64>,
    /// How many of the hour's requests are left, which all of a user's programs share; `None` if it
    /// does not say.
    pub rate: Option<RateLimit>,
    /// What it said.
    pub reply: Result<Reply, LockError>,
}

/// A good answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// 304: what the entity tag stood for still holds.
    NotModified,
    /// To [`Request::Gist`], [`Request::History`] and [`Request::Write`].
    Gist(GistPage),
    /// To [`Request::Revision`].
    Revision(Text),
    /// To [`Request::Commits`]: newest first; an empty page lies beyond the oldest revision.
    Commits(Vec<Commit>),
    /// To [`Request::Create`]: the gist that was made.
    Created(GistId),
}

/// The gist as an answer shows it, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GistPage {
    /// The entity tag for the next conditional request.
    pub etag: Option<Arc<str>>,
    /// The names of the gist's files, a few of them where there are many.
    pub files: Vec<String>,
    /// What our file holds; where no file was named, the first one.
    pub text: Text,
    /// The newest revisions, newest first. There may be more below the last one.
    pub history: Vec<Commit>,
    /// What the token may do (`X-OAuth-Scopes`), where the server says so.
    pub scopes: Option<Arc<str>>,
    /// Whose it is, and who sees it.
    pub about: About,
}

/// What an answer says of the gist as a whole, for people. `None` for what was not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct About {
    /// Whether everybody finds it.
    pub public: Option<bool>,
    /// The login of its owner.
    pub owner: Option<Arc<str>>,
}

/// An entry of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    /// Its name.
    pub revision: Revision,
    /// When it was made by the server's clock, in seconds since the Unix epoch.
    pub committed_at: Option<i64>,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Text {
    /// There is no such file.
    #[default]
    Missing,
    /// This is all of it.
    Whole(Arc<str>),
    /// It is too large for the API to show, this is its beginning.
    Cut(Arc<str>),
}

/// What came of `request`: the meaning of an answer's status, headers and body, of which no more is
/// read than is needed.
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
            let why = "says that nothing changed, though it was not asked that; check any proxy on the way";
            return Err(asked.unclear(format!("{} {why}", target.api.host())));
        }
        _ => return Err(asked.failure(head, &parse::read_message(body))),
    }
    let file = target.file.as_deref();
    let read = match request {
        Request::Gist { until, .. } => {
            let history = until.map_or(History::Newest, History::Until);
            read_page(head, Want { file, history }, body)
        }
        Request::History => {
            let history = History::Shown;
            read_page(head, Want { file, history }, body)
        }
        Request::Write { until, .. } => {
            let history = History::Until(*until);
            read_page(head, Want { file, history }, body)
        }
        Request::Create { .. } => parse::read_id(body).map(Reply::Created),
        Request::Revision(_) => {
            let history = History::Nothing;
            parse::read_gist(body, Want { file, history }).map(|gist| Reply::Revision(gist.text))
        }
        Request::Commits { .. } => parse::read_commits(body).map(Reply::Commits),
    };
    read.map_err(|why| asked.unclear(format!("{}: {why}", target.api.host())))
}

fn read_page(head: &Head, want: Want<'_>, body: impl Read) -> Result<Reply, Unusable> {
    let gist = parse::read_gist(body, want)?;
    Ok(Reply::Gist(GistPage {
        etag: head.etag.clone(),
        files: gist.files,
        text: gist.text,
        history: gist.history,
        scopes: head.scopes.clone(),
        about: gist.about,
    }))
}
