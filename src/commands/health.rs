//! `elector health`: asks the elector on this machine whether it is healthy.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::command::{Arguments, Command, CommandError, CommandResult, Operands, print};
use super::local_endpoint::{TIMEOUT, addresses, client, http_addr};
use crate::fmt::one_line;
use crate::net::CallError;

/// The command.
pub const COMMAND: Command = Command {
    name: "health",
    summary: "exit with 0 if the elector on this machine is healthy",
    details: "\
Asks /healthz of the elector on this machine, for HEALTHCHECK and scripts. HTTP_ADDR
determines the endpoint's port, so run it with the elector's own environment, as with
`docker exec CONTAINER elector health`. It needs no other setting. A standby, and a
candidate whose store is unreachable, are healthy.",
    options: &[],
    operands: Operands::None,
    notes: "\
Exit codes: 0 healthy; 1 not healthy, or no answer (standard error says why); 2 wrong
usage or settings.",
    run,
};

fn run(_args: &Arguments) -> CommandResult {
    let addresses = addresses(http_addr().as_deref())?;
    let (status, body) = ask(&addresses).map_err(CommandError::failed)?;
    check(status, &String::from_utf8_lossy(&body)).map_err(CommandError::failed)?;
    print("healthy\n")?;
    Ok(ExitCode::SUCCESS)
}

/// Asks the first of the addresses that accepts a connection. Returns status and body of the answer.
fn ask(addresses: &[SocketAddr]) -> Result<(u16, Vec<u8>), String> {
    let mut failures = Vec::new();
    for address in addresses {
        let client = client(*address, "healthz");
        match client.and_then(|mut client| client.get_json(TIMEOUT)) {
            Ok(answer) => return Ok(answer),
            Err(CallError::NotSent(why)) => failures.push(format!("{address}: {why}")),
            Err(CallError::MayHaveLanded(why)) => {
                return Err(format!("no answer from {address}: {why}"));
            }
        }
    }
    let failures = failures.join("; ");
    Err(format!(
        "nothing listens there ({failures}); check that the elector runs here, with this HTTP_ADDR"
    ))
}

/// Checks an answer of `/healthz`.
///
/// # Errors
/// Returns the reason if it does not say that the elector is healthy.
fn check(status: u16, body: &str) -> Result<(), String> {
    match (status, body.trim_end()) {
        (200, "ok") => Ok(()),
        (500, reason) if !reason.is_empty() => Err(format!("not healthy: {}", one_line(reason))),
        (status, _) => Err(format!(
            "the program at this port answers {status}, and not like an elector; set HTTP_ADDR as for the \
             elector"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ok_is_healthy() {
        assert_eq!(check(200, "ok\n"), Ok(()));
        for (status, body, part) in [
            (
                500,
                "renewing exceeded\nits timeout\n",
                "not healthy: renewing exceeded its timeout",
            ),
            (500, "", "answers 500"),
            (200, "<html>", "answers 200"),
            (404, "ok", "answers 404"),
        ] {
            let error = check(status, body).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
