//! The workload of every contender: it says when it begins, that it goes on, and when it has ended.
//!
//! ```text
//!   <nanoseconds of CLOCK_BOOTTIME> leads <token>
//!   <nanoseconds of CLOCK_BOOTTIME> beats <token>     every 20 ms, with BEATS=true
//!   <nanoseconds of CLOCK_BOOTTIME> stops <token>     not when it is killed
//! ```
//!
//! Here is what `elector run --` starts, and what reads these lines; client-go's is in its own program.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use elector::system::clock::BootClock;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How finely one knows until when a workload ran that was killed.
const BEAT: Duration = Duration::from_millis(20);

/// What a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Leads,
    Beats,
    Stops,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// In seconds since boot.
    pub at: f64,
    pub what: What,
    pub token: u64,
}

impl Event {
    /// `None` if the line is something else.
    #[must_use]
    pub fn parse(line: &str) -> Option<Event> {
        let mut words = line.split_ascii_whitespace();
        let nanos: u64 = words.next()?.parse().ok()?;
        let what = match words.next()? {
            "leads" => What::Leads,
            "beats" => What::Beats,
            "stops" => What::Stops,
            _ => return None,
        };
        let token = words.next()?.parse().ok()?;
        words.next().is_none().then_some(Event {
            at: Duration::from_nanos(nanos).as_secs_f64(),
            what,
            token,
        })
    }
}

/// Runs as the workload until SIGTERM or SIGINT.
///
/// # Errors
/// If signals cannot be had, or nobody reads what is written.
pub fn run() -> Result<(), String> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(|e| format!("signals: {e}"))?;
    let token = std::env::var("LEADER_ELECTION_FENCING_TOKEN").unwrap_or_default();
    let beats = std::env::var("BEATS").is_ok_and(|beats| beats == "true");
    say("leads", &token)?;
    if beats {
        let token = token.clone();
        thread::spawn(move || {
            while say("beats", &token).is_ok() {
                thread::sleep(BEAT)
            }
        });
    }
    signals.forever().next();
    say("stops", &token)
}

/// One line in one piece.
fn say(what: &str, token: &str) -> Result<(), String> {
    let nanos = BootClock::now().since_boot().as_nanos();
    let line = format!("{nanos} {what} {token}\n");
    let mut out = std::io::stdout().lock();
    let written = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| format!("nobody reads the workload's lines: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_time_what_happens_and_a_token() {
        let event = Event::parse("61500000000 beats 7").unwrap();
        assert_eq!((event.what, event.token), (What::Beats, 7));
        assert!((event.at - 61.5).abs() < 1e-9);
        for (word, what) in [("leads", What::Leads), ("stops", What::Stops)] {
            assert_eq!(Event::parse(&format!("1 {word} 0")).unwrap().what, what);
        }
    }

    #[test]
    fn anything_else_is_no_event() {
        for line in [
            "",
            "1 leads",
            "leads 1",
            "1 leads x",
            "1 leads 2 3",
            "-1 leads 2",
            "1 lead 2",
        ] {
            assert_eq!(Event::parse(line), None, "{line:?}");
        }
    }
}
