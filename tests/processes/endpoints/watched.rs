//! An elector with status endpoints, and requests to them.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "a test helper, of which every test uses another part"
)]

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use serde_json::Value;

use crate::support::process::program::Start;
use crate::support::process::{Elector, Fixture};
use crate::support::wire::{Answer, Wire, exchange, request};

pub struct Watched {
    elector: Elector,
    pub addr: SocketAddr,
}

impl Deref for Watched {
    type Target = Elector;

    fn deref(&self) -> &Elector {
        &self.elector
    }
}

impl DerefMut for Watched {
    fn deref_mut(&mut self) -> &mut Elector {
        &mut self.elector
    }
}

/// Starts an elector with this name.
pub fn watch(fixture: &Fixture, name: &str) -> Watched {
    spawn(fixture, fixture.elector(name))
}

/// Starts `first`, which leads, and then `second`, which observes that.
pub fn watch_two(fixture: &Fixture) -> (Watched, Watched) {
    let first = watch(fixture, "first");
    first.await_leading();
    let second = watch(fixture, "second");
    second.await_observed("first");
    (first, second)
}

/// Starts an elector with endpoints on a free port.
pub fn spawn(fixture: &Fixture, start: Start) -> Watched {
    let elector = fixture.spawn(start.with("HTTP_ADDR", "127.0.0.1:0"));
    elector.await_logged("listening");
    let listening = elector.last_logged("listening");
    let addr = listening.text("url").strip_prefix("http://").unwrap();
    let addr = addr.parse().unwrap();
    Watched { elector, addr }
}

impl Watched {
    pub fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    pub fn connect(&self) -> Wire {
        Wire::connect(self.addr)
    }

    /// Sends a request with additional headers; returns the response.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let host = self.addr.to_string();
        let mut all = vec![("Host", host.as_str())];
        if headers.iter().any(|(name, _)| *name == "Host") {
            all.clear();
        }
        all.extend(headers);
        let mut wire = self.connect();
        wire.send(request(method, path, &all, ""));
        wire.answer_to(method == "HEAD")
            .unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    pub fn status(&self) -> Value {
        self.get("/status").json()
    }

    /// Returns whether `/healthz` answers 200.
    pub fn is_healthy(&self) -> bool {
        let asked = request("GET", "/healthz", &[("Connection", "close")], "");
        exchange(self.addr, asked).is_some_and(|answer| answer.status == 200)
    }

    /// Returns the sum of a metric's samples that have these labels, as in `name{label="value"}`; `None`
    /// if there is none.
    pub fn metric(&self, selector: &str) -> Option<f64> {
        let (name, labels) = selector.split_once('{').unwrap_or((selector, "}"));
        let labels = labels.trim_end_matches('}').split(',');
        let text = self.get("/metrics").text();
        let samples = text.lines().filter_map(|line| {
            let (labelled, value) = line
                .strip_prefix(name)?
                .strip_prefix('{')?
                .rsplit_once("} ")?;
            let matches = labels.clone().all(|label| labelled.contains(label));
            matches.then(|| value.parse::<f64>().unwrap())
        });
        let samples: Vec<f64> = samples.collect();
        (!samples.is_empty()).then(|| samples.iter().sum())
    }
}
