//! The status endpoint of the elector on this machine, for commands that ask it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value as Json;

use super::command::CommandError;
use crate::http::ListenAddr;
use crate::net::{CallError, ProxySettings, Url, UrlError, WebClient};

/// Greatest duration of a request, connection included. The elector answers immediately.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the setting `ELECTOR_HTTP_ADDR` or `HTTP_ADDR`. Set but empty means unset.
pub(super) fn http_addr() -> Option<String> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let value = variable("ELECTOR_HTTP_ADDR").or_else(|| variable("HTTP_ADDR"))?;
    Some(value.to_string_lossy().into_owned())
}

/// Returns the addresses at which an elector with this `HTTP_ADDR` answers programs on this machine.
///
/// # Errors
/// If there is none. The setting is not shown unless it is an address, because it may be a secret.
pub(super) fn addresses(setting: Option<&str>) -> Result<Vec<SocketAddr>, CommandError> {
    let setting = setting.filter(|text| !text.eq_ignore_ascii_case("off"));
    let setting = setting.ok_or_else(|| {
        CommandError::failed(
            "HTTP_ADDR: off, so the elector has no endpoint; start it with HTTP_ADDR=:4040, or set the \
             variable here as for the elector",
        )
    })?;
    let addr: ListenAddr = setting.parse().map_err(|_| {
        CommandError::settings(
            "HTTP_ADDR: not an address; set it to `off`, `:PORT`, `HOST:PORT` or `[IPV6]:PORT`",
        )
    })?;
    let port = addr.port();
    if port == 0 {
        return Err(CommandError::settings(
            "HTTP_ADDR: port 0 stands for any free one; set it to the port that the elector logged",
        ));
    }
    let Some(host) = addr.host() else {
        return Ok(loopback(port));
    };
    match host.parse::<IpAddr>() {
        // Covers all addresses of IPv4 only, and `[::]` may cover those of IPv4 too.
        Ok(IpAddr::V4(ip)) if ip.is_unspecified() => Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]),
        Ok(IpAddr::V6(ip)) if ip.is_unspecified() => Ok(loopback(port)),
        Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
        Err(_) if host.eq_ignore_ascii_case("localhost") => Ok(loopback(port)),
        Err(_) => Err(CommandError::settings(format!(
            "HTTP_ADDR: {addr} is neither an IP address nor localhost; set one of them"
        ))),
    }
}

fn loopback(port: u16) -> Vec<SocketAddr> {
    vec![
        (Ipv4Addr::LOCALHOST, port).into(),
        (Ipv6Addr::LOCALHOST, port).into(),
    ]
}

/// Returns a client for a path of the endpoint. It uses no proxy.
///
/// # Errors
/// If the client cannot be set up.
pub(super) fn client(address: SocketAddr, path: &str) -> Result<WebClient, CallError> {
    let unusable = |error: &dyn fmt::Display| CallError::NotSent(error.to_string());
    let url: Url = format!("http://{address}/{path}")
        .parse()
        .map_err(|error: UrlError| unusable(&error))?;
    let client = WebClient::new(&url, None, &ProxySettings::default());
    client.map_err(|error| unusable(&error))
}

/// Returns the status document of the elector at `address`.
///
/// # Errors
/// Returns why there is none.
pub(super) fn local_status(address: SocketAddr) -> Result<Json, String> {
    let (_, body) = client(address, "status")
        .and_then(|mut client| client.get_json(TIMEOUT))
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_is_asked_on_this_machine() {
        let all = ["127.0.0.1:4040", "[::1]:4040"].as_slice();
        for (setting, expected) in [
            (":4040", all),
            ("localhost:4040", all),
            ("[::]:4040", all),
            ("0.0.0.0:4040", &all[..1]),
            ("127.0.0.1:4040", &all[..1]),
            ("127.3.2.1:4040", &["127.3.2.1:4040"]),
            ("[::1]:4040", &all[1..]),
            ("10.0.0.5:4040", &["10.0.0.5:4040"]),
        ] {
            let found: Vec<String> = addresses(Some(setting))
                .unwrap()
                .iter()
                .map(SocketAddr::to_string)
                .collect();
            assert_eq!(found, expected, "{setting}");
        }
    }
}
