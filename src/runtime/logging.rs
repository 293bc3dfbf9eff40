//! Logging that never blocks: each event becomes one line in a bounded queue.
//!
//! This file owns how lines look and how they get to standard error. What is worth a line is the
//! business of whoever logs.
//!
//! ```text
//!   any thread ──log!──► format, escape, cut ──► queue (bounded) ──► "log" thread ──► standard error
//!                                                  │ full: dropped and counted
//! ```
//!
//! A standard error that nobody reads (a full pipe) holds up the "log" thread and nobody else. Lines
//! that were dropped are reported by number, in their place, once lines are read again.

mod line;
mod queue;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use env_logger::{Logger, Target};
use log::LevelFilter;

use queue::Queue;

/// How many lines wait at the most. With [`line::LONGEST`] this bounds the queue to 4 MiB; a busy
/// elector at `info` takes an hour to log as many.
const LONGEST_QUEUE: usize = 1024;

/// Of these only warnings are let through, unless the filter names them: at debug ureq writes ten lines
/// for each request. What begins with such a name counts as well (`ureq_proto`).
const CHATTY: &[&str] = &["ureq"];

/// How long a crash waits for its last lines to be read: the process is about to end, and what it
/// led must not be kept waiting.
const PATIENCE_IN_PANIC: Duration = Duration::from_millis(500);

/// The program's log. Keep it, and flush it before the process ends.
#[derive(Clone, Debug)]
pub struct LogGuard(Arc<Queue>);

impl LogGuard {
    /// Waits until every line logged so far has been written, or `timeout` is over. Says whether all
    /// were.
    ///
    /// The wait is std's, which stands still while the machine is suspended: nothing but the end of
    /// the process depends on it.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.0.flush(timeout)
    }
}

/// Starts logging to standard error, as `filter` says (`RUST_LOG`'s syntax; empty: `info`). A filter
/// that cannot be understood is warned about, and `info` counts. A panic is logged too.
///
/// To be called once; a later call changes nothing about what is logged.
///
/// # Errors
/// When the system gives no thread or no file descriptor.
pub fn init(filter: &str) -> io::Result<LogGuard> {
    // A descriptor of its own: std's handle has a lock, which the "log" thread would hold while it
    // is blocked, and everybody who prints would wait for it.
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let (logger, guard) = start(filter, stderr)?;
    if let Some(doubt) = line::doubt_about_filter(filter, &logger) {
        // Past the filter, which may let no warning through.
        guard.0.push(line::warning(&doubt).into_bytes());
    }
    let level = logger.filter();
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(level);
        log_panics(guard.clone());
    }
    Ok(guard)
}

/// A logger, the queue behind it, and the thread that empties it to `out`.
fn start(filter: &str, out: impl Write + Send + 'static) -> io::Result<(Logger, LogGuard)> {
    let queue = Arc::new(Queue::new(LONGEST_QUEUE));
    let reader = Arc::clone(&queue);
    Builder::new()
        .name("log".to_owned())
        .spawn(move || reader.drain(out))?;
    let mut builder = env_logger::Builder::new();
    for chatty in CHATTY {
        builder.filter_module(chatty, LevelFilter::Warn);
    }
    if filter.trim().is_empty() || line::flaw_in_filter(filter).is_some() {
        builder.filter_level(LevelFilter::Info);
    } else {
        builder.parse_filters(filter);
    }
    builder
        .format(|out, record| out.write_all(line::format(record).as_bytes()))
        .target(Target::Pipe(Box::new(QueueWriter(Arc::clone(&queue)))));
    Ok((builder.build(), LogGuard(queue)))
}

/// env_logger's way into the queue: it writes each event with one call.
struct QueueWriter(Arc<Queue>);

