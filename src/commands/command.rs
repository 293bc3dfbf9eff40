//! Commands as data: name, options and function, and the ways in which one can fail.
//!
//! Every command describes itself by a [`Command`]. Parsing, help and exit codes follow from that in one
//! place, so that a command imports neither the help nor the command line.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use lexopt::{Arg, Parser};

use super::spelling::nearest;
use crate::election::lock::LockError;
use crate::fmt::{duration, quoted};
use crate::lock::backend::OpenError;

/// Exit code for a command that failed.
pub const FAILED: u8 = 1;

/// Exit code for wrong usage and wrong settings.
pub const USAGE: u8 = 2;

/// Command of the program.
#[derive(Debug)]
pub struct Command {
    /// Name on the command line.
    pub name: &'static str,
    /// Summary for the list of commands: a phrase without a full stop.
    pub summary: &'static str,
    /// Paragraphs of the command's help that precede its options. Help fills their lines, except those
    /// that begin with a space.
    pub details: &'static str,
    /// Options, without `--help`.
    pub options: &'static [CommandOption],
    /// Arguments that are not options.
    pub operands: Operands,
    /// Paragraphs of the command's help that follow its options, such as the exit codes.
    pub notes: &'static str,
    /// Runs the command.
    pub run: fn(&Arguments) -> CommandResult,
}

/// Option of a command.
#[derive(Debug)]
pub struct CommandOption {
    /// Name, with its dashes.
    pub name: &'static str,
    /// Short form, without its dash.
    pub short: Option<char>,
    /// Placeholder of the option's value; empty for a flag.
    pub value: &'static str,
    /// Kind of that value, for completions.
    pub values: Values,
    /// Meaning. If it is empty, the help does not list the option.
    pub text: &'static str,
}

impl CommandOption {
    /// Describes an option without a value.
    #[must_use]
    pub const fn flag(name: &'static str, text: &'static str) -> Self {
        CommandOption {
            name,
            short: None,
            value: "",
            values: Values::Any,
            text,
        }
    }

    /// Describes an option with a value.
    #[must_use]
    pub const fn value(name: &'static str, value: &'static str, text: &'static str) -> Self {
        CommandOption {
            name,
            short: None,
            value,
            values: Values::Any,
            text,
        }
    }

    /// Returns the first clause of the meaning, on one line, for lists of completions.
    #[must_use]
    pub fn short_text(&self) -> String {
        let end = self.text.find([';', '[']).unwrap_or(self.text.len());
        let words: Vec<&str> = self.text[..end].split_whitespace().collect();
        words.join(" ")
    }

    /// Sets the values, for completions.
    #[must_use]
    pub const fn of(self, values: Values) -> Self {
        CommandOption { values, ..self }
    }
}

/// Values of an option or operand, for completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Values that no shell can know.
    Any,
    /// Paths of files.
    Files,
    /// Paths of directories.
    Directories,
    /// These words.
    Words(&'static [&'static str]),
}

/// Arguments of a command that are not options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// There are none.
    None,
    /// At most one, by this name in the usage, of these values.
    One(&'static str, Values),
    /// A program and its arguments, after `--`.
    Program,
}

/// Result of a command: its exit code, or the reason why it failed.
pub type CommandResult = Result<ExitCode, CommandError>;

/// Reason why a command did not do its work.
#[derive(Debug)]
pub enum CommandError {
    /// The arguments ask for the command's help.
    HelpRequested,
    /// The arguments are wrong.
    Usage(UsageError),
    /// The command failed.
    Failed {
        /// Exit code.
        code: u8,
        /// Problem and fix.
        why: String,
    },
}

impl CommandError {
    /// Returns an error with the exit code 1.
    pub fn failed(why: impl fmt::Display) -> Self {
        CommandError::Failed {
            code: FAILED,
            why: why.to_string(),
        }
    }

    /// Returns an error of the settings, with the exit code 2.
    pub fn settings(why: impl fmt::Display) -> Self {
        CommandError::Failed {
            code: USAGE,
            why: why.to_string(),
        }
    }
}

impl From<OpenError> for CommandError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Settings { why, .. } => CommandError::settings(why),
            other => CommandError::failed(other),
        }
    }
}

impl From<LockError> for CommandError {
    fn from(error: LockError) -> Self {
        CommandError::failed(error)
    }
}

impl From<UsageError> for CommandError {
    fn from(error: UsageError) -> Self {
        CommandError::Usage(error)
    }
}

