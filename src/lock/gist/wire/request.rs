//! Conversion of a request to HTTP: method, URL, headers and body. The client adds the access token.

use serde_json::{Value, json};
use ureq::http;

use super::{Request, Target};
use crate::election::lock::LockError;

/// Version of the API; GitHub keeps it unchanged.
const API_VERSION: &str = "2022-11-28";

/// An HTTP request without the access token. Only a write has a body, which is JSON.
pub type HttpRequest = http::Request<Option<String>>;

impl Request {
    /// Returns whether the request changes or creates a gist.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self, Request::Write { .. } | Request::Create { .. })
    }

    /// Returns the HTTP method.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Request::Write { .. } => "PATCH",
            Request::Create { .. } => "POST",
            _ => "GET",
        }
    }

    /// Converts the request to HTTP.
    ///
    /// # Errors
    /// [`LockError::Refused`] for a write before a file is chosen.
    pub fn to_http(&self, target: &Target) -> Result<HttpRequest, LockError> {
        let gist = format!("{}/gists/{}", target.api.as_str(), target.gist.as_str());
        let (url, body) = match self {
            Request::Gist { .. } | Request::History => (gist, None),
            Request::Revision(revision) => (format!("{gist}/{revision}"), None),
            Request::Commits { page, per_page } => {
                let url = format!("{gist}/commits?per_page={per_page}&page={page}");
                (url, None)
            }
            Request::Write { content, .. } => {
                (gist, Some(json!({ "files": files(target, content)? })))
            }
            Request::Create {
                description,
                content,
            } => {
                let body = json!({
                    "description": description,
                    "public": false,
                    "files": files(target, content)?,
                });
                (format!("{}/gists", target.api.as_str()), Some(body))
            }
        };
        let mut http = http::Request::builder()
            .method(self.method())
            .uri(url)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", API_VERSION);
        if let Request::Gist {
            etag: Some(etag), ..
        } = self
        {
            http = http.header("if-none-match", &**etag);
        }
        // A write has no If-Match: GitHub answers 400, and some servers answer 412 and still write.
        if body.is_some() {
            http = http.header("content-type", "application/json");
        }
        let http = http.body(body.map(|body| body.to_string()));
        http.map_err(|error| LockError::Unavailable(error.to_string()))
    }
}

/// Returns the field `files` of a body that writes only the lock's file.
fn files(target: &Target, content: &str) -> Result<Value, LockError> {
    let file = target.file.as_deref().ok_or_else(|| {
        LockError::Refused("GIST_FILE: no file of the gist is chosen; name the one to write".into())
    })?;
    Ok(json!({ file: { "content": content } }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::target::check_api_url;
    use super::*;

    fn target(api: &str, file: Option<&str>) -> Target {
        Target {
            api: check_api_url(api, false).unwrap(),
            gist: "aa5a".parse().unwrap(),
            file: file.map(Arc::from),
        }
    }

    fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
        request.headers().get(name)?.to_str().ok()
    }

    #[test]
    fn read_names_api_version() {
        let request = Request::Gist {
            etag: Some("W/\"1\"".into()),
            until: None,
        };
        let http = request
            .to_http(&target("https://ghe.example/api/v3/", None))
            .unwrap();
        assert_eq!(http.method().as_str(), "GET");
        assert_eq!(
            http.uri().to_string(),
            "https://ghe.example/api/v3/gists/aa5a"
        );
        assert_eq!(header(&http, "if-none-match"), Some("W/\"1\""));
        assert_eq!(header(&http, "accept"), Some("application/vnd.github+json"));
        assert_eq!(header(&http, "x-github-api-version"), Some("2022-11-28"));
        assert_eq!(http.body(), &None);
    }

    #[test]
    fn revisions_and_pages_have_urls() {
        let target = target("https://api.github.com", Some("x"));
        let revision = "923dcb52ebb92dfa1d1db75f11e7ef15336f69a6";
        let http = Request::Revision(revision.parse().unwrap())
            .to_http(&target)
            .unwrap();
        assert_eq!(
            http.uri().to_string(),
            format!("https://api.github.com/gists/aa5a/{revision}")
        );
        let http = Request::Commits {
            page: 3,
            per_page: 99,
        }
        .to_http(&target)
        .unwrap();
        assert_eq!(
            http.uri().to_string(),
            "https://api.github.com/gists/aa5a/commits?per_page=99&page=3"
        );
    }

    #[test]
    fn unconditional_write_names_one_file() {
        let request = Request::Write {
            content: "{\"a\":\"ü\n\"}".into(),
            until: "923dcb52ebb92dfa1d1db75f11e7ef15336f69a6".parse().unwrap(),
        };
        let http = request
            .to_http(&target("https://api.github.com", Some("a\"b.json")))
            .unwrap();
        assert_eq!(http.method().as_str(), "PATCH");
        assert!(
            http.headers()
                .keys()
                .all(|name| !name.as_str().starts_with("if-"))
        );
        let body: serde_json::Value = serde_json::from_str(http.body().as_ref().unwrap()).unwrap();
        assert_eq!(
            body,
            json!({"files": {"a\"b.json": {"content": "{\"a\":\"ü\n\"}"}}})
        );
    }

    #[test]
    fn new_secret_gist_has_one_file() {
        let request = Request::Create {
            description: "a lease".into(),
            content: "{}".into(),
        };
        let http = request
            .to_http(&target("https://ghe.example/api/v3", Some("x.json")))
            .unwrap();
        assert_eq!(http.method().as_str(), "POST");
        assert_eq!(http.uri().to_string(), "https://ghe.example/api/v3/gists");
        let body: serde_json::Value = serde_json::from_str(http.body().as_ref().unwrap()).unwrap();
        let files = json!({"x.json": {"content": "{}"}});
        assert_eq!(
            body,
            json!({"description": "a lease", "public": false, "files": files})
        );
    }

    #[test]
    fn write_without_file_is_refused() {
        let request = Request::Write {
            content: "x".into(),
            until: "923dcb52ebb92dfa1d1db75f11e7ef15336f69a6".parse().unwrap(),
        };
        let error = request.to_http(&target("https://api.github.com", None));
        assert!(matches!(error, Err(LockError::Refused(_))), "{error:?}");
    }
}
