//! The command line: finds the command, runs it, and turns its result into output and an exit code.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::commands::command::{
    Arguments, Command, CommandError, CommandResult, FAILED, USAGE, UsageError, print,
};
use crate::commands::table::{COMMANDS, find};
use crate::commands::{help, run, version};
use crate::workload;
use crate::workload::process::{EXEC_COMMAND, GUARD_COMMAND, TEST_COMMAND};

/// Word in place of a command that asks for help.
const HELP: &str = "help";

/// Topic of the help that is not a command.
const SETTINGS: &str = "settings";

/// Options in place of a command.
const OPTIONS: &[&str] = &["--help", "--version"];

/// What the command line asks for.
#[derive(Debug)]
enum Request {
    /// Run a command with these arguments.
    Command(&'static Command, Vec<OsString>),
    /// Guard a workload. Only elector itself asks for it.
    Guard(Vec<OsString>),
    /// Become a workload. Only a guard asks for it.
    Exec(Vec<OsString>),
    /// Be the workload of a self-test. Only elector itself asks for it.
    Test(Vec<OsString>),
    /// Print the help on a topic.
    Help(Topic),
}

/// Topic of the help.
#[derive(Debug)]
enum Topic {
    Overview,
    Settings,
    Command(&'static Command),
}

/// Runs the program with its arguments, without its own name, and returns its exit code.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let done = match parse(args) {
        Ok(Request::Command(command, args)) => return run_command(command, args),
        Ok(Request::Guard(args)) => return workload::guard::run(&args),
        Ok(Request::Exec(args)) => return workload::exec::run(&args),
        Ok(Request::Test(args)) => return workload::self_test::run(&args),
        Ok(Request::Help(Topic::Command(command))) => print(&help::of_command(command)),
        Ok(Request::Help(Topic::Settings)) => print(&help::settings()),
        Ok(Request::Help(Topic::Overview)) => print(&help::overview()),
        Err(error) => Err(error.into()),
    };
    exit_code("elector", HELP, done.map(|()| ExitCode::SUCCESS))
}

fn run_command(command: &Command, args: Vec<OsString>) -> ExitCode {
    let result = Arguments::parse(command, args).and_then(|args| (command.run)(&args));
    let result = match result {
        Err(CommandError::HelpRequested) => {
            print(&help::of_command(command)).map(|()| ExitCode::SUCCESS)
        }
        result => result,
    };
    let name = format!("elector {}", command.name);
    exit_code(&name, &format!("{HELP} {}", command.name), result)
}

/// Reports an error on standard error as `program`, and returns the exit code. `help` is the command
/// that explains the usage.
fn exit_code(program: &str, help: &str, result: CommandResult) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(CommandError::HelpRequested) => ExitCode::SUCCESS,
        Err(CommandError::Usage(error)) => {
            complain(program, &format_args!("{error}\nSee `elector {help}`."));
            ExitCode::from(USAGE)
        }
        Err(CommandError::Failed { code, why }) => {
            complain(program, &why);
            ExitCode::from(code.max(FAILED))
        }
    }
}

/// Writes to standard error. If that is impossible, the exit code must suffice.
fn complain(program: &str, message: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "{program}: {message}");
}

/// Parses the arguments of the program, without its own name.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, UsageError> {
    let mut args = args.into_iter();
    let Some(word) = args.next() else {
        return Ok(Request::Command(&run::COMMAND, Vec::new()));
    };
    let rest: Vec<OsString> = args.collect();
    let name = word.to_string_lossy();
    match &*name {
        "-h" | "--help" => Ok(Request::Help(Topic::Overview)),
        "-V" | "--version" => Ok(Request::Command(&version::COMMAND, Vec::new())),
        // No help names these, because no user types them.
        GUARD_COMMAND => Ok(Request::Guard(rest)),
        EXEC_COMMAND => Ok(Request::Exec(rest)),
        TEST_COMMAND => Ok(Request::Test(rest)),
        HELP => help_on(&rest),
        option if option.starts_with('-') => {
            let known = OPTIONS.iter().copied();
            Err(UsageError::unknown("option", option, known))
        }
        name => match find(name) {
            Some(command) => Ok(Request::Command(command, rest)),
            None => Err(unknown_command(name, &[HELP])),
        },
    }
}

