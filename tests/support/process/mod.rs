//! Electors as processes, on a gist service in the test's process: start, output, and a check of all output.
//!
//! A [`Fixture`] is a service with one gist. When it is dropped, after the electors in it, it checks
//! the invariants: terms do not overlap, fencing tokens rise, no process panics, and no output contains the
//! access token.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test helper, of which every test uses another part"
)]

pub mod program;
pub mod steering;
pub mod terms;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use elector::emulator::{Faults, GistService, Options};
use serde_json::Value;

use crate::support::eventually;
pub use program::Elector;
use program::{Output, Start};

/// Access token of every elector. No output may contain it.
pub const TOKEN: &str = "ghp_TheSecretOfTheTests0123456789abcdef";

/// Part of every access token in the tests, and of nothing else.
pub const SECRET: &str = "TheSecret";

/// Short timings. They leave a starved process 2.5 s from its deadline to the end of its lease, because
/// `elector run` without a program has no guard.
pub const TIMES: [(&str, &str); 7] = [
    ("LEASE_DURATION", "5s"),
    ("RENEW_DEADLINE", "2500ms"),
    ("RETRY_PERIOD", "800ms"),
    ("POLL_PERIOD", "150ms"),
    ("CONFIRM_DELAY", "100ms"),
    ("TERMINATION_GRACE", "300ms"),
    ("STOP_TIMEOUT", "10s"),
];

/// Times of electors on a store without confirmation: leases of 3 s.
pub const CAS_TIMES: [(&str, &str); 5] = [
    ("LEASE_DURATION", "3s"),
    ("RENEW_DEADLINE", "1200ms"),
    ("RETRY_PERIOD", "500ms"),
    ("POLL_PERIOD", "150ms"),
    ("TERMINATION_GRACE", "200ms"),
];

/// `LEASE_DURATION` of [`TIMES`].
pub const LEASE: Duration = Duration::from_secs(5);

/// A gist service, a gist, and the electors that use it.
pub struct Fixture {
    pub service: GistService,
    pub gist: String,
    /// Whether the history may contain ineffective records (pasted, or written late by a thawed process),
    /// whose fencing tokens may fall.
    pub passed_over: Cell<bool>,
    /// Whether the electors use several locks.
    pub several_locks: Cell<bool>,
    outputs: RefCell<Vec<Arc<Output>>>,
}

impl Fixture {
    /// Creates a gist with one file, `leader.json`, without a record.
    pub fn new() -> Fixture {
        Fixture::with_files(&[("leader.json", "{}")])
    }

    pub fn with_files(files: &[(&str, &str)]) -> Fixture {
        let mut fixture = Fixture::on(Options::default(), "");
        fixture.gist = fixture.service.create_gist(files).unwrap();
        fixture
    }

    /// Starts a service with these options, whose gist has this id.
    pub fn on(mut options: Options, gist: &str) -> Fixture {
        if options.tokens.is_empty() {
            options.tokens.push(TOKEN.parse().unwrap());
        }
        Fixture {
            service: GistService::start(options).unwrap(),
            gist: gist.to_owned(),
            passed_over: Cell::new(false),
            several_locks: Cell::new(false),
            outputs: RefCell::default(),
        }
    }

    /// Stops the service, and starts one with these options.
    pub fn restart(&mut self, options: Options) {
        // The port must be free before it is used again.
        self.service = GistService::start(Options::default()).unwrap();
        self.service = GistService::start(options).unwrap();
    }

    /// Returns the settings of an elector on this service, to change and spawn.
    pub fn elector(&self, name: &str) -> Start {
        Start::new(name)
            .with("GIST_ID", &self.gist)
            .with("GITHUB_API_URL", self.service.url())
            .with("GITHUB_API_TOKEN", TOKEN)
    }

    pub fn spawn(&self, start: Start) -> Elector {
        let elector = start.spawn();
        self.outputs.borrow_mut().push(elector.output());
        elector
    }

    pub fn start(&self, name: &str) -> Elector {
        self.spawn(self.elector(name))
    }

    /// Starts an elector and waits until it leads.
    pub fn start_leader(&self, name: &str) -> Elector {
        let elector = self.start(name);
        elector.await_leading();
        elector
    }

