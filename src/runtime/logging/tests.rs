//! Lines on their way to standard error.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::channel;

use log::Level;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn start(filter: &str, out: impl Write + Send + 'static) -> (Logger, LogGuard) {
    let (logger, _) = Logger::start(filter, LogFormat::Text, out).unwrap();
    let guard = logger.guard.clone();
    (logger, guard)
}

fn log(logger: &Logger, text: &str) {
    let target = concat!(env!("CARGO_CRATE_NAME"), "::runtime");
    let mut record = Record::builder();
    record.level(Level::Info).target(target);
    logger.log(&record.args(format_args!("{text}")).build());
}

#[test]
fn format_is_text_or_json() {
    assert_eq!(LogFormat::parse("text"), Some(LogFormat::Text));
    assert_eq!(LogFormat::parse("JSON"), Some(LogFormat::Json));
    assert_eq!(LogFormat::parse(""), None);
    assert_eq!(LogFormat::parse("logfmt"), None);
}

#[test]
fn events_become_lines_in_order() {
    let (read, write) = io::pipe().unwrap();
    let (logger, guard) = start("info", write);
    for text in ["one", "two\nlines", "three"] {
        log(&logger, text);
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
fn unread_pipe_blocks_no_logging_thread() {
    let (read, write) = io::pipe().unwrap();
    let (logger, guard) = start("info", write);
    let total = 20_000;
    let (done, finished) = channel();
    std::thread::spawn(move || {
        for number in 0..total {
            log(&logger, &format!("line {number} {}", "x".repeat(200)));
        }
        done.send(logger).unwrap();
    });
    let logger = finished.recv_timeout(PATIENCE).expect("logging blocked");
    assert!(
        !guard.flush(Duration::from_millis(10)),
        "nothing reads the pipe"
    );

    // Once the pipe is read, every line is there or counted as dropped.
    let mut lines = BufReader::new(read).lines().map(Result::unwrap);
    let (mut written, mut dropped) = (0, 0);
    while written + dropped < total {
        match lines.next().unwrap().split_once("count=") {
            Some((_, count)) => dropped += count.parse::<u64>().unwrap(),
            None => written += 1,
        }
    }
    assert_eq!(written + dropped, total);
    assert!(dropped > 0 && written > QUEUE_LENGTH as u64);
    log(&logger, "and on it goes");
    assert!(lines.next().unwrap().ends_with("INFO  and on it goes"));
    assert!(guard.flush(PATIENCE));
}

#[test]
fn closed_standard_error_only_loses_lines() {
    let (read, write) = io::pipe().unwrap();
    drop(read);
    let (logger, guard) = start("info", write);
    for _ in 0..10 {
        log(&logger, "into the void");
    }
    assert!(guard.flush(PATIENCE));
}

#[test]
fn filtered_events_are_not_written() {
    let (mut read, write) = io::pipe().unwrap();
    let (logger, guard) = start("warn", write);
    log(&logger, "not this");
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
