//! An answer of the gist API: status, headers and body.
//!
//! The input's first line has the request's kind, the file's name, and the end of the requested history;
//! the answer follows in HTTP's format, with bare line feeds:
//!
//! ```text
//! GET leader.json 923dcb52ebb92dfa1d1db75f11e7ef15336f69a6
//! 200
//! etag: W/"1"
//!
//! {"files":…
//! ```

use std::io::{self, Read};
use std::time::Duration;

use elector::election::lock::LockError;
use elector::lock::gist::revision::Revision;
use elector::lock::gist::wire::head::Head;
use elector::lock::gist::wire::parse::{
    LONGEST_BODY, LONGEST_HISTORY, USUAL_HISTORY, WHOLE_HISTORY,
};
use elector::lock::gist::wire::target::check_api_url;
use elector::lock::gist::wire::{Answer, Commit, Reply, Request, Target, Text, answer};
use serde_json::Value;

use super::{assert_safe_error, json};

/// Longest wait that a server may demand.
const LONGEST_WAIT: Duration = Duration::from_secs(3660);

/// Most bytes that may be read of a body: the limit and the buffer.
const MOST_READ: u64 = LONGEST_BODY + 64 * 1024;

/// Most file names that are kept.
const NAMES: usize = 16;

/// Most files that the service lists.
const SHOWN_FILES: usize = 300;

pub fn check(data: &[u8]) {
    let Some(input) = Input::parse(data) else {
        return;
    };
    let parsed = input.answer(input.body);
    let in_pieces = input.answer(Drops(input.body));
    assert_eq!(parsed, in_pieces, "it depends on how the bytes arrive");
    keeps_its_bounds(&parsed);
    check_failure(&input, &parsed);
    check_against_tree(&input, &parsed);
}

/// The answer with its last byte repeated without end.
pub fn check_endless(data: &[u8]) {
    let Some(input) = Input::parse(data) else {
        return;
    };
    let last = input.body.last().copied().unwrap_or(b' ');
    let parsed = input.answer(input.body.chain(io::repeat(last)));
    keeps_its_bounds(&parsed);
}

/// Parsed input.
struct Input<'a> {
    request: Request,
    target: Target,
    head: Head,
    limits_before: u32,
    body: &'a [u8],
}

impl<'a> Input<'a> {
    fn parse(data: &'a [u8]) -> Option<Input<'a>> {
        let (first, rest) = split(data, b"\n")?;
        let (head, body) = split(rest, b"\n\n").unwrap_or((rest, b""));
        let mut words = std::str::from_utf8(first).ok()?.split(' ');
        let kind = words.next()?;
        let file = words.next().filter(|file| *file != "-");
        let until: Option<Revision> = words.next().and_then(|name| name.parse().ok());
        let some = until.unwrap_or(Revision::from_bytes([7; 20]));
        let request = match kind {
            "GET" => Request::Gist { etag: None, until },
            "AGAIN" => Request::Gist {
                etag: Some("W/\"1\"".into()),
                until,
            },
            "REVISION" => Request::Revision(some),
            "COMMITS" => Request::Commits {
                page: 1,
                per_page: 100,
            },
            "PATCH" => Request::Write {
                content: "{}".into(),
                until: some,
            },
            "HISTORY" => Request::History,
            "POST" => Request::Create {
                description: "x".into(),
                content: "{}".into(),
            },
            _ => return None,
        };
        let target = Target {
            api: check_api_url("https://api.github.com", false).unwrap(),
            gist: "aa5a".parse().unwrap(),
            file: file.map(Into::into),
        };
        let (status, headers) = split(head, b"\n").unwrap_or((head, b""));
        let status = std::str::from_utf8(status).ok()?.parse().ok()?;
        // As the HTTP client passes them: a value that is not ASCII counts as absent.
        let header = |name: &str| {
            headers.split(|byte| *byte == b'\n').find_map(|line| {
                let (key, value) = split(line, b":")?;
                key.eq_ignore_ascii_case(name.as_bytes())
                    .then(|| std::str::from_utf8(value).ok())?
            })
        };
        Some(Input {
            request,
            target,
            head: Head::new(status, header),
            limits_before: u32::try_from(first.len() % 40).unwrap(),
            body,
        })
    }

    /// Returns the meaning of the answer.
    fn answer(&self, body: impl Read) -> Answer {
        answer(
            &self.request,
            &self.target,
            &self.head,
            self.limits_before,
            Counted { body, taken: 0 },
        )
    }

    fn is_good(&self) -> bool {
        matches!(self.head.status, 200 | 201)
    }
}

fn split<'a>(data: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = data.windows(at.len()).position(|window| window == at)?;
    Some((&data[..place], &data[place + at.len()..]))
}

struct Counted<R> {
    body: R,
    taken: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        self.taken += read as u64;
        assert!(self.taken <= MOST_READ, "it reads on and on");
        Ok(read)
    }
}

/// A body that arrives a few bytes at a time.
struct Drops<'a>(&'a [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let few = buffer.len().min(3);
        self.0.read(&mut buffer[..few])
    }
}

fn keeps_its_bounds(parsed: &Answer) {
    match &parsed.reply {
        Ok(Reply::Gist(page)) => {
            assert!((1..=WHOLE_HISTORY).contains(&page.history.len()));
            assert!(page.files.len() <= NAMES);
        }
        Ok(Reply::Commits(commits)) => assert!(commits.len() <= LONGEST_HISTORY),
        Ok(_) => {}
        Err(error) => {
            assert_safe_error(error);
            if let LockError::RateLimited { retry_after, .. } = error {
                assert!((Duration::from_secs(1)..=LONGEST_WAIT).contains(retry_after));
            }
        }
    }
}

