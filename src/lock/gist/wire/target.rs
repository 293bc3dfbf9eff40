//! The place of a gist: the API's address, the gist's id and the file in it, each checked once. The settings
//! read them from the environment.

use core::net::Ipv6Addr; // addresses only: unlike std's, this module has no sockets
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::net::{Destination, Url, is_loopback};

/// Host of github.com's API, whose rate limits are known.
const GITHUB_COM: &str = "api.github.com";

/// GitHub's web sites, which do not serve the API.
const WEB_SITES: [&str; 3] = ["github.com", "www.github.com", "gist.github.com"];

/// End of the hosts of GitHub Enterprise Cloud with data residency.
const DATA_RESIDENCY: &str = ".ghe.com";

/// Longest address of an API, in bytes; a longer one is a mistake and would fill a log.
const LONGEST_URL: usize = 512;

/// Longest gist id: ids have 20 or 32 characters today, and request lines must stay short.
const LONGEST_GIST_ID: usize = 64;

/// Longest file name, in bytes: the limit of git hosts' file systems.
const LONGEST_FILE_NAME: usize = 255;

/// Address of a GitHub API, without a trailing slash, such as `https://api.github.com` or
/// `https://HOST/api/v3`. It never contains a user name or a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUrl {
    text: String,
    url: Url,
}

impl ApiUrl {
    /// Returns the whole address, to which paths such as `/gists/ID` are appended.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the host's name or address in lower case, without port and brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host()
    }

    /// Returns the port; the scheme's default if none is given.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.destination().port
    }

    /// Returns host and port as they are in the address.
    #[must_use]
    pub fn authority(&self) -> &str {
        let (_, rest) = self.text.split_once("://").unwrap_or(("", &self.text));
        rest.split('/').next().unwrap_or(rest)
    }

    /// Returns the usual address of the API at this host: that of GitHub Enterprise. Returns `None` if this
    /// is it already.
    #[must_use]
    pub fn usual(&self) -> Option<String> {
        let host = self.host();
        if self.is_github_com() {
            return None;
        }
        // Enterprise Cloud with data residency.
        if host.ends_with(DATA_RESIDENCY) {
            let usual = format!("https://api.{}", host.trim_start_matches("api."));
            return (usual != self.text).then_some(usual);
        }
        let scheme = if self.is_https() { "https" } else { "http" };
        let usual = format!("{scheme}://{}/api/v3", self.authority());
        (usual != self.text).then_some(usual)
    }

    /// Returns the variable that usually names the proxy for this address.
    pub(super) fn proxy_variable(&self) -> &'static str {
        match self.is_https() {
            true => "HTTPS_PROXY",
            false => "HTTP_PROXY",
        }
    }

    /// Returns the server.
    pub(crate) fn destination(&self) -> Destination<'_> {
        self.url.destination(self.host())
    }

    /// Returns whether the connection is encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.is_https()
    }

    /// Returns whether this is github.com's API, so that its rate limits apply.
    #[must_use]
    pub fn is_github_com(&self) -> bool {
        self.host() == GITHUB_COM
    }

    /// Returns the address of the web site that shows the API's gists: that of github.com or of a GitHub
    /// Enterprise Server; `None` for any other API, such as a test server.
    #[must_use]
    pub fn gist_site(&self) -> Option<String> {
        if self.is_github_com() {
            return Some("https://gist.github.com".to_owned());
        }
        let server = self.text.strip_suffix("/api/v3")?;
        Some(format!("{server}/gist"))
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Checks the address of an API.
///
/// Plain `http://` is accepted for loopback only, or for every host if `allow_insecure`, because an
/// eavesdropper could read the access token.
///
/// # Errors
/// Returns the problem and its fix. The text shows the address unless it may contain a password.
pub fn check_api_url(url: &str, allow_insecure: bool) -> Result<ApiUrl, String> {
    let url = url.trim();
    if url.contains('@') {
        return Err(
            "contains a user name or password; set the access token in GITHUB_API_TOKEN instead"
                .into(),
        );
    }
    if url.len() > LONGEST_URL || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "longer than {LONGEST_URL} characters, or contains characters that no URL has; set the API's address"
        ));
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let scheme = scheme.to_ascii_lowercase();
    if !["http", "https"].contains(&scheme.as_str()) {
        return Err(format!(
            "`{url}` starts with neither https:// nor http://; set the API's address"
        ));
    }
    if rest.contains(['?', '#', '\\', '"', '<', '>', '^', '`', '{', '|', '}']) {
        return Err(format!(
            "`{url}` does not end with the path; set an address such as https://HOST/api/v3"
        ));
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (authority, path) = (authority.to_ascii_lowercase(), path.trim_end_matches('/'));
    let text = format!("{scheme}://{authority}{path}");
    let parsed = text.parse::<Url>().ok();
    let Some(parsed) = parsed.filter(|parsed| is_plain(&authority, parsed.host())) else {
        return Err(format!(
            "`{url}` has no valid host; set an address such as https://HOST/api/v3"
        ));
    };
    if WEB_SITES.contains(&parsed.host()) {
        return Err(format!(
            "`{url}` is the web site; set https://api.github.com"
        ));
    }
    if scheme == "http" && !allow_insecure && !is_loopback(parsed.host()) {
        return Err(format!(
            "`{url}` would send the access token unencrypted; use https://, or set ALLOW_INSECURE_HTTP=true"
        ));
    }
    Ok(ApiUrl { text, url: parsed })
}

