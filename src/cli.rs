//! The command line: which command is meant, and what is printed when none is.
//!
//! This file owns parsing and mistakes in usage. What a command does, and its own arguments, are the
//! command's business.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use lexopt::{Arg, Parser};

use crate::commands::{self, help};

/// The exit code for wrong usage and settings.
const USAGE: u8 = 2;

/// How far a word may be from a known one to be taken for a slip, in letters added, left out,
/// changed or swapped.
const CLOSE: usize = 2;

/// Longer words than this, in characters, are no slip of a known one, and are not compared.
const LONGEST_COMPARED: usize = 24;

/// How much of a wrong argument is repeated, in characters.
const LONGEST_SHOWN: usize = 60;

/// The options that stand before a command.
const OPTIONS: &[&str] = &["--help", "--version"];

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Stand for election.
    Run,
    /// Show an election, with what stands behind `demo`.
    Demo(Vec<OsString>),
    /// Serve gists, with what stands behind `gist-server`.
    GistServer(Vec<OsString>),
    /// Print the help, or that of a command.
    Help(Option<&'static help::Topic>),
    /// Print the version.
    Version,
}

/// Why a command line cannot be understood.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageError {
    /// There is no such command.
    UnknownCommand(OsString),
    /// There is no such option here.
    UnknownOption(String),
    /// `run` and `help` take nothing (more); this followed them.
    TooMuch {
        /// The command.
        command: &'static str,
        /// What followed.
        argument: OsString,
    },
    /// An option that takes no value was given one.
    Value(String),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::UnknownCommand(word) => {
                let word = word.to_string_lossy();
                write!(f, "there is no command `{}`", shown(&word))?;
                let names = help::TOPICS.iter().map(|topic| topic.name);
                suggest(f, nearest(&word, names))
            }
            UsageError::UnknownOption(option) => {
                write!(f, "there is no option `{}` here", shown(option))?;
                suggest(f, nearest(option, OPTIONS.iter().copied()))
            }
            UsageError::TooMuch {
                command: command @ "run",
                argument,
            } => write!(
                f,
                "`{command}` takes no argument, but there is `{}`: everything is set by environment \
                 variables, see `elector help`",
                shown(&argument.to_string_lossy())
            ),
            UsageError::TooMuch { command, argument } => write!(
                f,
                "`{command}` takes no further argument, but there is `{}`: leave it out",
                shown(&argument.to_string_lossy())
            ),
            UsageError::Value(option) => {
                write!(f, "`{}` takes no value: leave it out", shown(option))
            }
        }
    }
}

impl std::error::Error for UsageError {}

fn suggest(f: &mut fmt::Formatter<'_>, nearest: Option<&str>) -> fmt::Result {
    match nearest {
        Some(known) => write!(f, ": did you mean `{known}`?"),
        None => f.write_str(": see `elector help`"),
    }
}

/// Reads the arguments, without the program's own name.
///
/// # Errors
/// [`UsageError`] for what is not known.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut parser = Parser::from_args(args);
    match next(&mut parser)? {
        None => Ok(Command::Run),
        Some(Word::Option(option)) => match option.as_str() {
            "-h" | "--help" => Ok(Command::Help(None)),
            "-V" | "--version" => Ok(Command::Version),
            _ => Err(UsageError::UnknownOption(option)),
        },
        Some(Word::Value(word)) => command(&word, parser),
    }
}

fn command(word: &OsString, parser: Parser) -> Result<Command, UsageError> {
    let name = word.to_str().unwrap_or_default();
    let Some(topic) = help::topic(name) else {
        return Err(UsageError::UnknownCommand(word.clone()));
    };
    let rest = remaining(parser);
    if rest
        .first()
        .is_some_and(|arg| arg == "-h" || arg == "--help")
    {
        return Ok(Command::Help(Some(topic)));
    }
    match topic.name {
        "demo" => Ok(Command::Demo(rest)),
        "gist-server" => Ok(Command::GistServer(rest)),
        "help" => help_on(rest),
        name => match rest.into_iter().next() {
            None => Ok(Command::Run),
            Some(argument) => Err(UsageError::TooMuch {
                command: name,
                argument,
            }),
        },
    }
}

fn help_on(rest: Vec<OsString>) -> Result<Command, UsageError> {
    let mut rest = rest.into_iter();
    let Some(word) = rest.next() else {
        return Ok(Command::Help(None));
    };
    let known = word.to_str().and_then(help::topic);
    let topic = known.ok_or(UsageError::UnknownCommand(word))?;
    match rest.next() {
        None => Ok(Command::Help(Some(topic))),
        Some(argument) => Err(UsageError::TooMuch {
            command: "help",
            argument,
        }),
    }
}

/// The arguments that have not been looked at.
fn remaining(mut parser: Parser) -> Vec<OsString> {
    parser.raw_args().map(Iterator::collect).unwrap_or_default()
}

enum Word {
    /// With its dashes.
    Option(String),
    Value(OsString),
}

