//! Streaming parser of answers' bodies: with a long history, megabytes may follow the needed part. Only the
//! requested part is kept, and reading stops when it is complete.
//!
//! The keys may come in any order. Any malformed part makes the whole answer unusable; nothing is guessed.

mod files;
mod object;
mod state;

use std::fmt;
use std::io::{self, BufReader, Read};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::de::IoRead;
use serde_json::error::Category;

use self::files::FilesVisitor;
use self::object::Object;
#[cfg(test)]
use self::state::NAMES_KEPT;
use self::state::{ENOUGH, State};
use super::target::GistId;
use super::{Commit, GistPage, Revision, Text};
use crate::fmt::one_line;
use crate::fmt::unix_time;

pub use self::state::{History, Want};

/// Longest body that is read, in bytes after decompression: more than a day of history at 1 kB an entry,
/// and small enough for a request's timeout.
pub const LONGEST_BODY: u64 = 16 * 1024 * 1024;

/// Entries of the history that are kept if no revision is named.
pub const USUAL_HISTORY: usize = 30;

/// Most entries of the history that are kept of one answer; more are read by pages.
pub const LONGEST_HISTORY: usize = 300;

/// Most entries that are kept if the whole history is requested: the longest body holds no more.
pub const WHOLE_HISTORY: usize = 20_000;

/// Most files that GitHub lists of a gist. Beyond them, an unlisted file may exist.
const MOST_FILES: usize = 300;

/// Most bytes of a failure's body that are searched for its message.
const LONGEST_FAILURE: u64 = 64 * 1024;

/// Most characters of an id or a login that are kept; GitHub's have at most 39.
const LONGEST_LOGIN: usize = 100;

/// Reads a gist, without the parts of the page that come from the headers. Owner and visibility are read
/// if they precede the other parts, as in GitHub's answers.
///
/// # Errors
/// Returns the problem if the body is incomplete, too long or not in GitHub's format.
pub fn read_gist(body: impl Read, want: Want<'_>) -> Result<GistPage, String> {
    let mut state = State::new(want);
    let read = Seed(GistVisitor(&mut state)).deserialize(&mut json(body));
    if !state.is_complete() {
        read.map_err(|error| unusable(&error))?;
        return Err(
            "the answer is not a gist: it has no files or no history; check GITHUB_API_URL".into(),
        );
    }
    let page = state.page;
    if page.history.is_empty() && want.history != History::Nothing {
        return Err("the gist has no revision".into());
    }
    if page.text == Text::Missing && state.listed >= MOST_FILES {
        return Err(format!(
            "the gist has more files than GitHub lists ({MOST_FILES}), and the lock's file is not among them; use a gist with fewer files"
        ));
    }
    Ok(page)
}

/// Reads a page of the history, at most [`LONGEST_HISTORY`] entries of it.
///
/// # Errors
/// As for [`read_gist`].
pub fn read_commits(body: impl Read) -> Result<Vec<Commit>, String> {
    let mut commits = Vec::new();
    let mut done = false;
    let page = CommitsVisitor {
        until: None,
        limit: LONGEST_HISTORY,
        stop_when_full: true,
        commits: &mut commits,
        done: &mut done,
    };
    let read = Seed(page).deserialize(&mut json(body));
    if !done {
        read.map_err(|error| unusable(&error))?;
    }
    Ok(commits)
}

/// Reads the id of a gist.
///
/// # Errors
/// As for [`read_gist`], and if the body has no valid id.
pub fn read_id(body: impl Read) -> Result<GistId, String> {
    #[derive(Deserialize)]
    struct Made {
        id: String,
    }
    let made = Object::<Made>::deserialize(&mut json(body)).map_err(|error| unusable(&error))?;
    let id = made.0.id.parse();
    id.map_err(|_| "the answer has no valid gist id".into())
}

/// Returns the `message` in the body of a failure, or else the body's text; `None` if that is HTML.
#[must_use]
pub fn read_message(body: impl Read) -> Option<String> {
    #[derive(Deserialize)]
    struct Failure {
        message: String,
    }
    let mut bytes = Vec::new();
    // After an error the part before it is used.
    let _ = body.take(LONGEST_FAILURE).read_to_end(&mut bytes);
    if let Ok(failure) = serde_json::from_slice::<Object<Failure>>(&bytes) {
        return Some(failure.0.message);
    }
    let text = String::from_utf8_lossy(&bytes);
    let is_html = text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with('<');
    (!is_html).then(|| text.into_owned())
}