fn help_on(args: &[OsString]) -> Result<Request, UsageError> {
    let mut args = args.iter().map(|arg| arg.to_string_lossy());
    let topic = match args.next().as_deref() {
        None | Some("-h" | "--help" | HELP) => Topic::Overview,
        Some(SETTINGS) => Topic::Settings,
        Some(name) => match find(name) {
            Some(command) => Topic::Command(command),
            None => return Err(unknown_command(name, &[HELP, SETTINGS])),
        },
    };
    match args.next() {
        None => Ok(Request::Help(topic)),
        Some(argument) => Err(UsageError::stray(&argument)),
    }
}

/// Returns the error for a word that is neither a command nor one of the `others`.
fn unknown_command(name: &str, others: &[&'static str]) -> UsageError {
    let names = COMMANDS.iter().map(|command| command.name);
    UsageError::unknown("command", name, names.chain(others.iter().copied()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn parsed(line: &str) -> Result<Request, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    /// A request as the tests compare it.
    fn meant(line: &str) -> String {
        match parsed(line) {
            Ok(Request::Help(Topic::Overview)) => "help".to_owned(),
            Ok(Request::Help(Topic::Settings)) => "help settings".to_owned(),
            Ok(Request::Help(Topic::Command(command))) => format!("help {}", command.name),
            Ok(Request::Command(command, args)) => format!("{} {args:?}", command.name),
            Ok(Request::Guard(args)) => format!("guard {args:?}"),
            Ok(Request::Exec(args)) => format!("exec {args:?}"),
            Ok(Request::Test(args)) => format!("test {args:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn command_line_is_parsed() {
        for (line, expected) in [
            ("", "run []"),
            ("run", "run []"),
            ("demo", "demo []"),
            ("demo --fast 3", r#"demo ["--fast", "3"]"#),
            (
                "gist-server --port=1 -- x",
                r#"gist-server ["--port=1", "--", "x"]"#,
            ),
            ("help", "help"),
            ("-h", "help"),
            ("--help", "help"),
            ("help run", "help run"),
            ("help help", "help"),
            ("help settings", "help settings"),
            ("run --help", r#"run ["--help"]"#),
            (
                "guard-workload 3 -- x -h",
                r#"guard ["3", "--", "x", "-h"]"#,
            ),
            ("exec-workload -- --help", r#"exec ["--", "--help"]"#),
            ("test-workload wait", r#"test ["wait"]"#),
            ("version", "version []"),
            ("--version", "version []"),
            ("-V", "version []"),
        ] {
            assert_eq!(meant(line), expected, "{line}");
        }
    }

    #[test]
    fn unknown_word_suggests_the_nearest() {
        for (line, expected) in [
            ("rnu", "unknown command `rnu`; did you mean `run`?"),
            (
                "gistserver",
                "unknown command `gistserver`; did you mean `gist-server`?",
            ),
            ("help dmeo", "unknown command `dmeo`; did you mean `demo`?"),
            (
                "help setings",
                "unknown command `setings`; did you mean `settings`?",
            ),
            ("sttus", "unknown command `sttus`; did you mean `status`?"),
            ("hlep", "unknown command `hlep`; did you mean `help`?"),
            ("guard-workloat", "unknown command `guard-workloat`"),
            ("xyz", "unknown command `xyz`"),
            ("--hlep", "unknown option `--hlep`; did you mean `--help`?"),
            ("-x", "unknown option `-x`"),
            (
                "--version=2",
                "unknown option `--version=2`; did you mean `--version`?",
            ),
            ("help run demo", "unexpected argument `demo`; remove it"),
        ] {
            assert_eq!(meant(line), expected, "{line}");
        }
    }

    #[test]
    fn help_option_of_command_requests_help() {
        for command in COMMANDS {
            for option in ["-h", "--help"] {
                let parsed = Arguments::parse(command, vec![option.into()]);
                assert!(
                    matches!(parsed, Err(CommandError::HelpRequested)),
                    "{}",
                    command.name
                );
            }
        }
    }

    #[test]
    fn long_and_non_utf8_arguments_work() {
        let broken = OsString::from_vec(vec![b'a', 0xff, b'\n']);
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
