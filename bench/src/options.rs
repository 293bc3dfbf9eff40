//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::races::{Parts, Size};

pub const USAGE: &str = "\
Measures the elector beside client-go, and writes bench/results.

Usage: bench COMMAND [OPTIONS]

Commands:
  all         everything; writes bench/results
  takeover    a leader is killed (SIGKILL)
  handover    a leader is stopped (SIGTERM)
  cold-start  three start on a gist with an expired record
  overlap     answers are delayed by up to 20 s: are there ever two leaders?
  requests    requests of an election, in simulated hours and two minutes of real processes
  footprint   what it costs the machine: memory, CPU time, sizes, start-up
  report      writes the tables and plots again, from bench/results/bench.json
  workload    internal: the workload of the electors

Options:
  --only PART[,PART]   only these parts of `all`
  --elections N        elections side by side, for each contender and latency (default 16)
  --rounds N           takeovers and handovers of each election (default 4; with --long 12)
  --long               several times as many repetitions
  --elector PATH       default target/static/elector, else target/release/elector
  --client-go PATH     default target/bench/client-go, skipped if missing
  --image NAME         the image whose size is reported, if an engine has it
  --docs               put the tables into docs/performance.md
  --help               this text

What is measured alone is printed, and not written to bench/results.
";

/// Parts of a run, by name.
pub const PARTS: [&str; 6] = [
    "takeover",
    "handover",
    "cold-start",
    "overlap",
    "requests",
    "footprint",
];

/// Name of the image in the Makefile.
const IMAGE: &str = "g1g1/multi-cluster-leader-election:0.1.0";

/// Most elections at a time: a gist service has 512 connections, and each of three candidates uses
/// one or two.
const MOST_ELECTIONS: usize = 80;

/// Most rounds: a gist service holds a thousand gists, and each cold start takes a new one.
const MOST_GISTS: usize = 900;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Measures these parts. `write` says whether the results are written.
    Measure {
        parts: Vec<&'static str>,
        write: bool,
    },
    Report,
    Workload,
    Help,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub command: Command,
    pub elections: usize,
    pub rounds: usize,
    pub long: bool,
    pub elector: Option<PathBuf>,
    pub client_go: Option<PathBuf>,
    pub image: String,
    pub docs: bool,
}

impl Options {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    /// Returns a message that says what to do.
    pub fn parse<I>(args: I) -> Result<Options, String>
    where
        I: IntoIterator,
        I::Item: Into<std::ffi::OsString>,
    {
        let mut parser = lexopt::Parser::from_args(args);
        let mut raw = Raw::default();
        raw.take_all(&mut parser).map_err(|e| e.to_string())?;
        raw.checked()
    }

    /// Returns the parts that `races` measures.
    #[must_use]
    pub fn races(parts: &[&'static str]) -> Parts {
        Parts {
            takeover: parts.contains(&"takeover"),
            handover: parts.contains(&"handover"),
            cold: parts.contains(&"cold-start"),
            overlap: parts.contains(&"overlap"),
        }
    }

    /// Returns how much `races` measures.
    #[must_use]
    pub fn size(&self) -> Size {
        Size {
            elections: self.elections,
            rounds: self.rounds,
            delayed: Duration::from_secs(if self.long { 900 } else { 240 }),
            delayed_elections: 8,
        }
    }
}

#[derive(Default)]
struct Raw {
    command: Option<String>,
    only: Option<String>,
    elections: Option<usize>,
    rounds: Option<usize>,
    long: bool,
    elector: Option<PathBuf>,
    client_go: Option<PathBuf>,
    image: Option<String>,
    docs: bool,
    help: bool,
}

impl Raw {
    fn take_all(&mut self, parser: &mut lexopt::Parser) -> Result<(), lexopt::Error> {
        while let Some(arg) = parser.next()? {
            match arg {
                Value(command) if self.command.is_none() => self.command = Some(command.string()?),
                Long("only") => self.only = Some(parser.value()?.string()?),
                Long("elections") => self.elections = Some(parser.value()?.parse()?),
                Long("rounds") => self.rounds = Some(parser.value()?.parse()?),
                Long("long") => self.long = true,
                Long("elector") => self.elector = Some(parser.value()?.into()),
                Long("client-go") => self.client_go = Some(parser.value()?.into()),
                Long("image") => self.image = Some(parser.value()?.string()?),
                Long("docs") => self.docs = true,
                Short('h') | Long("help") => self.help = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(())
    }

    fn checked(self) -> Result<Options, String> {
        let name = self.command.as_deref().unwrap_or("help");
        let command = match name {
            _ if self.help => Command::Help,
            "help" => Command::Help,
            "report" => Command::Report,
            "workload" => Command::Workload,
            "all" => Command::Measure {
                parts: match &self.only {
                    None => PARTS.to_vec(),
                    Some(only) => only.split(',').map(part).collect::<Result<_, _>>()?,
                },
                write: true,
            },
            one => Command::Measure {
                parts: vec![part(one)?],
                write: false,
            },
        };
        let elections = self.elections.unwrap_or(16);
        let rounds = self.rounds.unwrap_or(if self.long { 12 } else { 4 });
        if elections == 0 || rounds == 0 {
            return Err("--elections and --rounds are at least 1".to_owned());
        }
        if elections > MOST_ELECTIONS || elections * rounds > MOST_GISTS {
            return Err(format!(
                "more than {MOST_ELECTIONS} elections, or {MOST_GISTS} elections times rounds, are too much for a gist service"
            ));
        }
        Ok(Options {
            command,
            elections,
            rounds,
            long: self.long,
            elector: self.elector,
            client_go: self.client_go,
            image: self.image.unwrap_or_else(|| IMAGE.to_owned()),
            docs: self.docs,
        })
    }
}

fn part(name: &str) -> Result<&'static str, String> {
    let known = PARTS.iter().find(|part| **part == name);
    known
        .copied()
        .ok_or_else(|| format!("there is no `{name}`: see bench --help"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(args: &[&str]) -> Result<Vec<&'static str>, String> {
        match Options::parse(args.iter().copied())?.command {
            Command::Measure { parts, .. } => Ok(parts),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn command_names_one_or_all_parts() {
        assert_eq!(parts(&["takeover"]).unwrap(), ["takeover"]);
        assert_eq!(parts(&["all"]).unwrap(), PARTS);
        let some = parts(&["all", "--only", "overlap,takeover"]);
        assert_eq!(some.unwrap(), ["overlap", "takeover"]);
        assert!(parts(&["al"]).is_err() && parts(&["all", "--only", "x"]).is_err());
    }

    #[test]
    fn long_run_has_more_rounds() {
        let rounds = |args: &[&str]| Options::parse(args.iter().copied()).unwrap().rounds;
        assert!(rounds(&["all", "--long"]) > 2 * rounds(&["all"]));
        assert_eq!(rounds(&["all", "--long", "--rounds", "2"]), 2);
        assert!(Options::parse(["all", "--rounds", "0"]).is_err());
        assert!(Options::parse(["all", "--elections", "81"]).is_err());
        assert!(Options::parse(["all", "--elections", "80", "--rounds", "12"]).is_err());
        assert!(Options::parse(["all", "--what"]).is_err());
    }
}
