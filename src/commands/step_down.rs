//! `elector step-down`: asks the elector on this machine, over its status endpoint, to let another one lead.
//!
//! It sends its requests over loopback, never through a proxy. The elector defines what stepping down means.

#[expect(clippy::disallowed_methods, reason = "waits between two requests")]
mod wait;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value as Json;

use super::command::{
    Arguments, Command, CommandError, CommandOption, CommandResult, Operands, UsageError, print,
};
use super::local_endpoint::{TIMEOUT, addresses, client, http_addr};
use crate::fmt::one_line;
use crate::net::CallError;
use crate::observe::routes::step_down_period;

/// The command.
pub const COMMAND: Command = Command {
    name: "step-down",
    summary: "make the elector on this machine let others lead",
    details: "\
Asks the elector on this machine, over its status endpoint, not to acquire the lease
for some time, so that another cluster leads. A leader first stops its workload and
releases the lease. HTTP_ADDR determines the endpoint's port, so run it with the
elector's own environment, as with `kubectl exec POD -- elector step-down`. It needs
neither the lock nor its access token.

With STATE_DIR, an elector that restarts does not acquire before that time either.",
    options: &[
        CommandOption::value(
            FOR,
            "D",
            "time from now, at most 720h; 0 ends it\n[default: one lease]",
        ),
        CommandOption::flag(
            WAIT,
            "return when it does not hold the lease, or fail after\nSTOP_TIMEOUT + TERMINATION_GRACE + 2 LEASE_DURATION",
        ),
    ],
    operands: Operands::None,
    notes: "\
Exit codes: 0 it steps down; 1 it does not, cannot be reached, or still holds the
lease after --wait; 2 wrong usage or settings.",
    run,
};

const FOR: &str = "--for";
const WAIT: &str = "--wait";

