//! Options of `elector run`.

use std::ffi::OsString;
use std::time::Duration;

use crate::commands::command::{Arguments, CommandOption, UsageError};
use crate::fmt::duration;

const TRY: &str = "--try";
const UNLESS_LED_WITHIN: &str = "--unless-led-within";

/// The options.
pub(super) const OPTIONS: &[CommandOption] = &[
    CommandOption::value(TRY, "D", "exit if this candidate does not lead within D"),
    CommandOption::value(
        UNLESS_LED_WITHIN,
        "D",
        "exit if any candidate has led within D: for cron\nin several clusters",
    ),
];

/// Options of `elector run`, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RunOptions {
    /// Time after which a candidate that does not lead exits.
    pub(super) try_for: Option<Duration>,
    /// Time for which no candidate may have led.
    pub(super) unless_led_within: Option<Duration>,
    /// Program that runs while this candidate leads, and its arguments; empty for none.
    pub(super) program: Vec<OsString>,
}

impl RunOptions {
    /// Checks the arguments.
    pub(super) fn read(args: &Arguments) -> Result<RunOptions, UsageError> {
        let program = args.program().unwrap_or_default().to_vec();
        if args.program().is_some() && program.first().is_none_or(|program| program.is_empty()) {
            let why = "--: no program follows; name the program to run";
            return Err(UsageError::new(why));
        }
        Ok(RunOptions {
            try_for: period(args, TRY)?,
            unless_led_within: period(args, UNLESS_LED_WITHIN)?,
            program,
        })
    }
}

fn period(args: &Arguments, option: &str) -> Result<Option<Duration>, UsageError> {
    let Some(text) = args.parsed::<String>(option)? else {
        return Ok(None);
    };
    match duration::parse(&text) {
        Ok(Duration::ZERO) => Err(UsageError::new(format!(
            "{option}: {text} is zero; give a longer duration"
        ))),
        Ok(period) => Ok(Some(period)),
        Err(error) => Err(UsageError::new(format!("{option}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::command::{Command, CommandError, Operands};

    const COMMAND: Command = Command {
        name: "run",
        summary: "",
        details: "",
        options: OPTIONS,
        operands: Operands::Program,
        notes: "",
        run: |_| Err(CommandError::HelpRequested),
    };

    fn parsed(args: Vec<OsString>) -> Result<RunOptions, CommandError> {
        let args = Arguments::parse(&COMMAND, args)?;
        Ok(RunOptions::read(&args)?)
    }

    fn parsed_line(line: &str) -> Result<RunOptions, CommandError> {
        parsed(line.split_whitespace().map(OsString::from).collect())
    }

    fn usage_error(args: Vec<OsString>) -> String {
        match parsed(args) {
            Err(CommandError::Usage(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_and_program_are_read() {
        let options = parsed_line("--try 5s --unless-led-within=1m -- sleep --try -- -h").unwrap();
        assert_eq!(options.try_for, Some(Duration::from_secs(5)));
        assert_eq!(options.unless_led_within, Some(Duration::from_secs(60)));
        assert_eq!(options.program, ["sleep", "--try", "--", "-h"]);
        assert_eq!(parsed_line("").unwrap(), RunOptions::default());
        assert!(matches!(
            parsed_line("--help"),
            Err(CommandError::HelpRequested)
        ));
    }

    #[test]
    fn wrong_arguments_are_named_with_fix() {
        for (line, part) in [
            ("sleep 1", "`elector run -- PROGRAM`"),
            ("--", "no program follows"),
            ("--try 5 -- x", "--try: "),
            ("--try 0s", "--try: 0s is zero"),
            ("--try", "--try"),
            ("--tyr 5s", "did you mean `--try`?"),
            ("-x", "`-x`"),
        ] {
            let error = usage_error(line.split_whitespace().map(OsString::from).collect());
            assert!(error.contains(part), "{line}: {error}");
        }
        let error = usage_error(vec!["--".into(), OsString::new()]);
        assert!(error.contains("no program follows"));
    }
}
