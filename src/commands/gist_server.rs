//! `elector gist-server`: the embedded gist service on its own, for demos and tests.
//!
//! It owns this subcommand's arguments and its exit code; the service itself is `emulator`'s.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;

use super::help;
use super::usage::{self, UsageError};
use crate::emulator::{Faults, GistService, Options, StartGist, Token};
use crate::http::ListenAddr;
use crate::runtime::logging::{self, LogFormat};

/// What is to be known of it, for the help.
pub(super) const DETAILS: &str = "\
With it candidates can be tried without an account, also on several machines.

Options:
  --listen ADDR     where to listen: :PORT (every address), HOST:PORT or
                    [IPV6]:PORT; port 0 is any free one [default: 127.0.0.1:4041]
  --state FILE      keep the gists in this file; without it they are gone at the end
  --token T[:S,S]   accept this token with these scopes [default: gist]; may be
                    repeated; without any, every token is accepted
  --gist ID[:FILE[=CONTENT]]
                    make this gist unless it is there, with this one file
                    [default: leader.json, holding {}]; may be repeated
  --faults JSON     what goes wrong, or @FILE with that JSON; see GET /_faults
  --seed N          decides revisions and what goes wrong when [default: 1]
  --quiet           log no requests
  --help            this text

The first line on standard output is `listening on http://HOST:PORT`.

While it runs:
  GET /_faults      what goes wrong at present
  PUT /_faults      replaces it all; PATCH changes only the fields named
  GET /_requests    what was asked, counted; POST /_reset-counters starts anew

These have no password: do not listen where strangers are.";

/// Where it listens unless told: beside the elector's own 4040.
const DEFAULT_LISTEN: u16 = 4041;

/// How long the end waits for the last lines to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The options, with their dashes.
const OPTIONS: &[&str] = &[
    "--listen", "--state", "--token", "--gist", "--faults", "--seed", "--quiet", "--help",
];

/// Runs the service until SIGINT or SIGTERM; `args` is what follows the subcommand's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match parse(args) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", help::text(help::topic("gist-server")));
            return ExitCode::SUCCESS;
        }
        Err(error) => return usage::refuse("gist-server", &error),
    };
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("elector gist-server: {e}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: Options) -> io::Result<()> {
    let log = logging::init(
        &std::env::var("RUST_LOG").unwrap_or_default(),
        LogFormat::default(),
    )?;
    let service = GistService::start(options)?;
    let handle = service.handle();
    ctrlc::set_handler(move || handle.shut_down()).map_err(io::Error::other)?;
    announce(&service.url())?;
    let served = service.wait();
    // Lines that nobody reads are lost; the end does not wait for them.
    let _ = log.flush(LAST_LINES);
    served
}

/// For scripts that wait for it: one line, there as soon as the service is.
fn announce(url: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {url}")?;
    out.flush()
}

/// `None` is a wish for help.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, UsageError> {
    let mut options = Options {
        listen: ListenAddr::loopback(DEFAULT_LISTEN),
        quiet: false,
        ..Options::default()
    };
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("listen") => options.listen = value(&mut parser, "--listen")?,
            Long("state") => options.state = Some(parser.value()?.into()),
            Long("token") => options.tokens.push(value::<Token>(&mut parser, "--token")?),
            Long("gist") => options
                .gists
                .push(value::<StartGist>(&mut parser, "--gist")?),
            Long("faults") => options.faults = faults(&parser.value()?.string()?)?,
            Long("seed") => options.seed = value(&mut parser, "--seed")?,
            Long("quiet") => options.quiet = true,
            arg => return Err(usage::unexpected(&arg, OPTIONS)),
        }
    }
    Ok(Some(options))
}

fn value<T>(parser: &mut lexopt::Parser, option: &'static str) -> Result<T, UsageError>
where
    T: std::str::FromStr,
    T::Err: fmt::Display,
{
    let text = parser.value()?.string()?;
    text.parse()
        .map_err(|e: T::Err| UsageError::Value(format!("{option}: {e}")))
}

fn faults(text: &str) -> Result<Faults, UsageError> {
    let wrong = |why: String| UsageError::Value(format!("--faults: {why}"));
    let json = match text.strip_prefix('@') {
        Some(path) => fs::read(path).map_err(|e| wrong(format!("cannot read {path}: {e}")))?,
        None => text.as_bytes().to_vec(),
    };
    Faults::from_json(&json).map_err(|e| wrong(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Option<Options>, UsageError> {
        parse(args.iter().map(OsString::from))
    }

    #[test]
    fn without_arguments_it_listens_on_the_loopback_interface_only() {
        let options = parsed(&[]).unwrap().unwrap();
        assert_eq!(options.listen.to_string(), "127.0.0.1:4041");
        assert!(options.state.is_none() && options.tokens.is_empty() && options.gists.is_empty());
    }

    #[test]
    fn options_may_be_repeated_where_there_can_be_several() {
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
        let options = parsed(&args).unwrap().unwrap();
        assert_eq!((options.gists.len(), options.tokens.len()), (2, 2));
        assert_ne!(options.faults, Faults::default());
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
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
            let error = parsed(args).unwrap_err().to_string();
            assert!(error.contains(named), "{args:?}: {error}");
        }
    }
}
