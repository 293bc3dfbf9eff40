//! Scan of a lock's history, with a progress line and an end on request.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;

use super::words;
use crate::election::lock::LockError;
use crate::fmt::count;
use crate::lock::admin::Admin;
use crate::lock::term_history::{Progress, TermHistory};
use crate::runtime::signals::{STOP_SIGNALS, SignalThread};
use crate::system::clock;

/// Largest number of requests: stores with a rate limit grant no more per hour.
pub(super) const MOST_REQUESTS: u32 = 5_000;

/// Exit code after a second Ctrl-C, as shells have it.
const INTERRUPTED: i32 = 130;

/// History as far as it was read.
#[derive(Debug)]
pub(super) struct Scanned {
    /// Where the record is kept.
    pub(super) lock: String,
    pub(super) history: TermHistory,
    /// Reason why the scan ended early.
    pub(super) stopped: Option<String>,
}

/// Reads the history until it is settled, the requests are used up, or a signal comes.
pub(super) fn scan(admin: &mut dyn Admin, max_requests: u32) -> io::Result<Scanned> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    let _signals = SignalThread::start(STOP_SIGNALS, move |_: Signal| {
        if flag.swap(true, Ordering::SeqCst) {
            signal_hook::low_level::exit(INTERRUPTED);
        }
    })?;
    let terminal = io::stderr().is_terminal();
    let history = admin.history(max_requests, &mut |progress| {
        if terminal {
            rewrite_line(&progress_text(progress, max_requests));
        }
        match interrupted.load(Ordering::SeqCst) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    if terminal {
        rewrite_line("");
    }
    let stopped = match &history.error {
        Some(error @ LockError::RateLimited { retry_after, .. }) => {
            let when = words::short(&clock::utc_timestamp_after(*retry_after));
            Some(format!("{error}, at {when} UTC"))
        }
        Some(error) => Some(error.to_string()),
        None => interrupted
            .load(Ordering::SeqCst)
            .then(|| "interrupted".to_owned()),
    };
    Ok(Scanned {
        lock: admin.describe(),
        history,
        stopped,
    })
}

fn progress_text(progress: &Progress, max_requests: u32) -> String {
    format!(
        "reading: request {} of at most {max_requests}, {} revisions listed, {} read",
        progress.requests,
        count(progress.listed as u64),
        progress.read
    )
}

/// Replaces the current line of the terminal.
fn rewrite_line(text: &str) {
    let mut out = io::stderr();
    let _ = write!(out, "\r\x1b[K{text}").and_then(|()| out.flush());
}