impl Write for QueueWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A panic's report goes through the queue as well: printed the usual way, it would block on a
/// standard error that nobody reads, and the process would live on.
fn log_panics(guard: LogGuard) {
    std::panic::set_hook(Box::new(move |info| {
        log::error!("this is a bug in elector, please report it: {info}");
        guard.flush(PATIENCE_IN_PANIC);
    }));
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::sync::mpsc::channel;

    use log::{Level, Log, Record};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn say(logger: &Logger, text: &str) {
        let target = concat!(env!("CARGO_CRATE_NAME"), "::runtime");
        let mut record = Record::builder();
        record.level(Level::Info).target(target);
        logger.log(&record.args(format_args!("{text}")).build());
    }

    #[test]
    fn every_event_is_one_line_in_order() {
        let (read, write) = io::pipe().unwrap();
        let (logger, guard) = start("info", write).unwrap();
        for text in ["one", "two\nlines", "three"] {
            say(&logger, text);
        }
        assert!(guard.flush(PATIENCE));
        let lines: Vec<String> = BufReader::new(read)
            .lines()
            .take(3)
            .map(Result::unwrap)
            .collect();
        assert_eq!(lines[0].split_once(' ').unwrap().1, "INFO  one");
        assert_eq!(lines[1].split_once(' ').unwrap().1, "INFO  two\\nlines");
        assert_eq!(lines[2].split_once(' ').unwrap().1, "INFO  three");
    }

    #[test]
    fn a_pipe_that_nobody_reads_blocks_no_logging_thread() {
        let (read, write) = io::pipe().unwrap();
        let (logger, guard) = start("info", write).unwrap();
        let total = 20_000;
        let (done, finished) = channel();
        std::thread::spawn(move || {
            for number in 0..total {
                say(&logger, &format!("line {number} {}", "x".repeat(200)));
            }
            done.send(logger).unwrap();
        });
        let logger = finished.recv_timeout(PATIENCE).expect("logging blocked");
        assert!(!guard.flush(Duration::from_millis(10)), "nobody has read");

        // Somebody reads at last: every line is there, or counted as dropped.
        let mut lines = BufReader::new(read).lines().map(Result::unwrap);
        let (mut written, mut dropped) = (0, 0);
        while written + dropped < total {
            match lines.next().unwrap().split_once("WARN  ") {
                Some((_, report)) => {
                    dropped += report.split(' ').next().unwrap().parse::<u64>().unwrap();
                }
                None => written += 1,
            }
        }
        assert_eq!(written + dropped, total);
        assert!(dropped > 0 && written > LONGEST_QUEUE as u64);
        say(&logger, "and on it goes");
        assert!(lines.next().unwrap().ends_with("INFO  and on it goes"));
        assert!(guard.flush(PATIENCE));
    }

    #[test]
    fn a_standard_error_that_was_closed_loses_lines_and_nothing_else() {
        let (read, write) = io::pipe().unwrap();
        drop(read);
        let (logger, guard) = start("info", write).unwrap();
        for _ in 0..10 {
            say(&logger, "into the void");
        }
        assert!(guard.flush(PATIENCE));
    }

    #[test]
    fn a_filter_that_cannot_be_understood_counts_as_info() {
        for filter in ["", " ", "a=b=c", "elector=loud"] {
            let (logger, _guard) = start(filter, io::sink()).unwrap();
            assert_eq!(logger.filter(), LevelFilter::Info, "{filter}");
        }
        let (logger, _guard) = start("warn,ureq=trace", io::sink()).unwrap();
        assert_eq!(logger.filter(), LevelFilter::Trace);
    }

    #[test]
    fn a_filter_that_probably_was_not_meant_so_is_doubted() {
        for (filter, doubt) in [
            ("a=b", Some("info counts instead")),
            ("verbose", Some("lets nothing of elector itself through")),
            ("ureq=debug", Some("lets nothing of elector itself through")),
            ("ureq=debug,error", None),
            ("off", None),
            ("", None),
        ] {
            let (logger, _guard) = start(filter, io::sink()).unwrap();
            let doubts = line::doubt_about_filter(filter, &logger).unwrap_or_default();
            assert!(doubts.contains(doubt.unwrap_or("")), "{filter}: {doubts}");
            assert_eq!(doubts.is_empty(), doubt.is_none(), "{filter}: {doubts}");
        }
    }

    #[test]
    fn what_the_filter_leaves_out_is_not_written() {
        let (mut read, write) = io::pipe().unwrap();
        let (logger, guard) = start("warn", write).unwrap();
        say(&logger, "not this");
        logger.log(
            &Record::builder()
                .level(Level::Error)
                .target("ureq::run")
                .args(format_args!("but this"))
                .build(),
        );
        assert!(guard.flush(PATIENCE));
        let mut text = [0; 100];
        let length = read.read(&mut text).unwrap();
        let text = std::str::from_utf8(&text[..length]).unwrap();
        assert!(text.ends_with(" ERROR ureq::run: but this\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }
    #[test]
    fn what_ureq_says_at_debug_is_for_those_who_ask_for_it() {
        for (filter, shown) in [
            ("debug", false),
            ("trace", false),
            ("debug,ureq=debug", true),
            ("info,ureq_proto=debug", true),
            ("ureq=warn,debug", false),
        ] {
            let (logger, _guard) = start(filter, io::sink()).unwrap();
            let mut record = Record::builder();
            let record = record.level(Level::Debug).target("ureq_proto::client");
            assert_eq!(logger.matches(&record.build()), shown, "{filter}");
        }
    }
}
