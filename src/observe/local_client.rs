//! Access check for requests that change something: only programs on this machine may send them.
//!
//! Any web page can make a browser on this machine send requests, also under a foreign name that
//! resolves to this machine (DNS rebinding). The check therefore rejects requests with headers of
//! browsers or proxies and with foreign host names.

use std::net::IpAddr;

/// Headers that only browsers and proxies send.
const FOREIGN_HEADERS: [&str; 5] = [
    "origin",
    "sec-fetch-site",
    "forwarded",
    "x-forwarded-for",
    "x-real-ip",
];

/// Checks that a request comes from a program on this machine.
///
/// # Errors
/// Returns the reason if it does not.
pub(super) fn check<'h>(
    peer: IpAddr,
    header: impl Fn(&str) -> Option<&'h str>,
) -> Result<(), String> {
    // A dual-stack socket reports IPv4 clients by IPv4-mapped IPv6 addresses.
    if !peer.to_canonical().is_loopback() {
        return Err("only programs on this machine may send this request".into());
    }
    if let Some(name) = FOREIGN_HEADERS.iter().find(|name| header(name).is_some()) {
        return Err(format!(
            "browsers and proxies may not send this request; it has the header {name}"
        ));
    }
    if !header("host").is_some_and(is_this_machine) {
        return Err("send this request to a name of this machine, such as localhost".into());
    }
    Ok(())
}

/// Returns whether a `Host` header names this machine: `localhost`, `127.0.0.1:4040`, `[::1]`.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) if is_port(port) => name,
            _ => return false,
        },
        None => match host.find(':') {
            Some(colon) if is_port(&host[colon..]) => &host[..colon],
            Some(_) => return false,
            None => host,
        },
    };
    let v6 = host.starts_with('[');
    match name.parse::<IpAddr>() {
        Ok(ip) => ip.is_ipv6() == v6 && ip.is_loopback(),
        Err(_) => !v6 && name.eq_ignore_ascii_case("localhost"),
    }
}

/// Returns whether the text is empty, or a colon and a port.
fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':');
    text.is_empty() || digits.is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_host_names_are_accepted() {
        for local in [
            "localhost",
            "LocalHost:4040",
            "127.0.0.1",
            "127.8.9.10:80",
            "[::1]",
            "[::1]:4040",
            "localhost:",
        ] {
            assert!(is_this_machine(local), "{local}");
        }
        for foreign in [
            "",
            ":",
            "evil.example",
            "localhost.evil.example",
            "evil.example:4040",
            "127.0.0.1.evil.example",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[127.0.0.1]",
            "[localhost]",
            "[::2]",
            "10.0.0.1",
            "0.0.0.0",
            "localhost:80@evil.example",
            "127.1",
            "2130706433",
            "localhost.",
        ] {
            assert!(!is_this_machine(foreign), "{foreign}");
        }
    }

    fn verdict(peer: &str, headers: &[(&str, &'static str)]) -> Result<(), String> {
        check(peer.parse().unwrap(), |name| {
            let found = headers.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| *value)
        })
    }

    #[test]
    fn only_local_programs_are_accepted() {
        let host = ("host", "localhost:4040");
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(verdict(peer, &[host]), Ok(()));
        }
        for peer in ["10.1.2.3", "2001:db8::1", "::ffff:10.1.2.3"] {
            assert!(verdict(peer, &[host]).is_err(), "{peer}");
        }
        for name in FOREIGN_HEADERS {
            let refused = verdict("::1", &[host, (name, "")]).unwrap_err();
            assert!(refused.contains(name), "{refused}");
        }
        assert!(verdict("::1", &[]).is_err(), "no host");
        assert!(verdict("::1", &[("host", "evil.example")]).is_err());
    }
}
