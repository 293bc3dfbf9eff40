//! Workload of every contender: it reports its start, that it runs, and its end.
//!
//! ```text
//!   <nanoseconds of CLOCK_BOOTTIME> leads <token>
//!   <nanoseconds of CLOCK_BOOTTIME> beats <token>     every 20 ms, with BEATS=true
//!   <nanoseconds of CLOCK_BOOTTIME> stops <token>     not when it is killed
//! ```
//!
//! This is what `elector run --` starts, and the parser of its lines; client-go's program prints
//! the same lines.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use elector::system::clock::BootClock;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Interval of the regular reports, and so the precision of a killed workload's end.
const BEAT: Duration = Duration::from_millis(20);

/// Kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Leads,
    Beats,
    Stops,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// Time in seconds since boot.
    pub at: f64,
    pub what: EventKind,
    pub fencing_token: u64,
}

impl Event {
    /// Returns the event of a line; `None` for any other line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Event> {
        let mut words = line.split_ascii_whitespace();
        let nanos: u64 = words.next()?.parse().ok()?;
        let what = match words.next()? {
            "leads" => EventKind::Leads,
            "beats" => EventKind::Beats,
            "stops" => EventKind::Stops,
            _ => return None,
        };
        let fencing_token = words.next()?.parse().ok()?;
        words.next().is_none().then_some(Event {
            at: Duration::from_nanos(nanos).as_secs_f64(),
            what,
            fencing_token,
        })
    }
}

/// Runs as the workload until SIGTERM or SIGINT.
///
/// # Errors
/// Returns an error if signals cannot be handled or the output is closed.
pub fn run() -> Result<(), String> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(|e| format!("signals: {e}"))?;
    let fencing_token = std::env::var("LEADER_ELECTION_FENCING_TOKEN").unwrap_or_default();
    let beats = std::env::var("BEATS").is_ok_and(|beats| beats == "true");
    print_line("leads", &fencing_token)?;
    if beats {
        let fencing_token = fencing_token.clone();
        thread::spawn(move || {
            while print_line("beats", &fencing_token).is_ok() {
                thread::sleep(BEAT)
            }
        });
    }
    signals.forever().next();
    print_line("stops", &fencing_token)
}

/// Writes one line with a single call.
fn print_line(what: &str, fencing_token: &str) -> Result<(), String> {
    let nanos = BootClock::now().since_boot().as_nanos();
    let line = format!("{nanos} {what} {fencing_token}\n");
    let mut out = std::io::stdout().lock();
    let written = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| format!("writing to standard output failed: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_time_kind_and_token() {
        let event = Event::parse("61500000000 beats 7").unwrap();
        assert_eq!((event.what, event.fencing_token), (EventKind::Beats, 7));
        assert!((event.at - 61.5).abs() < 1e-9);
        for (word, what) in [("leads", EventKind::Leads), ("stops", EventKind::Stops)] {
            assert_eq!(Event::parse(&format!("1 {word} 0")).unwrap().what, what);
        }
    }

    #[test]
    fn other_lines_are_no_events() {
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
