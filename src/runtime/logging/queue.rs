//! The bounded queue between the threads that log and the thread that writes.
//!
//! [`Queue::push`] never waits for writing: the lock is held only to move a line in or out.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::thread;
use std::time::Duration;

use log::kv::Value;

use super::LogFormat;
use super::line::{self, Formatter};
use crate::system::monitor::Monitor;

/// Pause before another write to a non-blocking standard error that is full. Only the "log" thread
/// waits.
const PAUSE_WHEN_FULL: Duration = Duration::from_millis(20);

/// Lines that wait to be written.
#[derive(Debug)]
pub(super) struct Queue {
    state: Monitor<State>,
    capacity: usize,
    /// Formats all lines, and the report of dropped ones.
    pub(super) formatter: Formatter,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    /// Number of lines dropped after the newest one in the queue.
    dropped: u64,
    /// Whether a line has been taken out and is being written.
    writing: bool,
}

impl State {
    fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0 && !self.writing
    }
}

impl Queue {
    /// Creates a queue for at most `capacity` lines.
    pub(super) fn new(capacity: usize, format: LogFormat) -> Self {
        Queue {
            state: Monitor::default(),
            capacity,
            formatter: Formatter::new(format),
        }
    }

    /// Appends a line, or drops and counts it if the queue is full.
    pub(super) fn push(&self, line: String) {
        self.state.change(|state| {
            if state.lines.len() >= self.capacity {
                state.dropped += 1;
                return;
            }
            if state.dropped > 0 {
                let report = self.report(std::mem::take(&mut state.dropped));
                state.lines.push_back(report);
            }
            state.lines.push_back(line);
        });
    }

    /// Waits at most `timeout` until every line has been written. Returns whether all of them were.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let state = self.state.wait_while_for(timeout, |state| !state.is_idle());
        state.is_idle()
    }

    /// Writes every line to `out`, and never returns.
    pub(super) fn drain(&self, mut out: impl Write) {
        loop {
            write(&mut out, self.next().as_bytes());
            self.state.change(|state| state.writing = false);
        }
    }

    /// Returns the line that reports `count` dropped ones.
    fn report(&self, count: u64) -> String {
        let fields = [
            ("event", Value::from("log_lines_dropped")),
            ("count", Value::from(count)),
        ];
        let message = "log lines dropped here: standard error was not read fast enough";
        self.formatter.format(
            &line::warning(format_args!("{message}"))
                .key_values(&fields)
                .build(),
        )
    }

    /// Returns the next line, or the report of lines dropped after the last one.
    fn next(&self) -> String {
        let nothing = |state: &mut State| state.lines.is_empty() && state.dropped == 0;
        let mut state = self.state.wait_while(nothing);
        state.writing = true;
        let line = state.lines.pop_front();
        line.unwrap_or_else(|| self.report(std::mem::take(&mut state.dropped)))
    }
}

/// Writes a whole line, however long it takes. An error is ignored, because standard error is the only
/// place to report it.
fn write(out: &mut impl Write, mut text: &[u8]) {
    while !text.is_empty() {
        match out.write(text) {
            Ok(0) => return,
            Ok(written) => text = text.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE_WHEN_FULL),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A writer that reports each write, and returns what the test answers.
    struct Gate {
        writes: Sender<String>,
        answers: Receiver<io::Result<usize>>,
    }

    impl Write for Gate {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let text_of = String::from_utf8(text.to_vec()).unwrap();
            self.writes.send(text_of).unwrap();
            // After the test every write succeeds.
            self.answers.recv().unwrap_or(Ok(text.len()))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated(capacity: usize) -> (Arc<Queue>, Receiver<String>, Sender<io::Result<usize>>) {
        let queue = Arc::new(Queue::new(capacity, LogFormat::Text));
        let (writes, written) = channel();
        let (answer, answers) = channel();
        let reader = Arc::clone(&queue);
        thread::spawn(move || reader.drain(Gate { writes, answers }));
        (queue, written, answer)
    }

    #[test]
    fn full_queue_drops_and_counts_lines() {
        let (queue, written, answer) = gated(2);
        queue.push("1".to_owned());
        assert_eq!(written.recv_timeout(PATIENCE).unwrap(), "1");
        // Two more fit while the first one is being written.
        for line in ["2", "3", "dropped", "dropped"] {
            queue.push(line.into());
        }
        assert!(!queue.flush(Duration::ZERO));
        answer.send(Ok(1)).unwrap();
        assert_eq!(written.recv_timeout(PATIENCE).unwrap(), "2");
        queue.push("4".to_owned());
        queue.push("dropped".to_owned());
        for expected in ["3", "count=2\n", "4", "count=1\n"] {
            answer.send(Ok(1000)).unwrap();
            let line = written.recv_timeout(PATIENCE).unwrap();
            assert!(line.contains(expected), "{expected} in {line}");
        }
        assert!(
            !queue.flush(Duration::ZERO),
            "the last line is being written"
        );
        answer.send(Ok(1000)).unwrap();
        assert!(queue.flush(PATIENCE));
    }

    #[test]
    fn interrupted_write_resumes_where_it_stopped() {
        let (queue, written, answer) = gated(2);
        queue.push("abc".to_owned());
        for reply in [
            Err(ErrorKind::Interrupted.into()),
            Err(ErrorKind::WouldBlock.into()),
            Ok(2),
            Ok(1),
        ] {
            answer.send(reply).unwrap();
        }
        assert!(queue.flush(PATIENCE));
        let pieces: Vec<_> = written.try_iter().collect();
        assert_eq!(pieces, ["abc", "abc", "abc", "c"]);
    }
}
