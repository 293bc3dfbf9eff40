//! Candidates: the processes that a round kills, freezes and restarts, and what they report.
//!
//! A plain `elector run` has no workload. A thread in this process acts as its workload: it writes to the
//! fenced store from the elector's report that it leads until the report that it stopped, and once more, like
//! a write in flight. A frozen elector reports nothing, so this work continues, and the fenced store must
//! refuse it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use elector::election::time::Instant;
use elector::system::clock::BootClock;
use nix::sys::signal::Signal;

use crate::checker::{EventKind, TermEvent};
use crate::fence::Writer;
use crate::proxy::{Network, Proxy};
use crate::service::{FILE, GIST};
use crate::support::process::TOKEN;
use crate::support::process::program::{Elector, Output, Start};
use crate::{TIMES, log_events, worker};

/// Interval at which the thread reads the output and writes.
const PACE: Duration = Duration::from_millis(25);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `elector run`.
    Elector,
    /// Process that embeds the library and has a workload.
    Worker,
}

/// Slot for a candidate, with its network path to the service. Most of the time a process runs in it.
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) proxy: Proxy,
    pub(crate) stopping: bool,
    pub(crate) frozen: bool,
    kind: Kind,
    slot: usize,
    process: Option<Elector>,
    starts: u32,
}

