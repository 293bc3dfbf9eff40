//! What the gist lock says to GitHub's gist API and hears from it, apart from any connection.
//!
//! The protocol asks with a [`Request`] and is told with an [`Answer`]. Which HTTP that is, which
//! status means which error and how a body is read stands here; who sends it, and how long that may
//! take, is the client's business.

use std::sync::Arc;

use super::revision::Revision;
use crate::election::lock::LockError;

/// A request to the gist API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The gist as it is: `GET /gists/{id}`.
    Gist {
        /// The entity tag of the answer that is known already: a 304 says that it still holds.
        etag: Option<Arc<str>>,
        /// The history need not be read further back than to this revision.
        until: Option<Revision>,
    },
    /// Our file as of a revision: `GET /gists/{id}/{sha}`.
    Revision(Revision),
    /// A page of the history, the first has number 1: `GET /gists/{id}/commits`.
    Commits {
        /// Which page.
        page: u32,
    },
    /// A new content of our file: `PATCH /gists/{id}`.
    Write {
        /// The whole text of the file.
        content: String,
        /// The history in the answer need not be read further back than to this revision.
        until: Revision,
    },
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The server's own clock (the `Date` header), in seconds since the Unix epoch.
    pub date: Option<i64>,
    /// What it said.
    pub reply: Result<Reply, LockError>,
}

/// A good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// 304: what the entity tag stood for still holds.
    NotModified,
    /// To [`Request::Gist`] and [`Request::Write`].
    Gist(GistPage),
    /// To [`Request::Revision`].
    Revision(Text),
    /// To [`Request::Commits`]: newest first; an empty page lies beyond the oldest revision.
    Commits(Vec<Commit>),
}

/// The gist as an answer shows it, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
}

/// An entry of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its name.
    pub revision: Revision,
    /// When it was made by the server's clock, in seconds since the Unix epoch.
    pub committed_at: Option<i64>,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Text {
    /// There is no such file.
    #[default]
    Missing,
    /// This is all of it.
    Whole(Arc<str>),
    /// It is too large for the API to show, this is its beginning.
    Cut(Arc<str>),
}
