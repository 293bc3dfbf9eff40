//! One election: a gist, its candidates as processes, and their terms.
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
use crate::contender::{self, Contender, Placement, Programs};
use crate::process;
use crate::races::clock;
use crate::workload::{Event, EventKind};

/// Number of candidates, the same as the demonstration's clusters.
pub const CANDIDATES: usize = 3;

/// The lock's only file, as `elector init` names it.
pub const FILE: &str = "leader.json";

/// All terms of an election, as its workloads report them.
#[derive(Debug, Default)]
struct TermLog {
    terms: Mutex<Vec<Term>>,
    changed: Condvar,
}

impl TermLog {
    fn terms(&self) -> MutexGuard<'_, Vec<Term>> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, name: &str, event: Event) {
        let mut terms = self.terms();
        let mut open = terms
            .iter_mut()
            .filter(|it| it.candidate == name && !it.ended);
        if event.what == EventKind::Leads {
            // A workload killed by its guard did not report its end.
            open.for_each(|term| term.ended = true);
            terms.push(Term {
                candidate: name.to_owned(),
                fencing_token: event.fencing_token,
                from: event.at,
                until: event.at,
                ended: false,
            });
        } else if let Some(term) = open.next() {
            term.until = event.at;
            term.ended = event.what == EventKind::Stops;
        }
        drop(terms);
        if event.what != EventKind::Beats {
            self.changed.notify_all();
        }
    }

    /// Ends the open terms of a candidate at `at`, or at its last report if that is unknown.
    fn close(&self, name: &str, at: Option<f64>) {
        let mut terms = self.terms();
        for term in terms
            .iter_mut()
            .filter(|it| it.candidate == name && !it.ended)
        {
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

/// Configuration of an election.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    pub service: &'a GistService,
    pub programs: &'a Programs,
    pub contender: Contender,
    /// Workloads report regularly, so that the end of a killed one is known.
    pub beats: bool,
}

#[derive(Debug)]
pub struct Election<'a> {
    setting: Setting<'a>,
    url: String,
    gist: String,
    term_log: Arc<TermLog>,
    candidates: Vec<Candidate>,
    started: usize,
}

