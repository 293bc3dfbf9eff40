//! `elector run`: stands for election. A stand-in: it checks the settings and starts the log.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::settings::Settings;
use crate::runtime::logging;

/// Stands for election until it is told to stop.
#[must_use]
pub fn run() -> ExitCode {
    let settings = match Settings::from_environment() {
        Ok(settings) => settings,
        Err(error) => {
            let _ = writeln!(io::stderr(), "elector: {error}");
            return ExitCode::from(2);
        }
    };
    let Ok(log) = logging::init(&settings.log_filter) else {
        return ExitCode::FAILURE;
    };
    for warning in settings.warnings() {
        log::warn!("{warning}");
    }
    log::error!("this build cannot stand for election yet");
    log.flush(Duration::from_secs(1));
    ExitCode::FAILURE
}
