//! The bounded queue between those who log and the thread that writes.
//!
//! Pushing never waits for writing: the lock is held to move a line in or out, and not while a line
//! is written.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::thread;
use std::time::Duration;

use super::line;
use crate::system::monitor::Monitor;

/// How long to wait before a standard error that does not block, and is full, is tried again. Only
/// the "log" thread waits.
const PAUSE_WHEN_FULL: Duration = Duration::from_millis(20);

/// Lines on their way out.
#[derive(Debug)]
pub(super) struct Queue {
    state: Monitor<State>,
    longest: usize,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Line>,
    /// Dropped since the newest line in the queue.
    dropped: u64,
    /// A line has been taken out and is being written.
    writing: bool,
}

/// A line, and how many were dropped right before it.
#[derive(Debug, Default)]
struct Line {
    text: Vec<u8>,
    dropped_before: u64,
}

impl State {
    fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0 && !self.writing
    }
}

impl Queue {
    /// A queue that holds up to `longest` lines.
    pub(super) fn new(longest: usize) -> Self {
        Queue {
            state: Monitor::default(),
            longest,
        }
    }

    /// Puts a line into the queue, or drops and counts it.
    pub(super) fn push(&self, text: Vec<u8>) {
        self.state.change(|state| {
            if state.lines.len() >= self.longest {
                state.dropped += 1;
                return;
            }
            let dropped_before = std::mem::take(&mut state.dropped);
            state.lines.push_back(Line {
                text,
                dropped_before,
            });
        });
    }

    /// Waits until all is written, or `timeout` is over; says whether all is.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let state = self.state.wait_while_for(timeout, |state| !state.is_idle());
        state.is_idle()
    }

    /// Writes what comes, for ever.
    pub(super) fn drain(&self, mut out: impl Write) {
        loop {
            let Line {
                text,
                dropped_before,
            } = self.next();
            if dropped_before > 0 {
                write(&mut out, line::dropped(dropped_before).as_bytes());
            }
            write(&mut out, &text);
            self.state.change(|state| state.writing = false);
        }
    }

    /// The next line, or an empty one after the last when lines were dropped since.
    fn next(&self) -> Line {
        let nothing = |state: &mut State| state.lines.is_empty() && state.dropped == 0;
        let mut state = self.state.wait_while(nothing);
        state.writing = true;
        match state.lines.pop_front() {
            Some(line) => line,
            None => Line {
                text: Vec::new(),
                dropped_before: std::mem::take(&mut state.dropped),
            },
        }
    }
}

/// Writes a line, waiting for as long as it takes. If it cannot be written there is nobody to tell.
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

    /// A writer that says what it is asked to write, and goes on when it is told to.
    struct Gate {
        writes: Sender<String>,
        answers: Receiver<io::Result<usize>>,
    }

    impl Write for Gate {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let text_of = String::from_utf8(text.to_vec()).unwrap();
            self.writes.send(text_of).unwrap();
            // Once the test has ended, everything goes through.
            self.answers.recv().unwrap_or(Ok(text.len()))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated(longest: usize) -> (Arc<Queue>, Receiver<String>, Sender<io::Result<usize>>) {
        let queue = Arc::new(Queue::new(longest));
        let (writes, written) = channel();
        let (answer, answers) = channel();
        let reader = Arc::clone(&queue);
        thread::spawn(move || reader.drain(Gate { writes, answers }));
        (queue, written, answer)
    }

    #[test]
    fn lines_that_do_not_fit_are_dropped_and_counted_in_their_place() {
        let (queue, written, answer) = gated(2);
        queue.push(b"1".to_vec());
        assert_eq!(written.recv_timeout(PATIENCE).unwrap(), "1");
        // While the first is being written, two more fit.
        for line in ["2", "3", "dropped", "dropped"] {
            queue.push(line.into());
        }
        assert!(!queue.flush(Duration::ZERO));
        answer.send(Ok(1)).unwrap();
        assert_eq!(written.recv_timeout(PATIENCE).unwrap(), "2");
        queue.push(b"4".to_vec());
        queue.push(b"dropped".to_vec());
        for expected in ["3", "2 log lines", "4", "1 log line "] {
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
    fn a_line_is_written_whole_past_interruptions_and_full_pipes() {
        let (queue, written, answer) = gated(2);
        queue.push(b"abc".to_vec());
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