/// Reason why arguments cannot be used: the problem and its fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl UsageError {
    /// Returns an error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        UsageError(message.into())
    }

    /// Returns the error for an argument that the command does not take.
    pub(crate) fn stray(argument: &str) -> Self {
        UsageError(format!(
            "unexpected argument {}; remove it",
            quoted(argument)
        ))
    }

    /// Returns the error for a word that is not among the `known` ones. `kind` says what it should be.
    pub(crate) fn unknown(
        kind: &str,
        word: &str,
        known: impl Iterator<Item = &'static str>,
    ) -> Self {
        let suggestion = match nearest(word, known) {
            Some(known) if known != word => format!("; did you mean `{known}`?"),
            _ => String::new(),
        };
        UsageError(format!("unknown {kind} {}{suggestion}", quoted(word)))
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        UsageError(match error {
            lexopt::Error::MissingValue {
                option: Some(option),
            } => format!("{option}: no value; give one"),
            lexopt::Error::UnexpectedValue { option, .. } => {
                format!("{}: takes no value; remove it", quoted(&option))
            }
            other => other.to_string(),
        })
    }
}

/// Arguments of a command, sorted by its options.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    options: Vec<(&'static str, OsString)>,
    operand: Option<OsString>,
    program: Option<Vec<OsString>>,
}

impl Arguments {
    /// Sorts the arguments after a command's name.
    ///
    /// # Errors
    /// Returns [`CommandError::HelpRequested`] if `-h` or `--help` is among them, and
    /// [`CommandError::Usage`] if the command does not take one of them.
    pub fn parse(command: &Command, mut args: Vec<OsString>) -> Result<Arguments, CommandError> {
        let mut parsed = Arguments::default();
        if command.operands == Operands::Program
            && let Some(dashes) = args.iter().position(|arg| arg == "--")
        {
            // Options after it are the program's.
            parsed.program = Some(args.split_off(dashes).split_off(1));
        }
        let mut parser = Parser::from_args(args);
        while let Some(arg) = parser.next().map_err(UsageError::from)? {
            let option = match &arg {
                Arg::Short('h') | Arg::Long("help") => return Err(CommandError::HelpRequested),
                Arg::Value(word) => {
                    parsed.add_operand(command, word)?;
                    continue;
                }
                Arg::Short(letter) => {
                    let mut options = command.options.iter();
                    options.find(|option| option.short == Some(*letter))
                }
                Arg::Long(name) => {
                    let mut options = command.options.iter();
                    options.find(|option| option.name[2..] == **name)
                }
            };
            let Some(option) = option else {
                return Err(unknown_option(command, &arg).into());
            };
            let value = match option.value {
                "" => OsString::new(),
                _ => parser.value().map_err(UsageError::from)?,
            };
            parsed.options.push((option.name, value));
        }
        Ok(parsed)
    }

    fn add_operand(&mut self, command: &Command, word: &OsString) -> Result<(), UsageError> {
        let shown = word.to_string_lossy();
        match command.operands {
            Operands::One(..) if self.operand.is_none() => {
                self.operand = Some(word.clone());
                Ok(())
            }
            Operands::Program => Err(UsageError(format!(
                "unexpected argument {}; put `--` before the program, as in `elector {} -- PROGRAM`",
                quoted(&shown),
                command.name
            ))),
            _ => Err(UsageError::stray(&shown)),
        }
    }

    /// Returns whether an option is given.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.value(option).is_some()
    }

    /// Returns the last value of an option.
    #[must_use]
    pub fn value(&self, option: &str) -> Option<&OsStr> {
        let mut given = self.options.iter().rev();
        let last = given.find(|(name, _)| *name == option);
        last.map(|(_, value)| value.as_os_str())
    }

    /// Parses the last value of an option.
    ///
    /// # Errors
    /// Returns [`UsageError`] if the value is not UTF-8 or cannot be parsed.
    pub fn parsed<T>(&self, option: &str) -> Result<Option<T>, UsageError>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let value = self.value(option);
        value.map(|value| parsed(option, value)).transpose()
    }

    /// Parses all values of an option.
    ///
    /// # Errors
    /// As for [`parsed`](Self::parsed).
    pub fn all_parsed<T>(&self, option: &str) -> Result<Vec<T>, UsageError>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let given = self.options.iter().filter(|(name, _)| *name == option);
        given.map(|(_, value)| parsed(option, value)).collect()
    }

    /// Parses the last value of an option as a duration above zero.
    ///
    /// # Errors
    /// As for [`parsed`](Self::parsed).
    pub fn period(&self, option: &str) -> Result<Option<Duration>, UsageError> {
        let Some(text) = self.parsed::<String>(option)? else {
            return Ok(None);
        };
        let why = match duration::parse(&text) {
            Ok(Duration::ZERO) => format!("{text} is zero; give a longer duration"),
            Ok(period) => return Ok(Some(period)),
            Err(error) => error.to_string(),
        };
        Err(UsageError(format!("{option}: {why}")))
    }

    /// Returns the argument that is not an option.
    #[must_use]
    pub fn operand(&self) -> Option<&OsStr> {
        self.operand.as_deref()
    }

    /// Returns the program after `--` and its arguments; `None` without `--`.
    #[must_use]
    pub fn program(&self) -> Option<&[OsString]> {
        self.program.as_deref()
    }
}