fn next(parser: &mut Parser) -> Result<Option<Word>, UsageError> {
    let word = match parser.next() {
        Ok(None) => return Ok(None),
        Ok(Some(Arg::Short(letter))) => Word::Option(format!("-{letter}")),
        Ok(Some(Arg::Long(name))) => Word::Option(format!("--{name}")),
        Ok(Some(Arg::Value(word))) => return Ok(Some(Word::Value(word))),
        Err(error) => return Err(UsageError::UnknownOption(error.to_string())),
    };
    match (word, parser.optional_value()) {
        (Word::Option(option), Some(_)) => Err(UsageError::Value(option)),
        (word, _) => Ok(Some(word)),
    }
}

/// Runs the program: parses, prints or runs the command, and says with which code to exit.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match parse(args) {
        Ok(Command::Run) => commands::run::run(),
        Ok(Command::Demo(args)) => commands::demo::run(&args),
        Ok(Command::GistServer(args)) => commands::gist_server::run(args),
        Ok(Command::Help(topic)) => print(&help::text(topic)),
        Ok(Command::Version) => print(&help::version()),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(USAGE)
        }
    }
}

/// Prints to standard output. Whoever closed it has read enough.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("standard output cannot be written: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints to standard error. If that is not possible, the exit code has to do.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "elector: {text}");
}

fn shown(word: &str) -> String {
    word.chars()
        .take(LONGEST_SHOWN)
        .flat_map(char::escape_debug)
        .collect()
}

/// The known word that `word` is probably a slip of.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().nth(LONGEST_COMPARED).is_some() {
        return None;
    }
    known
        .map(|known| (distance(word, known), known))
        // Two slips in a word of three letters make it another word.
        .filter(|(distance, known)| *distance <= CLOSE && distance * 2 < known.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many letters have to be added, left out, changed or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // rows[i][j]: between the first i letters of one and the first j of the other.
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn parsed(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    /// A command as the tests compare it.
    fn meant(line: &str) -> String {
        match parsed(line) {
            Ok(Command::Help(topic)) => format!("help {}", topic.map_or("", |topic| topic.name)),
            Ok(command) => format!("{command:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn commands_are_understood() {
        for (line, expected) in [
            ("", "Run"),
            ("run", "Run"),
            ("demo", "Demo([])"),
            ("demo --fast 3", r#"Demo(["--fast", "3"])"#),
            (
                "gist-server --port=1 -- x",
                r#"GistServer(["--port=1", "--", "x"])"#,
            ),
            ("help", "help "),
            ("-h", "help "),
            ("--help", "help "),
            ("help run", "help run"),
            ("help help", "help help"),
            ("run --help", "help run"),
            ("demo -h", "help demo"),
            ("gist-server --help more", "help gist-server"),
            ("--version", "Version"),
            ("-V", "Version"),
        ] {
            assert_eq!(meant(line), expected, "{line}");
        }
    }

    #[test]
    fn mistakes_name_the_nearest_known_word() {
        for (line, expected) in [
            ("rnu", "there is no command `rnu`: did you mean `run`?"),
            (
                "gistserver",
                "there is no command `gistserver`: did you mean `gist-server`?",
            ),
            (
                "help dmeo",
                "there is no command `dmeo`: did you mean `demo`?",
            ),
            ("status", "there is no command `status`: see `elector help`"),
            ("xyz", "there is no command `xyz`: see `elector help`"),
            (
                "--hlep",
                "there is no option `--hlep` here: did you mean `--help`?",
            ),
            ("-x", "there is no option `-x` here: see `elector help`"),
            ("--version=2", "`--version` takes no value: leave it out"),
        ] {
            assert_eq!(meant(line), expected, "{line}");
        }
    }

    #[test]
    fn run_takes_no_argument_yet() {
        for line in ["run now", "run -- sleep 1", "run --try 5s"] {
            assert!(meant(line).starts_with("`run` takes no argument"), "{line}");
        }
        assert!(meant("help run now").starts_with("`help` takes no further argument"));
    }

    #[test]
    fn arguments_need_be_neither_text_nor_short() {
        let broken = OsString::from_vec(vec![b'a', 0xff, b'\n']);
        assert_eq!(
            parse([broken.clone()]).unwrap_err(),
            UsageError::UnknownCommand(broken.clone())
        );
        let broken_option = OsString::from_vec(vec![b'-', b'-', 0xff]);
        let broken_letter = OsString::from_vec(vec![b'-', 0xff]);
        for arg in [
            broken,
            broken_option,
            broken_letter,
            "x".repeat(1_000_000).into(),
        ] {
            let message = parse([arg]).unwrap_err().to_string();
            assert!(!message.contains('\n') && message.len() < 400, "{message}");
        }
    }

    #[test]
    fn distances_are_counted_in_slips() {
        for (from, to, expected) in [
            ("run", "run", 0),
            ("rnu", "run", 1),
            ("ru", "run", 1),
            ("runn", "run", 1),
            ("", "run", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), expected, "{from}");
        }
    }
}
