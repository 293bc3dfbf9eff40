//! Log lines for the guard's reports about the wrapped program.

use nix::sys::signal::Signal;

use crate::workload::message::FromGuard;

/// Logs the reports of one guard.
#[derive(Debug, Default)]
pub(super) struct ReportLog {
    /// Number of processes that the program left behind.
    left_behind: u32,
}

impl ReportLog {
    pub(super) fn log(&mut self, report: FromGuard) {
        match report {
            FromGuard::Suspended(number) => {
                let signal = Signal::try_from(number).map_or("a signal", Signal::as_str);
                log::warn!(
                    event = "program_suspended", signal;
                    "wrapped program was stopped by {signal} and does nothing: {}", advice(number)
                );
            }
            FromGuard::Continued => {
                log::info!(event = "program_continued"; "wrapped program continues");
            }
            FromGuard::LeftBehind { pid, name, count } => {
                self.left_behind = count;
                log::warn!(
                    event = "left_behind", pid, name:%, count;
                    "wrapped program exited and left a process behind, which is killed: keep the program in the foreground"
                );
            }
            FromGuard::WorkloadStopped(_) if self.left_behind > 0 => {
                log::info!(
                    event = "left_behind_killed", count = self.left_behind;
                    "processes that the wrapped program left behind were killed"
                );
            }
            _ => {}
        }
    }
}

/// Explains a signal that suspends a program, and what to do.
fn advice(signal: i32) -> &'static str {
    match Signal::try_from(signal) {
        Ok(Signal::SIGTTIN) => {
            "it read from the terminal, which belongs to the elector; give it a file or a pipe to read"
        }
        Ok(Signal::SIGTTOU) => {
            "it wrote to the terminal or changed it, but the terminal belongs to the elector; redirect its \
             output, or run `stty -tostop`"
        }
        _ => "continue it with SIGCONT to the elector",
    }
}
