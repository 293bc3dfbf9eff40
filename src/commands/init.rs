//! `elector init`: makes the gist or the file for a lock, or moves a lock to another gist.
//!
//! This file owns the arguments, the settings, and what is printed at the end. `fresh` makes locks,
//! `moving` moves them, `seat` is a lock being looked at and written, and `say` what people are told
//! meanwhile.

mod fresh;
mod moving;
mod say;
mod seat;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use lexopt::prelude::*;

use self::say::Say;
use super::gist;
use super::help;
use super::settings::{Settings, SettingsError, looks_secret};
use super::usage::{self, UsageError};
use crate::election::lock::LockError;
use crate::fmt;
use crate::lock::gist::client::ClientError;
use crate::lock::gist::stored::Place;
use crate::lock::gist::wire::GistId;
use crate::lock::gist::wire::target::check_file_name;
use crate::runtime::gist::{GistOptions, OpenError};

/// What is to be known of it, for the help.
pub(super) const DETAILS: &str = "\
Without GIST_ID it makes a secret gist with one file, GIST_FILE or leader.json, which
holds a record that nobody leads by yet. With GIST_ID it makes the file in that gist,
unless there is a record already. What others wrote is never touched.

With --from it moves the lock of the gist OLD (its id or address) to a new gist, or
to that of GIST_ID, so that never two lead: it closes OLD, whose candidates then say
where the lock went, waits until the old leader is gone for certain, and opens the
new one. Tokens go on rising. If it is interrupted, at whatever point: run it again
(at most an unused gist is left over). Stop client-go candidates first, they do not
heed it.

Standard output gets what to set, as `eval \"$(elector init)\"` takes it.

Options:
  --from OLD        move the lock of this gist
  --from-file NAME  its file there, if it is not to be called the same here
  --quiet           print the new gist's id alone, and say nothing but errors
  --help            this text

Exit codes: 0 done, or done before; 1 failed; 2 wrong usage or settings.";

const NAME: &str = "init";

const OPTIONS: &[&str] = &["--from", "--from-file", "--quiet", "--help"];

/// The file of a new gist, unless it is named.
const USUAL_FILE: &str = "leader.json";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    from: Option<GistId>,
    from_file: Option<String>,
    quiet: bool,
}

/// Why it did not come to its end.
#[derive(Debug)]
enum Trouble {
    /// Arguments or settings.
    Usage(String),
    /// Everything else.
    Failed(String),
}

impl From<LockError> for Trouble {
    fn from(error: LockError) -> Self {
        Trouble::Failed(error.to_string())
    }
}

impl From<OpenError> for Trouble {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Settings(error) => error.into(),
            other => Trouble::Failed(other.to_string()),
        }
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Trouble::Usage(error.to_string())
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Failed(format!("the system does not play along: {error}"))
    }
}

fn failed<T>(why: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Failed(why.into()))
}

/// Runs it; `args` is what follows the subcommand's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let wanted = match parse(args) {
        Ok(Some(wanted)) => wanted,
        Ok(None) => {
            return gist::print(NAME, &help::text(help::topic(NAME)), ExitCode::SUCCESS);
        }
        Err(error) => return usage::refuse(NAME, &error),
    };
    let (settings, named) = match settings(wanted.from.as_ref()) {
        Ok(read) => read,
        Err(error) => return gist::wrong_settings(NAME, &error),
    };
    let say = Say::new(wanted.quiet);
    let done = match &wanted.from {
        None => fresh::run(&settings, named, &say),
        Some(old) => moving::run(&settings, named, old, wanted.from_file.as_deref(), &say),
    };
    match done {
        Ok(place) => gist::print(NAME, &to_set(&place, wanted.quiet), ExitCode::SUCCESS),
        Err(Trouble::Usage(why)) => gist::wrong_settings(NAME, &why),
        Err(Trouble::Failed(why)) => gist::failed(NAME, &why),
    }
}

