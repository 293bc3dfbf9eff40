//! Choice of a proxy, by the usual variables. An agent chooses once, because its destination never changes.
//!
//! ureq reads the same variables, but uses any of them for any scheme, ignores values that it does not
//! understand, and supports neither address ranges nor spaces in `NO_PROXY`.

use std::fmt;
use std::net::IpAddr;

use ureq::http::StatusCode;
use ureq::{Proxy, ProxyProtocol};

use super::url::{Destination, is_loopback};
use crate::fmt::one_line;

/// Names of a variable, of which the first is preferred.
type Names = [&'static str; 2];

const HTTPS_PROXY: Names = ["HTTPS_PROXY", "https_proxy"];
const HTTP_PROXY: Names = ["HTTP_PROXY", "http_proxy"];
const ALL_PROXY: Names = ["ALL_PROXY", "all_proxy"];
const NO_PROXY: Names = ["NO_PROXY", "no_proxy"];

/// Proxies that the environment sets. A value may contain a password and is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// `HTTPS_PROXY` or `https_proxy`: for `https://` addresses.
    pub https_proxy: Option<String>,
    /// `HTTP_PROXY` or `http_proxy`: for `http://` addresses.
    pub http_proxy: Option<String>,
    /// `ALL_PROXY` or `all_proxy`: used if the variable of the scheme is not set.
    pub all_proxy: Option<String>,
    /// `NO_PROXY` or `no_proxy`: hosts that are reached directly, separated by commas or spaces. An entry
    /// is `*`, a domain with its subdomains (without the domain if it has a leading dot), an address or a
    /// range (`10.0.0.0/8`). It may end with a port.
    pub no_proxy: Option<String>,
    /// Those that are set by their lower-case names, such as `https_proxy`.
    pub lower_case: Vec<&'static str>,
}

/// Proxy for a destination.
#[derive(Clone)]
pub(super) struct ChosenProxy {
    pub(super) proxy: Proxy,
    /// Variable that names it.
    pub(super) variable: &'static str,
    /// Variable that lists the hosts without a proxy.
    pub(super) exceptions: &'static str,
}

impl ChosenProxy {
    /// Returns the address: `HOST:PORT`.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.proxy.host(), self.proxy.port())
    }

    /// Returns why the proxy opens no connection to `destination`, and what to do. `reason` is ureq's.
    pub(super) fn refusal(&self, destination: &str, reason: &str) -> String {
        let (variable, address) = (self.variable, self.address());
        let status = reason.strip_prefix("proxy server responded ");
        let status = status.and_then(|rest| rest.split('/').next()?.parse().ok());
        if status == Some(StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
            return match self.proxy.username().is_some() || self.proxy.password().is_some() {
                true => format!(
                    "{variable}: the proxy {address} rejects the user name or the proxy password (407); \
                     correct them in {variable}"
                ),
                false => format!(
                    "{variable}: the proxy {address} wants a proxy password (407); set {variable} to \
                     http://USER:PASSWORD@HOST:PORT"
                ),
            };
        }
        let said = match status {
            Some(status) => format!("it answered {status}"),
            None => one_line(reason),
        };
        format!(
            "{variable}: the proxy {address} does not connect to {destination} ({said}); permit CONNECT to \
             it, which http:// needs as well, or add the host to {}",
            self.exceptions
        )
    }
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |value: &Option<String>| if value.is_some() { "set" } else { "unset" };
        f.debug_struct("ProxySettings")
            .field("https_proxy", &set(&self.https_proxy))
            .field("http_proxy", &set(&self.http_proxy))
            .field("all_proxy", &set(&self.all_proxy))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

impl ProxySettings {
    /// Reads the environment of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "reads the environment")]
    pub fn from_environment() -> ProxySettings {
        ProxySettings::read(|name| std::env::var(name).ok())
    }

