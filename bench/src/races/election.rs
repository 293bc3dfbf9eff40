//! One election: a gist, its candidates as processes, and who led when.
//!
//! ```text
//!   candidate process ── lines ──▶ reader thread ──▶ Board ◀── waits ── the election's own thread
//! ```

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use multi_cluster_leader_election::emulator::GistService;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::terms::Term;
use crate::contender::{self, Contender, Programs, Standing};
use crate::process;
use crate::races::clock;
use crate::workload::{Event, What};

/// As many candidates as the demonstration has clusters.
pub const CANDIDATES: usize = 3;

/// The lock's only file, as `elector init` names it.
pub const FILE: &str = "leader.json";

/// All terms of an election, as its workloads told them.
#[derive(Debug, Default)]
struct Board {
    terms: Mutex<Vec<Term>>,
    changed: Condvar,
}

impl Board {
    fn terms(&self) -> MutexGuard<'_, Vec<Term>> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, who: &str, event: Event) {
        let mut terms = self.terms();
        let open = terms
            .iter_mut()
            .rev()
            .find(|term| term.who == who && !term.ended);
        match (event.what, open) {
            (What::Leads, _) => terms.push(Term {
                who: who.to_owned(),
                token: event.token,
                from: event.at,
                until: event.at,
                ended: false,
            }),
            (_, Some(open)) => {
                open.until = event.at;
                open.ended = event.what == What::Stops;
            }
            (_, None) => {}
        }
        if event.what != What::Beats {
            self.changed.notify_all();
        }
    }
}

#[derive(Debug)]
struct Candidate {
    name: String,
    child: Child,
}

/// What an election is made of.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    pub service: &'a GistService,
    pub programs: &'a Programs,
    pub contender: Contender,
    /// The workloads beat, so that it is known until when one ran that was killed.
    pub beats: bool,
}

#[derive(Debug)]
pub struct Election<'a> {
    setting: Setting<'a>,
    url: String,
    gist: String,
    board: Arc<Board>,
    candidates: Vec<Candidate>,
    started: usize,
}

impl<'a> Election<'a> {
    /// On a gist of its own, as yet without candidates.
    ///
    /// # Errors
    /// If the service makes no gist.
    pub fn new(setting: Setting<'a>) -> Result<Election<'a>, String> {
        let gist = setting.service.create_gist(&[(FILE, "{}")]);
        Ok(Election {
            setting,
            url: setting.service.url(),
            gist: gist.map_err(|e| format!("no gist: {e}"))?,
            board: Arc::default(),
            candidates: Vec::new(),
            started: 0,
        })
    }

    #[must_use]
    pub fn gist(&self) -> &str {
        &self.gist
    }

    /// Starts one more candidate, under a name that none had before: a new pod has a new name too.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self) -> Result<(), String> {
        let name = format!("candidate-{}", self.started);
        self.started += 1;
        let standing = Standing {
            url: &self.url,
            gist: &self.gist,
            name: &name,
            beats: self.setting.beats,
        };
        let mut command =
            contender::candidate(self.setting.contender, self.setting.programs, &standing)?;
        let child = command.spawn();
        let mut child = child.map_err(|e| format!("{:?}: {e}", command.get_program()))?;
        if let Some(out) = child.stdout.take() {
            read(out, name.clone(), Arc::clone(&self.board));
        }
        self.candidates.push(Candidate { name, child });
        Ok(())
    }

    /// Starts all that are missing.
    ///
    /// # Errors
    /// If one cannot be started.
    pub fn fill(&mut self) -> Result<(), String> {
        while self.candidates.len() < CANDIDATES {
            self.start()?;
        }
        Ok(())
    }

    /// Takes candidates that ended by themselves out, and gives their number.
    pub fn lose_ended(&mut self) -> usize {
        let before = self.candidates.len();
        self.candidates
            .retain_mut(|one| !matches!(one.child.try_wait(), Ok(Some(_))));
        before - self.candidates.len()
    }

