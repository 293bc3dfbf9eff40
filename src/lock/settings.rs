//! Reads environment variables as settings, and collects the problems and warnings.
//!
//! This file owns the prefix `ELECTOR_`, the kinds of values (text, duration, boolean), and how a bad
//! value is shown. Kinds of locks and the program's own settings define the variables.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::fmt::{duration, quoted};
use crate::net::{AccessToken, AccessTokenSource};

/// The place of the record.
pub(super) const LOCK: Setting = Setting::new(
    "LOCK",
    "the gist GIST_ID",
    "place of the record: gist:ID[/FILE], lease:[NAMESPACE/]NAME, lease://HOST[:PORT]/NAMESPACE/NAME, \
     s3://BUCKET/KEY[?region=REGION&endpoint=URL], az://ACCOUNT/CONTAINER/KEY[?endpoint=URL], \
     gs://BUCKET/KEY[?endpoint=URL], git+https://HOST/PATH[#BRANCH[:FILE]] or gist+git:ID[/FILE]",
)
.shared();

/// Access token of the store, for kinds of locks that need one.
pub const LOCK_TOKEN: Setting =
    Setting::new("LOCK_TOKEN", "none", "access token of the place in LOCK").shared();

/// File with that access token.
pub const LOCK_TOKEN_FILE: Setting = Setting::new(
    "LOCK_TOKEN_FILE",
    "none",
    "file with that access token; read again when it changes",
)
.shared();

/// Setting, as `elector help settings` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Environment variable, without `ELECTOR_`.
    pub name: &'static str,
    /// Value if it is not set, or a word on that.
    pub default: &'static str,
    /// Meaning: a phrase without a full stop.
    pub text: &'static str,
    /// Whether only the name with `ELECTOR_` counts beside a wrapped program, which may have a setting of
    /// the same name.
    pub shared: bool,
}

impl Setting {
    /// Returns a setting.
    #[must_use]
    pub const fn new(name: &'static str, default: &'static str, text: &'static str) -> Setting {
        Setting {
            name,
            default,
            text,
            shared: false,
        }
    }

    /// Returns the setting, marked as [`shared`](Self::shared).
    #[must_use]
    pub const fn shared(mut self) -> Setting {
        self.shared = true;
        self
    }
}

/// Beginnings of access tokens. A value that contains one is in the wrong variable, and is not shown.
const TOKEN_MARKS: &[&str] = &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"];

/// Variable that is set.
#[derive(Debug)]
pub struct Found<T> {
    /// Full name, for messages.
    pub variable: String,
    /// Value.
    pub value: T,
    /// Whether the name begins with `ELECTOR_`.
    pub prefixed: bool,
}