/// Returns whether `authority` is a plain host, an IPv6 address in brackets, and perhaps a port.
fn is_plain(authority: &str, host: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    let is_ipv6 = host.parse::<Ipv6Addr>().is_ok();
    let shown = if is_ipv6 {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let Some(rest) = authority.strip_prefix(&shown) else {
        return false;
    };
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|n| n != 0)
    };
    host.bytes().all(fits) && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// Id of a gist.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GistId(String);

impl GistId {
    /// Returns a placeholder for requests that name no gist.
    #[must_use]
    pub fn unnamed() -> GistId {
        GistId("unnamed".to_owned())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GistId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for GistId {
    type Err = String;

    /// Accepts an id, or the address of a gist as a browser shows it. The error says what an id is.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let id = match text.split_once("://") {
            Some((_, rest)) => id_in_url(rest),
            None => text,
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=LONGEST_GIST_ID).contains(&id.len()) && id.bytes().all(fits) {
            return Ok(GistId(id.to_owned()));
        }
        Err(format!(
            "not a gist's id; give the last part of https://gist.github.com/USER/ID, which has 1 to {LONGEST_GIST_ID} \
             letters, digits, `-` or `_`"
        ))
    }
}

/// Returns the id in `gist.github.com/USER/ID`, `…/ID.git`, `…/ID#file-x` or `…/USER/ID/REVISION`.
fn id_in_url(rest: &str) -> &str {
    let path = rest.split(['?', '#']).next().unwrap_or("");
    let mut parts = path.trim_end_matches('/').rsplit('/');
    let last = parts.next().unwrap_or("");
    let is_revision = last.len() == 40 && last.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = match parts.next() {
        Some(before) if is_revision && parts.next().is_some() => before,
        // A host alone names no gist.
        None => "",
        Some(_) => last,
    };
    id.strip_suffix(".git").unwrap_or(id)
}

/// Checks the name of a file in a gist.
///
/// # Errors
/// Returns the name that a file must have.
pub fn check_file_name(name: &str) -> Result<Arc<str>, String> {
    if name.is_empty() || name.len() > LONGEST_FILE_NAME {
        return Err(format!(
            "not a file name of 1 to {LONGEST_FILE_NAME} bytes; give another one"
        ));
    }
    if name.contains(['/', '\\']) || name.contains(char::is_control) {
        return Err(
            "not a plain file name; give one without slashes, because a gist has no folders".into(),
        );
    }
    Ok(name.into())
}

