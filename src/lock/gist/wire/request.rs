//! Conversion of a request to HTTP: method, URL, headers and body. The client adds the access token.

use serde_json::{Value, json};

use super::{Request, Target};
use crate::election::lock::LockError;

/// Version of the API; GitHub keeps it unchanged.
const API_VERSION: &str = "2022-11-28";

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Method of reads.
    Get,
    /// Method of writes.
    Patch,
    /// Method that creates a gist.
    Post,
}

impl Method {
    /// Returns the name in HTTP.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Patch => "PATCH",
            Method::Post => "POST",
        }
    }
}

/// An HTTP request without the access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Method.
    pub method: Method,
    /// Whole URL.
    pub url: String,
    /// Headers: lower-case names and values.
    pub headers: Vec<(&'static str, String)>,
    /// JSON body of a write.
    pub body: Option<String>,
}

impl Request {
    /// Returns whether the request changes or creates a gist.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self, Request::Write { .. } | Request::Create { .. })
    }

    /// Converts the request to HTTP.
    ///
    /// # Errors
    /// [`LockError::Refused`] for a write before a file is chosen.
    pub fn to_http(&self, target: &Target) -> Result<HttpRequest, LockError> {
        let gist = format!("{}/gists/{}", target.api.as_str(), target.gist.as_str());
        let mut headers = vec![
            ("accept", "application/vnd.github+json".to_owned()),
            ("x-github-api-version", API_VERSION.to_owned()),
        ];
        let (method, url, body) = match self {
            Request::Gist { etag, .. } => {
                if let Some(etag) = etag {
                    headers.push(("if-none-match", etag.to_string()));
                }
                (Method::Get, gist, None)
            }
            Request::History => (Method::Get, gist, None),
            Request::Revision(revision) => (Method::Get, format!("{gist}/{revision}"), None),
            Request::Commits { page, per_page } => {
                let url = format!("{gist}/commits?per_page={per_page}&page={page}");
                (Method::Get, url, None)
            }
            Request::Write { content, .. } => {
                // No If-Match: GitHub answers 400, and some servers answer 412 and still write.
                headers.push(("content-type", "application/json".to_owned()));
                let body = json!({ "files": files(target, content)? });
                (Method::Patch, gist, Some(body.to_string()))
            }
            Request::Create {
                description,
                content,
            } => {
                headers.push(("content-type", "application/json".to_owned()));
                let url = format!("{}/gists", target.api.as_str());
                let body = json!({
                    "description": description,
                    "public": false,
                    "files": files(target, content)?,
                });
                (Method::Post, url, Some(body.to_string()))
            }
        };
        Ok(HttpRequest {
            method,
            url,
            headers,
            body,
        })
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
        let found = request.headers.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_str())
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
        assert_eq!(http.method.as_str(), "GET");
        assert_eq!(http.url, "https://ghe.example/api/v3/gists/aa5a");
        assert_eq!(header(&http, "if-none-match"), Some("W/\"1\""));
        assert_eq!(header(&http, "accept"), Some("application/vnd.github+json"));
        assert_eq!(header(&http, "x-github-api-version"), Some("2022-11-28"));
        assert_eq!(http.body, None);
    }

    #[test]
    fn revisions_and_pages_have_urls() {
        let target = target("https://api.github.com", Some("x"));
        let revision = "923dcb52ebb92dfa1d1db75f11e7ef15336f69a6";
        let http = Request::Revision(revision.parse().unwrap())
            .to_http(&target)
            .unwrap();
        assert_eq!(
            http.url,
            format!("https://api.github.com/gists/aa5a/{revision}")
        );
        let http = Request::Commits {
            page: 3,
            per_page: 99,
        }
        .to_http(&target)
        .unwrap();
        assert_eq!(
            http.url,
            "https://api.github.com/gists/aa5a/commits?per_page=99&page=3"
        );
    }

    #[test]
    fn write_is_unconditional_and_names_one_file() {
        let request = Request::Write {
            content: "{\"a\":\"ü\n\"}".into(),
            until: "923dcb52ebb92dfa1d1db75f11e7ef15336f69a6".parse().unwrap(),
        };
        let http = request
            .to_http(&target("https://api.github.com", Some("a\"b.json")))
            .unwrap();
        assert_eq!(http.method.as_str(), "PATCH");
        assert!(
            http.headers
                .iter()
                .all(|(name, _)| !name.starts_with("if-"))
        );
        let body: serde_json::Value = serde_json::from_str(&http.body.unwrap()).unwrap();
        assert_eq!(
            body,
            json!({"files": {"a\"b.json": {"content": "{\"a\":\"ü\n\"}"}}})
        );
    }

    #[test]
    fn new_gist_is_secret_with_one_file() {
        let request = Request::Create {
            description: "a lease".into(),
            content: "{}".into(),
        };
        let http = request
            .to_http(&target("https://ghe.example/api/v3", Some("x.json")))
            .unwrap();
        assert_eq!(http.method.as_str(), "POST");
        assert_eq!(http.url, "https://ghe.example/api/v3/gists");
        let body: serde_json::Value = serde_json::from_str(&http.body.unwrap()).unwrap();
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
