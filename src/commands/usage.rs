//! Arguments that cannot be understood: what is said of them, and which known word was meant.
//!
//! What a command takes is its own business.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use lexopt::Arg;

use crate::fmt::quoted;

/// The exit code for wrong usage and settings.
pub const USAGE: u8 = 2;

/// How far a word may be from a known one to be taken for a slip, in letters added, left out,
/// changed or swapped.
const CLOSE: usize = 2;

/// Longer words than this, in characters, are no slip of a known one, and are not compared.
const LONGEST_COMPARED: usize = 24;

/// Why the arguments of a command cannot be understood.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageError {
    /// There is no such option.
    UnknownOption {
        /// With its dashes.
        option: String,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// Nothing (more) may stand here.
    Stray(String),
    /// An option lacks its value, or has one that is none.
    Value(String),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::UnknownOption { option, nearest } => {
                write!(f, "there is no option {} here", quoted(option))?;
                match nearest {
                    Some(known) => write!(f, ": did you mean `{known}`?"),
                    None => Ok(()),
                }
            }
            UsageError::Stray(argument) => {
                write!(f, "it takes no argument {}: leave it out", quoted(argument))
            }
            UsageError::Value(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for UsageError {}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        UsageError::Value(error.to_string())
    }
}

/// What is wrong with an argument that a command does not know; `known` are its options, with their
/// dashes.
#[must_use]
pub fn unexpected(argument: &Arg<'_>, known: &[&str]) -> UsageError {
    let option = match argument {
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Long(name) => format!("--{name}"),
        Arg::Value(value) => return UsageError::Stray(value.to_string_lossy().into_owned()),
    };
    let nearest = nearest(&option, known.iter().copied()).map(str::to_owned);
    UsageError::UnknownOption { option, nearest }
}

/// Says on standard error why the arguments of a command cannot be understood, and returns the exit
/// code for that.
pub fn refuse(command: &str, error: &UsageError) -> ExitCode {
    // If even that is impossible, the exit code has to do.
    let _ = writeln!(
        io::stderr(),
        "elector {command}: {error}\nSee `elector help {command}`."
    );
    ExitCode::from(USAGE)
}

/// The known word that `word` is probably a slip of.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().nth(LONGEST_COMPARED).is_some() {
        return None;
    }
    known
        .map(|known| (distance(word, known), known))
        // Two slips in a word of three letters make it another word.
        .filter(|(distance, known)| *distance <= CLOSE && distance * 2 < known.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many letters have to be added, left out, changed or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // rows[i][j]: between the first i letters of one and the first j of the other.
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_names_the_nearest_known_one() {
        let known = ["--json", "--yes"];
        for (argument, expected) in [
            (
                Arg::Long("jsno"),
                "there is no option `--jsno` here: did you mean `--json`?",
            ),
            (Arg::Short('x'), "there is no option `-x` here"),
            (
                Arg::Value("stray\n".into()),
                "it takes no argument `stray\\n`: leave it out",
            ),
        ] {
            assert_eq!(unexpected(&argument, &known).to_string(), expected);
        }
    }

    #[test]
    fn distances_are_counted_in_slips() {
        for (from, to, expected) in [
            ("run", "run", 0),
            ("rnu", "run", 1),
            ("ru", "run", 1),
            ("runn", "run", 1),
            ("", "run", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), expected, "{from}");
        }
    }
}