    /// Reads the variables through `variable`, the upper-case names first. Set but empty means unset.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> ProxySettings {
        let set = |name| variable(name).filter(|value| !value.trim().is_empty());
        let mut lower_case = Vec::new();
        let mut either = |[upper, lower]: Names| {
            set(upper).or_else(|| {
                let value = set(lower)?;
                lower_case.push(lower);
                Some(value)
            })
        };
        ProxySettings {
            https_proxy: either(HTTPS_PROXY),
            http_proxy: either(HTTP_PROXY),
            all_proxy: either(ALL_PROXY),
            no_proxy: either(NO_PROXY),
            lower_case,
        }
    }

    /// Returns the name of a variable as it is set.
    fn name(&self, [upper, lower]: Names) -> &'static str {
        match self.lower_case.contains(&lower) {
            true => lower,
            false => upper,
        }
    }

    /// Returns the proxy for `destination`, if there is one. Loopback is always reached directly.
    ///
    /// # Errors
    /// Returns an error, which names the variable but not its value, if the proxy cannot be used.
    pub(super) fn for_destination(
        &self,
        destination: Destination<'_>,
    ) -> Result<Option<ChosenProxy>, String> {
        let Destination { https, host, port } = destination;
        let own = if https {
            (HTTPS_PROXY, &self.https_proxy)
        } else {
            (HTTP_PROXY, &self.http_proxy)
        };
        let mut set = [own, (ALL_PROXY, &self.all_proxy)].into_iter();
        let Some((names, value)) =
            set.find_map(|(names, value)| Some((names, value.as_deref()?.trim())))
        else {
            return Ok(None);
        };
        let name = self.name(names);
        if is_loopback(host) || self.is_direct(host, port) {
            return Ok(None);
        }
        let proxy = Proxy::new(value).map_err(|_| {
            format!("{name}: not the address of a proxy; set it to http://HOST:PORT, or unset it")
        })?;
        match proxy.protocol() {
            ProxyProtocol::Http | ProxyProtocol::Https => Ok(Some(ChosenProxy {
                proxy,
                variable: name,
                exceptions: self.name(NO_PROXY),
            })),
            _ => Err(format!(
                "{name}: SOCKS proxies are not supported; set it to http://HOST:PORT, or unset it"
            )),
        }
    }

    fn is_direct(&self, host: &str, port: u16) -> bool {
        let list = self.no_proxy.as_deref().unwrap_or("");
        list.split([',', ' '])
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .any(|entry| matches(&entry.to_ascii_lowercase(), host, port))
    }
}

/// Returns whether an entry of `NO_PROXY` covers `host` and `port`.
fn matches(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    let address = host.parse::<IpAddr>().ok();
    if let (Some(range), Some(address)) = (Range::parse(entry), address) {
        return range.contains(address);
    }
    let (name, wanted) = match entry.rsplit_once(':') {
        // An IPv6 address has several colons, and a port only after brackets.
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => {
            (name, digits.parse::<u16>().ok())
        }
        _ => (entry, Some(port)),
    };
    if wanted != Some(port) {
        return false;
    }
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if let (Ok(name), Some(address)) = (name.parse::<IpAddr>(), address) {
        return name == address;
    }
    let name = name.strip_prefix('*').unwrap_or(name);
    let below = |domain: &str| {
        host.strip_suffix(domain)
            .is_some_and(|start| start.ends_with('.') && start.len() > 1)
    };
    match name.strip_prefix('.') {
        Some(domain) => !domain.is_empty() && below(domain),
        None => !name.is_empty() && (host == name || below(name)),
    }
}

/// Address range such as `10.0.0.0/8`.
struct Range {
    base: IpAddr,
    bits: u32,
}

impl Range {
    fn parse(text: &str) -> Option<Range> {
        let (base, bits) = text.split_once('/')?;
        let (base, bits) = (base.parse::<IpAddr>().ok()?, bits.parse().ok()?);
        let longest = if base.is_ipv4() { 32 } else { 128 };
        (bits <= longest).then_some(Range { base, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let differ = match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(other)) => {
                (base.to_bits() ^ other.to_bits()).leading_zeros()
            }
            (IpAddr::V6(base), IpAddr::V6(other)) => {
                (base.to_bits() ^ other.to_bits()).leading_zeros()
            }
            _ => return false,
        };
        differ >= self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Url;

    fn settings(variables: &[(&str, &str)]) -> ProxySettings {
        ProxySettings::read(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn find(url: &str, settings: &ProxySettings) -> Result<Option<ChosenProxy>, String> {
        let url: Url = url.parse().unwrap();
        settings.for_destination(url.destination(&url.host().to_ascii_lowercase()))
    }

    fn proxy_to(url: &str, variables: &[(&str, &str)]) -> Option<String> {
        let proxy = find(url, &settings(variables)).unwrap();
        proxy.map(|proxy| proxy.address())
    }

    #[test]
    fn scheme_determines_variable() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "p:2")];
        assert_eq!(proxy_to("https://x.example", &both).as_deref(), Some("s:1"));
        assert_eq!(proxy_to("http://x.example", &both).as_deref(), Some("p:2"));
        assert_eq!(proxy_to("https://x.example", &both[1..]), None);
        let all = [("all_proxy", "http://a:3"), ("HTTPS_PROXY", " ")];
        assert_eq!(proxy_to("https://x.example", &all).as_deref(), Some("a:3"));
        assert_eq!(proxy_to("https://x.example", &[]), None);
    }