impl Candidate {
    pub(crate) fn new(slot: usize, name: &str, kind: Kind, service: SocketAddr) -> Candidate {
        Candidate {
            name: name.to_owned(),
            proxy: Proxy::to(service),
            stopping: false,
            frozen: false,
            kind,
            slot,
            process: None,
            starts: 0,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Returns the name of the process in records: slot, name, and number of the start.
    pub(crate) fn label(&self) -> String {
        format!("{}.{}#{}", self.slot, self.name, self.starts)
    }

    pub(crate) fn start(&mut self, watcher: &Watcher) {
        self.starts += 1;
        let label = self.label();
        let start = match self.kind {
            Kind::Elector => Start::new(&label).with("RUST_LOG", log_events::LOG_FILTER),
            Kind::Worker => worker::start(&label, watcher.fence, &watcher.records)
                .with("RUST_LOG", log_events::LOG_FILTER),
        };
        let elector = start
            .with_all(TIMES)
            .with("LEADER_NAME", &self.name)
            .with("GIST_ID", GIST)
            .with("GIST_FILE", FILE)
            .with("GITHUB_API_URL", self.proxy.url())
            .with("GITHUB_API_TOKEN", TOKEN)
            .in_own_group()
            .spawn();
        watcher.watch(self.slot, &label, self.kind, elector.output());
        self.process = Some(elector);
        (self.frozen, self.stopping) = (false, false);
    }

    /// Reaps the process if it has ended, and returns its exit code.
    pub(crate) fn ended(&mut self, watcher: &Watcher) -> Option<Option<i32>> {
        let status = self.process.as_mut()?.status()?;
        self.reap(watcher);
        Some(status.code())
    }

    /// Kills the process with SIGKILL, and reaps it.
    pub(crate) fn kill(&mut self, watcher: &Watcher) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
        self.reap(watcher);
    }

    fn reap(&mut self, watcher: &Watcher) {
        // Dropping it reads its last lines.
        drop(self.process.take());
        (self.frozen, self.stopping) = (false, false);
        watcher.mark_ended(self.slot);
    }

    pub(crate) fn freeze(&mut self) {
        self.signal(Signal::SIGSTOP);
        self.frozen = true;
    }

    pub(crate) fn thaw(&mut self) {
        self.signal(Signal::SIGCONT);
        self.frozen = false;
    }

    pub(crate) fn terminate(&mut self) {
        self.signal(Signal::SIGTERM);
        self.stopping = true;
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(process) = &mut self.process
            && process.is_running()
        {
            process.signal(signal);
        }
    }

    pub(crate) fn heal(&mut self) {
        self.proxy.set(Network::Healthy);
        self.thaw();
    }
}

/// Process whose output is read.
struct Watched {
    slot: usize,
    label: String,
    kind: Kind,
    output: Arc<Output>,
    /// Number of lines read so far.
    read: usize,
    ended: bool,
    /// Fencing token and leadership deadline of the term that it last reported.
    leading: Option<(u64, Instant)>,
    events: Vec<TermEvent>,
}

impl Watched {
    /// Reads the new lines, and returns the fencing tokens to write with.
    fn read_new_lines(&mut self) -> Vec<u64> {
        let mut tokens = Vec::new();
        let lines = self.output.lines_from(self.read);
        self.read += lines.len();
        for line in lines {
            let Some(event) = log_events::parse(&self.label, &line) else {
                continue;
            };
            match event.kind {
                EventKind::Started { until, .. } | EventKind::Extended(until) => {
                    self.leading = Some((event.token, until));
                }
                EventKind::Ended(_) => {
                    self.leading = None;
                    tokens.push(event.token);
                }
            }
            // A worker's workload records its own term, before it acts.
            if self.kind == Kind::Elector {
                self.events.push(event);
            }
        }
        tokens.extend(self.leading.map(|(token, _)| token));
        tokens
    }
}

/// Every process of the round, and the thread that reads their output.
pub(crate) struct Watcher {
    fence: SocketAddr,
    records: PathBuf,
    watched: Arc<Mutex<Vec<Watched>>>,
    over: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Watcher {
    pub(crate) fn new(fence: SocketAddr, records: PathBuf) -> Watcher {
        let watched = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let (all, ended) = (Arc::clone(&watched), Arc::clone(&over));
        let watcher = thread::spawn(move || {
            let mut writer = Writer::new(fence);
            while !ended.load(Ordering::Acquire) {
                for (label, token) in read_new_lines(&all) {
                    writer.write(&label, token);
                }
                thread::sleep(PACE);
            }
        });
        Watcher {
            fence,
            records,
            watched,
            over,
            watcher: Some(watcher),
        }
    }

    fn watch(&self, slot: usize, label: &str, kind: Kind, output: Arc<Output>) {
        self.watched.lock().unwrap().push(Watched {
            slot,
            label: label.to_owned(),
            kind,
            output,
            read: 0,
            ended: false,
            leading: None,
            events: Vec::new(),
        });
    }

    fn mark_ended(&self, slot: usize) {
        for watched in self.watched.lock().unwrap().iter_mut() {
            watched.ended |= watched.slot == slot;
        }
    }

    /// Returns the slots of the processes that report leading, with their fencing tokens.
    pub(crate) fn leaders(&self) -> Vec<(usize, u64)> {
        let watched = self.watched.lock().unwrap();
        let there = watched.iter().filter(|one| !one.ended);
        there
            .filter_map(|one| Some((one.slot, one.leading?.0)))
            .collect()
    }

    /// Returns the slot of the process whose reported leadership deadline has not passed.
    pub(crate) fn leader(&self) -> Option<usize> {
        let watched = self.watched.lock().unwrap();
        let now = BootClock::now();
        let leading = watched.iter().filter_map(|one| {
            let (token, until) = one.leading.filter(|_| !one.ended)?;
            (until > now).then_some((token, one.slot))
        });
        leading.max().map(|(_, slot)| slot)
    }

    /// Returns everything that the processes recorded about their terms.
    pub(crate) fn events(&self) -> Vec<TermEvent> {
        read_new_lines(&self.watched);
        let watched = self.watched.lock().unwrap();
        let mut events: Vec<_> = watched.iter().flat_map(|one| one.events.clone()).collect();
        let records = std::fs::read_to_string(&self.records).unwrap();
        events.extend(worker::read(&records));
        events
    }

    /// Returns the name and the output of every process.
    pub(crate) fn outputs(&self) -> Vec<(String, Arc<Output>)> {
        let watched = self.watched.lock().unwrap();
        let each = watched.iter();
        each.map(|one| (one.label.clone(), Arc::clone(&one.output)))
            .collect()
    }
}

/// Reads the new lines, and returns the processes to write for, with their fencing tokens.
fn read_new_lines(watched: &Mutex<Vec<Watched>>) -> Vec<(String, u64)> {
    let mut working = Vec::new();
    for one in watched.lock().unwrap().iter_mut() {
        let tokens = one.read_new_lines();
        if one.kind == Kind::Elector && !one.ended {
            let work = tokens.into_iter().map(|token| (one.label.clone(), token));
            working.extend(work);
        }
    }
    working
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}
