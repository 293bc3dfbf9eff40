//! Tests the completions in real shells: bash, zsh and fish each complete the same lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use elector::commands::command::{Operands, Values};
use elector::commands::table::COMMANDS;

use crate::operating::command::Run;
use crate::support::tools::find;

/// Completes the line in `LINE` by the function of the script, as readline calls it. Like readline, it
/// makes a word of each `=`.
const BASH: &str = r#"
source "$SCRIPT"
[[ $(complete -p elector) == 'complete -F _elector elector' ]] || exit 1
[[ $LINE == *' ' ]] && empty=1
COMP_LINE=$LINE COMP_POINT=${#LINE}
read -ra COMP_WORDS <<<"${LINE//=/ = }"
[[ $empty ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_elector elector "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// Types the line in `LINE` and a tab in an interactive shell, and prints the matches that it offers.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh -d -i
zpty -r shell text '*READY*'
zpty -n -w shell "$LINE"$'\t'
zpty -r shell text '*DONE*'
for line in ${(f)text//$'\r'/}; do
  [[ $line == 'match '* ]] && print -r -- ${line#match }
done
exit 0
"#;

/// Start of the interactive shell. It prints the matches of every call of `compadd` that adds some.
const ZSHRC: &str = r#"
PROMPT=READY
autoload -Uz compinit
compinit -u -d "$HOME/dump"
source "$SCRIPT"
compadd() {
  if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
    local -a hits
    builtin compadd -A hits "$@"
    (( $#hits )) && print -rl - '' "match "$^hits
  fi
  builtin compadd "$@"
}
finished() { print DONE }
comppostfuncs=(finished)
"#;

const FISH: &str = r#"
source "$SCRIPT"
complete -C "$LINE"
"#;

/// A shell, and a folder with its script.
struct Shell {
    name: &'static str,
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Shell {
    /// Returns the shell with the completions; `None` if it is not installed.
    fn load(name: &'static str) -> Option<Shell> {
        let program = find(&[name], "its completions are not tested")?;
        let folder = tempfile::tempdir().unwrap();
        let script = Run::new(&["completions", name]).ran().well();
        fs::write(folder.path().join("script"), script).unwrap();
        fs::write(folder.path().join(".zshrc"), ZSHRC).unwrap();
        fs::create_dir_all(folder.path().join("files/inner")).unwrap();
        fs::write(folder.path().join("files/note"), "").unwrap();
        Some(Shell {
            name,
            program,
            folder,
        })
    }

    /// Returns the completions of a line, in order. A path is reduced to its last name.
    fn complete(&self, line: &str) -> Vec<String> {
        let code = match self.name {
            "bash" => ["--norc", "-c", BASH],
            "zsh" => ["-f", "-c", ZSH],
            _ => ["--no-config", "-c", FISH],
        };
        let path = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(&self.program);
        command.args(code).current_dir(path("files")).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.folder.path()).env("TERM", "dumb");
        command.env("LINE", line).env("SCRIPT", path("script"));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{}: {line}: {said}",
            self.name
        );
        let text = String::from_utf8(output.stdout).unwrap();
        let mut found: Vec<String> = text
            .lines()
            .map(word)
            .filter(|word| !word.is_empty())
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

/// Returns the completed word: without a description, `--option=`, and a folder's path.
fn word(line: &str) -> String {
    let word = line.split('\t').next().unwrap();
    let word = word.trim_end_matches(['=', '/', ' ']);
    let name = Path::new(word.rsplit('=').next().unwrap()).file_name();
    name.unwrap_or_default().to_str().unwrap().to_owned()
}

/// Checks the completions of every line in every installed shell.
fn check(expected: impl Fn(&Shell, &dyn Fn(&str, &[&str]))) {
    for shell in ["bash", "zsh", "fish"].into_iter().filter_map(Shell::load) {
        expected(&shell, &|line, words| {
            let mut words = words.to_vec();
            words.sort_unstable();
            assert_eq!(shell.complete(line), words, "{}: {line}", shell.name);
        });
    }
}

#[test]
fn shells_complete_every_command_and_option() {
    check(|shell, completes| {
        let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
        completes("elector --", &["--help", "--version"]);
        completes("elector ", &[&names[..], &["help"]].concat());
        completes("elector help ", &[&names[..], &["settings"]].concat());
        for command in COMMANDS {
            let options = command.options.iter().map(|option| option.name);
            let mut words: Vec<&str> = options.chain(["--help"]).collect();
            if command.operands == Operands::Program && shell.name != "fish" {
                words.push("--");
            }
            completes(&format!("elector {} --", command.name), &words);
        }
    });
}

#[test]
fn shells_complete_words_and_values() {
    check(|_, completes| {
        completes("elector sw", &["switchover"]);
        completes("elector switchover --t", &["--to"]);
        completes("elector completions ", &["bash", "zsh", "fish"]);
        completes("elector completions f", &["fish"]);
        completes("elector help sett", &["settings"]);
        completes("elector leads --file n", &["note"]);
        completes("elector leads --file=n", &["note"]);
        completes("elector gist-server --state n", &["note"]);
        completes("elector install ", &["inner"]);
        // A value that no shell knows, and an argument that the command does not take.
        completes("elector pause --reason n", &[]);
        completes("elector status n", &[]);
    });
}

#[test]
fn shells_complete_the_wrapped_program() {
    check(|shell, completes| {
        for line in ["elector run -- mkfif", "elector run --try 5s -- mkfif"] {
            completes(line, &["mkfifo"]);
        }
        completes("elector run -- cat n", &["note"]);
        // Options after `--` are not elector's.
        let found = shell.complete("elector run -- cat --");
        assert!(
            !found.contains(&"--try".to_owned()),
            "{}: {found:?}",
            shell.name
        );
    });
}

#[test]
fn wrong_shell_exits_2() {
    let shells = COMMANDS
        .iter()
        .find(|command| command.name == "completions");
    let Operands::One(_, Values::Words(shells)) = shells.unwrap().operands else {
        panic!("no shells");
    };
    assert_eq!(shells, ["bash", "zsh", "fish"]);
    for (args, part) in [
        (
            &["completions"][..],
            "SHELL is missing; name one of bash, zsh, fish",
        ),
        (
            &["completions", "tcsh"],
            "unknown shell `tcsh`; name one of bash, zsh, fish",
        ),
        (&["completions", "bash", "zsh"], "`zsh`"),
    ] {
        let printed = Run::new(args).ran().failed(2);
        assert!(printed.contains(part), "{args:?}: {printed}");
    }
}
