//! Who may have the elector do something: programs on this machine, and no web page.
//!
//! A browser on this machine can be made to send requests by any page that it shows, and a name can be
//! made to stand for this machine (DNS rebinding). So what does something is closed to everything that
//! looks like a browser or like a stranger's name.

use std::net::IpAddr;

/// Headers that only browsers send, and those with which a proxy says that it asks for somebody else.
const TELLTALES: [&str; 5] = [
    "origin",
    "sec-fetch-site",
    "forwarded",
    "x-forwarded-for",
    "x-real-ip",
];

/// Whether this request comes from a program on this machine.
///
/// # Errors
/// Says why not.
pub(super) fn check<'h>(
    peer: IpAddr,
    header: impl Fn(&str) -> Option<&'h str>,
) -> Result<(), String> {
    // An IPv4 client of a socket for both has an address that is IPv4 inside IPv6.
    if !peer.to_canonical().is_loopback() {
        return Err("only programs on this machine may ask for this".into());
    }
    if let Some(name) = TELLTALES.iter().find(|name| header(name).is_some()) {
        return Err(format!(
            "no browser and no proxy may ask for this, and a request with a header {name} comes from one"
        ));
    }
    if !header("host").is_some_and(is_this_machine) {
        return Err("ask for this by a name of this machine itself, like localhost".into());
    }
    Ok(())
}

/// Whether a `Host` header names this machine: `localhost`, `127.0.0.1:4040`, `[::1]`.
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

/// Whether that is a port with its colon, or nothing.
fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':');
    text.is_empty() || digits.is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_names_of_this_machine() {
        for own in [
            "localhost",
            "LocalHost:4040",
            "127.0.0.1",
            "127.8.9.10:80",
            "[::1]",
            "[::1]:4040",
            "localhost:",
        ] {
            assert!(is_this_machine(own), "{own}");
        }
        for other in [
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
            assert!(!is_this_machine(other), "{other}");
        }
    }

    fn verdict(peer: &str, headers: &[(&str, &'static str)]) -> Result<(), String> {
        check(peer.parse().unwrap(), |name| {
            let found = headers.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| *value)
        })
    }

    #[test]
    fn a_program_on_this_machine_may_and_nobody_else() {
        let host = ("host", "localhost:4040");
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(verdict(peer, &[host]), Ok(()));
        }
        for peer in ["10.1.2.3", "2001:db8::1", "::ffff:10.1.2.3"] {
            assert!(verdict(peer, &[host]).is_err(), "{peer}");
        }
        for name in TELLTALES {
            let refused = verdict("::1", &[host, (name, "")]).unwrap_err();
            assert!(refused.contains(name), "{refused}");
        }
        assert!(verdict("::1", &[]).is_err(), "no host");
        assert!(verdict("::1", &[("host", "evil.example")]).is_err());
    }
}
