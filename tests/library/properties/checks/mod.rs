//! What must hold for every input from outside, whatever it is: one function for each place where
//! strangers are heard. The fuzz targets in `fuzz/` and the tests beside this folder run the same
//! functions; each takes raw bytes and panics where something does not hold.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test may fail where it stands, and each program uses another part"
)]

pub mod gist_answer;
pub mod gist_protocol;
pub mod gist_server_request;
pub mod http_request;
pub mod record;
pub mod settings;
pub mod state_file;

mod exchange;
mod gist_texts;
mod gist_world;
mod go_duration;
mod json;

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use elector::election::lock::LockError;

/// A check.
pub type Check = fn(&[u8]);

/// Every check by its name, which is that of its fuzz target and of its corpus.
pub const ALL: [(&str, Check); 7] = [
    ("record", record::check),
    ("gist_answer", gist_answer::check),
    ("gist_protocol", gist_protocol::check),
    ("http_request", http_request::check),
    ("settings", settings::check),
    ("gist_server_request", gist_server_request::check),
    ("state_file", state_file::check),
];

/// The longest text that a log line or a message may repeat of what strangers sent, in characters,
/// with what is said around it.
const LONGEST_FOR_PEOPLE: usize = 1200;

/// A text for people has one line, an end, and nothing that plays tricks on a terminal.
#[track_caller]
pub fn assert_for_people(text: &str) {
    assert!(
        text.chars().count() <= LONGEST_FOR_PEOPLE,
        "a text for people has {} characters: {}…",
        text.chars().count(),
        text.chars().take(200).collect::<String>()
    );
    let trick = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(trick), "a text for people holds {text:?}");
}

/// The same for the error of a call.
#[track_caller]
pub fn assert_error_for_people(error: &LockError) {
    assert_for_people(&error.to_string());
}

static PANICS_ELSEWHERE: AtomicUsize = AtomicUsize::new(0);

/// Notes panics on the threads of the servers, which end a connection and would else go unseen.
pub fn watch_server_threads() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if matches!(std::thread::current().name(), Some("http" | "gist-server")) {
                PANICS_ELSEWHERE.fetch_add(1, Ordering::SeqCst);
            }
            before(info);
        }));
    });
}

#[track_caller]
pub fn assert_no_server_panicked() {
    assert_eq!(
        PANICS_ELSEWHERE.load(Ordering::SeqCst),
        0,
        "a thread of a server panicked"
    );
}
