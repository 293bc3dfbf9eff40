//! Form of a log line.
//!
//! ```text
//!   2026-11-22T10:00:00.123Z INFO  started leading fencing_token=7
//!   {"time":"2026-11-22T10:00:00.123Z","level":"info","event":"started_leading","identity":"napoleon",
//!    "lock":"gist 1234…","fencing_token":7,"message":"started leading"}
//! ```
//!
//! Both forms come from the same fields, which are the `log` crate's key-value pairs. A text line
//! leaves out `event`, `identity` and `lock`. The target follows the level if it is not one of this
//! crate. Every event is exactly one line.

use std::fmt::{self, Write};
use std::sync::OnceLock;

use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use log::{Level, Record, RecordBuilder};

use super::LogFormat;
use crate::system::clock;

/// Length of the longest line in bytes, newline included. A pipe takes this much in one piece
/// (`PIPE_BUF`), so that lines of several processes on one standard error do not mix.
pub(super) const MAX_LENGTH: usize = 4096;

/// Mark at the end of a text that was cut.
const CUT: &str = "…";

/// Bytes that a field needs besides its key and value: separators, quotes, the mark of a cut, and the
/// end of the line.
const RESERVED: usize = 12;

/// Length of the longest number.
const LONGEST_LITERAL: usize = "-9223372036854775808".len();

/// Targets of this crate's modules begin with this.
pub(super) const OWN_TARGET: &str = env!("CARGO_CRATE_NAME");

/// Turns log records into lines.
#[derive(Debug)]
pub(super) struct Formatter {
    format: LogFormat,
    candidate: OnceLock<Candidate>,
}

/// The candidate that this process is, as every line in JSON names it.
#[derive(Debug)]
struct Candidate {
    identity: String,
    lock: String,
}

impl Formatter {
    pub(super) fn new(format: LogFormat) -> Self {
        Formatter {
            format,
            candidate: OnceLock::new(),
        }
    }

    pub(super) fn identify(&self, identity: &str, lock: &str) {
        let candidate = Candidate {
            identity: identity.to_owned(),
            lock: lock.to_owned(),
        };
        // A second candidate in one process would be a mistake of the caller; the first one counts.
        let _ = self.candidate.set(candidate);
    }

    /// Returns the line for a record, with its newline.
    pub(super) fn format(&self, record: &Record<'_>) -> String {
        let mut line = match self.format {
            LogFormat::Text => text(record),
            LogFormat::Json => self.json(record),
        };
        line.push('\n');
        line
    }

    fn json(&self, record: &Record<'_>) -> String {
        let candidate = self.candidate.get();
        let mut line = Json {
            line: String::from("{"),
            identified: candidate.is_some(),
        };
        line.field("time", &clock::utc_timestamp_millis());
        line.field("level", &record.level().as_str().to_ascii_lowercase());
        if !is_own(record.target()) {
            line.field("target", &record.target());
        }
        let fields = record.key_values();
        if let Some(event) = fields.get(Key::from("event")) {
            line.field("event", &event);
        }
        if let Some(candidate) = candidate {
            line.field("identity", &candidate.identity);
            line.field("lock", &candidate.lock);
        }
        // Neither visitor returns an error.
        let _ = fields.visit(&mut line);
        line.field("message", record.args());
        line.line.push('}');
        line.line
    }
}

