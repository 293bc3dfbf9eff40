//! `elector step-down`: asks the elector on this machine, over its status endpoint, to let another one lead.
//!
//! It sends one request over loopback, never through a proxy. The elector defines what stepping down means.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value as Json;

use super::command::{Arguments, Command, CommandError, CommandResult, Operands, print};
use crate::fmt::one_line;
use crate::http::ListenAddr;
use crate::net::{CallError, ProxySettings, Url, UrlError, WebClient};

/// The command.
pub const COMMAND: Command = Command {
    name: "step-down",
    summary: "make the elector on this machine release its lease",
    details: "\
Asks the elector on this machine, over its status endpoint, to stop its workload, to
release the lease, and not to acquire for one lease, so that another cluster acquires
it. HTTP_ADDR determines the endpoint's port, so run it with the elector's own
environment, as with `kubectl exec POD -- elector step-down`. It needs neither the
lock nor its access token.",
    options: &[],
    operands: Operands::None,
    notes: "\
Exit codes: 0 it steps down; 1 it does not, or cannot be reached; 2 wrong usage or
settings.",
    run,
};

/// Greatest duration of the request, connection included. The elector answers immediately, and steps down
/// afterwards.
const TIMEOUT: Duration = Duration::from_secs(5);

fn run(_args: &Arguments) -> CommandResult {
    let addresses = addresses(http_addr().as_deref())?;
    let (status, body) = ask(&addresses).map_err(CommandError::failed)?;
    meaning(status, &body).map_err(CommandError::failed)?;
    print(
        "The elector is stepping down. It stops its workload, releases the lease,\n\
         and does not acquire it for one lease.\n",
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the setting `ELECTOR_HTTP_ADDR` or `HTTP_ADDR`. Set but empty means unset.
fn http_addr() -> Option<String> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let value = variable("ELECTOR_HTTP_ADDR").or_else(|| variable("HTTP_ADDR"))?;
    Some(value.to_string_lossy().into_owned())
}

/// Returns the loopback addresses of an elector with this `HTTP_ADDR`.
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
        Ok(ip) if ip.is_loopback() => Ok(vec![SocketAddr::new(ip, port)]),
        // Covers all addresses of IPv4 only, and `[::]` may cover those of IPv4 too.
        Ok(IpAddr::V4(ip)) if ip.is_unspecified() => Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]),
        Ok(IpAddr::V6(ip)) if ip.is_unspecified() => Ok(loopback(port)),
        Err(_) if host.eq_ignore_ascii_case("localhost") => Ok(loopback(port)),
        _ => Err(CommandError::settings(format!(
            "HTTP_ADDR: {addr} is not loopback, and an elector accepts step-down only over loopback; \
             start it with `:PORT` or `127.0.0.1:PORT`"
        ))),
    }
}

fn loopback(port: u16) -> Vec<SocketAddr> {
    vec![
        (Ipv4Addr::LOCALHOST, port).into(),
        (Ipv6Addr::LOCALHOST, port).into(),
    ]
}

/// Sends the request to the first of the addresses that accepts a connection. Returns the status and the
/// body of the answer.
fn ask(addresses: &[SocketAddr]) -> Result<(u16, Vec<u8>), String> {
    let mut first_failure = None;
    for address in addresses {
        match post(*address) {
            Ok(answer) => return Ok(answer),
            Err(CallError::NotSent(why)) => {
                first_failure.get_or_insert((address, why));
            }
            Err(CallError::MayHaveLanded(why)) => {
                return Err(format!(
                    "the endpoint at {address} does not answer like an elector: {why}; if \
                     another program uses this port, set HTTP_ADDR; if the elector hangs, use elector \
                     depose"
                ));
            }
        }
    }
    Err(match first_failure {
        Some((address, why)) => format!(
            "nothing listens at {address} ({why}); check that the elector runs here, with this HTTP_ADDR"
        ),
        None => "no address to ask".to_owned(),
    })
}

