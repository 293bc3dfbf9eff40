//! Texts of `elector help`, generated from the tables of commands and settings.

use std::fmt::Write;

use super::command::{Command, CommandOption, Operands};
use super::settings;
use super::table::COMMANDS;
use crate::fmt::wrapped;

/// More options than this are not listed in the usage line.
const MOST_IN_USAGE: usize = 2;

/// A longer label of an option has a separate line.
const LONGEST_LABEL: usize = 24;

/// Purpose of the program.
pub const ABOUT: &str = "\
elector elects one leader among copies of a workload in several Kubernetes clusters, through a lease \
record in a shared store.";

/// How the program is used.
pub const USE: &str = "\
Without a command, elector does the same as `elector run`. Settings, such as GIST_ID, are environment \
variables: see `elector help settings`.";

/// Exit codes that all commands share.
pub const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 failed while running, 2 wrong usage or settings.";

/// Returns the help of a command. It ends with a newline.
#[must_use]
pub fn of_command(command: &Command) -> String {
    let mut text = format!(
        "Usage: {}\n\n{}\n",
        usage(command),
        sentence(command.summary)
    );
    for part in [
        &refilled(command.details),
        options(command.options).trim_end(),
        &refilled(command.notes),
    ] {
        if !part.is_empty() {
            let _ = write!(text, "\n{part}\n");
        }
    }
    text
}

/// Returns the help of the program. It ends with a newline.
#[must_use]
pub fn overview() -> String {
    let mut text = format!(
        "{}\n\nUsage: elector [COMMAND]\n\nCommands:\n",
        wrapped("", ABOUT)
    );
    for command in COMMANDS {
        let label = format!("  {:<12} ", command.name);
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "{}", wrapped(&label, command.summary));
    }
    let _ = write!(
        text,
        "  help         print this help, or the help of a command or of the settings

Options:
  -h, --help     print this help, or that of the command before it
  -V, --version  print the version

{}

{EXIT_CODES}
",
        wrapped("", USE)
    );
    text
}

/// Returns the help of the settings. It ends with a newline.
#[must_use]
pub fn settings() -> String {
    let mut text = format!("{}\n", wrapped("", settings::NAMES_AND_VALUES));
    let _ = write!(text, "\n{}\n", wrapped("", &shared()));
    for (title, settings) in settings::groups() {
        let _ = write!(text, "\n{title}:\n");
        for setting in settings {
            let _ = writeln!(text, "  {} ({})", setting.name, default(setting.default));
            let _ = writeln!(text, "{}", wrapped("      ", setting.text));
        }
    }
    let _ = write!(text, "\n{}\n", wrapped("", settings::PROXIES));
    text
}

/// Returns which settings count only with a prefix beside a wrapped program.
#[must_use]
pub fn shared() -> String {
    let shared = settings::all().filter(|setting| setting.shared);
    let names: Vec<_> = shared.map(|setting| setting.name).collect();
    format!(
        "With a wrapped program, these count only as ELECTOR_<NAME>, because the program may use the \
         same names: {}.",
        names.join(", ")
    )
}

/// Returns the default of a setting as a phrase.
#[must_use]
pub fn default(default: &str) -> String {
    match default.starts_with("required") {
        true => default.to_owned(),
        false => format!("default: {default}"),
    }
}

/// Fills the lines of each paragraph. Lines that begin with a space are left as they are.
fn refilled(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut paragraph = String::new();
    for line in text.lines().chain([""]) {
        if !line.is_empty() && !line.starts_with(' ') {
            paragraph.push_str(line);
            paragraph.push(' ');
            continue;
        }
        if !paragraph.is_empty() {
            lines.push(wrapped("", &paragraph));
            paragraph.clear();
        }
        lines.push(line.to_owned());
    }
    lines.pop();
    lines.join("\n")
}

/// Returns the command line of a command, without a newline.
#[must_use]
pub fn usage(command: &Command) -> String {
    let mut usage = format!("elector {}", command.name);
    match command.options {
        [] => {}
        options if options.len() > MOST_IN_USAGE => usage.push_str(" [OPTION]..."),
        options => {
            for option in options {
                let _ = write!(usage, " [{}]", with_value(option));
            }
        }
    }
    match command.operands {
        Operands::None => {}
        Operands::One(name, _) => {
            let _ = write!(usage, " {name}");
        }
        Operands::Program => usage.push_str(" [-- PROGRAM [ARG]...]"),
    }
    usage
}

/// Returns an option with the placeholder of its value.
#[must_use]
pub fn with_value(option: &CommandOption) -> String {
    format!("{} {}", option.name, option.value)
        .trim_end()
        .to_owned()
}

/// Lists the options that have a text.
fn options(options: &[CommandOption]) -> String {
    let listed = || options.iter().filter(|option| !option.text.is_empty());
    let lengths = listed().map(|option| with_value(option).len());
    let Some(width) = lengths.max().map(|longest| longest.min(LONGEST_LABEL)) else {
        return String::new();
    };
    let mut text = "Options:\n".to_owned();
    for option in listed() {
        let mut label = with_value(option);
        if label.len() > width {
            let _ = writeln!(text, "  {label}");
            label.clear();
        }
        let label = format!("  {label:<width$}  ");
        let _ = writeln!(text, "{}", wrapped(&label, option.text));
    }
    text
}

/// Turns a summary into a sentence.
#[must_use]
pub fn sentence(summary: &str) -> String {
    let mut rest = summary.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(rest).chain(['.']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::command::Values;
    use crate::fmt::COLUMNS;

    #[test]
    fn overview_names_commands_on_one_screen() {
        let text = overview();
        for command in COMMANDS {
            assert!(text.contains(&format!("\n  {} ", command.name)));
        }
        assert!(text.lines().count() <= 40, "{text}");
    }

    #[test]
    fn help_names_every_setting_once() {
        let text = super::settings();
        for setting in settings::all() {
            let entry = format!("\n  {} (", setting.name);
            assert_eq!(text.matches(&entry).count(), 1, "{entry}");
        }
    }

    #[test]
    fn help_fits_80_columns() {
        let commands = COMMANDS.iter().map(|command| of_command(command));
        for text in commands.chain([overview(), super::settings()]) {
            for line in text.lines() {
                assert!(line.chars().count() <= COLUMNS, "{line}");
            }
        }
    }

    #[test]
    fn help_is_generated_from_the_command() {
        const COMMAND: Command = Command {
            name: "test",
            summary: "for tests",
            details: "Details.",
            options: &[
                CommandOption::flag("--json", "print JSON"),
                CommandOption::value("--port", "N", "the port"),
            ],
            operands: Operands::One("DIR", Values::Directories),
            notes: "Notes.",
            run: |_| Ok(std::process::ExitCode::SUCCESS),
        };
        assert_eq!(
            of_command(&COMMAND),
            "\
Usage: elector test [--json] [--port N] DIR

For tests.

Details.

Options:
  --json    print JSON
  --port N  the port

Notes.
"
        );
    }
}