/// A gist and the file in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Address of the API.
    pub api: ApiUrl,
    /// Id of the gist.
    pub gist: GistId,
    /// The lock's file, once it is chosen.
    pub file: Option<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_address_replaces_other_path() {
        for (given, usual) in [
            ("https://ghe.example", Some("https://ghe.example/api/v3")),
            (
                "https://ghe.example:8443/api",
                Some("https://ghe.example:8443/api/v3"),
            ),
            (
                "http://[::1]:80/api/v3/gists",
                Some("http://[::1]:80/api/v3"),
            ),
            ("https://ghe.example/api/v3/", None),
            ("https://octo.ghe.com", Some("https://api.octo.ghe.com")),
            (
                "https://octo.ghe.com/api/v3",
                Some("https://api.octo.ghe.com"),
            ),
            ("https://api.octo.ghe.com", None),
            ("https://api.github.com", None),
            ("https://api.github.com/api/v3", None),
        ] {
            let url = check_api_url(given, false).unwrap();
            assert_eq!(url.usual().as_deref(), usual, "{given}");
        }
    }

    #[test]
    fn api_url_loses_trailing_slash() {
        for (given, kept, host, port) in [
            (
                "https://api.github.com",
                "https://api.github.com",
                "api.github.com",
                443,
            ),
            (
                " https://API.github.com/ ",
                "https://api.github.com",
                "api.github.com",
                443,
            ),
            (
                "https://ghe.example/api/v3/",
                "https://ghe.example/api/v3",
                "ghe.example",
                443,
            ),
            (
                "HTTPS://ghe.example:8443/Api",
                "https://ghe.example:8443/Api",
                "ghe.example",
                8443,
            ),
            (
                "http://127.0.0.1:4041",
                "http://127.0.0.1:4041",
                "127.0.0.1",
                4041,
            ),
            ("http://localhost/x", "http://localhost/x", "localhost", 80),
            ("http://[::1]:80/", "http://[::1]:80", "::1", 80),
        ] {
            let url = check_api_url(given, false).unwrap();
            assert_eq!((url.as_str(), url.host(), url.port()), (kept, host, port));
        }
    }

    #[test]
    fn only_github_com_has_known_limits() {
        let is = |url: &str| check_api_url(url, false).unwrap().is_github_com();
        assert!(is("https://api.github.com/"));
        assert!(!is("https://api.github.com.example/"));
        assert!(!is("https://ghe.example/api/v3"));
    }

    #[test]
    fn gist_site_belongs_to_api() {
        for (url, site) in [
            ("https://api.github.com", Some("https://gist.github.com")),
            (
                "https://ghe.example/api/v3/",
                Some("https://ghe.example/gist"),
            ),
            (
                "https://ghe.example:8443/api/v3",
                Some("https://ghe.example:8443/gist"),
            ),
            ("http://127.0.0.1:4041", None),
        ] {
            let api = check_api_url(url, false).unwrap();
            assert_eq!(api.gist_site().as_deref(), site, "{url}");
        }
    }

    #[test]
    fn plain_http_needs_loopback_or_setting() {
        for url in [
            "http://ghe.example",
            "http://10.0.0.1",
            "http://localhost.example",
        ] {
            let error = check_api_url(url, false).unwrap_err().to_string();
            assert!(error.contains("ALLOW_INSECURE_HTTP"), "{error}");
            assert!(!check_api_url(url, true).unwrap().is_https());
        }
    }

    #[test]
    fn api_url_password_is_not_shown() {
        let error = check_api_url("https://me:hunter2@ghe.example", true).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn malformed_url_is_refused() {
        for url in [
            "",
            "api.github.com",
            "ftp://x",
            "https://",
            "https:///x",
            "https://a b",
            "https://x?y",
            "https://x#y",
            "https://x:0",
            "https://x:66000",
            "https://x:+1",
            "https://[::1",
            "https://[::1]x",
            "https://[x]",
            "https://::1",
            "https://é.example",
            "https://x\\y",
        ] {
            assert!(check_api_url(url, true).is_err(), "{url}");
        }
        assert!(check_api_url(&format!("https://{}", "x".repeat(600)), true).is_err());
    }

    #[test]
    fn gist_id_is_read_from_address() {
        let id = "11a257b91982aafd6370089ef877a682";
        let revision = "923dcb52ebb92dfa1d1db75f11e7ef15336f69a6";
        for given in [
            id.to_owned(),
            format!(" {id}\n"),
            format!("https://gist.github.com/someone/{id}"),
            format!("https://gist.github.com/someone/{id}/"),
            format!("https://gist.github.com/{id}.git"),
            format!("https://gist.github.com/someone/{id}#file-lease-json"),
            format!("https://gist.github.com/someone/{id}?x=1"),
            format!("https://gist.github.com/someone/{id}/{revision}"),
            format!("https://ghe.example/gist/someone/{id}"),
        ] {
            assert_eq!(given.parse::<GistId>().unwrap().as_str(), id, "{given}");
        }
        assert!("aa5a315d61ae9438b18d".parse::<GistId>().is_ok());
    }

    #[test]
    fn malformed_gist_id_is_refused() {
        let long = "a".repeat(65);
        for text in [
            "",
            " ",
            "a/b",
            "..",
            "a b",
            "é",
            "a?b",
            &long,
            "https://gist.github.com",
            "https://gist.github.com/",
            "https://gist.github.com/a%2fb",
        ] {
            assert!(text.parse::<GistId>().is_err(), "{text}");
        }
    }

    #[test]
    fn file_name_must_be_plain() {
        assert!(check_file_name("lease.json").is_ok());
        for name in ["", "a/b", "a\nb", "a\\b", &"x".repeat(256)] {
            assert!(check_file_name(name).is_err(), "{name}");
        }
    }
}
