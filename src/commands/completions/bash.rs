//! Completions for bash. They need no package besides bash; with `bash-completion`, arguments of a wrapped
//! program are completed too.

use std::fmt::Write;

use crate::commands::command::{Command, Operands, Values};

const BEGINNING: &str = r#"# Completions of elector for bash.

# Completes the program that begins at word $1, and its arguments.
_elector_program() {
  if declare -F _command_offset >/dev/null; then
    _command_offset "$1"
  elif ((COMP_CWORD == $1)); then
    mapfile -t COMPREPLY < <(compgen -c -- "$cur")
  else
    _elector_paths -f
  fi
}

# Completes the words of $1.
_elector_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

# Completes files with -f, directories with -d.
_elector_paths() {
  mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
  compopt -o filenames 2>/dev/null
}

_elector() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words='' at
  # bash makes three words of --option=value.
  if [[ $cur == = ]]; then
    cur=''
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()
  case $((COMP_CWORD > 1)):${COMP_WORDS[1]} in
"#;

const PROGRAM: &str = r#"      for ((at = 2; at < COMP_CWORD; at++)); do
        if [[ ${COMP_WORDS[at]} == -- ]]; then
          _elector_program $((at + 1))
          return
        fi
      done
"#;

const END: &str = r#"  esac
  _elector_words "$words"
}

complete -F _elector elector
"#;

/// Returns the script for these commands.
pub(super) fn script(commands: &[&Command]) -> String {
    let names: Vec<&str> = commands.iter().map(|command| command.name).collect();
    let names = names.join(" ");
    let mut text = BEGINNING.to_owned();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        text,
        "    0:-*) words='--help --version' ;;\n    0:*) words='{names} help' ;;"
    );
    let _ = writeln!(
        text,
        "    1:help) ((COMP_CWORD > 2)) || words='{names} settings' ;;"
    );
    for command in commands {
        let _ = writeln!(text, "    1:{})", command.name);
        if command.operands == Operands::Program {
            text.push_str(PROGRAM);
        }
        arguments(&mut text, command);
        text.push_str("      ;;\n");
    }
    text + END
}

/// Completes values, the operand, and options.
fn arguments(text: &mut String, command: &Command) {
    let valued = command
        .options
        .iter()
        .filter(|option| !option.value.is_empty());
    let cases: Vec<_> = valued
        .map(|option| format!("        {}) {} ;;\n", option.name, value(option.values)))
        .collect();
    if !cases.is_empty() {
        let _ = write!(text, "      case $prev in\n{}      esac\n", cases.concat());
    }
    if let Operands::One(_, values) = command.operands {
        let _ = writeln!(text, "      [[ $cur == -* ]] || {{ {}; }}", value(values));
    }
    let options = command.options.iter().map(|option| option.name);
    let dashes = (command.operands == Operands::Program).then_some("--");
    let words: Vec<&str> = options.chain(["--help"]).chain(dashes).collect();
    let _ = writeln!(text, "      words='{}'", words.join(" "));
}

/// Returns the commands that complete a value and end the completion.
fn value(values: Values) -> String {
    match values {
        Values::Any => "return".to_owned(),
        Values::Files => "_elector_paths -f; return".to_owned(),
        Values::Directories => "_elector_paths -d; return".to_owned(),
        Values::Words(words) => format!("_elector_words '{}'; return", words.join(" ")),
    }
}
