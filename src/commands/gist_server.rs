//! `elector gist-server`: the embedded gist service as a program, for demonstrations and tests.

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::command::{
    Arguments, Command, CommandError, CommandOption, CommandResult, Operands, UsageError, Values,
};
use crate::emulator::{Faults, GistService, Options};
use crate::http::ListenAddr;
use crate::runtime::logging::{self, LogFormat};

/// The command.
pub const COMMAND: Command = Command {
    name: "gist-server",
    summary: "run a gist service that behaves like GitHub's, for tests",
    details: "Candidates can use it without a GitHub account, also from several machines.",
    options: &[
        CommandOption::value(
            "--listen",
            "ADDR",
            "listen there: :PORT (every interface), HOST:PORT or [IPV6]:PORT; port 0 is any free one [default: 127.0.0.1:4041]",
        ),
        CommandOption::value(
            "--state",
            "FILE",
            "keep the gists in this file; without it, they are lost when the service stops",
        )
        .of(Values::Files),
        CommandOption::value(
            "--token",
            "T[:S,S]",
            "accept this access token with these scopes [default: gist]; may be repeated; without any, accept every token",
        ),
        CommandOption::value(
            "--gist",
            "ID[:FILE[=CONTENT]]",
            "create this gist unless it exists, with this one file [default: leader.json, holding {}]; may be repeated",
        ),
        CommandOption::value(
            "--faults",
            "JSON",
            "faults, or @FILE with that JSON; see GET /_faults",
        ),
        CommandOption::value("--seed", "N", "seed of revisions and faults [default: 1]"),
        CommandOption::flag("--quiet", "do not log requests"),
    ],
    operands: Operands::None,
    notes: "\
The first line on standard output is `listening on http://HOST:PORT`.

While it runs:
  GET /_faults      the present faults
  PUT /_faults      replaces all of them; PATCH changes only the fields named
  GET /_requests    counters of requests; POST /_reset-counters resets them

These endpoints have no password. Do not listen where strangers can connect.",
    run,
};

/// Default port, next to the elector's own 4040.
const DEFAULT_PORT: u16 = 4041;

/// Longest wait at the end for the last log lines to be read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

fn run(args: &Arguments) -> CommandResult {
    let options = options(args)?;
    serve(options).map_err(CommandError::failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the service until SIGINT or SIGTERM.
fn serve(options: Options) -> io::Result<()> {
    let filter = std::env::var("RUST_LOG").unwrap_or_default();
    let log = logging::init(&filter, LogFormat::default())?;
    let service = GistService::start(options)?;
    let handle = service.handle();
    ctrlc::set_handler(move || handle.shut_down()).map_err(io::Error::other)?;
    announce(&service.url())?;
    let served = service.wait();
    // If nobody reads standard error, the last lines are lost rather than the end delayed.
    let _ = log.flush(FLUSH_TIMEOUT);
    served
}

/// Prints the address, for scripts that wait for the service.
fn announce(url: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {url}")?;
    out.flush()
}

fn options(args: &Arguments) -> Result<Options, UsageError> {
    let listen = args.parsed("--listen")?;
    let mut options = Options {
        listen: listen.unwrap_or(ListenAddr::loopback(DEFAULT_PORT)),
        state: args.value("--state").map(Into::into),
        tokens: args.all_parsed("--token")?,
        gists: args.all_parsed("--gist")?,
        quiet: args.has("--quiet"),
        ..Options::default()
    };
    if let Some(seed) = args.parsed("--seed")? {
        options.seed = seed;
    }
    if let Some(text) = args.parsed::<String>("--faults")? {
        let faults = faults(&text);
        options.faults = faults.map_err(|why| UsageError::new(format!("--faults: {why}")))?;
    }
    Ok(options)
}

fn faults(text: &str) -> Result<Faults, String> {
    let json = match text.strip_prefix('@') {
        Some(path) => fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))?,
        None => text.as_bytes().to_vec(),
    };
    Faults::from_json(&json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Options, String> {
        let args = args.iter().map(Into::into).collect();
        match Arguments::parse(&COMMAND, args).and_then(|args| Ok(options(&args)?)) {
            Ok(options) => Ok(options),
            Err(CommandError::Usage(error)) => Err(error.to_string()),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn default_address_is_loopback() {
        let options = parsed(&[]).unwrap();
        assert_eq!(options.listen.to_string(), "127.0.0.1:4041");
        assert!(options.state.is_none() && options.tokens.is_empty() && options.gists.is_empty());
    }

    #[test]
    fn gists_and_tokens_may_be_repeated() {
        let args = [
            "--gist",
            "a",
            "--gist=b:c=d",
            "--token",
            "t",
            "--token",
            "u:",
            "--faults",
            "{\"drop\":1}",
        ];
        let options = parsed(&args).unwrap();
        assert_eq!((options.gists.len(), options.tokens.len()), (2, 2));
        assert_ne!(options.faults, Faults::default());
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (args, named) in [
            (&["--listen", "nowhere"][..], "--listen"),
            (&["--gist", ""], "--gist"),
            (&["--token", ""], "--token"),
            (&["--faults", "{\"dorp\":1}"], "dorp"),
            (&["--faults", "@/nonexistent"], "/nonexistent"),
            (&["--seed", "x"], "--seed"),
            (&["--what"], "--what"),
            (&["stray"], "stray"),
        ] {
            let error = parsed(args).unwrap_err();
            assert!(error.contains(named), "{args:?}: {error}");
        }
    }
}