/// Returns a record for a warning of the log's own.
pub(super) fn warning(message: fmt::Arguments<'_>) -> RecordBuilder<'_> {
    let mut record = Record::builder();
    record.level(Level::Warn).target(OWN_TARGET).args(message);
    record
}

fn is_own(target: &str) -> bool {
    let rest = target.strip_prefix(OWN_TARGET);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// A line of text under construction.
struct Text(String);

fn text(record: &Record<'_>) -> String {
    let mut line = format!("{} {:<5} ", clock::utc_timestamp_millis(), record.level());
    let limit = MAX_LENGTH - CUT.len() - "\n".len();
    if !is_own(record.target()) {
        append(&mut line, limit / 2, escape_text, &record.target());
        line.push_str(": ");
    }
    append(&mut line, limit, escape_text, record.args());
    let mut line = Text(line);
    let _ = record.key_values().visit(&mut line);
    line.0
}

impl<'kvs> VisitSource<'kvs> for Text {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let line = &mut self.0;
        let available = MAX_LENGTH.saturating_sub(line.len() + key.as_str().len() + RESERVED);
        if key.as_str() == "event" || available == 0 || Kind::of(&value) == Kind::Absent {
            return Ok(());
        }
        let mut shown = String::new();
        let _ = write!(shown, "{value}");
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"\"=".contains(c);
        let _ = write!(line, " {}=", key.as_str());
        let limit = line.len() + available / 2;
        if !shown.is_empty() && shown.chars().all(plain) {
            append(line, limit, escape_text, &shown);
        } else {
            line.push('"');
            append(line, limit, escape_quoted, &shown);
            line.push('"');
        }
        Ok(())
    }
}

/// A JSON object under construction, up to its closing brace.
struct Json {
    line: String,
    /// Whether identity and lock have been written.
    identified: bool,
}

impl Json {
    /// Adds a string. It may take half of the space that is left, so that later fields fit.
    fn field(&mut self, key: &str, value: &dyn fmt::Display) {
        if let Some(available) = self.key(key, 0) {
            // The message is the last field, and may take all of it.
            let share = if key == "message" { 1 } else { 2 };
            let limit = self.line.len() + available / share;
            self.line.push('"');
            append(&mut self.line, limit, escape_json, value);
            self.line.push('"');
        }
    }

    /// Adds a key and its colon. Returns the space for the value, or `None` if it is less than
    /// `needed`, both in bytes.
    fn key(&mut self, key: &str, needed: usize) -> Option<usize> {
        let used = self.line.len() + key.len() + RESERVED;
        let available = MAX_LENGTH.checked_sub(used)?;
        if available < needed {
            return None;
        }
        if self.line.len() > 1 {
            self.line.push(',');
        }
        let _ = write!(self.line, "\"{key}\":");
        Some(available)
    }
}

impl<'kvs> VisitSource<'kvs> for Json {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let key = key.as_str();
        match Kind::of(&value) {
            // Written already.
            _ if key == "event" => {}
            _ if self.identified && matches!(key, "identity" | "lock") => {}
            Kind::Absent => {}
            Kind::Literal => {
                if self.key(key, LONGEST_LITERAL).is_some() {
                    let _ = write!(self.line, "{value}");
                }
            }
            Kind::Text => self.field(key, &value),
        }
        Ok(())
    }
}

/// Kind of a field's value in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Absent,
    /// A number or a boolean.
    Literal,
    Text,
}

impl Kind {
    fn of(value: &Value<'_>) -> Self {
        let mut kind = Kind::Text;
        let _ = value.visit(&mut kind);
        kind
    }
}

impl<'v> VisitValue<'v> for Kind {
    fn visit_any(&mut self, _: Value<'_>) -> Result<(), Error> {
        *self = Kind::Text;
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        *self = Kind::Absent;
        Ok(())
    }

    fn visit_u64(&mut self, _: u64) -> Result<(), Error> {
        *self = Kind::Literal;
        Ok(())
    }

    fn visit_i64(&mut self, _: i64) -> Result<(), Error> {
        *self = Kind::Literal;
        Ok(())
    }

    fn visit_bool(&mut self, _: bool) -> Result<(), Error> {
        *self = Kind::Literal;
        Ok(())
    }
}

/// Writes one character in the escaped form of its context.
type Escape = fn(&mut String, char);

/// Appends a value while the line is shorter than `limit` bytes, then the mark of a cut.
fn append(line: &mut String, limit: usize, escape: Escape, value: &dyn fmt::Display) {
    let mut writer = Limited {
        line,
        limit,
        escape,
        cut: false,
    };
    // An error means that the limit is reached, or that the value cannot be printed; a part of it is
    // better than nothing.
    let _ = write!(writer, "{value}");
    if writer.cut {
        line.push_str(CUT);
    }
}

