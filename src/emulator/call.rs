//! One call: which route it is for, who calls, and the edit that its body asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::http::Request;

use super::answer::Refusal;
use super::caller::{Caller, Token};
use super::files::{Edit, FileEdit};
use super::render::Base;
use super::write::NewGist;

/// Where GitHub Enterprise has its API.
const ENTERPRISE_PREFIX: &str = "/api/v3";

/// What a path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Root,
    RateLimit,
    Gists,
    Gist(String),
    Commits(String),
    Revision(String, String),
    Unknown,
}

impl Route {
    fn of(path: &str) -> Self {
        let path = path.strip_suffix('/').unwrap_or(path);
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match parts.as_slice() {
            [] => Self::Root,
            ["rate_limit"] => Self::RateLimit,
            ["gists"] => Self::Gists,
            ["gists", id] => Self::Gist((*id).to_owned()),
            ["gists", id, "commits"] => Self::Commits((*id).to_owned()),
            ["gists", id, sha] => Self::Revision((*id).to_owned(), (*sha).to_owned()),
            _ => Self::Unknown,
        }
    }

    /// How it is counted.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::RateLimit => "/rate_limit",
            Self::Gists => "/gists",
            Self::Gist(_) => "/gists/{id}",
            Self::Commits(_) => "/gists/{id}/commits",
            Self::Revision(..) => "/gists/{id}/{sha}",
            Self::Unknown => "other",
        }
    }
}

/// One call of the API.
#[derive(Debug)]
pub(super) struct Call<'r> {
    pub(super) request: &'r Request,
    pub(super) caller: Caller,
    pub(super) base: Base,
    pub(super) route: Route,
    /// GET for HEAD as well, OTHER for methods that no route knows.
    pub(super) method: &'static str,
}

impl<'r> Call<'r> {
    pub(super) fn of(request: &'r Request, accepted: &[Token], own_origin: &str) -> Self {
        let (prefix, path) = match request.path().strip_prefix(ENTERPRISE_PREFIX) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => (ENTERPRISE_PREFIX, rest),
            _ => ("", request.path()),
        };
        let method = match request.method() {
            "GET" | "HEAD" => "GET",
            "POST" => "POST",
            "PATCH" => "PATCH",
            "DELETE" => "DELETE",
            _ => "OTHER",
        };
        Self {
            request,
            caller: Caller::of(request, accepted),
            base: Base {
                origin: origin(request, own_origin),
                prefix,
            },
            route: Route::of(path),
            method,
        }
    }

    pub(super) fn is_write(&self) -> bool {
        self.method != "GET"
    }

    /// A number from the query, from 1 to `most`; anything else is as if it were not there.
    pub(super) fn number(&self, name: &str, default: usize, most: usize) -> usize {
        let given = self
            .request
            .query(name)
            .and_then(|text| text.parse().ok())
            .filter(|n| *n > 0);
        given.unwrap_or(default).min(most)
    }
}

/// Under which name the client reached us: what links in our answers begin with.
fn origin(request: &Request, own_origin: &str) -> String {
    let plain = |host: &&str| {
        let fits = |b: u8| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'_' | b'[' | b']')
        };
        !host.is_empty() && host.len() <= 255 && host.bytes().all(fits)
    };
    request
        .header("host")
        .filter(plain)
        .map_or_else(|| own_origin.to_owned(), |host| format!("http://{host}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatchBody {
    description: Option<String>,
    files: Option<BTreeMap<String, Option<FileBody>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileBody {
    filename: Option<String>,
    content: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    description: Option<String>,
    #[serde(default)]
    public: bool,
    files: BTreeMap<String, NewFileBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFileBody {
    content: String,
}

fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Refusal> {
    let parsed = serde_json::from_slice(body).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => Refusal::invalid(&e.to_string()),
        _ => Refusal::new(400, "Problems parsing JSON"),
    })?;
    // serde would take a list of the fields' values as well.
    match body.trim_ascii_start().first() {
        Some(b'{') => Ok(parsed),
        _ => Err(Refusal::invalid("the body is not a JSON object")),
    }
}

/// The edit that the body of a PATCH asks for.
pub(super) fn edit(body: &[u8]) -> Result<Edit, Refusal> {
    let body: PatchBody = parse(body)?;
    let files = body.files.unwrap_or_default();
    if files.is_empty() && body.description.is_none() {
        return Err(Refusal::invalid("files or description is needed"));
    }
    let file = |(name, change): (String, Option<FileBody>)| {
        let change = match change {
            None => FileEdit::Delete,
            Some(FileBody {
                filename: Some(to),
                content,
            }) => FileEdit::Rename {
                to: to.into(),
                content: content.map(Into::into),
            },
            Some(FileBody {
                filename: None,
                content: Some(content),
            }) => FileEdit::Put(content.into()),
            Some(FileBody {
                filename: None,
                content: None,
            }) => {
                return Err(Refusal::invalid(&format!(
                    "nothing is said about the file `{name}`"
                )));
            }
        };
        Ok((Arc::from(name), change))
    };
    let files = files.into_iter().map(file).collect::<Result<_, _>>()?;
    Ok(Edit {
        description: body.description,
        files,
    })
}

/// The gist that the body of a POST asks for.
pub(super) fn new_gist(body: &[u8]) -> Result<NewGist, Refusal> {
    let body: CreateBody = parse(body)?;
    Ok(NewGist {
        description: body.description.unwrap_or_default(),
        public: body.public,
        files: body
            .files
            .into_iter()
            .map(|(name, file)| (name, file.content))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stand_for_routes() {
        let id = || "abc".to_owned();
        for (path, route) in [
            ("/", Route::Root),
            ("", Route::Root),
            ("/rate_limit", Route::RateLimit),
            ("/gists", Route::Gists),
            ("/gists/", Route::Gists),
            ("/gists/abc", Route::Gist(id())),
            ("/gists/abc/commits", Route::Commits(id())),
            ("/gists/abc/def", Route::Revision(id(), "def".to_owned())),
            ("/gists/abc/def/ghi", Route::Unknown),
            ("/users", Route::Unknown),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn a_patch_edits_renames_and_deletes() {
        let json = br#"{"files":{"a":null,"b":{"filename":"c"},"d":{"content":"x"},"e":{"filename":"f","content":"y"}}}"#;
        let files = edit(json).unwrap().files;
        let changes: Vec<FileEdit> = files.into_iter().map(|(_, change)| change).collect();
        let expected = [
            FileEdit::Delete,
            FileEdit::Rename {
                to: "c".into(),
                content: None,
            },
            FileEdit::Put("x".into()),
            FileEdit::Rename {
                to: "f".into(),
                content: Some("y".into()),
            },
        ];
        assert_eq!(changes, expected);
    }

    #[test]
    fn broken_json_is_400_and_json_of_another_shape_422() {
        for (body, status) in [
            ("", 400),
            ("{", 400),
            ("{}", 422),
            ("[]", 422),
            (r#"{"files":{"a":{"contents":"x"}}}"#, 422),
            (r#"{"files":{"a":{}}}"#, 422),
            (r#"{"file":{"a":{"content":"x"}}}"#, 422),
            (r#"{"files":{"a":{"content":1}}}"#, 422),
        ] {
            assert_eq!(
                edit(body.as_bytes()).unwrap_err().status(),
                status,
                "{body}"
            );
        }
    }
}
