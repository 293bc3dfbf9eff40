//! One call: route, caller, and the body as an edit.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::http::Request;

use super::api_error::ApiError;
use super::caller::{AccessToken, Caller};
use super::change::NewGist;
use super::files::{Edit, FileEdit};
use super::render::BaseUrl;

/// Path of the API at GitHub Enterprise.
const ENTERPRISE_PREFIX: &str = "/api/v3";

/// Route of a path.
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

    /// Returns the name in the counters.
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
    pub(super) base: BaseUrl,
    pub(super) route: Route,
    /// GET also for HEAD, OTHER for methods without a route.
    pub(super) method: &'static str,
}

impl<'r> Call<'r> {
    pub(super) fn of(request: &'r Request, accepted: &[AccessToken]) -> Self {
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
        // HTTP/1.0 needs no host.
        let origin = format!("http://{}", request.header("host").unwrap_or("localhost"));
        Self {
            request,
            caller: Caller::of(request, accepted),
            base: BaseUrl {
                api: format!("{origin}{prefix}"),
                origin,
            },
            route: Route::of(path),
            method,
        }
    }

    /// Returns whether the request carries one of these access tokens.
    pub(super) fn has_token_of(&self, tokens: &[String]) -> bool {
        let sent = self.request.header("authorization").unwrap_or_default();
        let (_, secret) = sent.split_once(' ').unwrap_or_default();
        tokens.iter().any(|token| token == secret.trim())
    }

    pub(super) fn is_write(&self) -> bool {
        self.method != "GET"
    }

    /// Returns a number of the query, from 1 to `most`. Ignores anything else.
    pub(super) fn number(&self, name: &str, default: usize, most: usize) -> usize {
        let given = self
            .request
            .query(name)
            .and_then(|text| text.parse().ok())
            .filter(|n| *n > 0);
        given.unwrap_or(default).min(most)
    }
}

/// Returns the edit in the body of a PATCH.
pub(super) fn edit(body: &[u8]) -> Result<Edit, ApiError> {
    let edit: Edit = parse(body)?;
    if edit.files.is_empty() && edit.description.is_none() {
        return Err(invalid("files or description is needed"));
    }
    let unchanged = |file: &Option<FileEdit>| *file == Some(FileEdit::default());
    match edit.files.iter().find(|(_, file)| unchanged(file)) {
        Some((name, _)) => Err(ApiError::invalid(format!(
            "the file `{name}` needs filename or content"
        ))),
        None => Ok(edit),
    }
}

/// Returns the gist in the body of a POST.
pub(super) fn new_gist(body: &[u8]) -> Result<NewGist, ApiError> {
    parse(body)
}

fn invalid(why: &str) -> ApiError {
    ApiError::invalid(why.to_owned())
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let parsed = serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => ApiError::invalid(error.to_string()),
        _ => ApiError::new(400, "Problems parsing JSON"),
    })?;
    // serde also accepts a list of the fields' values.
    match body.trim_ascii_start().first() {
        Some(b'{') => Ok(parsed),
        _ => Err(invalid("the body is not a JSON object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_routes() {
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
    fn patch_edits_renames_and_deletes() {
        let json = br#"{"files":{"a":null,"b":{"filename":"c"},"d":{"content":"x"},"e":{"filename":"f","content":"y"}}}"#;
        let files = edit(json).unwrap().files;
        let changes: Vec<Option<FileEdit>> = files.into_values().collect();
        let file = |filename: Option<&str>, content: Option<&str>| {
            Some(FileEdit {
                filename: filename.map(Into::into),
                content: content.map(Into::into),
            })
        };
        let expected = [
            None,
            file(Some("c"), None),
            file(None, Some("x")),
            file(Some("f"), Some("y")),
        ];
        assert_eq!(changes, expected);
    }

    #[test]
    fn invalid_json_is_400_other_422() {
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
