//! Log output that never blocks: each event becomes one line in a bounded queue.
//!
//! This file owns the path of a line to standard error. `filter` owns which lines are logged, and
//! [`line`] their form. The callers decide which events are worth a line.
//!
//! ```text
//!   any thread ──log!──► filter, format ──► queue (bounded) ──► "log" thread ──► standard error
//!                                             │ full: dropped and counted
//! ```
//!
//! If nobody reads standard error (a full pipe), only the "log" thread waits. Dropped lines are
//! counted, and the count is logged in their place.

mod filter;
mod line;
mod queue;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use env_filter::Filter;
use log::{Log, Metadata, Record};

use queue::Queue;

/// Largest number of queued lines. With [`line::MAX_LENGTH`] it bounds the queue to 4 MiB. An
/// elector at `info` needs about an hour to log as many.
const QUEUE_LENGTH: usize = 1024;

/// Longest wait of a panicking process for its last lines. It must end soon, because its workload
/// ends with it.
const PANIC_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Form of the log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, message and `key=value` fields, for operators.
    #[default]
    Text,
    /// One JSON object per line, for programs.
    Json,
}

impl LogFormat {
    /// Parses `text` or `json`, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        }
    }
}

/// Handle to the program's log.
#[derive(Clone, Debug)]
pub struct LogGuard(Arc<Queue>);

impl LogGuard {
    /// Adds the candidate's identity and its lock to every later line in JSON. Only the first call
    /// has an effect.
    pub fn identify(&self, identity: &str, lock: &str) {
        self.0.formatter.identify(identity, lock);
    }

    fn push(&self, record: &Record<'_>) {
        self.0.push(self.0.formatter.format(record));
    }

    /// Waits at most `timeout` until every line logged so far has been written. Returns whether all
    /// of them were.
    ///
    /// The wait does not advance while the machine is suspended. Only the end of the process depends
    /// on it.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.0.flush(timeout)
    }
}

/// Returns the warning about a filter (`RUST_LOG`'s syntax) of which a part means nothing.
#[must_use]
pub fn filter_warning(filter: &str) -> Option<String> {
    filter::parse(filter).1
}

/// Starts logging to standard error: what `filter` selects (`RUST_LOG`'s syntax; empty: `info`), in
/// `format`. If a part of the filter means nothing, it logs a warning and uses `info`. Panics are logged
/// too.
///
/// Call it once; a later call does not change the log.
///
/// # Errors
/// If the system refuses a thread or a file descriptor.
pub fn init(filter: &str, format: LogFormat) -> io::Result<LogGuard> {
    // Not std's handle: the "log" thread would hold its lock while it is blocked, and every caller
    // of `eprintln!` would wait for it.
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let (logger, warning) = Logger::start(filter, format, stderr)?;
    let guard = logger.guard.clone();
    if let Some(warning) = warning {
        // Past the filter, which may reject warnings.
        guard.push(&line::warning(format_args!("{warning}")).build());
    }
    let level = logger.filter.filter();
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(level);
        log_panics(guard.clone());
    }
    Ok(guard)
}

/// The implementation behind the `log` macros.
struct Logger {
    filter: Filter,
    guard: LogGuard,
}

impl Logger {
    /// Creates a logger and the thread that writes its lines to `out`. Also returns a warning about
    /// `filter`, if there is one.
    fn start(
        filter: &str,
        format: LogFormat,
        out: impl Write + Send + 'static,
    ) -> io::Result<(Self, Option<String>)> {
        let (filter, warning) = filter::parse(filter);
        let queue = Arc::new(Queue::new(QUEUE_LENGTH, format));
        let reader = Arc::clone(&queue);
        Builder::new()
            .name("log".to_owned())
            .spawn(move || reader.drain(out))?;
        let guard = LogGuard(queue);
        Ok((Logger { filter, guard }, warning))
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.filter.matches(record) {
            self.guard.push(record);
        }
    }

    fn flush(&self) {}
}

/// Logs panics through the queue. Why: printed directly, a panic's report would block on a standard
/// error that nobody reads, and the process would not end.
fn log_panics(guard: LogGuard) {
    std::panic::set_hook(Box::new(move |info| {
        log::error!(event = "panicked", error:% = info; "panicked; please report this bug of elector");
        guard.flush(PANIC_FLUSH_TIMEOUT);
    }));
}

#[cfg(test)]
mod tests;