/// Checks that a write that the server may have carried out never counts as failed, and that a read
/// never has an unknown outcome.
fn check_failure(input: &Input<'_>, parsed: &Answer) {
    let Err(error) = &parsed.reply else { return };
    let doubtful = matches!(error, LockError::OutcomeUnknown(_));
    assert!(
        !matches!(error, LockError::Conflict),
        "only the rule says that"
    );
    assert!(input.request.is_write() || !doubtful, "{error:?}");
    let may_have_landed = input.is_good() || matches!(input.head.status, 409 | 500..=599);
    if input.request.is_write() && may_have_landed {
        assert!(doubtful, "{} became {error:?}", input.head.status);
    }
}

/// Checks that the streaming parser agrees with a parser of the whole body.
fn check_against_tree(input: &Input<'_>, parsed: &Answer) {
    if !input.is_good() {
        return;
    }
    let Some(tree) = json::parse(input.body) else {
        return;
    };
    if let Ok(Reply::Gist(page)) = &parsed.reply {
        let read = page.history.len();
        let entries = tree["history"].as_array().unwrap().iter().take(read);
        assert!(
            entries.clone().all(Value::is_object),
            "a list was taken for an entry"
        );
    }
    if let (Ok(Reply::Gist(_) | Reply::Revision(_)), Some(file)) =
        (&parsed.reply, &input.target.file)
    {
        let file = tree["files"].get(&**file);
        assert!(file.is_none_or(Value::is_object), "it was taken for a file");
    }
    if let Ok(Reply::Created(id)) = &parsed.reply {
        let named = tree["id"].as_str().unwrap();
        return assert!(named.contains(id.as_str()), "{named:?}: {id}");
    }
    let expected = expected(input, &tree);
    match (&parsed.reply, expected) {
        (Ok(Reply::Gist(page)), Some(expected)) => {
            assert_eq!(page.text, expected.text);
            assert_eq!(page.history, expected.history);
            let listed: Vec<&str> = page.files.iter().map(String::as_str).collect();
            assert!(listed.iter().all(|name| tree["files"].get(name).is_some()));
        }
        (Ok(Reply::Revision(text)), Some(expected)) => assert_eq!(*text, expected.text),
        (Ok(Reply::Commits(commits)), Some(expected)) => assert_eq!(*commits, expected.history),
        (Err(error), Some(_)) => panic!("a good answer was refused: {error:?}"),
        (_, None) => {}
        (reply, _) => panic!("an answer to another question: {reply:?}"),
    }
}

struct Expected {
    text: Text,
    history: Vec<Commit>,
}

/// Returns the content of a well-formed body; `None` for others.
fn expected(input: &Input<'_>, tree: &Value) -> Option<Expected> {
    let (until, most) = match &input.request {
        Request::Gist { until: None, .. } => (None, USUAL_HISTORY),
        Request::Gist { until, .. } => (*until, LONGEST_HISTORY),
        Request::Write { until, .. } => (Some(*until), LONGEST_HISTORY),
        Request::Commits { .. } => {
            let history = history(tree, None, LONGEST_HISTORY)?;
            let text = Text::Missing;
            return Some(Expected { text, history });
        }
        Request::Revision(_) => (None, 0),
        Request::History => (None, WHOLE_HISTORY),
        Request::Create { .. } => return None,
    };
    let text = text(input, tree)?;
    let history = match most {
        0 => Vec::new(),
        _ => history(&tree["history"], until, most).filter(|history| !history.is_empty())?,
    };
    Some(Expected { text, history })
}

fn text(input: &Input<'_>, tree: &Value) -> Option<Text> {
    let files = tree.get("files")?.as_object()?;
    if files.len() >= SHOWN_FILES {
        return None;
    }
    // Without a name the first file counts, and a tree does not keep the order.
    let file = match &input.target.file {
        Some(name) => files.get(&**name),
        None if files.len() < 2 => files.values().next(),
        None => return None,
    };
    let Some(file) = file else {
        return Some(Text::Missing);
    };
    file.as_object()?;
    let cut = match file.get("truncated") {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(_) => return None,
    };
    Some(match file.get("content") {
        Some(Value::String(content)) if cut => Text::Cut(content.as_str().into()),
        Some(Value::String(content)) => Text::Whole(content.as_str().into()),
        None | Some(Value::Null) => Text::Cut("".into()),
        Some(_) => return None,
    })
}

fn history(list: &Value, until: Option<Revision>, most: usize) -> Option<Vec<Commit>> {
    let mut history = Vec::new();
    let mut found = false;
    for entry in list.as_array()? {
        let revision: Revision = entry.get("version")?.as_str()?.parse().ok()?;
        let committed_at = match entry.get("committed_at") {
            None | Some(Value::Null) => None,
            Some(Value::String(time)) => unix_seconds(time),
            Some(_) => return None,
        };
        if !found && history.len() < most {
            history.push(Commit {
                revision,
                committed_at,
            });
        }
        found |= Some(revision) == until;
    }
    Some(history)
}

fn unix_seconds(text: &str) -> Option<i64> {
    use time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(time.unix_timestamp())
}
