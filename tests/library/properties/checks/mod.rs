//! Checks that must hold for every input from outside, one function per kind of input. The fuzz targets in
//! `fuzz/` and the tests in the parent folder run the same functions. Each takes raw bytes and panics if the
//! check fails.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test may fail where it stands, and each program uses another part"
)]

pub mod cloud_credentials;
pub mod gist_answer;
pub mod gist_protocol;
pub mod gist_server_request;
pub mod git_answer;
pub mod git_object;
pub mod git_pack;
pub mod http_request;
pub mod object_answer;
pub mod record;
pub mod settings;
pub mod state_file;

mod exchange;
mod gist_model;
mod gist_texts;
mod go_duration;
mod json;

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use elector::election::lock::LockError;

/// Check of one kind of input.
pub type Check = fn(&[u8]);

/// All checks by name. A fuzz target and its corpus have the name of their check.
pub const ALL: [(&str, Check); 12] = [
    ("record", record::check),
    ("gist_answer", gist_answer::check),
    ("gist_protocol", gist_protocol::check),
    ("http_request", http_request::check),
    ("settings", settings::check),
    ("gist_server_request", gist_server_request::check),
    ("state_file", state_file::check),
    ("git_answer", git_answer::check),
    ("git_pack", git_pack::check),
    ("git_object", git_object::check),
    ("object_answer", object_answer::check),
    ("cloud_credentials", cloud_credentials::check),
];

/// Longest message that may repeat external input, in characters.
const MAX_CHARS: usize = 1200;

/// Checks that a text for operators has one bounded line without control characters.
#[track_caller]
pub fn assert_safe_line(text: &str) {
    assert!(
        text.chars().count() <= MAX_CHARS,
        "a message has {} characters: {}…",
        text.chars().count(),
        text.chars().take(200).collect::<String>()
    );
    let trick = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(trick), "a message contains {text:?}");
}

/// Checks the error of a call in the same way.
#[track_caller]
pub fn assert_safe_error(error: &LockError) {
    assert_safe_line(&error.to_string());
}

static PANICS_ELSEWHERE: AtomicUsize = AtomicUsize::new(0);

/// Records panics of server threads, which would otherwise only close a connection.
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