fn parsed<T: FromStr<Err: fmt::Display>>(option: &str, value: &OsStr) -> Result<T, UsageError> {
    let Some(text) = value.to_str() else {
        let why = format!("{option}: not valid UTF-8; write its value in UTF-8");
        return Err(UsageError(why));
    };
    let value = text.parse();
    value.map_err(|error: T::Err| UsageError(format!("{option}: {error}")))
}

fn unknown_option(command: &Command, arg: &Arg<'_>) -> UsageError {
    let option = match arg {
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Long(name) => format!("--{name}"),
        Arg::Value(value) => value.to_string_lossy().into_owned(),
    };
    let known = command.options.iter().map(|option| option.name);
    UsageError::unknown("option", &option, known.chain(["--help"]))
}

/// Writes to standard output.
///
/// A closed pipe is not an error: its reader has read enough.
///
/// # Errors
/// Returns [`CommandError::Failed`] if the text cannot be written.
pub fn print(text: &str) -> Result<(), CommandError> {
    print_more(text).map(drop)
}

/// Like [`print`], but returns whether standard output is still read.
///
/// # Errors
/// As for `print`.
pub fn print_more(text: &str) -> Result<bool, CommandError> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CommandError::failed(format!(
            "standard output cannot be written: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: Command = Command {
        name: "test",
        summary: "for tests",
        details: "",
        options: &[
            CommandOption::flag("--json", "print JSON"),
            CommandOption {
                short: Some('y'),
                ..CommandOption::flag("--yes", "do not ask")
            },
            CommandOption::value("--port", "N", "the port"),
        ],
        operands: Operands::One("DIR", Values::Directories),
        notes: "",
        run: |_| Ok(ExitCode::SUCCESS),
    };

    fn parsed(command: &Command, line: &str) -> Result<Arguments, String> {
        let args = line.split_whitespace().map(OsString::from).collect();
        Arguments::parse(command, args).map_err(|error| match error {
            CommandError::HelpRequested => "help".to_owned(),
            CommandError::Usage(error) => error.to_string(),
            CommandError::Failed { why, .. } => why,
        })
    }

    #[test]
    fn arguments_are_sorted_by_option() {
        let args = parsed(&COMMAND, "--json -y --port 1 a --port=2").unwrap();
        assert!(args.has("--json") && args.has("--yes"));
        assert_eq!(args.parsed("--port").unwrap(), Some(2_u16));
        assert_eq!(args.all_parsed::<u16>("--port").unwrap(), [1, 2]);
        assert_eq!(args.operand().unwrap(), "a");
        let none = parsed(&COMMAND, "-- -a").unwrap();
        assert!(!none.has("--json") && none.operand().unwrap() == "-a");
    }

    #[test]
    fn program_keeps_its_own_options() {
        let command = Command {
            operands: Operands::Program,
            ..COMMAND
        };
        let args = parsed(&command, "--json -- sleep --yes -- -h").unwrap();
        assert_eq!(args.program().unwrap(), ["sleep", "--yes", "--", "-h"]);
        assert!(!args.has("--yes"));
        assert_eq!(parsed(&command, "").unwrap().program(), None);
        let error = parsed(&command, "sleep 1").unwrap_err();
        assert!(error.contains("`elector test -- PROGRAM`"), "{error}");
    }

    #[test]
    fn usage_errors_name_argument_and_fix() {
        for (line, expected) in [
            ("--jsno", "unknown option `--jsno`; did you mean `--json`?"),
            ("-x", "unknown option `-x`"),
            ("a b", "unexpected argument `b`; remove it"),
            ("--port", "--port: no value; give one"),
            ("--json=1", "`--json`: takes no value; remove it"),
            ("a --help --bad", "help"),
            ("-h", "help"),
        ] {
            assert_eq!(parsed(&COMMAND, line).unwrap_err(), expected, "{line}");
        }
        let args = parsed(&COMMAND, "--port x").unwrap();
        let error = args.parsed::<u16>("--port").unwrap_err().to_string();
        assert!(error.starts_with("--port: invalid digit"), "{error}");
    }
}
