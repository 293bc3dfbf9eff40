//! Output of a guard, which never waits for a reader.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;

use crate::workload::message::FromGuard;

/// Pipe to the elector, and the reports that did not fit into it yet (at most three).
pub(super) struct Reports {
    /// `None` once the elector has closed its end.
    pipe: Option<File>,
    pending: Vec<u8>,
}

impl Reports {
    /// Creates the output to a pipe, which must not block.
    pub(super) fn to(pipe: File) -> Self {
        Reports {
            pipe: Some(pipe),
            pending: Vec::new(),
        }
    }

    /// Queues a report.
    pub(super) fn push(&mut self, report: FromGuard) {
        self.pending.extend_from_slice(report.to_line().as_bytes());
    }

    /// Writes as much as fits into the pipe.
    pub(super) fn flush(&mut self) {
        while let Some(pipe) = &mut self.pipe
            && !self.pending.is_empty()
        {
            match pipe.write(&self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    /// Returns the pipe if queued reports wait for room in it.
    pub(super) fn blocked_pipe(&self) -> Option<BorrowedFd<'_>> {
        let pipe = self.pipe.as_ref()?;
        (!self.pending.is_empty()).then(|| pipe.as_fd())
    }
}

/// Writes an error to standard error, unless that would block.
///
/// Why: it is reopened because all processes that share an open file also share its blocking mode.
pub(super) fn print_error(text: &str) {
    let stderr = OpenOptions::new()
        .append(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open("/proc/self/fd/2");
    if let Ok(mut stderr) = stderr {
        let _ = stderr.write_all(format!("elector: {text}\n").as_bytes());
    }
}
