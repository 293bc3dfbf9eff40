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

use elector::emulator::GistService;
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
        let mut open = terms.iter_mut().filter(|it| it.who == who && !it.ended);
        if event.what == What::Leads {
            // One that was killed by its guard has not said that it ended.
            open.for_each(|term| term.ended = true);
            terms.push(Term {
                who: who.to_owned(),
                token: event.token,
                from: event.at,
                until: event.at,
                ended: false,
            });
        } else if let Some(term) = open.next() {
            term.until = event.at;
            term.ended = event.what == What::Stops;
        }
        drop(terms);
        if event.what != What::Beats {
            self.changed.notify_all();
        }
    }

    /// Ends the terms of one that is gone: when it is not known since when, at its last sign of life.
    fn close(&self, who: &str, at: Option<f64>) {
        let mut terms = self.terms();
        for term in terms.iter_mut().filter(|it| it.who == who && !it.ended) {
            term.until = at.unwrap_or(term.until);
            term.ended = true;
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
        let board = &self.board;
        self.candidates.retain_mut(|one| {
            let ended = matches!(one.child.try_wait(), Ok(Some(_)));
            if ended {
                board.close(&one.name, None);
            }
            !ended
        });
        before - self.candidates.len()
    }

    /// Waits until a single one leads, and the record says the same: where two may lead, the election
    /// has to settle before anything can be measured of its leader.
    ///
    /// # Errors
    /// If it does not settle for that long.
    pub fn await_settled(&self, patience: Duration) -> Result<Term, String> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            let open: Vec<Term> = self.terms().into_iter().filter(|it| !it.ended).collect();
            if let [leader] = open.as_slice()
                && self.holder().as_ref() == Some(&leader.who)
            {
                return Ok(leader.clone());
            }
            thread::sleep(Duration::from_millis(200));
        }
        Err(self.complaint("it does not settle on a leader", patience))
    }

    /// Whether this term goes on.
    #[must_use]
    pub fn still_leads(&self, term: &Term) -> bool {
        let mut terms = self.terms().into_iter();
        terms.any(|it| it.who == term.who && it.from == term.from && !it.ended)
    }

    /// Who leads: nobody, one, or more.
    #[must_use]
    pub fn leading(&self) -> Vec<String> {
        let open = |term: &Term| {
            let runs = self.candidates.iter().any(|one| one.name == term.who);
            (!term.ended && runs).then(|| term.who.clone())
        };
        self.terms().iter().filter_map(open).collect()
    }

    fn holder(&self) -> Option<String> {
        let history = self.setting.service.history(&self.gist);
        holder(history.first()?.files.get(FILE)?)
    }

    fn complaint(&self, what: &str, patience: Duration) -> String {
        format!(
            "{what} within {} s: the election of {} on gist {}",
            patience.as_secs(),
            self.setting.contender.name(),
            self.gist
        )
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
                return Err(self.complaint("nobody leads", patience));
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
        self.board.close(who, Some(clock::now()));
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
        tell("b", 5.0, What::Beats);
        tell("b", 6.0, What::Leads);
        let terms = board.terms();
        let of = |n: usize| (terms[n].from, terms[n].until, terms[n].ended);
        assert_eq!((of(0), of(1)), ((1.0, 3.0, true), (2.0, 5.0, true)));
        assert_eq!(of(2), (6.0, 6.0, false));
    }
}
