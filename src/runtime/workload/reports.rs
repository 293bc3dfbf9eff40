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
                    "wrapped program was suspended; {}", advice(number)
                );
            }
            FromGuard::Continued => {
                log::info!(event = "program_continued"; "wrapped program continued");
            }
            FromGuard::LeftBehind { pid, name, count } => {
                self.left_behind = count;
                log::warn!(
                    event = "left_behind", pid, name:%, count;
                    "killing processes that the wrapped program left behind; keep the program in the foreground"
                );
            }
            FromGuard::WorkloadStopped(_) if self.left_behind > 0 => {
                log::info!(
                    event = "left_behind_killed", count = self.left_behind;
                    "killed processes that the wrapped program left behind"
                );
            }
            _ => {}
        }
    }
}

/// Returns what to do about a program that this signal suspended.
fn advice(signal: i32) -> &'static str {
    match Signal::try_from(signal) {
        Ok(Signal::SIGTTIN) => {
            "let it read a file or a pipe, because the terminal belongs to the elector"
        }
        Ok(Signal::SIGTTOU) => {
            "redirect its output or run `stty -tostop`, because the terminal belongs to the elector"
        }
        _ => "send SIGCONT to the elector to continue it",
    }
}