/// Reader of variables through a lookup. It keeps every problem for one message.
pub struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl<'a> Reader<'a> {
    /// Returns a reader that asks `lookup` for `ELECTOR_<NAME>` and then for `<NAME>`.
    #[must_use]
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Reader {
            lookup,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Notes a problem: the variable, what is wrong with it, and the fix.
    pub fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// Notes a warning about a setting that works but is probably not intended.
    pub fn warning(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Returns the number of problems so far.
    #[must_use]
    pub fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// Returns the problems.
    #[must_use]
    pub fn into_problems(self) -> Vec<String> {
        self.problems
    }

    /// Returns the warnings.
    #[must_use]
    pub fn into_warnings(self) -> Vec<String> {
        self.warnings
    }

    /// Returns the raw value of `ELECTOR_<name>`, or else of `<name>`. An empty value counts as unset.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<Found<OsString>> {
        let prefixed = format!("ELECTOR_{name}");
        for (variable, prefixed) in [(prefixed, true), (name.to_owned(), false)] {
            if let Some(value) = (self.lookup)(&variable).filter(|value| !value.is_empty()) {
                return Some(Found {
                    variable,
                    value,
                    prefixed,
                });
            }
        }
        None
    }

    /// Returns a path, which need not be UTF-8.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).map(|found| PathBuf::from(found.value))
    }

    /// Returns a text.
    ///
    /// # Errors
    /// If it is not UTF-8, which is noted.
    pub fn text(&mut self, name: &str) -> Result<Option<Found<String>>, Noted> {
        let Some(found) = self.raw(name) else {
            return Ok(None);
        };
        let Ok(value) = found.value.into_string() else {
            // The bytes are not shown: they may be a broken secret.
            self.problem(format!(
                "{}: not valid UTF-8; write its value in UTF-8",
                found.variable
            ));
            return Err(Noted);
        };
        Ok(Some(Found {
            variable: found.variable,
            value,
            prefixed: found.prefixed,
        }))
    }

    /// Returns a text that is logged or stored.
    ///
    /// # Errors
    /// If it is not UTF-8 or seems to contain an access token, which is noted.
    pub fn public_text(&mut self, name: &str) -> Result<Option<Found<String>>, Noted> {
        let found = match self.text(name)? {
            Some(found) if looks_secret(&found.value) => found,
            found => return Ok(found),
        };
        self.problem(format!(
            "{}: looks like an access token (not shown); put it in GITHUB_API_TOKEN",
            found.variable
        ));
        Err(Noted)
    }

    /// Returns the source of the access token in `name` or in the file that `name` with `_FILE` appended
    /// names; `None` if neither is set. A variable with the prefix outranks one without.
    ///
    /// # Errors
    /// If it cannot be an access token, or if both are set, which is noted.
    pub fn access_token(&mut self, name: &str) -> Result<Option<AccessTokenSource>, Noted> {
        let value = self.text(name)?;
        let file = self.raw(&format!("{name}_FILE"));
        let source = match (value, file) {
            (None, None) => return Ok(None),
            (Some(value), None) => self.token_value(&value),
            (None, Some(file)) => self.token_file(file, name),
            (Some(value), Some(file)) if value.prefixed == file.prefixed => {
                self.problem(format!(
                    "{}: set, and so is {}; unset one of them (the file is read again when it changes)",
                    value.variable, file.variable
                ));
                Err(Noted)
            }
            (Some(value), Some(file)) if value.prefixed => {
                self.warning(ignored(&file.variable, &value.variable));
                self.token_value(&value)
            }
            (Some(value), Some(file)) => {
                self.warning(ignored(&value.variable, &file.variable));
                self.token_file(file, name)
            }
        };
        source.map(Some)
    }

    /// Returns the file. Why an access token is refused: a path is shown in messages.
    fn token_file(
        &mut self,
        found: Found<OsString>,
        name: &str,
    ) -> Result<AccessTokenSource, Noted> {
        let path = found.value.to_string_lossy();
        if looks_secret(&path) && !path.contains('/') {
            self.problem(format!(
                "{}: looks like an access token (not shown); give the path of a file, or put the access \
                 token in {name}",
                found.variable
            ));
            return Err(Noted);
        }
        Ok(AccessTokenSource::File(PathBuf::from(found.value)))
    }

    fn token_value(&mut self, found: &Found<String>) -> Result<AccessTokenSource, Noted> {
        match AccessToken::parse(&found.value) {
            Ok(_) => Ok(AccessTokenSource::Value(found.value.clone())),
            Err(flaw) => {
                self.problem(format!("{}: {flaw}", found.variable));
                Err(Noted)
            }
        }
    }

    /// Returns a duration, or the default if it is unset or bad. A bad value is noted.
    pub fn duration(&mut self, name: &str, default: Duration) -> Duration {
        let Ok(Some(found)) = self.public_text(name) else {
            return default;
        };
        duration::parse(&found.value).unwrap_or_else(|error| {
            self.problem(format!("{}: {error}", found.variable));
            default
        })
    }

    /// Returns the value as `parse` reads it, or `None` if it is unset or bad. A bad value is noted, with
    /// `fix`.
    pub fn parsed<T>(
        &mut self,
        name: &str,
        fix: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let found = self.text(name).ok()??;
        let parsed = parse(&found.value);
        if parsed.is_none() {
            let value = shown(&found.value);
            self.problem(format!("{}: {value} is not valid; {fix}", found.variable));
        }
        parsed
    }

    /// Returns whether the value is `true` or `1` rather than `false` or `0`, in any case, or the default
    /// if it is unset or bad. A bad value is noted.
    pub fn boolean(&mut self, name: &str, default: bool) -> bool {
        let value = self.parsed(name, "use true or false", |text| {
            match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            }
        });
        value.unwrap_or(default)
    }
}

fn ignored(variable: &str, by: &str) -> String {
    format!("{variable}: not used, because {by} is set too; unset one of them")
}

/// Problem that the reader has noted.
#[derive(Clone, Copy, Debug)]
pub struct Noted;

/// Returns a bad value for a message: on one line, shortened, and never an access token.
#[must_use]
pub fn shown(value: &str) -> String {
    if looks_secret(value) {
        return "a value that looks like an access token (not shown)".to_owned();
    }
    quoted(value)
}

/// Returns whether a value seems to contain an access token.
#[must_use]
pub fn looks_secret(value: &str) -> bool {
    TOKEN_MARKS.iter().any(|mark| value.contains(mark))
}