impl<'a> Election<'a> {
    /// Creates an election with a new gist and no candidates.
    ///
    /// # Errors
    /// Returns an error if the service creates no gist.
    pub fn new(setting: Setting<'a>) -> Result<Election<'a>, String> {
        let gist = setting.service.create_gist(&[(FILE, "{}")]);
        Ok(Election {
            setting,
            url: setting.service.url(),
            gist: gist.map_err(|e| format!("no gist: {e}"))?,
            term_log: Arc::default(),
            candidates: Vec::new(),
            started: 0,
        })
    }

    /// Starts one more candidate under a new name, as a new pod has one.
    ///
    /// # Errors
    /// Returns an error if it cannot be started.
    pub fn start(&mut self) -> Result<(), String> {
        let name = format!("candidate-{}", self.started);
        self.started += 1;
        let placement = Placement {
            url: &self.url,
            gist: &self.gist,
            name: &name,
            beats: self.setting.beats,
        };
        let mut command =
            contender::candidate(self.setting.contender, self.setting.programs, &placement)?;
        let child = command.spawn();
        let mut child = child.map_err(|e| format!("{:?}: {e}", command.get_program()))?;
        if let Some(out) = child.stdout.take() {
            read(out, name.clone(), Arc::clone(&self.term_log));
        }
        self.candidates.push(Candidate { name, child });
        Ok(())
    }

    /// Starts all missing candidates.
    ///
    /// # Errors
    /// Returns an error if one cannot be started.
    pub fn fill(&mut self) -> Result<(), String> {
        while self.candidates.len() < CANDIDATES {
            self.start()?;
        }
        Ok(())
    }

    /// Removes candidates that exited by themselves, and returns their number.
    pub fn remove_ended(&mut self) -> usize {
        let before = self.candidates.len();
        let term_log = &self.term_log;
        self.candidates.retain_mut(|one| {
            let ended = matches!(one.child.try_wait(), Ok(Some(_)));
            if ended {
                term_log.close(&one.name, None);
            }
            !ended
        });
        before - self.candidates.len()
    }

    /// Waits until exactly one candidate leads and the record agrees. If two may lead, the election
    /// must settle before its leader can be measured.
    ///
    /// # Errors
    /// Returns an error if it does not settle within `patience`.
    pub fn await_settled(&self, patience: Duration) -> Result<Term, String> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            let open: Vec<Term> = self.terms().into_iter().filter(|it| !it.ended).collect();
            if let [leader] = open.as_slice()
                && self.holder().as_ref() == Some(&leader.candidate)
            {
                return Ok(leader.clone());
            }
            thread::sleep(Duration::from_millis(200));
        }
        Err(self.complaint("it does not settle on a leader", patience))
    }

    /// Returns whether this term continues.
    #[must_use]
    pub fn still_leads(&self, term: &Term) -> bool {
        let mut terms = self.terms().into_iter();
        terms.any(|it| it.candidate == term.candidate && it.from == term.from && !it.ended)
    }

    /// Returns the names of all leaders.
    #[must_use]
    pub fn leading(&self) -> Vec<String> {
        let open = |term: &Term| {
            let runs = self.candidates.iter().any(|one| one.name == term.candidate);
            (!term.ended && runs).then(|| term.candidate.clone())
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

    /// Waits for the first term that begins after a time.
    ///
    /// # Errors
    /// Returns an error if there is none within `patience`.
    pub fn await_leader(&self, after: f64, patience: Duration) -> Result<Term, String> {
        let deadline = Instant::now() + patience;
        let mut terms = self.term_log.terms();
        loop {
            if let Some(term) = terms.iter().find(|term| term.from > after) {
                return Ok(term.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.complaint("no candidate leads", patience));
            }
            let waited = self.term_log.changed.wait_timeout(terms, left);
            terms = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns all terms so far.
    #[must_use]
    pub fn terms(&self) -> Vec<Term> {
        self.term_log.terms().clone()
    }

    /// Returns when the writes of this candidate landed, in seconds since boot; of all candidates
    /// for `None`.
    #[must_use]
    pub fn landed(&self, name: Option<&str>) -> Vec<f64> {
        let offset = clock::wall_minus_boot();
        let mut landed: Vec<f64> = self
            .setting
            .service
            .history(&self.gist)
            .iter()
            .filter(|seen| {
                let holder = seen.files.get(FILE).and_then(|text| holder(text));
                holder.is_some_and(|holder| name.is_none_or(|name| name == holder))
            })
            .map(|seen| seen.landed.0 as f64 / 1000.0 - offset)
            .collect();
        landed.reverse();
        landed
    }

    /// Kills every process of a candidate (SIGKILL) and reaps them.
    ///
    /// # Errors
    /// Returns an error if there is no such candidate.
    pub fn kill(&mut self, name: &str) -> Result<(), String> {
        let candidate = self.take(name)?;
        process::kill_tree(pid(&candidate.child));
        self.term_log.close(name, Some(clock::now()));
        Ok(())
    }

    /// Sends SIGTERM to a candidate, and returns when.
    ///
    /// # Errors
    /// Returns an error if there is no such candidate or it has exited.
    pub fn request_stop(&self, name: &str) -> Result<f64, String> {
        let candidate = self.candidates.iter().find(|one| one.name == name);
        let candidate = candidate.ok_or_else(|| format!("there is no {name}"))?;
        let now = clock::now();
        let sent = kill(pid(&candidate.child), Signal::SIGTERM);
        sent.map_err(|e| format!("{name} has exited: {e}"))?;
        Ok(now)
    }

    /// Waits for the exit of a candidate that got SIGTERM.
    ///
    /// # Errors
    /// Returns an error if it does not exit, or fails.
    pub fn await_end(&mut self, name: &str, patience: Duration) -> Result<(), String> {
        let mut candidate = self.take(name)?;
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            match candidate.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("{name} ended badly: {status}")),
                Ok(None) => thread::sleep(Duration::from_millis(50)),
                Err(e) => return Err(format!("{name}: {e}")),
            }
        }
        process::kill_tree(pid(&candidate.child));
        Err(format!("{name} does not end on SIGTERM"))
    }

    /// Kills every process of all candidates (SIGKILL).
    pub fn stop(&mut self) {
        for candidate in self.candidates.drain(..) {
            process::kill_tree(pid(&candidate.child));
        }
    }

    /// Returns all terms so far. An open term without regular reports lasts until now.
    #[must_use]
    pub fn finished_terms(&self) -> Vec<Term> {
        let now = clock::now();
        let mut terms = self.terms();
        for term in terms.iter_mut().filter(|term| !term.ended) {
            term.until = now;
        }
        terms
    }

    fn take(&mut self, name: &str) -> Result<Candidate, String> {
        let at = self.candidates.iter().position(|one| one.name == name);
        at.map(|at| self.candidates.swap_remove(at))
            .ok_or_else(|| format!("there is no {name}"))
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

/// Reads events until no process of the candidate has its standard output open.
fn read(from: ChildStdout, name: String, term_log: Arc<TermLog>) {
    let reads = move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if let Some(event) = Event::parse(&line) {
                term_log.note(&name, event);
            }
        }
    };
    thread::spawn(reads);
}

/// Returns the holder of the lease in this text, if it is a held record.
fn holder(text: &str) -> Option<String> {
    let record: serde_json::Value = serde_json::from_str(text).ok()?;
    let holder = record.get("holderIdentity")?.as_str()?;
    (!holder.is_empty()).then(|| holder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_held_record_has_holder() {
        let held = r#"{"holderIdentity":"a","leaseDurationSeconds":30}"#;
        assert_eq!(holder(held).as_deref(), Some("a"));
        for unheld in [r#"{"holderIdentity":""}"#, "{}", "", "[]"] {
            assert_eq!(holder(unheld), None, "{unheld:?}");
        }
    }

    #[test]
    fn beats_extend_and_stops_end_terms() {
        let term_log = TermLog::default();
        let tell = |name: &str, at: f64, what| {
            term_log.note(
                name,
                Event {
                    at,
                    what,
                    fencing_token: 1,
                },
            )
        };
        tell("a", 1.0, EventKind::Leads);
        tell("a", 1.5, EventKind::Beats);
        tell("b", 2.0, EventKind::Leads);
        tell("a", 3.0, EventKind::Stops);
        // Events after the end belong to no term.
        tell("a", 4.0, EventKind::Beats);
        tell("b", 5.0, EventKind::Beats);
        tell("b", 6.0, EventKind::Leads);
        let terms = term_log.terms();
        let of = |n: usize| (terms[n].from, terms[n].until, terms[n].ended);
        assert_eq!((of(0), of(1)), ((1.0, 3.0, true), (2.0, 5.0, true)));
        assert_eq!(of(2), (6.0, 6.0, false));
    }
}
