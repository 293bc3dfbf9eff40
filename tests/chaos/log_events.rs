//! Terms, as the log of an `elector run` at debug reports them.

use std::time::Duration;

use elector::election::time::Instant;

use crate::checker::{EventKind, TermEvent};
use crate::support::process::terms::LogLine;

/// Filter under which an elector logs every extension of a term.
pub(crate) const LOG_FILTER: &str = "info,elector::runtime=debug";

/// Returns what a line of `process` reports about a term.
pub(crate) fn parse(process: &str, line: &str) -> Option<TermEvent> {
    let line = LogLine::parse(line)?;
    let time = |key: &str| instant(line.text(key));
    let kind = match line.event() {
        "started_leading" => EventKind::Started {
            at: time("uptime")?,
            until: time("valid_until")?,
        },
        "renewed" => EventKind::Extended(time("valid_until")?),
        "workload_stopped" => EventKind::Ended(time("uptime")?),
        _ => return None,
    };
    Some(TermEvent {
        process: process.to_owned(),
        token: line.fencing_token()?,
        kind,
    })
}

/// Parses a time since boot, such as `12.345s`.
fn instant(text: &str) -> Option<Instant> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .map(Instant::from_boot)
}

#[test]
fn log_lines_report_terms() {
    let at = |ms| Instant::from_boot(Duration::from_millis(ms));
    let line = |fields: &str| {
        format!(
            r#"{{"time":"2026-11-22T10:00:00.123Z","level":"debug","fencing_token":7,{fields}}}"#
        )
    };
    for (fields, what) in [
        (
            r#""event":"started_leading","uptime":"12.500s","valid_until":"14.250s""#,
            EventKind::Started {
                at: at(12_500),
                until: at(14_250),
            },
        ),
        (
            r#""event":"renewed","valid_until":"15.000s""#,
            EventKind::Extended(at(15_000)),
        ),
        (
            r#""event":"workload_stopped","uptime":"14.000s""#,
            EventKind::Ended(at(14_000)),
        ),
    ] {
        let event = parse("a", &line(fields)).unwrap();
        assert_eq!((event.token, event.kind), (7, what));
    }
    assert_eq!(parse("a", &line(r#""event":"claimed""#)), None);
    assert_eq!(
        parse("a", r#"{"event":"renewed","valid_until":"1.000s"}"#),
        None
    );
}
