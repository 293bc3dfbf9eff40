//! What a guard writes. None of it ever waits for a reader.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;

use crate::workload::message::FromGuard;

/// The pipe to the elector, and what it has not taken yet. There are three reports at the most.
pub(super) struct Reports {
    /// None once nobody reads it any more.
    pipe: Option<File>,
    pending: Vec<u8>,
}

impl Reports {
    /// The pipe must not block.
    pub(super) fn to(pipe: File) -> Self {
        Reports {
            pipe: Some(pipe),
            pending: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, report: FromGuard) {
        self.pending.extend_from_slice(report.to_line().as_bytes());
    }

    /// Writes what can be written.
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

    /// The pipe, while something waits for room in it.
    pub(super) fn waiting(&self) -> Option<BorrowedFd<'_>> {
        let pipe = self.pipe.as_ref()?;
        (!self.pending.is_empty()).then(|| pipe.as_fd())
    }
}

/// Says something on standard error, if that is possible at once. It is opened anew for that, as
/// whether a write blocks is settled by all who share it.
pub(in crate::workload) fn say(text: &str) {
    let stderr = OpenOptions::new()
        .append(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open("/proc/self/fd/2");
    if let Ok(mut stderr) = stderr {
        let _ = stderr.write_all(format!("elector: {text}\n").as_bytes());
    }
}