    pub fn set_faults(&self, faults: &str) {
        self.service
            .set_faults(Faults::from_json(faults.as_bytes()).unwrap());
    }

    /// Returns the present content of `leader.json`.
    pub fn content(&self) -> String {
        let history = self.service.history(&self.gist);
        history
            .first()
            .and_then(|head| head.files.get("leader.json").cloned())
            .unwrap_or_default()
    }

    /// Returns the present record, or null if there is none.
    pub fn record(&self) -> Value {
        serde_json::from_str(&self.content()).unwrap_or(Value::Null)
    }

    pub fn holder(&self) -> String {
        self.record()["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Edits the file as an operator does on the web.
    pub fn put(&self, content: &str) {
        self.service
            .edit(&self.gist, |files| {
                files.insert("leader.json".into(), content.into());
            })
            .unwrap();
    }

    /// Returns every record in the history, oldest first, effective or not.
    pub fn records(&self) -> Vec<Value> {
        let mut history = self.service.history(&self.gist);
        history.reverse();
        let texts = history
            .iter()
            .filter_map(|seen| seen.files.get("leader.json"));
        texts
            .filter_map(|text| serde_json::from_str(text).ok())
            .collect()
    }

    /// Returns the records of electors whose fencing token is below that of an earlier one, effective or not.
    fn falling_tokens(&self) -> Vec<String> {
        let records = self.records();
        let ours: Vec<_> = records
            .iter()
            .filter(|record| record["writeId"].is_string())
            .collect();
        let token = |record: &Value| record["leaderTransitions"].as_u64();
        let falls = ours
            .windows(2)
            .filter(|pair| token(pair[1]) < token(pair[0]));
        falls
            .map(|pair| format!("the fencing token falls from {} to {}", pair[0], pair[1]))
            .collect()
    }

    pub fn await_holder(&self, holder: &str) {
        eventually(&format!("`{holder}` holds the lease"), || {
            self.holder() == holder
        });
    }

    /// Returns the output of all electors, for a failure message.
    pub fn all_output(&self) -> String {
        let outputs = self.outputs.borrow();
        outputs.iter().map(|output| output.report()).collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.all_output());
            return;
        }
        let outputs = self.outputs.borrow();
        for output in outputs.iter() {
            output.check();
        }
        let mut flaws = Vec::new();
        if !self.several_locks.get() {
            flaws = terms::flaws(outputs.iter().map(|output| &**output));
        }
        if !self.passed_over.get() {
            flaws.extend(self.falling_tokens());
        }
        assert!(flaws.is_empty(), "{flaws:#?}\n{}", self.all_output());
    }
}

/// Waits until one of the electors leads, and returns its index.
pub fn await_one_leading(electors: &[&Elector]) -> usize {
    let mut leader = None;
    eventually("one of them leads", || {
        leader = electors.iter().position(|one| one.leads().is_some());
        leader.is_some()
    });
    leader.unwrap()
}

/// Checks that terms do not overlap, tokens rise, and no output shows the access token or a panic.
pub fn check(electors: &[&Elector]) {
    let outputs: Vec<_> = electors.iter().map(|elector| elector.output()).collect();
    for output in &outputs {
        output.check();
    }
    let flaws = terms::flaws(outputs.iter().map(|output| &**output));
    let reports: String = outputs.iter().map(|output| output.report()).collect();
    assert!(flaws.is_empty(), "{flaws:#?}\n{reports}");
}

/// Waits until an elector has exited with 1, and returns its output with its only error.
pub fn refusal(elector: &mut Elector) -> String {
    assert_eq!(elector.await_exit(), Some(1), "{}", elector.text());
    let mut errors = elector.log();
    errors.retain(|line| line.level() == "error");
    assert_eq!(errors.len(), 1, "{}", elector.text());
    check(&[elector]);
    elector.text()
}

/// Waits until one of the candidates leads with a higher fencing token than `token`.
pub fn await_next_term(electors: &[&Elector], token: u64) {
    eventually("a candidate leads again", || {
        let leads = electors.iter().find_map(|elector| elector.leads());
        leads.is_some_and(|next| next > token)
    });
}
