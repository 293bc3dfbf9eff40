//! No log line, error or debug text contains the access token or a proxy's password.

use std::fmt::Write as _;
use std::sync::{Mutex, Once};

use log::kv::{Error, Key, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};

use super::*;

static LINES: Mutex<String> = Mutex::new(String::new());

struct Capture;

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut line = Line(format!("{} {}", record.target(), record.args()));
        record.key_values().visit(&mut line).unwrap();
        writeln!(LINES.lock().unwrap(), "{}", line.0).unwrap();
    }

    fn flush(&self) {}
}

/// A line under construction, to which fields are added.
struct Line(String);

impl<'kvs> VisitSource<'kvs> for Line {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        write!(self.0, " {key}={value}").unwrap();
        Ok(())
    }
}

/// Records everything that is logged from now on, at every level.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Capture).unwrap();
        log::set_max_level(LevelFilter::Trace);
    });
}

/// Returns the recorded lines.
pub(crate) fn heard() -> String {
    LINES.lock().unwrap().clone()
}

/// Returns whether `text` contains a part of a secret, plain or in hex.
fn tells(text: &str) -> bool {
    let hex: String = text.chars().filter(|c| c.is_ascii_hexdigit()).collect();
    let hex = hex.to_ascii_lowercase();
    let secret = "SECRETSECRET".as_bytes();
    let in_hex = secret.windows(5).any(|part| {
        let part: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.contains(&part)
    });
    in_hex || text.contains("SECRET") || text.contains("hunter2")
}

#[test]
fn secrets_never_appear_in_texts() {
    listen();
    let echo = format!("you sent Bearer {TOKEN}");
    let server = Server::new([
        good(),
        status(500, &[], &echo),
        status(403, &[], &echo),
        Step::Answer(http(200, &[], &echo)),
        Step::Close,
        status(429, &[], &echo),
    ]);
    let (address, _) = proxy(server.address, "HTTP/1.1 200 OK\r\n\r\n");
    let mut config = config("http://ghe.invalid");
    config.proxy.http_proxy = Some(format!("http://me:hunter2@{address}"));
    let source = format!("{:?} {:?}", config.access_token, config.proxy);
    let mut client = GistClient::new(config).unwrap();
    let mut printed = format!("{source} {client:?}");
    for request in [read(), write(), read(), write(), write(), write()] {
        let reply = client.call(&request, AMPLE).reply;
        write!(printed, "{reply:?}").unwrap();
        if let Err(error) = reply {
            write!(printed, "{error}").unwrap();
        }
    }
    write!(printed, "{client:?} {:?}", client.stats()).unwrap();
    assert!(!tells(&printed), "{printed}");
    let lines = LINES.lock().unwrap().clone();
    assert!(
        lines.contains("ureq"),
        "ureq logs, so that this test sees something"
    );
    let bad: Vec<&str> = lines.lines().filter(|line| tells(line)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(!tells(&lines), "spread over lines");
}
