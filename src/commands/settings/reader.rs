//! Reading single variables, and collecting what is wrong with them.
//!
//! This file owns the `ELECTOR_` prefix, emptiness, the kinds of values (text, duration, boolean)
//! and how a bad value is shown. Which variables there are and what they mean stands in the parent
//! module.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::commands::duration;
use crate::fmt::quoted;

/// What GitHub's tokens begin with. A value that contains one stands in a wrong variable, and is not
/// shown.
const TOKEN_MARKS: &[&str] = &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"];

/// A variable that is set, under the name that was found.
pub(super) struct Found<T> {
    /// The variable's full name, for messages.
    pub(super) variable: String,
    /// Its value.
    pub(super) value: T,
    /// Whether it was found with `ELECTOR_` in front.
    pub(super) prefixed: bool,
}

/// Reads variables through a lookup, and keeps every problem for one message.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Reader {
            lookup,
            problems: Vec::new(),
        }
    }

    /// Notes a problem: a sentence that says what, with which variable, and what to do.
    pub(super) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    pub(super) fn problem_count(&self) -> usize {
        self.problems.len()
    }

    pub(super) fn into_problems(self) -> Vec<String> {
        self.problems
    }

    /// The raw value: `ELECTOR_<name>` first, then `<name>`; an empty one counts as unset.
    pub(super) fn raw(&self, name: &str) -> Option<Found<OsString>> {
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

    /// A path, which need not be UTF-8.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).map(|found| PathBuf::from(found.value))
    }

    /// Text. `Err` if it is set but not UTF-8, which is noted.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<Found<String>>, Noted> {
        let Some(found) = self.raw(name) else {
            return Ok(None);
        };
        let Ok(value) = found.value.into_string() else {
            // The bytes are not shown: they may be a broken secret.
            self.problem(format!(
                "{} is not valid UTF-8: write its value in UTF-8",
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

    /// A duration, or the default if it is unset or bad; what is bad is noted.
    pub(super) fn duration(&mut self, name: &str, default: Duration) -> Duration {
        let Ok(Some(found)) = self.text(name) else {
            return default;
        };
        match duration::parse(&found.value) {
            Ok(duration) => duration,
            Err(_) if looks_secret(&found.value) => {
                self.problem(format!(
                    "{} holds what looks like a token: give a duration like 30s",
                    found.variable
                ));
                default
            }
            Err(error) => {
                self.problem(format!("{}: {error}", found.variable));
                default
            }
        }
    }

    /// `true`, `false`, `1` or `0`, in any case; the default if it is unset or bad, which is noted.
    pub(super) fn boolean(&mut self, name: &str, default: bool) -> bool {
        let Ok(Some(found)) = self.text(name) else {
            return default;
        };
        match found.value.to_ascii_lowercase().as_str() {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => {
                self.problem(format!(
                    "{} is {}: give true or false",
                    found.variable,
                    shown(&found.value)
                ));
                default
            }
        }
    }
}

/// A problem that stands in the reader's list already.
#[derive(Debug)]
pub(super) struct Noted;

/// A bad value as a message repeats it: on one line, cut, and never a token.
pub(super) fn shown(value: &str) -> String {
    if looks_secret(value) {
        return "a value that looks like a token (not shown)".to_owned();
    }
    quoted(value)
}

/// Whether a value seems to be, or to hold, an API token.
pub(in crate::commands) fn looks_secret(value: &str) -> bool {
    TOKEN_MARKS.iter().any(|mark| value.contains(mark))
}