/// `None` is a wish for help.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Wanted>, UsageError> {
    let mut wanted = Wanted::default();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("quiet") => wanted.quiet = true,
            Long("from") => wanted.from = Some(old_gist(&parser.value()?.string()?)?),
            Long("from-file") => wanted.from_file = Some(old_file(&parser.value()?.string()?)?),
            arg => return Err(usage::unexpected(&arg, OPTIONS)),
        }
    }
    if wanted.from.is_none() && wanted.from_file.is_some() {
        let why = "--from-file says which file of another gist is meant: name that with --from";
        return Err(UsageError::Value(why.to_owned()));
    }
    Ok(Some(wanted))
}

fn old_gist(text: &str) -> Result<GistId, UsageError> {
    if looks_secret(text) {
        let why =
            "--from holds what looks like a token (not shown): it belongs in GITHUB_API_TOKEN";
        return Err(UsageError::Value(why.to_owned()));
    }
    let wrong = "give the id of the old gist, the last part of its address on the web";
    text.parse()
        .map_err(|_| UsageError::Value(format!("--from is {}: {wrong}", fmt::quoted(text))))
}

fn old_file(text: &str) -> Result<String, UsageError> {
    match check_file_name(text) {
        Ok(name) => Ok(name.as_ref().to_owned()),
        Err(_) => Err(UsageError::Value(format!(
            "--from-file is {}: give the plain name of a file",
            fmt::quoted(text)
        ))),
    }
}

/// The settings, and whether GIST_ID is among them. It need not be: then they are those of the old
/// gist, or of none.
fn settings(old: Option<&GistId>) -> Result<(Settings, bool), SettingsError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let named = ["ELECTOR_GIST_ID", "GIST_ID"];
    let named = named.into_iter().any(|name| variable(name).is_some());
    let stand_in = old.map_or("none", GistId::as_str);
    let lookup = |name: &str| match name {
        "GIST_ID" if !named => Some(OsString::from(stand_in)),
        _ => variable(name),
    };
    let host_name = nix::unistd::gethostname().ok();
    let host_name = host_name.and_then(|name| name.into_string().ok());
    let settings = Settings::read(&lookup, host_name.as_deref())?;
    Ok((settings, named))
}

/// The options for a lock elsewhere.
fn options_for(settings: &Settings, gist: &GistId, file: Option<&str>) -> GistOptions {
    GistOptions {
        gist_id: gist.clone(),
        file: file.map(str::to_owned),
        ..settings.gist.clone()
    }
}

/// What is to be set, for a shell; or the id alone.
fn to_set(place: &Place, quiet: bool) -> String {
    match quiet {
        true => format!("{}\n", place.gist),
        false => format!(
            "export GIST_ID={}\nexport GIST_FILE={}\n",
            place.gist,
            quoted(&place.file)
        ),
    }
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Wanted>, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_are_understood() {
        assert_eq!(parsed("").unwrap(), Some(Wanted::default()));
        let wanted = parsed("--from https://gist.github.com/me/aa5a --from-file a.json --quiet");
        let wanted = wanted.unwrap().unwrap();
        assert_eq!(wanted.from.unwrap().as_str(), "aa5a");
        assert_eq!(wanted.from_file.as_deref(), Some("a.json"));
        assert!(wanted.quiet);
        assert_eq!(parsed("--quiet --help").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_understood_is_named_and_no_token_is_shown() {
        for (line, part) in [
            ("--form x", "did you mean `--from`?"),
            ("--from a/b", "`a/b`"),
            ("--from", "--from"),
            ("--from-file x", "--from"),
            ("--from aa --from-file a/b", "`a/b`"),
            ("--from ghp_abc", "looks like a token"),
            ("stray", "`stray`"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(part), "{line}: {error}");
            assert!(!error.contains("ghp_abc"), "{error}");
        }
    }

    #[test]
    fn file_names_are_one_word_to_a_shell() {
        for (name, word) in [
            ("leader.json", "leader.json"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(quoted(name), word);
        }
    }
}
