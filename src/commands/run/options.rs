//! What follows `elector run` on the command line.

use std::ffi::OsString;
use std::time::Duration;

use lexopt::prelude::*;

use crate::commands::duration;
use crate::commands::usage::{self, UsageError};
use crate::fmt::quoted;

const OPTIONS: &[&str] = &["--try", "--unless-led-within", "--help"];

/// What follows `elector run`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RunOptions {
    /// Give up if this candidate does not lead by then.
    pub(super) try_for: Option<Duration>,
    /// Give up if anybody has led that recently.
    pub(super) unless_led_within: Option<Duration>,
    /// The program that runs while this candidate leads, and its arguments; empty for none.
    pub(super) command: Vec<OsString>,
}

/// Reads the arguments; `None` is a wish for help.
pub(super) fn parse(
    args: impl IntoIterator<Item = OsString>,
) -> Result<Option<RunOptions>, UsageError> {
    let mut options = RunOptions::default();
    let args: Vec<OsString> = args.into_iter().collect();
    // What follows `--` is the program's business, whatever it looks like.
    let dashes = args.iter().position(|arg| arg == "--");
    let (own, command) = args.split_at(dashes.unwrap_or(args.len()));
    let mut parser = lexopt::Parser::from_args(own);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("try") => options.try_for = Some(period(&mut parser, "--try")?),
            Long("unless-led-within") => {
                options.unless_led_within = Some(period(&mut parser, "--unless-led-within")?);
            }
            Value(stray) => {
                return Err(UsageError::Value(format!(
                    "{0} is no option: put `--` in front of the program that is to run, as in \
                     `elector run -- CMD`",
                    quoted(&stray.to_string_lossy())
                )));
            }
            arg => return Err(usage::unexpected(&arg, OPTIONS)),
        }
    }
    if dashes.is_some() {
        options.command = command[1..].to_vec();
        if options
            .command
            .first()
            .is_none_or(|program| program.is_empty())
        {
            return Err(UsageError::Value(
                "no program follows `--`: name the one that is to run".to_owned(),
            ));
        }
    }
    Ok(Some(options))
}

fn period(parser: &mut lexopt::Parser, option: &str) -> Result<Duration, UsageError> {
    let text = parser.value()?.string()?;
    let period =
        duration::parse(&text).map_err(|error| UsageError::Value(format!("{option}: {error}")))?;
    if period.is_zero() {
        return Err(UsageError::Value(format!(
            "{option} is {text}: give a duration above zero"
        )));
    }
    Ok(period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<RunOptions>, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn what_follows_the_dashes_is_the_programs_own() {
        let options = parsed("--try 5s --unless-led-within=1m -- sleep --try -- -h").unwrap();
        let options = options.unwrap();
        assert_eq!(options.try_for, Some(Duration::from_secs(5)));
        assert_eq!(options.unless_led_within, Some(Duration::from_secs(60)));
        assert_eq!(options.command, ["sleep", "--try", "--", "-h"]);
        assert_eq!(parsed("").unwrap(), Some(RunOptions::default()));
        assert_eq!(parsed("--help").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_understood_is_named_with_what_to_do() {
        for (line, part) in [
            ("sleep 1", "`sleep` is no option"),
            ("--", "no program follows"),
            ("--try 5 -- x", "--try: "),
            ("--try 0s", "above zero"),
            ("--try", "--try"),
            ("--tyr 5s", "did you mean `--try`?"),
            ("-x", "`-x`"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(part), "{line}: {error}");
        }
        let error = parse(["--".into(), OsString::new()]).unwrap_err();
        assert!(error.to_string().contains("no program follows"));
    }
}
