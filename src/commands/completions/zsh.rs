//! Completions for zsh, for a file `_elector` in a directory of `fpath`, or to be sourced after `compinit`.

use std::fmt::Write;

use crate::commands::command::{Command, CommandOption, Operands, Values};

const BEGINNING: &str = r#"#compdef elector
# Completions of elector for zsh.

_elector() {
  local -a names=(
"#;

const FIRST_WORD: &str = r#"    'help:print help on elector, a command or the settings'
  )
  if (( CURRENT == 2 )); then
    if [[ $PREFIX == -* ]]; then
      _arguments '--help[print the help]' '--version[print the version]'
    else
      _describe command names
    fi
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
    help)
      names[-1]='settings:all settings'
      (( CURRENT > 2 )) || _describe topic names
      ;;
"#;

const PROGRAM: &str = r#"      local dashes=${words[(i)--]}
      if (( dashes < CURRENT )); then
        shift $dashes words
        (( CURRENT -= dashes ))
        _normal -p elector
        return
      fi
"#;

const END: &str = r#"  esac
}

if [[ $funcstack[1] == _elector ]]; then
  _elector "$@"
else
  compdef _elector elector
fi
"#;

/// Returns the script for these commands.
pub(super) fn script(commands: &[&Command]) -> String {
    let mut text = BEGINNING.to_owned();
    for command in commands {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "    '{}:{}'", command.name, quoted(command.summary));
    }
    text.push_str(FIRST_WORD);
    for command in commands {
        let _ = writeln!(text, "    {})", command.name);
        if command.operands == Operands::Program {
            text.push_str(PROGRAM);
        }
        text.push_str("      _arguments -s");
        for option in command.options {
            let _ = write!(text, " \\\n        {}", specification(option));
        }
        text.push_str(" \\\n        '--help[print the help]'");
        match command.operands {
            Operands::None => {}
            Operands::Program => text.push_str(" \\\n        '1:separator:(--)'"),
            Operands::One(name, values) => {
                let _ = write!(text, " \\\n        '1:{name}:{}'", action(values));
            }
        }
        text.push_str("\n      ;;\n");
    }
    text + END
}

/// Returns an option as an argument of `_arguments`.
fn specification(option: &CommandOption) -> String {
    let meaning = option.short_text().replace('[', "\\[").replace(']', "\\]");
    let meaning = quoted(&meaning);
    let value = match option.value {
        "" => String::new(),
        name => format!(":{}:{}", name.replace(':', "\\:"), action(option.values)),
    };
    match (option.short, option.value) {
        (Some(short), "") => format!(
            "'(-{short} {name})'{{-{short},{name}}}'[{meaning}]'",
            name = option.name
        ),
        (_, "") => format!("'{}[{meaning}]'", option.name),
        // `=` permits both `--option value` and `--option=value`. `*`: options with values may be repeated.
        _ => format!("'*{}=[{meaning}]{value}'", option.name),
    }
}

/// Returns what `_arguments` does to complete a value.
fn action(values: Values) -> String {
    match values {
        Values::Any => " ".to_owned(),
        Values::Files => "_files".to_owned(),
        Values::Directories => "_files -/".to_owned(),
        Values::Words(words) => format!("({})", words.join(" ")),
    }
}

/// Escapes a text inside single quotes.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}
