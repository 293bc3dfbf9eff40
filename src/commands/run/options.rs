//! Options of `elector run`.

use std::ffi::OsString;
use std::time::Duration;

use crate::commands::command::{Arguments, CommandOption, UsageError};
use crate::fmt::quoted;

const TRY: &str = "--try";
const UNLESS_LED_WITHIN: &str = "--unless-led-within";
const ELSE_EXIT: &str = "--else-exit";

/// Greatest exit code to choose. Those above mean that a program could not be run, or was killed.
const MAX_CODE: u8 = 125;

/// The options.
pub(super) const OPTIONS: &[CommandOption] = &[
    CommandOption::value(TRY, "D", "exit if this candidate does not lead within D"),
    CommandOption::value(
        UNLESS_LED_WITHIN,
        "D",
        "exit if any candidate has led within D; for cron in several clusters",
    ),
    CommandOption::value(
        ELSE_EXIT,
        "CODE",
        "exit code in that case, instead of 75; 0 suits a CronJob",
    ),
];

/// Options of `elector run`, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RunOptions {
    /// Time after which a candidate that does not lead exits.
    pub(super) try_for: Option<Duration>,
    /// Time for which no candidate may have led.
    pub(super) unless_led_within: Option<Duration>,
    /// Exit code if one has led, in place of the usual one.
    pub(super) else_exit: Option<u8>,
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
        let unless_led_within = args.period(UNLESS_LED_WITHIN)?;
        let else_exit = code(args, ELSE_EXIT)?;
        if else_exit.is_some() && unless_led_within.is_none() {
            return Err(UsageError::new(format!(
                "{ELSE_EXIT}: no effect without {UNLESS_LED_WITHIN}; give both"
            )));
        }
        Ok(RunOptions {
            try_for: args.period(TRY)?,
            unless_led_within,
            else_exit,
            program,
        })
    }
}

fn code(args: &Arguments, option: &str) -> Result<Option<u8>, UsageError> {
    let Some(text) = args.parsed::<String>(option)? else {
        return Ok(None);
    };
    match text.parse() {
        Ok(code @ 0..=MAX_CODE) => Ok(Some(code)),
        _ => Err(UsageError::new(format!(
            "{option}: {} is not an exit code; give a number from 0 to {MAX_CODE}",
            quoted(&text)
        ))),
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
        for code in [0, 75, 125] {
            let line = format!("--else-exit {code} --unless-led-within 1m");
            assert_eq!(parsed_line(&line).unwrap().else_exit, Some(code));
        }
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
            ("--else-exit 0", "without --unless-led-within"),
            ("--else-exit 0 --try 5s", "without --unless-led-within"),
            (
                "--unless-led-within 1h --else-exit 126",
                "`126` is not an exit code",
            ),
            ("--unless-led-within 1h --else-exit 256", "from 0 to 125"),
            (
                "--unless-led-within 1h --else-exit=-1",
                "`-1` is not an exit code",
            ),
            (
                "--unless-led-within 1h --else-exit zero",
                "--else-exit: `zero`",
            ),
            ("--unless-led-within 1h --else-exit=", "--else-exit: ``"),
            (
                "--unless-led-within 1h --else-exit",
                "--else-exit: no value",
            ),
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
