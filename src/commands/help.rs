//! Texts of `elector help`, generated from the tables of commands and settings.

use std::fmt::Write;

use super::command::{Command, CommandOption, Operands};
use super::settings;
use super::table::COMMANDS;

/// More options than this are not listed in the usage line.
const MOST_IN_USAGE: usize = 2;

/// A longer label of an option has a line of its own.
const LONGEST_LABEL: usize = 24;

/// Returns the help of a command. It ends with a newline.
#[must_use]
pub fn of_command(command: &Command) -> String {
    let mut text = format!(
        "Usage: {}\n\n{}\n",
        usage(command),
        sentence(command.summary)
    );
    for paragraph in [
        command.details,
        options(command.options).trim_end(),
        command.notes,
    ] {
        if !paragraph.is_empty() {
            let _ = write!(text, "\n{paragraph}\n");
        }
    }
    text
}

/// Returns the help of the program. It ends with a newline.
#[must_use]
pub fn overview() -> String {
    let mut text = String::from(
        "\
elector elects one leader among copies of a workload in several Kubernetes
clusters, through a lease record in a shared store.

Usage: elector [COMMAND]

Commands:
",
    );
    for command in COMMANDS {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "  {:<12} {}", command.name, command.summary);
    }
    text.push_str(
        "  help         print this help, or the help of a command

Options:
  -h, --help     print this help, or after a command its own
  -V, --version  print the version

Without a command, elector does the same as `elector run`.

Settings are environment variables. Each is read as ELECTOR_<NAME> first, then as
<NAME>; an empty value means unset. Durations are written like 30s, 1m30s or 500ms.
",
    );
    let shared: Vec<_> = settings::all()
        .filter(|setting| setting.shared)
        .map(|setting| setting.name)
        .collect();
    let _ = writeln!(
        text,
        "With a PROGRAM, these count only as ELECTOR_<NAME>:\n  {}\n",
        shared.join(", ")
    );
    for setting in settings::all() {
        let _ = writeln!(text, "  {} ({})", setting.name, default(setting.default));
        let _ = writeln!(text, "      {}", setting.text);
    }
    text.push_str(
        "
HTTPS_PROXY and NO_PROXY are respected.

Exit codes: 0 done, 1 failed while running, 2 wrong usage or settings.
",
    );
    text
}

/// Returns the settings as a Markdown table.
#[must_use]
pub fn settings_table() -> String {
    let mut table = String::from("| variable | default | meaning |\n|---|---|---|\n");
    for setting in settings::all() {
        let _ = writeln!(
            table,
            "| `{}` | {} | {} |",
            setting.name, setting.default, setting.text
        );
    }
    table
}

/// Returns the default of a setting as a phrase.
fn default(default: &str) -> String {
    match default.starts_with("required") {
        true => default.to_owned(),
        false => format!("default: {default}"),
    }
}

fn usage(command: &Command) -> String {
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
        Operands::One(name) => {
            let _ = write!(usage, " {name}");
        }
        Operands::Program => usage.push_str(" [-- PROGRAM [ARG]...]"),
    }
    usage
}

fn with_value(option: &CommandOption) -> String {
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
        for line in option.text.lines() {
            let _ = writeln!(text, "  {label:<width$}  {line}");
            label.clear();
        }
    }
    text
}

/// Turns a summary into a sentence.
fn sentence(summary: &str) -> String {
    let mut rest = summary.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(rest).chain(['.']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overview_names_commands_and_settings() {
        let text = overview();
        for command in COMMANDS {
            assert!(text.contains(&format!("\n  {} ", command.name)));
        }
        for setting in settings::all() {
            assert!(text.contains(&format!("\n  {} (", setting.name)));
        }
    }

    #[test]
    fn settings_table_has_three_columns() {
        for line in settings_table().lines() {
            assert_eq!(line.matches('|').count(), 4, "{line}");
        }
    }

    #[test]
    fn help_fits_85_columns() {
        let commands = COMMANDS.iter().map(|command| of_command(command));
        for text in commands.chain([overview()]) {
            for line in text.lines() {
                assert!(line.chars().count() <= 85, "{line}");
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
                CommandOption::flag("--json", "print\nJSON"),
                CommandOption::value("--port", "N", "the port"),
            ],
            operands: Operands::One("DIR"),
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
  --json    print
            JSON
  --port N  the port

Notes.
"
        );
    }
}