/// A writer that escapes what it writes, and stops at a limit.
struct Limited<'a> {
    line: &'a mut String,
    limit: usize,
    escape: Escape,
    cut: bool,
}

impl Write for Limited<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let before = self.line.len();
            (self.escape)(self.line, character);
            if self.line.len() > self.limit {
                self.line.truncate(before);
                self.cut = true;
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

fn escape_text(line: &mut String, character: char) {
    match character {
        _ if must_be_escaped(character) => line.extend(character.escape_default()),
        _ => line.push(character),
    }
}

fn escape_quoted(line: &mut String, character: char) {
    if matches!(character, '"' | '\\') {
        line.push('\\');
    }
    escape_text(line, character);
}

fn escape_json(line: &mut String, character: char) {
    match character {
        '"' | '\\' => line.extend(['\\', character]),
        '\n' => line.push_str("\\n"),
        // All of these have four hexadecimal digits.
        _ if must_be_escaped(character) => {
            let _ = write!(line, "\\u{:04x}", u32::from(character));
        }
        _ => line.push(character),
    }
}

/// Returns whether a character would break a line, or change the terminal instead of being shown:
/// control characters, line and paragraph separators, and marks of the writing direction.
fn must_be_escaped(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use log::kv::ToValue;
    use serde_json::{Value as JsonValue, json};

    use super::*;

    fn line(format: LogFormat, level: Level, target: &str, text: &str) -> String {
        Formatter::new(format).format(
            &Record::builder()
                .level(level)
                .target(target)
                .args(format_args!("{text}"))
                .build(),
        )
    }

    fn message(text: &str) -> String {
        let line = line(LogFormat::Text, Level::Info, OWN_TARGET, text);
        let message = line.split_once(" INFO  ").unwrap().1;
        message.strip_suffix('\n').unwrap().to_owned()
    }

    fn with_fields(format: LogFormat, fields: &[(&str, Value<'_>)]) -> String {
        let formatter = Formatter::new(format);
        formatter.identify("napoleon", "gist 1");
        formatter.identify("cleopatra", "gist 2");
        formatter.format(
            &Record::builder()
                .level(Level::Info)
                .target(OWN_TARGET)
                .args(format_args!("lease acquired"))
                .key_values(&fields)
                .build(),
        )
    }

    fn parsed(line: &str) -> JsonValue {
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    #[test]
    fn text_line_has_time_level_message() {
        let line = line(
            LogFormat::Text,
            Level::Warn,
            &format!("{OWN_TARGET}::a::b"),
            "hello",
        );
        let (time, rest) = line.split_at("2026-11-22T10:00:00.123Z".len());
        assert!(time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
        assert_eq!(rest, " WARN  hello\n");
    }

    #[test]
    fn json_line_has_time_level_message() {
        let line = line(LogFormat::Json, Level::Warn, OWN_TARGET, "hello");
        let mut object = parsed(&line);
        let time = object["time"].take();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        let expected = json!({"time": null, "level": "warn", "message": "hello"});
        assert_eq!(object, expected);
    }

    #[test]
    fn both_forms_show_the_fields() {
        let fields = [
            ("event", Value::from("started_leading")),
            ("fencing_token", Value::from(7)),
            ("reason", ().to_value()),
            ("holder", Value::from("a \"b\"")),
            ("wait", Value::from("30s")),
            ("empty", Value::from("")),
        ];
        let line = with_fields(LogFormat::Text, &fields);
        let expected =
            r#" INFO  lease acquired fencing_token=7 holder="a \"b\"" wait=30s empty="""#;
        assert!(line.ends_with(&format!("{expected}\n")), "{line}");
        let mut object = parsed(&with_fields(LogFormat::Json, &fields));
        object["time"].take();
        let expected = json!({
            "time": null, "level": "info", "event": "started_leading", "identity": "napoleon",
            "lock": "gist 1", "fencing_token": 7, "holder": "a \"b\"", "wait": "30s", "empty": "",
            "message": "lease acquired",
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn json_names_candidate_once() {
        let fields = [
            ("event", Value::from("running")),
            ("identity", Value::from("napoleon")),
            ("lock", Value::from("gist 1")),
        ];
        let line = with_fields(LogFormat::Json, &fields);
        for key in ["\"identity\":", "\"lock\":"] {
            assert_eq!(line.matches(key).count(), 1, "{line}");
        }
    }

    #[test]
    fn foreign_targets_are_named() {
        let text = |target| line(LogFormat::Text, Level::Error, target, "hello");
        assert!(text("ureq::run").ends_with(" ERROR ureq::run: hello\n"));
        let similar = format!("{OWN_TARGET}_of_somebody_else");
        assert!(text(&similar).ends_with(&format!("{similar}: hello\n")));
        let json = line(LogFormat::Json, Level::Error, "ureq::run", "hello");
        assert_eq!(parsed(&json)["target"], "ureq::run");
    }

    const HOSTILE: &str = "a\nb\r\t\u{1b}[31m\u{7f}\u{9b}\u{2028}\u{202e}é\u{0}\"'\\";

    #[test]
    fn hostile_text_stays_one_harmless_line() {
        assert_eq!(
            message(HOSTILE),
            r#"a\nb\r\t\u{1b}[31m\u{7f}\u{9b}\u{2028}\u{202e}é\u{0}"'\"#
        );
        let fields = [("error", Value::from(HOSTILE))];
        let line = with_fields(LogFormat::Text, &fields);
        let expected = r#" error="a\nb\r\t\u{1b}[31m\u{7f}\u{9b}\u{2028}\u{202e}é\u{0}\"'\\""#;
        assert!(line.ends_with(&format!("{expected}\n")), "{line}");
    }

    #[test]
    fn hostile_text_survives_json() {
        let line = with_fields(LogFormat::Json, &[("error", Value::from(HOSTILE))]);
        assert_eq!(parsed(&line)["error"], HOSTILE);
        let line = line.trim_end();
        assert!(!line.contains(must_be_escaped), "{line}");
    }

    #[test]
    fn long_line_is_cut_to_pipe_buffer() {
        for text in ["x", "é", "\u{1b}", "\""] {
            let long = text.repeat(100_000);
            let shown = line(LogFormat::Text, Level::Info, OWN_TARGET, &long);
            assert!(shown.len() <= MAX_LENGTH && shown.len() > MAX_LENGTH - 10);
            assert!(shown.ends_with("…\n"));
            let shown = line(LogFormat::Json, Level::Info, OWN_TARGET, &long);
            assert!(shown.len() <= MAX_LENGTH && shown.len() > MAX_LENGTH - 10);
            assert!(parsed(&shown)["message"].as_str().unwrap().ends_with('…'));
        }
    }

    #[test]
    fn long_fields_leave_valid_json() {
        let long = "\u{1b}".repeat(100_000);
        let names: Vec<String> = (0..300).map(|number| format!("field_{number}")).collect();
        let fields: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), Value::from(long.as_str())))
            .collect();
        let line = with_fields(LogFormat::Json, &fields);
        assert!(line.len() <= MAX_LENGTH, "{}", line.len());
        assert_eq!(parsed(&line)["identity"], "napoleon");
        let line = with_fields(LogFormat::Text, &fields);
        assert!(line.len() <= MAX_LENGTH, "{}", line.len());
    }

    #[test]
    fn unprintable_value_does_not_lose_line() {
        struct Unprintable;
        impl fmt::Display for Unprintable {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        let value = Unprintable;
        let line = Formatter::new(LogFormat::Text).format(
            &Record::builder()
                .level(Level::Info)
                .target(OWN_TARGET)
                .args(format_args!("before {value} after"))
                .build(),
        );
        assert!(line.ends_with("INFO  before \n"), "{line}");
    }
}