fn cut(name: &str) -> String {
    name.chars().take(LONGEST_LOGIN).collect()
}

fn json<R: Read>(body: R) -> serde_json::Deserializer<IoRead<BufReader<Bounded<R>>>> {
    // serde_json reads single bytes.
    serde_json::Deserializer::from_reader(BufReader::new(Bounded {
        body,
        left: LONGEST_BODY,
    }))
}

/// A body that fails, rather than ends, at its longest length.
struct Bounded<R> {
    body: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let room = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.body.read(&mut buffer[..room])?;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Returns the problem of a body that cannot be used.
fn unusable(error: &serde_json::Error) -> String {
    let shown = one_line(&error.to_string());
    match (error.classify(), error.io_error_kind()) {
        (_, Some(io::ErrorKind::TimedOut)) => "the answer did not arrive in time".into(),
        (_, Some(io::ErrorKind::FileTooLarge)) => format!(
            "the answer is longer than {} MiB; use a new gist",
            LONGEST_BODY / 1024 / 1024
        ),
        (Category::Eof | Category::Io, _) => format!("the answer is incomplete ({shown})"),
        (Category::Syntax | Category::Data, _) => format!(
            "the answer is not in the format of GitHub's API ({shown}); check GITHUB_API_URL and any proxy on the way"
        ),
    }
}

/// Reader of a part of a body, by a visitor that accepts only the expected kind of value.
struct Seed<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Seed<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<V::Value, D::Error> {
        json.deserialize_any(self.0)
    }
}

struct GistVisitor<'s, 'a>(&'s mut State<'a>);

impl<'de> Visitor<'de> for GistVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a gist")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut history_met = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "files" if self.0.files_read => return Err(A::Error::duplicate_field("files")),
                "files" => map.next_value_seed(Seed(FilesVisitor(&mut *self.0)))?,
                "history" if history_met => return Err(A::Error::duplicate_field("history")),
                "history" if self.0.want.history != History::Nothing => {
                    history_met = true;
                    map.next_value_seed(Seed(history_visitor(self.0)))?;
                }
                // For display only, so any value is accepted.
                "id" => {
                    let id: Value = map.next_value()?;
                    self.0.page.id = id.as_str().map(|id| cut(id).into());
                }
                "public" => self.0.page.about.public = map.next_value::<Value>()?.as_bool(),
                "owner" => {
                    let owner: Value = map.next_value()?;
                    let login = owner.get("login").and_then(Value::as_str);
                    self.0.page.about.owner = login.map(|login| cut(login).into());
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            self.0.go_on()?;
        }
        Ok(())
    }
}

/// Returns a reader of the history into `state`, which stops when it has the requested part and the files
/// were read.
fn history_visitor<'s>(state: &'s mut State<'_>) -> CommitsVisitor<'s> {
    let (until, limit) = match state.want.history {
        History::Until(until) => (Some(until), LONGEST_HISTORY),
        History::Shown => (None, WHOLE_HISTORY),
        History::Newest | History::Nothing => (None, USUAL_HISTORY),
    };
    CommitsVisitor {
        until,
        limit,
        stop_when_full: state.has_file(),
        commits: &mut state.page.history,
        done: &mut state.history_read,
    }
}

/// Reader of history entries: down to `until`, if it is set, and at most `limit`.
struct CommitsVisitor<'s> {
    until: Option<Revision>,
    limit: usize,
    stop_when_full: bool,
    commits: &'s mut Vec<Commit>,
    /// Set when the requested part was read.
    done: &'s mut bool,
}

impl CommitsVisitor<'_> {
    fn is_full(&self) -> bool {
        let found = self
            .commits
            .last()
            .is_some_and(|last| Some(last.revision) == self.until);
        found || self.commits.len() >= self.limit
    }
}

/// An entry of the history in the API's format.
#[derive(Deserialize)]
struct Entry {
    version: String,
    committed_at: Option<String>,
}

impl<'de> Visitor<'de> for CommitsVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the history of a gist")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(Object(entry)) = seq.next_element::<Object<Entry>>()? {
            self.commits.push(Commit {
                revision: entry.version.parse().map_err(A::Error::custom)?,
                committed_at: entry.committed_at.as_deref().and_then(unix_time),
            });
            if !self.is_full() {
                continue;
            }
            *self.done = true;
            if self.stop_when_full {
                return Err(A::Error::custom(ENOUGH));
            }
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        *self.done = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