    #[test]
    fn loopback_bypasses_proxy() {
        let all = [("ALL_PROXY", "http://a:3")];
        for url in ["http://127.0.0.1:8", "http://localhost", "http://[::1]:8"] {
            assert_eq!(proxy_to(url, &all), None, "{url}");
        }
    }

    #[test]
    fn no_proxy_entries_match() {
        for (host, entry, direct) in [
            ("ghe.example", "ghe.example", true),
            ("ghe.example", "GHE.Example", true),
            ("ghe.example", "example", true),
            ("ghe.example", ".example", true),
            ("ghe.example", "*.example", true),
            ("example", ".example", false),
            ("example", "*.example", false),
            ("ghe.example", "he.example", false),
            ("ghe.example", "a, ghe.example ,b", true),
            ("ghe.example", "a b", false),
            ("ghe.example", "*", true),
            ("ghe.example", "", false),
            ("ghe.example", ".", false),
            ("ghe.example", "ghe.example:443", true),
            ("ghe.example", "ghe.example:8443", false),
            ("ghe.example:8443", "ghe.example:8443", true),
            ("ghe.example", "ghe.example:x", false),
            ("10.1.2.3", "10.0.0.0/8", true),
            ("10.1.2.3", "11.0.0.0/8", false),
            ("10.1.2.3", "0.0.0.0/0", true),
            ("10.1.2.3", "10.1.2.3/33", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.3:443", true),
            ("10.1.2.3", "2.3", true),
            ("[fd00::1]", "fd00::/8", true),
            ("[fd00::1]", "fd00::1", true),
            ("[fd00::1]", "[fd00::1]:443", true),
            ("[fd00::1]", "fe00::/8", false),
        ] {
            let variables = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", entry)];
            let proxy = proxy_to(&format!("https://{host}"), &variables);
            assert_eq!(proxy.is_none(), direct, "{host} by {entry}");
        }
    }

    #[test]
    fn refusal_names_variable_in_use() {
        for (url, variables, variable, exceptions) in [
            (
                "http://x.example",
                &[("HTTP_PROXY", "p:1")][..],
                "HTTP_PROXY",
                "NO_PROXY",
            ),
            (
                "http://x.example",
                &[("http_proxy", "p:1")],
                "http_proxy",
                "NO_PROXY",
            ),
            (
                "https://x.example",
                &[("https_proxy", "p:1"), ("no_proxy", "y.example")],
                "https_proxy",
                "no_proxy",
            ),
            (
                "https://x.example",
                &[
                    ("HTTPS_PROXY", "p:1"),
                    ("https_proxy", "q:2"),
                    ("http_proxy", "r:3"),
                ],
                "HTTPS_PROXY",
                "NO_PROXY",
            ),
            (
                "http://x.example",
                &[("all_proxy", "p:1")],
                "all_proxy",
                "NO_PROXY",
            ),
        ] {
            let proxy = find(url, &settings(variables)).unwrap().unwrap();
            let said = proxy.refusal("x.example:80", "proxy server responded 403/403");
            assert!(
                said.starts_with(&format!("{variable}: the proxy p:1 ")),
                "{said}"
            );
            assert!(said.contains("403 Forbidden"), "{said}");
            assert!(said.ends_with(exceptions), "{said}");
            let silent = proxy.refusal("x.example:80", "proxy server did not respond");
            assert!(silent.contains("did not respond"), "{silent}");
        }
    }

    #[test]
    fn refused_proxy_password_is_named() {
        let refusal = |value| {
            let settings = settings(&[("HTTPS_PROXY", value)]);
            let proxy = find("https://x.example", &settings).unwrap().unwrap();
            proxy.refusal("x.example:443", "proxy server responded 407/407")
        };
        let missing = refusal("http://p:1");
        assert!(
            missing.starts_with("HTTPS_PROXY: the proxy p:1 wants a proxy password"),
            "{missing}"
        );
        let wrong = refusal("http://me:hunter2@p:1");
        assert!(
            wrong.contains("rejects the user name or the proxy password"),
            "{wrong}"
        );
        assert!(!wrong.contains("hunter2"), "{wrong}");
    }

    #[test]
    fn unusable_proxy_error_hides_password() {
        for value in [
            "socks5://me:hunter2@p:1",
            "ftp://me:hunter2@p",
            "me:hunter2@",
            "http://me:hunter2@ x",
        ] {
            let settings = settings(&[("HTTPS_PROXY", value)]);
            let error = find("https://x.example", &settings).err().unwrap();
            assert!(error.contains("HTTPS_PROXY"), "{error}");
            assert!(
                !format!("{error} {settings:?}").contains("hunter2"),
                "{error}"
            );
        }
    }
}