fn run(args: &Arguments) -> CommandResult {
    let period = period(args)?;
    let addresses = loopback_addresses(http_addr().as_deref())?;
    let (address, status, body) = ask(&addresses, period).map_err(CommandError::failed)?;
    let effect = Effect::read(status, &body).map_err(CommandError::failed)?;
    print(&effect.text())?;
    if args.has(WAIT) && effect.until.is_some() {
        print(&wait::until_released(address).map_err(CommandError::failed)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn period(args: &Arguments) -> Result<Option<Duration>, UsageError> {
    let text = args.parsed::<String>(FOR)?;
    let period = text.as_deref().map(step_down_period).transpose();
    period.map_err(|why| UsageError::new(format!("{FOR}: {why}")))
}

/// Returns the addresses of the elector with this `HTTP_ADDR`, all of them on loopback.
///
/// # Errors
/// If there is none, or not on loopback.
fn loopback_addresses(setting: Option<&str>) -> Result<Vec<SocketAddr>, CommandError> {
    let addresses = addresses(setting)?;
    match addresses.iter().find(|address| !address.ip().is_loopback()) {
        None => Ok(addresses),
        Some(foreign) => Err(CommandError::settings(format!(
            "HTTP_ADDR: {foreign} is not loopback, and an elector accepts step-down only over loopback; \
             start it with `:PORT` or `127.0.0.1:PORT`"
        ))),
    }
}

/// Sends the request to the first of the addresses that accepts a connection. Returns that address, and the
/// status and the body of the answer.
fn ask(
    addresses: &[SocketAddr],
    period: Option<Duration>,
) -> Result<(SocketAddr, u16, Vec<u8>), String> {
    let path = match period {
        None => "step-down".to_owned(),
        // Rounded up, because zero would end the step-down.
        Some(period) => format!("step-down?for={}us", period.as_nanos().div_ceil(1000)),
    };
    let mut first_failure = None;
    for address in addresses {
        let answer = client(*address, &path).and_then(|mut client| client.post(TIMEOUT));
        match answer {
            Ok((status, body)) => return Ok((*address, status, body)),
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

/// Effect of the request, by the elector's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Effect {
    led: bool,
    /// Time until which it does not acquire the lease; `None` if it may.
    until: Option<String>,
    /// Whether that survives a restart of the elector.
    kept: bool,
}

impl Effect {
    /// Reads an answer.
    ///
    /// # Errors
    /// Returns why the elector does not do what it was asked.
    fn read(status: u16, body: &[u8]) -> Result<Effect, String> {
        let body: Json = serde_json::from_slice(body).unwrap_or_default();
        let error = body["error"].as_str().map(one_line);
        Err(match (status, error, body["kept"].as_bool()) {
            (202, _, Some(kept)) => {
                let until = body["until"].as_str().map(one_line);
                return Ok(Effect {
                    led: body["led"] == true,
                    until,
                    kept,
                });
            }
            (403, Some(error), _) => format!("the elector here refuses it: {error}"),
            (404 | 405, ..) => {
                "the program at this port has no /step-down; check that it is an elector of \
                           this version"
                    .to_owned()
            }
            (status, Some(error), _) => format!("the elector here answers {status}: {error}"),
            (status, None, _) => format!(
                "the program at this port answers {status}, which no elector of this version does; check \
                 whether it is another program's port"
            ),
        })
    }

    /// Returns the effect for display.
    fn text(&self) -> String {
        let (what, lost) = match &self.until {
            None => (
                "The elector may acquire the lease.\n".to_owned(),
                "Its state file was not changed, so its next process may wait again.\n",
            ),
            Some(until) => (
                match self.led {
                    true => format!(
                        "The elector is stepping down. It stops its workload, releases the lease,\n\
                         and will not acquire until {until}.\n"
                    ),
                    false => {
                        format!("The elector does not lead, and will not acquire until {until}.\n")
                    }
                },
                "This ends with the elector's process; set STATE_DIR to keep it.\n",
            ),
        };
        what + if self.kept { "" } else { lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreachable_endpoint_error_names_fix() {
        for (setting, part) in [
            (None, "HTTP_ADDR: off"),
            (Some("off"), "HTTP_ADDR: off"),
            (Some("OFF"), "HTTP_ADDR: off"),
            (Some(":0"), "port 0"),
            (Some("10.0.0.5:4040"), "10.0.0.5:4040 is not loopback"),
            (Some("example.org:80"), "neither an IP address"),
            (Some("4040"), "not an address"),
        ] {
            let Err(CommandError::Failed { why, .. }) = loopback_addresses(setting) else {
                panic!("{setting:?}");
            };
            assert!(why.contains(part), "{setting:?}: {why}");
        }
    }

    #[test]
    fn only_confirmation_counts() {
        let answer = |status: u16, body: &str| Effect::read(status, body.as_bytes());
        let effect = answer(202, r#"{"led":true,"until":"then","kept":true,"x":1}"#).unwrap();
        let expected = Effect {
            led: true,
            until: Some("then".to_owned()),
            kept: true,
        };
        assert_eq!(effect, expected);
        for (status, body, part) in [
            (202, "{}", "another program's port"),
            (202, r#"{"steppingDown":true}"#, "another program's port"),
            (200, "hello", "another program's port"),
            (400, r#"{"error":"for: oh"}"#, "400: for: oh"),
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

    #[test]
    fn text_says_until_when() {
        let text = |led, until: Option<&str>, kept| {
            let until = until.map(str::to_owned);
            Effect { led, until, kept }.text()
        };
        let leader = text(true, Some("then"), true);
        assert!(leader.contains("releases the lease,\nand will not acquire until then."));
        assert!(!leader.contains("STATE_DIR"), "{leader}");
        let standby = text(false, Some("then"), false);
        assert!(standby.starts_with("The elector does not lead, and will not acquire until then."));
        assert!(standby.contains("ends with the elector's process; set STATE_DIR"));
        assert_eq!(
            text(true, None, true),
            "The elector may acquire the lease.\n"
        );
        assert!(text(true, None, false).contains("state file was not changed"));
    }
}
