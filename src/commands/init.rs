//! `elector init`: creates the place of a lock and its first record.

mod relocation;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use super::command::{Arguments, Command, CommandOption, CommandResult, Operands, print};
use super::settings::Settings;
use super::steering::tell;
use crate::lock::admin::Initialized;

/// The command.
pub const COMMAND: Command = Command {
    name: "init",
    summary: "create the place of a lock and its first record",
    details: "\
Creates a place for the record if the settings name none, and writes a record without
a holder there, unless it holds a record already. Other content is left unchanged.

Standard output gets the settings for every candidate, for `eval \"$(elector init)\"`.

With --from, moves an election: ends it in its present lock, for good, waits until
nobody leads there, and writes a record with a higher fencing token in the place that
the settings name. Candidates of the present lock log where it went. Run it again if
it was interrupted. Settings of the present lock may begin with FROM_, such as
FROM_LOCK_TOKEN_FILE.",
    options: &[
        CommandOption::flag(
            QUIET,
            "print only the lock's name, and no messages but errors",
        ),
        CommandOption::value(FROM, "LOCK", "move the election from this lock"),
    ],
    operands: Operands::None,
    notes: "Exit codes: 0 created, or it exists; 1 failed; 2 wrong usage or settings.",
    run,
};

const QUIET: &str = "--quiet";
const FROM: &str = "--from";

fn run(args: &Arguments) -> CommandResult {
    let quiet = args.has(QUIET);
    let mut report = |text: &str| {
        if !quiet {
            tell(text);
        }
    };
    let initialized = match args.parsed::<String>(FROM)? {
        Some(from) => relocation::run(&from, &mut report)?,
        None => {
            let settings = Settings::for_new_lock()?;
            let mut admin = settings.lock.backend().admin(&settings.election)?;
            admin.init(0, &mut report)?
        }
    };
    if quiet {
        print(&format!("{}\n", initialized.name))?;
    } else {
        // If standard error cannot be written, the work is done all the same.
        let _ = io::stderr().write_all(message(&initialized).as_bytes());
        print(&exports(&initialized))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns what was done, and the settings as a manifest needs them.
fn message(initialized: &Initialized) -> String {
    let mut text = format!(
        "{}\nset for every candidate, besides its credentials; in Kubernetes:\n  env:\n",
        initialized.message
    );
    for (name, value) in &initialized.settings {
        // JSON is YAML too. Writing to a String cannot fail.
        let value = serde_json::Value::from(value.as_str());
        let _ = writeln!(text, "    - {{name: {name}, value: {value}}}");
    }
    text
}

/// Returns the settings as shell commands.
fn exports(initialized: &Initialized) -> String {
    let lines = initialized.settings.iter();
    lines
        .map(|(name, value)| format!("export {name}={}\n", shell_word(value)))
        .collect()
}

/// Quotes a text as one word of a shell.
fn shell_word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_shell_words() {
        for (name, word) in [
            ("leader.json", "leader.json"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(shell_word(name), word);
        }
    }
}
