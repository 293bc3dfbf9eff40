//! What an `elector run` says of its terms in its log, at debug.

use std::time::Duration;

use elector::election::time::Instant;

use crate::checker::{Said, What};

/// The filter under which an elector says it.
pub(crate) const LOG_FILTER: &str = "info,elector::runtime=debug";

/// What a line says of a term.
pub(crate) fn understand(process: &str, line: &str) -> Option<Said> {
    let (_, rest) = line.split_once(" DEBUG the term ")?;
    let (token, text) = rest.split_once(": ")?;
    let what = if let Some(times) = text.strip_prefix("begins at ") {
        let (at, until) = times.split_once(" after boot, and lasts until ")?;
        What::Begins {
            at: instant(at)?,
            until: instant(until)?,
        }
    } else if let Some(until) = text.strip_prefix("lasts until ") {
        What::LastsUntil(instant(until.strip_suffix(" after boot")?)?)
    } else {
        let at = text.strip_prefix("nothing of it runs since ")?;
        What::Over(instant(at.strip_suffix(" after boot")?)?)
    };
    Some(Said {
        process: process.to_owned(),
        token: token.parse().ok()?,
        what,
    })
}

/// `12.345s`.
fn instant(text: &str) -> Option<Instant> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .map(Instant::from_boot)
}

#[test]
fn what_is_said_of_a_term_is_understood() {
    let at = |ms| Instant::from_boot(Duration::from_millis(ms));
    let line = |text: &str| format!("2026-11-22T10:00:00.123Z DEBUG {text}");
    for (text, what) in [
        (
            "the term 7: begins at 12.500s after boot, and lasts until 14.250s",
            What::Begins {
                at: at(12_500),
                until: at(14_250),
            },
        ),
        (
            "the term 7: lasts until 15.000s after boot",
            What::LastsUntil(at(15_000)),
        ),
        (
            "the term 7: nothing of it runs since 14.000s after boot",
            What::Over(at(14_000)),
        ),
    ] {
        let said = understand("a", &line(text)).unwrap();
        assert_eq!((said.token, said.what), (7, what));
    }
    assert_eq!(understand("a", &line("the term 7: is long")), None);
    assert_eq!(understand("a", "the term 7: lasts until 1.000s"), None);
}
