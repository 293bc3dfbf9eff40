//! The command line: which command is meant, and what is printed when none is.
//!
//! This file owns parsing and mistakes in usage. What a command does, and its own arguments, are the
//! command's business.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use lexopt::{Arg, Parser};

use crate::commands::usage::{USAGE, nearest};
use crate::commands::{self, help};
use crate::fmt::quoted;
use crate::workload;
use crate::workload::process::{EXEC_COMMAND, GUARD_COMMAND};

/// The options that stand before a command.
const OPTIONS: &[&str] = &["--help", "--version"];

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Run this command, with what stands behind its name.
    Sub(&'static help::Topic, Vec<OsString>),
    /// Guard a workload: what elector starts for itself.
    Guard(Vec<OsString>),
    /// Become a workload: what a guard starts.
    Exec(Vec<OsString>),
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
    /// `help` takes nothing more; this followed it.
    TooMuch(OsString),
    /// An option that takes no value was given one.
    Value(String),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::UnknownCommand(word) => {
                let word = word.to_string_lossy();
                write!(f, "there is no command {}", quoted(&word))?;
                let names = help::TOPICS.iter().map(|topic| topic.name);
                suggest(f, nearest(&word, names))
            }
            UsageError::UnknownOption(option) => {
                write!(f, "there is no option {} here", quoted(option))?;
                suggest(f, nearest(option, OPTIONS.iter().copied()))
            }
            UsageError::TooMuch(argument) => write!(
                f,
                "`help` takes no further argument, but there is {}: leave it out",
                quoted(&argument.to_string_lossy())
            ),
            UsageError::Value(option) => {
                write!(f, "{} takes no value: leave it out", quoted(option))
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
        None => Ok(Command::Sub(help::RUN, Vec::new())),
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
    // Nobody types these, so no help names them.
    match name {
        GUARD_COMMAND => return Ok(Command::Guard(remaining(parser))),
        EXEC_COMMAND => return Ok(Command::Exec(remaining(parser))),
        _ => {}
    }
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
        "help" => help_on(rest),
        _ => Ok(Command::Sub(topic, rest)),
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
        Some(argument) => Err(UsageError::TooMuch(argument)),
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
        Ok(Command::Sub(topic, args)) => run(topic.name, args),
        Ok(Command::Guard(args)) => workload::guard::run(&args),
        Ok(Command::Exec(args)) => workload::exec::run(&args),
        Ok(Command::Help(topic)) => print(&help::text(topic)),
        Ok(Command::Version) => print(&help::version()),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(USAGE)
        }
    }
}

fn run(name: &str, args: Vec<OsString>) -> ExitCode {
    match name {
        "demo" => commands::demo::run(&args),
        "gist-server" => commands::gist_server::run(args),
        "status" => commands::status::run(args),
        "history" => commands::history::run(args),
        "init" => commands::init::run(args),
        "install" => commands::install::run(args),
        "doctor" => commands::doctor::run(args),
        "step-down" => commands::step_down::run(args),
        "depose" => commands::depose::run(args),
        _ => commands::run::run(args),
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
            Ok(Command::Sub(topic, args)) => format!("{} {args:?}", topic.name),
            Ok(Command::Guard(args)) => format!("guard {args:?}"),
            Ok(Command::Exec(args)) => format!("exec {args:?}"),
            Ok(Command::Version) => "version".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn commands_are_understood() {
        for (line, expected) in [
            ("", "run []"),
            ("run", "run []"),
            ("demo", "demo []"),
            ("demo --fast 3", r#"demo ["--fast", "3"]"#),
            (
                "gist-server --port=1 -- x",
                r#"gist-server ["--port=1", "--", "x"]"#,
            ),
            ("help", "help "),
            ("-h", "help "),
            ("--help", "help "),
            ("help run", "help run"),
            ("help help", "help help"),
            ("run --help", "help run"),
            ("demo -h", "help demo"),
            ("gist-server --help more", "help gist-server"),
            (
                "guard-workload 3 -- x -h",
                r#"guard ["3", "--", "x", "-h"]"#,
            ),
            ("exec-workload -- --help", r#"exec ["--", "--help"]"#),
            ("--version", "version"),
            ("-V", "version"),
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
            (
                "sttus",
                "there is no command `sttus`: did you mean `status`?",
            ),
            (
                "guard-workloat",
                "there is no command `guard-workloat`: see `elector help`",
            ),
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
}
