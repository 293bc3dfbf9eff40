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

/// Space below which a field is left out, in bytes: twice the longest number, because a field may take
/// half of the space. What is left is enough for the message.
const MIN_SPACE: usize = 2 * "-9223372036854775808".len();

/// Key of the last field in JSON.
const MESSAGE: &str = "message";

/// Targets of this crate's modules begin with this.
pub(super) const OWN_TARGET: &str = env!("CARGO_CRATE_NAME");

/// Turns log records into lines.
#[derive(Debug)]
pub(super) struct Formatter {
    format: LogFormat,
    /// Identity and lock of the candidate that this process is, as every line in JSON names them.
    candidate: OnceLock<(String, String)>,
}

impl Formatter {
    pub(super) fn new(format: LogFormat) -> Self {
        Formatter {
            format,
            candidate: OnceLock::new(),
        }
    }

    pub(super) fn identify(&self, identity: &str, lock: &str) {
        // A second candidate in one process would be a mistake of the caller; the first one counts.
        let _ = self.candidate.set((identity.to_owned(), lock.to_owned()));
    }

    /// Returns the line for a record, with its newline.
    pub(super) fn format(&self, record: &Record<'_>) -> String {
        let mut line = Line {
            text: String::new(),
            format: self.format,
            identified: false,
        };
        match self.format {
            LogFormat::Text => line.begin_text(record),
            LogFormat::Json => self.begin_json(&mut line, record),
        }
        // The visitor returns no error.
        let _ = record.key_values().visit(&mut line);
        if self.format == LogFormat::Json {
            line.field(MESSAGE, &shown(record.args()), true);
            line.text.push('}');
        }
        line.text.push('\n');
        line.text
    }

    fn begin_json(&self, line: &mut Line, record: &Record<'_>) {
        let time = clock::utc_timestamp_millis();
        let level = record.level().as_str().to_ascii_lowercase();
        line.text = format!("{{\"time\":\"{time}\",\"level\":\"{level}\"");
        if !is_own(record.target()) {
            line.field("target", record.target(), true);
        }
        if let Some(event) = record.key_values().get(Key::from("event")) {
            line.field("event", &shown(&event), true);
        }
        if let Some((identity, lock)) = self.candidate.get() {
            line.field("identity", identity, true);
            line.field("lock", lock, true);
            line.identified = true;
        }
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

/// Formats a value. If it cannot be printed, a part of it is better than nothing.
fn shown(value: &dyn fmt::Display) -> String {
    let mut text = String::new();
    let _ = write!(text, "{value}");
    text
}

/// A line under construction, without the end of a JSON object.
struct Line {
    text: String,
    format: LogFormat,
    /// Whether identity and lock have been written in JSON.
    identified: bool,
}

impl Line {
    fn begin_text(&mut self, record: &Record<'_>) {
        self.text = format!("{} {:<5} ", clock::utc_timestamp_millis(), record.level());
        let limit = MAX_LENGTH - CUT.len() - "\n".len();
        if !is_own(record.target()) {
            self.append(record.target(), limit / 2, false);
            self.text.push_str(": ");
        }
        self.append(&shown(record.args()), limit, false);
    }

    /// Adds a field. It may take half of the space that is left, so that later fields fit.
    fn field(&mut self, key: &str, value: &str, quoted: bool) {
        let used = self.text.len() + key.len() + RESERVED;
        let Some(space) = MAX_LENGTH.checked_sub(used) else {
            return;
        };
        // The message is the last field, and may take all of it.
        let (share, needed) = if key == MESSAGE {
            (1, 0)
        } else {
            (2, MIN_SPACE)
        };
        if space < needed {
            return;
        }
        let _ = match self.format {
            LogFormat::Text => write!(self.text, " {key}="),
            LogFormat::Json => write!(self.text, ",\"{key}\":"),
        };
        let limit = self.text.len() + space / share;
        let quote = if quoted { "\"" } else { "" };
        self.text.push_str(quote);
        self.append(value, limit, quoted);
        self.text.push_str(quote);
    }

    /// Appends an escaped text while the line is shorter than `limit` bytes, then the mark of a cut.
    fn append(&mut self, text: &str, limit: usize, quoted: bool) {
        for character in text.chars() {
            let before = self.text.len();
            escape(&mut self.text, character, quoted);
            if self.text.len() > limit {
                self.text.truncate(before);
                return self.text.push_str(CUT);
            }
        }
    }
}

impl<'kvs> VisitSource<'kvs> for Line {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let (key, kind) = (key.as_str(), Kind::of(&value));
        let written = key == "event" || (self.identified && matches!(key, "identity" | "lock"));
        if written || kind == Kind::Absent {
            return Ok(());
        }
        let value = shown(&value);
        let quoted = match self.format {
            LogFormat::Text => !is_word(&value),
            LogFormat::Json => kind == Kind::Text,
        };
        self.field(key, &value, quoted);
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
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        let number = value.to_u64().is_some() || value.to_i64().is_some();
        if number || value.to_bool().is_some() {
            *self = Kind::Literal;
        }
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        *self = Kind::Absent;
        Ok(())
    }
}

/// Returns whether a value needs no quotes in text.
fn is_word(value: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"\"=".contains(c);
    !value.is_empty() && value.chars().all(plain)
}

/// Appends a character, escaped as in JSON if necessary.
fn escape(line: &mut String, character: char, quoted: bool) {
    match character {
        '"' | '\\' if quoted => line.extend(['\\', character]),
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
            r#"a\nb\u000d\u0009\u001b[31m\u007f\u009b\u2028\u202eé\u0000"'\"#
        );
        let fields = [("error", Value::from(HOSTILE))];
        let line = with_fields(LogFormat::Text, &fields);
        let expected = r#" error="a\nb\u000d\u0009\u001b[31m\u007f\u009b\u2028\u202eé\u0000\"'\\""#;
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
    fn long_line_fits_pipe_buffer() {
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
