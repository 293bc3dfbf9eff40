//! The candidates: processes that are killed, frozen and started again, and what they are seen to do.
//!
//! Those that are plain `elector run`s have no workload of their own yet. A thread here works for
//! them: it writes to the fenced store from when an elector says that it leads until it says that it
//! does not, and once more then: there always is a write that was already under way. An elector that
//! is frozen says nothing, so its work goes on, and has to be refused.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use elector::election::time::Instant;
use elector::system::clock::BootClock;
use nix::sys::signal::Signal;

use crate::checker::{Said, What};
use crate::fence::Writer;
use crate::proxy::{Proxy, Weather};
use crate::service::{FILE, GIST};
use crate::support::process::TOKEN;
use crate::support::process::program::{Elector, Output, Start};
use crate::{TIMES, spoken, worker};

/// How often the thread looks and works.
const PACE: Duration = Duration::from_millis(25);

/// What a candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `elector run`.
    Plain,
    /// A process on the library, with a workload of its own.
    Worker,
}

/// A place for a candidate, with its way to the service; there is a process in it most of the time.
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) proxy: Proxy,
    pub(crate) leaving: bool,
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
            leaving: false,
            frozen: false,
            kind,
            slot,
            process: None,
            starts: 0,
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.process.is_some()
    }

    /// The process, as it is called in records: its place, and how often one was started there.
    pub(crate) fn label(&self) -> String {
        format!("{}.{}#{}", self.slot, self.name, self.starts)
    }

    pub(crate) fn start(&mut self, crowd: &Crowd) {
        self.starts += 1;
        let label = self.label();
        let start = match self.kind {
            Kind::Plain => Start::new(&label).with("RUST_LOG", spoken::LOG_FILTER),
            Kind::Worker => worker::start(&label, crowd.fence, &crowd.records)
                .with("RUST_LOG", spoken::LOG_FILTER),
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
        crowd.watch(self.slot, &label, self.kind, elector.output());
        self.process = Some(elector);
        (self.frozen, self.leaving) = (false, false);
    }

    /// The exit code of a process that has ended, which is taken away.
    pub(crate) fn ended(&mut self, crowd: &Crowd) -> Option<Option<i32>> {
        let status = self.process.as_mut()?.status()?;
        self.take_away(crowd);
        Some(status.code())
    }

    /// SIGKILL; it is gone when this comes back.
    pub(crate) fn kill(&mut self, crowd: &Crowd) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
        self.take_away(crowd);
    }

    fn take_away(&mut self, crowd: &Crowd) {
        // Its last lines are read when it is dropped.
        drop(self.process.take());
        (self.frozen, self.leaving) = (false, false);
        crowd.is_gone(self.slot);
    }

    pub(crate) fn freeze(&mut self) {
        self.signal(Signal::SIGSTOP);
        self.frozen = true;
    }

    pub(crate) fn thaw(&mut self) {
        self.signal(Signal::SIGCONT);
        self.frozen = false;
    }

    pub(crate) fn leave(&mut self) {
        self.signal(Signal::SIGTERM);
        self.leaving = true;
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(process) = &mut self.process
            && process.is_running()
        {
            process.signal(signal);
        }
    }

    pub(crate) fn heal(&mut self) {
        self.proxy.set(Weather::Clear);
        self.thaw();
    }
}

/// One process, as it is watched.
struct Watched {
    slot: usize,
    label: String,
    kind: Kind,
    output: Arc<Output>,
    /// How many of its lines were read.
    read: usize,
    gone: bool,
    /// The token of the term that it said began, and until when it then lasts.
    leading: Option<(u64, Instant)>,
    said: Vec<Said>,
}

impl Watched {
    /// Reads what is new, and says with which tokens there is work to do.
    fn look(&mut self) -> Vec<u64> {
        let mut tokens = Vec::new();
        let lines = self.output.lines_from(self.read);
        self.read += lines.len();
        for line in lines {
            let Some(said) = spoken::understand(&self.label, &line) else {
                continue;
            };
            match said.what {
                What::Begins { until, .. } | What::LastsUntil(until) => {
                    self.leading = Some((said.token, until));
                }
                What::Over(_) => {
                    self.leading = None;
                    tokens.push(said.token);
                }
            }
            // The workload of the others records for itself, and before it acts.
            if self.kind == Kind::Plain {
                self.said.push(said);
            }
        }
        tokens.extend(self.leading.map(|(token, _)| token));
        tokens
    }
}

/// All processes there ever were, and the thread that watches them.
pub(crate) struct Crowd {
    fence: SocketAddr,
    records: PathBuf,
    watched: Arc<Mutex<Vec<Watched>>>,
    over: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Crowd {
    pub(crate) fn new(fence: SocketAddr, records: PathBuf) -> Crowd {
        let watched = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let (all, ended) = (Arc::clone(&watched), Arc::clone(&over));
        let watcher = thread::spawn(move || {
            let mut writer = Writer::new(fence);
            while !ended.load(Ordering::Acquire) {
                for (label, token) in look(&all) {
                    writer.write(&label, token);
                }
                thread::sleep(PACE);
            }
        });
        Crowd {
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
            gone: false,
            leading: None,
            said: Vec::new(),
        });
    }

    fn is_gone(&self, slot: usize) {
        for watched in self.watched.lock().unwrap().iter_mut() {
            watched.gone |= watched.slot == slot;
        }
    }

    /// The places of those who say that they lead, and their tokens.
    pub(crate) fn leaders(&self) -> Vec<(usize, u64)> {
        let watched = self.watched.lock().unwrap();
        let there = watched.iter().filter(|one| !one.gone);
        there
            .filter_map(|one| Some((one.slot, one.leading?.0)))
            .collect()
    }

    /// Who leads by the limits that were said, if anybody does.
    pub(crate) fn leader(&self) -> Option<usize> {
        let watched = self.watched.lock().unwrap();
        let now = BootClock::now();
        let leading = watched.iter().filter_map(|one| {
            let (token, until) = one.leading.filter(|_| !one.gone)?;
            (until > now).then_some((token, one.slot))
        });
        leading.max().map(|(_, slot)| slot)
    }

    /// What all of them recorded of their terms.
    pub(crate) fn said(&self) -> Vec<Said> {
        look(&self.watched);
        let watched = self.watched.lock().unwrap();
        let mut said: Vec<_> = watched.iter().flat_map(|one| one.said.clone()).collect();
        let records = std::fs::read_to_string(&self.records).unwrap();
        said.extend(worker::read(&records));
        said
    }

    /// The name and the output of every process.
    pub(crate) fn outputs(&self) -> Vec<(String, Arc<Output>)> {
        let watched = self.watched.lock().unwrap();
        let each = watched.iter();
        each.map(|one| (one.label.clone(), Arc::clone(&one.output)))
            .collect()
    }
}

/// Reads what is new, and says for whom there is work to do, with which token.
fn look(watched: &Mutex<Vec<Watched>>) -> Vec<(String, u64)> {
    let mut working = Vec::new();
    for one in watched.lock().unwrap().iter_mut() {
        let tokens = one.look();
        if one.kind == Kind::Plain && !one.gone {
            let work = tokens.into_iter().map(|token| (one.label.clone(), token));
            working.extend(work);
        }
    }
    working
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}
