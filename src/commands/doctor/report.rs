//! What the doctor found: one line for each check, and the exit code that follows from them. Pure.

use std::fmt;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Ok,
    /// It works, but should be known, or changed.
    Warn,
    /// There can be no election until this is mended.
    Fail,
    /// It could not be checked.
    Skipped,
}

/// A check, how it came out, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) check: &'static str,
    pub(super) text: String,
}

pub(super) fn ok(check: &'static str, text: impl Into<String>) -> Finding {
    finding(Level::Ok, check, text)
}

pub(super) fn warn(check: &'static str, text: impl Into<String>) -> Finding {
    finding(Level::Warn, check, text)
}

pub(super) fn fail(check: &'static str, text: impl Into<String>) -> Finding {
    finding(Level::Fail, check, text)
}

pub(super) fn skipped(check: &'static str) -> Finding {
    finding(Level::Skipped, check, "not checked, because of what failed")
}

fn finding(level: Level, check: &'static str, text: impl Into<String>) -> Finding {
    Finding {
        level,
        check,
        text: text.into(),
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
            Level::Skipped => "-",
        };
        write!(f, "{level:<4}  {:<10}  {}", self.check, self.text)
    }
}

/// All findings, in the order of the checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Report(pub(super) Vec<Finding>);

impl Report {
    /// Whether there can be an election.
    pub(super) fn is_well(&self) -> bool {
        self.count(Level::Fail) == 0
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|found| found.level == level).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            writeln!(f, "{finding}")?;
        }
        let (fails, warns) = (self.count(Level::Fail), self.count(Level::Warn));
        match (fails, warns) {
            (0, 0) => writeln!(f, "\nAll is well."),
            (0, _) => writeln!(f, "\nIt works; {} to be looked at.", things(warns)),
            (_, 0) => writeln!(f, "\n{} to be mended.", things(fails)),
            _ => writeln!(
                f,
                "\n{} to be mended, {} to be looked at.",
                things(fails),
                things(warns)
            ),
        }
    }
}

fn things(number: usize) -> String {
    match number {
        1 => "1 thing".to_owned(),
        _ => format!("{number} things"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fails_makes_it_unwell() {
        let well = Report(vec![ok("a", "fine"), warn("b", "odd; do this")]);
        assert!(well.is_well());
        assert_eq!(
            well.to_string(),
            "\
ok    a           fine
warn  b           odd; do this

It works; 1 thing to be looked at.
"
        );
        let unwell = Report(vec![fail("a", "bad"), fail("b", "bad"), skipped("c")]);
        assert!(!unwell.is_well());
        assert_eq!(
            unwell.to_string(),
            "\
FAIL  a           bad
FAIL  b           bad
-     c           not checked, because of what failed

2 things to be mended.
"
        );
    }
}
