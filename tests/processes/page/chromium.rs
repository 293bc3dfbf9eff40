//! A headless Chromium, controlled over a pipe with the DevTools protocol.
//!
//! ```text
//!   test ── {"id":1,"method":"Page.navigate",...}\0 ──▶ descriptor 3 of Chromium
//!        ◀── {"id":1,"result":{...}}\0 ─────────────── descriptor 4
//! ```

#![allow(unreachable_pub, reason = "a test helper")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::tools;

/// Maximum wait; on a busy machine Chromium needs seconds to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page.
pub struct Chromium {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: String,
    last_id: u64,
    _home: TempDir,
}

impl Chromium {
    /// Starts Chromium; `None` with a printed note if there is none. In CI, a missing one is a failure.
    pub fn start() -> Option<Chromium> {
        let programs = ["chromium", "chromium-browser", "google-chrome"];
        let program = tools::find(&programs, "the page is NOT tested in a browser")?;
        let home = tempfile::tempdir().unwrap();
        // The shell gives the pipes the numbers that Chromium reads from and writes to.
        let mut child = Command::new("sh")
            .arg("-c")
            .arg("exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1")
            .arg("sh")
            .arg(program)
            .args(["--headless", "--remote-debugging-pipe"])
            .args(["--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
            .args([
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-extensions",
            ])
            .args(["--lang=en-GB", "--force-color-profile=srgb"])
            .arg(format!("--user-data-dir={}", home.path().display()))
            .env("HOME", home.path())
            .env("LANGUAGE", "en_GB")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = child.stdin.take().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (send, from) = channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while let Ok(1..) = out.read_until(0, &mut message) {
                message.pop();
                let heard = serde_json::from_slice(&message).unwrap_or(Value::Null);
                if send.send(heard).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut chromium = Chromium {
            child,
            to,
            from,
            session: String::new(),
            last_id: 0,
            _home: home,
        };
        chromium.open_page();
        Some(chromium)
    }

    fn open_page(&mut self) {
        let target = self.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.call("Target.attachToTarget", &attach);
        self.session = session["sessionId"].as_str().unwrap().to_owned();
        self.call("Page.enable", &json!({}));
        self.call("Log.enable", &json!({}));
    }

    /// Calls a method of the DevTools protocol, and returns its result.
    pub fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.to
            .write_all(format!("{message}\0").as_bytes())
            .unwrap();
        let answer = self.await_message(method, |heard| heard["id"] == id);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    fn await_message(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let heard = self.from.recv_timeout(left);
            let heard = heard.unwrap_or_else(|e| panic!("chromium, {what}: {e}"));
            // Reports violations of the security policy.
            let entry = &heard["params"]["entry"];
            assert_ne!(entry["source"], "security", "{entry}");
            if is_it(&heard) {
                return heard;
            }
        }
    }

    // ---- settings ----

    /// Sets the window's size in CSS pixels; up to a width of 500 it is a phone's.
    pub fn resize(&mut self, width: u32, height: u32, scale: f64) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width <= 500});
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    pub fn prefer(&mut self, colours: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": colours}]);
        self.call("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    pub fn forbid_scripts(&mut self) {
        self.call(
            "Emulation.setScriptExecutionDisabled",
            &json!({"value": true}),
        );
    }

    // ---- actions ----

    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", &json!({"url": url}));
        self.await_message("the page is loaded", |heard| {
            heard["method"] == "Page.loadEventFired"
        });
    }

    /// Returns the value of an expression in the page, also where the page's scripts are forbidden.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// Returns the visible text of an element.
    pub fn text(&mut self, selector: &str) -> String {
        let selector = json!(selector);
        let text = self.evaluate(&format!(
            "document.querySelector({selector})?.innerText ?? ''"
        ));
        text.as_str().unwrap().replace('\u{a0}', " ")
    }

    pub fn await_text(&mut self, selector: &str, part: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text(selector);
            if text.contains(part) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{selector} is {text:?}, without {part:?}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns a screenshot of the whole page as a PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        let asked =
            json!({"format": "png", "captureBeyondViewport": true, "optimizeForSpeed": false});
        let picture = self.call("Page.captureScreenshot", &asked);
        from_base64(picture["data"].as_str().unwrap())
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> = text
        .chars()
        .filter_map(|c| DIGITS.find(c))
        .map(|digit| digit.try_into().unwrap())
        .collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let bits = group
            .iter()
            .enumerate()
            .fold(0, |bits, (n, digit)| bits | digit << (18 - 6 * n));
        bytes.extend(&u32::to_be_bytes(bits)[1..group.len()]);
    }
    bytes
}