    /// The first term that begins after that.
    ///
    /// # Errors
    /// If there is none for that long.
    pub fn await_leader(&self, after: f64, patience: Duration) -> Result<Term, String> {
        let deadline = Instant::now() + patience;
        let mut terms = self.board.terms();
        loop {
            if let Some(term) = terms.iter().find(|term| term.from > after) {
                return Ok(term.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!(
                    "no leader within {} s in the election of {} on gist {}",
                    patience.as_secs(),
                    self.setting.contender.name(),
                    self.gist
                ));
            }
            let waited = self.board.changed.wait_timeout(terms, left);
            terms = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Every term so far.
    #[must_use]
    pub fn terms(&self) -> Vec<Term> {
        self.board.terms().clone()
    }

    /// When the writes landed that carry a record of this candidate, in seconds since boot; of all
    /// candidates with `None`.
    #[must_use]
    pub fn landed(&self, who: Option<&str>) -> Vec<f64> {
        let offset = clock::wall_minus_boot();
        let mut landed: Vec<f64> = self
            .setting
            .service
            .history(&self.gist)
            .iter()
            .filter(|seen| {
                let holder = seen.files.get(FILE).and_then(|text| holder(text));
                holder.is_some_and(|holder| who.is_none_or(|who| who == holder))
            })
            .map(|seen| seen.landed.0 as f64 / 1000.0 - offset)
            .collect();
        landed.reverse();
        landed
    }

    /// SIGKILL to everything of this candidate, at once; when it is gone, it is so.
    ///
    /// # Errors
    /// If there is no such candidate.
    pub fn kill(&mut self, who: &str) -> Result<(), String> {
        let candidate = self.take(who)?;
        process::kill_tree(pid(&candidate.child));
        let now = clock::now();
        for term in self.board.terms().iter_mut().filter(|term| term.who == who) {
            if !term.ended {
                term.until = now;
                term.ended = true;
            }
        }
        Ok(())
    }

    /// SIGTERM to the candidate, and when that was.
    ///
    /// # Errors
    /// If there is no such candidate or it is gone.
    pub fn ask_to_leave(&self, who: &str) -> Result<f64, String> {
        let candidate = self.candidates.iter().find(|one| one.name == who);
        let candidate = candidate.ok_or_else(|| format!("there is no {who}"))?;
        let now = clock::now();
        let sent = kill(pid(&candidate.child), Signal::SIGTERM);
        sent.map_err(|e| format!("{who} is gone: {e}"))?;
        Ok(now)
    }

    /// Waits until a candidate that was asked to leave has ended.
    ///
    /// # Errors
    /// If it does not, or not well.
    pub fn await_end(&mut self, who: &str, patience: Duration) -> Result<(), String> {
        let mut candidate = self.take(who)?;
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            match candidate.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("{who} ended badly: {status}")),
                Ok(None) => thread::sleep(Duration::from_millis(50)),
                Err(e) => return Err(format!("{who}: {e}")),
            }
        }
        process::kill_tree(pid(&candidate.child));
        Err(format!("{who} does not end on SIGTERM"))
    }

    /// SIGKILL to everything of all candidates.
    pub fn stop(&mut self) {
        for candidate in self.candidates.drain(..) {
            process::kill_tree(pid(&candidate.child));
        }
    }

    /// Every term so far; who leads and does not beat leads until now.
    #[must_use]
    pub fn finished_terms(&self) -> Vec<Term> {
        let now = clock::now();
        let mut terms = self.terms();
        for term in terms.iter_mut().filter(|term| !term.ended) {
            term.until = now;
        }
        terms
    }

    fn take(&mut self, who: &str) -> Result<Candidate, String> {
        let at = self.candidates.iter().position(|one| one.name == who);
        at.map(|at| self.candidates.swap_remove(at))
            .ok_or_else(|| format!("there is no {who}"))
    }
}

impl Drop for Election<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

/// Until nothing of the candidate has its standard output any more.
fn read(from: ChildStdout, who: String, board: Arc<Board>) {
    let reads = move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if let Some(event) = Event::parse(&line) {
                board.note(&who, event);
            }
        }
    };
    thread::spawn(reads);
}

/// Who holds the lease by this text; `None` if it is no record, or one that nobody holds.
fn holder(text: &str) -> Option<String> {
    let record: serde_json::Value = serde_json::from_str(text).ok()?;
    let holder = record.get("holderIdentity")?.as_str()?;
    (!holder.is_empty()).then(|| holder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_record_that_somebody_holds_has_a_holder() {
        let held = r#"{"holderIdentity":"a","leaseDurationSeconds":30}"#;
        assert_eq!(holder(held).as_deref(), Some("a"));
        for nobodys in [r#"{"holderIdentity":""}"#, "{}", "", "[]"] {
            assert_eq!(holder(nobodys), None, "{nobodys:?}");
        }
    }

    #[test]
    fn beats_prolong_a_term_and_stops_end_it() {
        let board = Board::default();
        let tell = |who: &str, at: f64, what| board.note(who, Event { at, what, token: 1 });
        tell("a", 1.0, What::Leads);
        tell("a", 1.5, What::Beats);
        tell("b", 2.0, What::Leads);
        tell("a", 3.0, What::Stops);
        // What comes after its end belongs to no term.
        tell("a", 4.0, What::Beats);
        let terms = board.terms();
        let of = |n: usize| (terms[n].from, terms[n].until, terms[n].ended);
        assert_eq!((of(0), of(1)), ((1.0, 3.0, true), (2.0, 2.0, false)));
    }
}
