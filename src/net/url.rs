//! URLs that may contain secrets: checked once, displayed without path and query.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ureq::http::Uri;

/// An `http://` or `https://` URL. Its path may be a secret, as for many webhooks, so the URL is
/// displayed without it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(Uri);

/// The text is not an `http://` or `https://` URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlError;

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("give a URL that begins with http:// or https://")
    }
}

impl std::error::Error for UrlError {}

impl Url {
    /// Returns the whole URL; do not log it.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0
    }

    /// Returns whether the scheme is `https`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// Returns whether the URL contains a user name or password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        let authority = self.0.authority();
        authority.is_some_and(|authority| authority.as_str().contains('@'))
    }

    /// Returns the host's name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.0.host().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Returns scheme, host and port, without user name and password: `https://example.com:8443`.
    #[must_use]
    pub fn origin(&self) -> String {
        let authority = self
            .0
            .authority()
            .map_or("", |authority| authority.as_str());
        let (_, server) = authority.rsplit_once('@').unwrap_or(("", authority));
        format!("{}://{server}", self.0.scheme_str().unwrap_or_default())
    }

    /// Returns the server, whose `host` in lower case the caller provides.
    pub(crate) fn destination<'a>(&self, host: &'a str) -> Destination<'a> {
        Destination {
            https: self.is_https(),
            host,
            port: port_of(&self.0),
        }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError)?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if is_http && uri.host().is_some_and(|host| !host.is_empty()) {
            return Ok(Url(uri));
        }
        Err(UrlError)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let host = self.0.host().unwrap_or_default();
        match self.0.port_u16() {
            Some(port) => write!(f, "{scheme}://{host}:{port}/…"),
            None => write!(f, "{scheme}://{host}/…"),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// Server of an agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) https: bool,
    /// Name or address, in lower case and without brackets.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
}

/// Returns the port of `uri`, which its scheme determines if it names none.
pub(super) fn port_of(uri: &Uri) -> u16 {
    let of_scheme = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    uri.port_u16().unwrap_or(of_scheme)
}

/// Returns whether `host` is this machine. An IPv6 address may be in brackets.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_omits_secret_parts() {
        let url: Url = "https://me:s3cr3t@hooks.example.com:8443/s3cr3t?key=s3cr3t#s3cr3t"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "https://hooks.example.com:8443/…");
        assert_eq!(format!("{url:?}"), "Url(https://hooks.example.com:8443/…)");
        assert!(url.uri().to_string().contains("s3cr3t?key=s3cr3t"));
        let url: Url = "http://[::1]:80".parse().unwrap();
        assert_eq!((url.host(), url.is_https()), ("::1", false));
        assert_eq!(url.to_string(), "http://[::1]:80/…");
    }

    #[test]
    fn malformed_url_is_rejected() {
        for text in [
            "",
            "s3cr3t",
            "/s3cr3t",
            "ftp://x/",
            "https://",
            "https:///x",
        ] {
            assert_eq!(text.parse::<Url>(), Err(UrlError), "{text}");
        }
    }
}