fn post(address: SocketAddr) -> Result<(u16, Vec<u8>), CallError> {
    let unusable = |error: &dyn fmt::Display| CallError::NotSent(error.to_string());
    let url: Url = format!("http://{address}/step-down")
        .parse()
        .map_err(|error: UrlError| unusable(&error))?;
    let client = WebClient::new(&url, None, &ProxySettings::default());
    let mut client = client.map_err(|error| unusable(&error))?;
    client.post(TIMEOUT)
}

/// Checks that an answer says that the elector steps down.
///
/// # Errors
/// Returns why it does not.
fn meaning(status: u16, body: &[u8]) -> Result<(), String> {
    let body: Option<Json> = serde_json::from_slice(body).ok();
    let field = |name: &str| body.as_ref().and_then(|body| body.get(name));
    let error = field("error").and_then(Json::as_str).map(one_line);
    let steps_down = field("steppingDown") == Some(&Json::Bool(true));
    Err(match (status, error) {
        (200 | 202, _) if steps_down => return Ok(()),
        (409, Some(error)) => format!("the elector here does not step down: {error}"),
        (409, None) => "the elector here does not lead, so it cannot step down".to_owned(),
        (403, Some(error)) => format!("the elector here refuses it: {error}"),
        (404 | 405, _) => {
            "the program at this port has no /step-down; check that it is an elector of \
                           this version"
                .to_owned()
        }
        (status, Some(error)) => format!("the elector here answers {status}: {error}"),
        (status, None) => format!(
            "the program at this port answers {status}, which no elector does; check whether it is \
             another program's port"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_asked() {
        let all = ["127.0.0.1:4040", "[::1]:4040"].as_slice();
        for (setting, expected) in [
            (":4040", all),
            ("localhost:4040", all),
            ("[::]:4040", all),
            ("0.0.0.0:4040", &all[..1]),
            ("127.0.0.1:4040", &all[..1]),
            ("127.3.2.1:4040", &["127.3.2.1:4040"]),
            ("[::1]:4040", &all[1..]),
        ] {
            let found: Vec<String> = addresses(Some(setting))
                .unwrap()
                .iter()
                .map(SocketAddr::to_string)
                .collect();
            assert_eq!(found, expected, "{setting}");
        }
    }

    #[test]
    fn unreachable_endpoint_error_names_fix() {
        for (setting, part) in [
            (None, "HTTP_ADDR: off"),
            (Some("off"), "HTTP_ADDR: off"),
            (Some("OFF"), "HTTP_ADDR: off"),
            (Some(":0"), "port 0"),
            (Some("10.0.0.5:4040"), "10.0.0.5:4040 is not loopback"),
            (Some("example.org:80"), "not loopback"),
            (Some("4040"), "not an address"),
        ] {
            let Err(CommandError::Failed { why, .. }) = addresses(setting) else {
                panic!("{setting:?}");
            };
            assert!(why.contains(part), "{setting:?}: {why}");
        }
    }

    #[test]
    fn only_confirmation_counts() {
        let answer = |status: u16, body: &str| meaning(status, body.as_bytes());
        assert!(answer(202, r#"{"steppingDown":true,"x":1}"#).is_ok());
        for (status, body, part) in [
            (202, "{}", "another program's port"),
            (202, r#"{"steppingDown":false}"#, "another program's port"),
            (200, "hello", "another program's port"),
            (409, r#"{"error":"it does not lead"}"#, "it does not lead"),
            (409, "", "does not lead"),
            (
                403,
                r#"{"error":"not\nfrom here"}"#,
                "refuses it: not from here",
            ),
            (404, "", "has no /step-down"),
            (500, r#"{"error":"oh"}"#, "500: oh"),
        ] {
            let error = answer(status, body).unwrap_err();
            assert!(error.contains(part), "{status} {body}: {error}");
        }
    }
}
