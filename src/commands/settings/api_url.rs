//! Which address of the API is taken: `https`, or `http` where nobody can listen.
//!
//! This file owns the rules for `GITHUB_API_URL`. It resolves no name and opens no connection.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest address that is taken, in bytes; with a path to a gist behind it, it must stay below
/// the 8 kB that servers take for a request line.
const LONGEST: usize = 2000;

/// Places where people read gists, but where no API is.
const WEB_SITES: &[&str] = &["github.com", "www.github.com", "gist.github.com"];

/// An address of the API that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiUrl {
    /// The address, without a slash at its end.
    pub(super) url: String,
    /// The host in it, in small letters; an IPv6 address without its brackets.
    pub(super) host: String,
    /// Whether a token sent there crosses a network unencrypted.
    pub(super) exposed: bool,
}

/// Why an address is not taken; the text says what to do. `secret`: it must not be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadUrl {
    pub(super) why: &'static str,
    pub(super) secret: bool,
}

/// Checks an address.
pub(super) fn check(text: &str, allow_insecure: bool) -> Result<ApiUrl, BadUrl> {
    // Wherever a user name, password or parameter may stand, the address is not repeated.
    let secret = text.contains(['@', '?', '#']);
    split(text, allow_insecure).map_err(|why| BadUrl { why, secret })
}

fn split(text: &str, allow_insecure: bool) -> Result<ApiUrl, &'static str> {
    if text.len() > LONGEST {
        return Err("it is longer than 2000 bytes: give an address like https://HOST/api/v3");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['\\', '"', '<', '>']) {
        return Err(
            "it holds characters that have no place in an address: give https://HOST/api/v3",
        );
    }
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("it is not an address: give https://HOST/api/v3")?;
    if rest.contains(['?', '#']) {
        return Err("it has a `?` or `#` part: leave that out");
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("it holds a user name or password: leave that out, the token is all it takes");
    }
    let host = host(authority)?;
    if WEB_SITES.contains(&host.as_str()) {
        return Err("that is the web site: the API is at https://api.github.com");
    }
    let scheme = scheme.to_ascii_lowercase();
    let exposed = match scheme.as_str() {
        "https" => false,
        "http" => !is_loopback(&host),
        _ => return Err("it is neither https:// nor http://: give https://HOST/api/v3"),
    };
    if exposed && !allow_insecure {
        return Err(
            "http:// would send the token unencrypted: use https://, or set ALLOW_INSECURE_HTTP=true",
        );
    }
    let url = format!(
        "{scheme}://{}{}",
        authority.to_ascii_lowercase(),
        path.trim_end_matches('/')
    );
    Ok(ApiUrl { url, host, exposed })
}

/// The host of `HOST`, `HOST:PORT` or `[IPv6]:PORT`, in small letters.
fn host(authority: &str) -> Result<String, &'static str> {
    const BAD_HOST: &str = "it names no host: give https://HOST/api/v3";
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']').ok_or(BAD_HOST)?;
            address.parse::<Ipv6Addr>().map_err(|_| BAD_HOST)?;
            (address, rest)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let bracketed = authority.starts_with('[');
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if host.is_empty() || !bracketed && !host.bytes().all(named) {
        return Err(BAD_HOST);
    }
    if !port.is_empty() {
        port.strip_prefix(':')
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| digits.parse::<u16>().ok())
            .filter(|port| *port > 0)
            .ok_or("its port is not a number from 1 to 65535: give https://HOST:PORT/api/v3")?;
    }
    Ok(host.to_ascii_lowercase())
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str, allow_insecure: bool) -> Option<String> {
        check(text, allow_insecure).ok().map(|url| url.url)
    }

    #[test]
    fn https_is_taken_anywhere_and_loses_its_last_slash() {
        for (text, expected) in [
            ("https://api.github.com", "https://api.github.com"),
            ("HTTPS://Example.ORG/api/v3/", "https://example.org/api/v3"),
            (
                "https://[2001:db8::1]:8443/x",
                "https://[2001:db8::1]:8443/x",
            ),
            ("https://10.0.0.1:443//", "https://10.0.0.1:443"),
        ] {
            assert_eq!(url(text, false).as_deref(), Some(expected));
        }
    }

    #[test]
    fn http_is_taken_to_this_machine_only_unless_allowed() {
        for text in [
            "http://localhost:8080",
            "http://LOCALHOST",
            "http://127.0.0.1:1",
            "http://127.255.0.3",
            "http://[::1]:80",
        ] {
            assert!(url(text, false).is_some(), "{text}");
            assert!(!check(text, true).unwrap().exposed, "{text}");
        }
        for text in [
            "http://10.0.0.1",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "http://127.1",
            "http://[::ffff:10.0.0.1]",
            "http://[::2]",
            "http://0.0.0.0",
        ] {
            assert_eq!(url(text, false), None, "{text}");
            assert!(check(text, true).unwrap().exposed, "{text}");
        }
    }

    #[test]
    fn what_is_no_usable_address_is_refused_whatever_is_allowed() {
        for text in [
            "api.github.com",
            "https://",
            "https:///path",
            "https://:443",
            "https://host:0",
            "https://host:65536",
            "https://host:+1",
            "https://host:",
            "https://host:80:80",
            "https://[::1",
            "https://[nonsense]",
            "https://[::1]x",
            "https://ho st",
            "https://höst",
            "https://host\\@evil",
            "https://host/\n",
            "ftp://host",
            "file:///etc/passwd",
            "https://github.com",
            "https://gist.github.com/somebody/923dcb52",
            "https://host/?access_token=x",
            "https://host/#x",
        ] {
            assert_eq!(url(text, true), None, "{text}");
        }
        assert_eq!(
            url(&format!("https://h/{}", "a".repeat(LONGEST)), true),
            None
        );
    }

    #[test]
    fn an_address_with_a_password_is_refused_and_not_shown() {
        for text in ["https://user:pass@host", "user:pass@host", "http://t@[::1]"] {
            assert!(check(text, true).unwrap_err().secret, "{text}");
        }
    }
}
