//! Completions for fish.

use std::fmt::Write;

use crate::commands::command::{Command, Operands, Values};

const BEGINNING: &str = r#"# Completions of elector for fish.

# Succeeds while the command is still to be typed.
function __elector_first
    test (count (commandline -opc)) = 1
end

# Succeeds inside the arguments of elector's command $argv[1].
function __elector_in
    set -l words (commandline -opc)
    test "$words[2]" = $argv[1]; and not contains -- -- $words
end

# Succeeds if nothing follows command $argv[1] but options.
function __elector_operand
    __elector_in $argv[1]; and not string match -qv -- '-*' (commandline -opc)[3..-1]
end

# Succeeds inside the program after `elector run --`.
function __elector_program
    set -l words (commandline -opc)
    test "$words[2]" = $argv[1]; and contains -- -- $words
end

# Completes that program and its arguments.
function __elector_complete_program
    set -l words (commandline -opc)
    set -e words[1..(contains -i -- -- $words)]
    set -l program (string escape -- $words) (commandline -ct)
    complete -C "$program"
end

complete -c elector -f
complete -c elector -n __elector_first -l help -s h -d 'print the help'
complete -c elector -n __elector_first -l version -s V -d 'print the version'
complete -c elector -n __elector_first -a help -d 'print help on elector, a command or the settings'
complete -c elector -n '__elector_operand help' -a settings -d 'all settings'
"#;

/// Returns the script for these commands.
pub(super) fn script(commands: &[&Command]) -> String {
    let mut text = BEGINNING.to_owned();
    for Command {
        name,
        summary,
        options,
        operands,
        ..
    } in commands
    {
        let summary = quoted(summary);
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            text,
            "\ncomplete -c elector -n __elector_first -a {name} -d {summary}\n\
             complete -c elector -n '__elector_operand help' -a {name} -d {summary}\n\
             complete -c elector -n '__elector_in {name}' -l help -s h -d 'print the help'\n"
        );
        for option in *options {
            let _ = write!(
                text,
                "complete -c elector -n '__elector_in {name}' -l {}",
                &option.name[2..]
            );
            if let Some(short) = option.short {
                let _ = write!(text, " -s {short}");
            }
            if !option.value.is_empty() {
                text.push_str(&value(option.values));
            }
            let _ = writeln!(text, " -d {}", quoted(&option.short_text()));
        }
        let _ = match operands {
            Operands::None => Ok(()),
            Operands::Program => writeln!(
                text,
                "complete -c elector -n '__elector_program {name}' -a '(__elector_complete_program)'"
            ),
            Operands::One(_, values) => writeln!(
                text,
                "complete -c elector -n '__elector_operand {name}'{}",
                value(*values)
            ),
        };
    }
    text
}

/// Returns the options of `complete` for a value.
fn value(values: Values) -> String {
    match values {
        Values::Any => " -x".to_owned(),
        Values::Files => " -rF".to_owned(),
        Values::Directories => " -x -a '(__fish_complete_directories)'".to_owned(),
        Values::Words(words) => format!(" -x -a '{}'", words.join(" ")),
    }
}

/// Puts a text into single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
