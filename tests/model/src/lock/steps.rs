//! Effects of the actions: requests to the gist, answers to the protocols, and the comparison of
//! the results with the rule.

use std::sync::Arc;
use std::time::Duration;

use elector::election::annotation::PAUSED;
use elector::election::lock::{Content, LockError, Observed, Written};
use elector::election::record::LeaderElectionRecord;
use elector::election::time::Instant;
use elector::lock::gist::protocol::{GistProtocol, Outcome, Step};
use elector::lock::gist::revision::Revision;
use elector::lock::gist::wire::{Answer, GistPage, Reply, Request, Text};

use super::Bounds;
use super::state::{Action, Doing, Flight, Reported, State, new_protocol};
use crate::calls::Flaw;
use crate::gist::{self, ANNOTATION, NAMES, WriteId};

pub const RENEW_DEADLINE: Duration = Duration::from_secs(16);

/// Longer than an answer can be stale, which is at most half the renew deadline.
const PAUSE: Duration = Duration::from_secs(10);

impl State {
    pub fn apply(&mut self, bounds: &Bounds, action: Action) {
        match action {
            Action::Read { process, at } => {
                self.process(process).reads -= 1;
                let step = self.process(process).protocol.start_get();
                self.continue_call(bounds, process, step, Some(at));
            }
            Action::Create { process, at } => {
                let record = self.next_record(process);
                let step = self.process(process).protocol.start_create(&record);
                self.continue_call(bounds, process, step, Some(at));
            }
            Action::Write { process } => {
                let record = self.next_record(process);
                let step = self.process(process).protocol.start_update(&record);
                self.continue_call(bounds, process, step, None);
            }
            Action::Annotate { process } => {
                let one = self.process(process);
                one.annotations -= 1;
                one.annotated.push(Reported::Waiting);
                let number = one.annotated.len();
                one.current = ANNOTATION + number;
                let name = format!("{}-a{number}", NAMES[process]);
                let annotation = [(PAUSED.to_owned(), name.into())].into_iter().collect();
                let step = one.protocol.start_annotate(&annotation);
                self.continue_call(bounds, process, step, None);
            }
            Action::Answer { process, at } => {
                let reply = self.reply(bounds, process, at);
                self.note_view(process, &reply, at);
                let step = self.handle_answer(process, Ok(reply));
                self.continue_call(bounds, process, step, None);
            }
            Action::Lose { process } => self.lose(bounds, process),
            Action::Land { flight } => {
                let text = self.lift(flight);
                self.gist.land(text);
            }
            Action::LandOn { flight, below } => {
                self.lost_writes -= 1;
                let text = self.lift(flight);
                self.gist.land_on(below, text);
            }
            Action::Overwrite => {
                self.overwrites -= 1;
                let lease = 100 + u64::from(self.overwrites);
                self.gist.land(plain(lease));
            }
            Action::Paste { of } => {
                self.overwrites -= 1;
                let text = self.gist.entry(of).text.clone();
                self.gist.land(text);
            }
            Action::OtherFile => {
                self.other_files -= 1;
                let text = self.gist.entry(self.gist.head()).text.clone();
                self.gist.land(text);
            }
            Action::Pause => self.pauses += 1,
        }
    }

    fn now(&self) -> Instant {
        Instant::BOOT + PAUSE * u32::from(self.pauses)
    }

    /// Returns the next record of a process. Leases and fencing tokens distinguish the writers.
    fn next_record(&mut self, process: usize) -> LeaderElectionRecord {
        let one = self.process(process);
        one.writes -= 1;
        one.reported.push(Reported::Waiting);
        let number = one.reported.len();
        one.current = number;
        LeaderElectionRecord {
            holder_identity: NAMES[process].into(),
            lease_duration_seconds: 10 * (process as u64 + 1) + number as u64,
            leader_transitions: 10 * number as u64 + process as u64,
            ..LeaderElectionRecord::default()
        }
    }

    /// Returns the text of a write that lands.
    fn lift(&mut self, flight: usize) -> Text {
        let flight = Arc::make_mut(&mut self.flights[flight]);
        if flight.landed > 0 {
            self.duplicates -= 1;
        }
        flight.landed += 1;
        Text::Whole(Arc::clone(&flight.text))
    }

    fn lose(&mut self, bounds: &Bounds, process: usize) {
        let error = match self.processes[process].doing {
            Doing::Writing => LockError::OutcomeUnknown("the answer was lost".into()),
            _ => {
                self.failures -= 1;
                LockError::Unavailable("the answer was lost".into())
            }
        };
        let step = self.handle_answer(process, Err(error));
        self.continue_call(bounds, process, step, None);
    }

    // ---- service ----

    /// Returns the answer to the request of a process.
    fn reply(&self, bounds: &Bounds, process: usize, at: usize) -> Reply {
        match &self.processes[process].doing {
            Doing::Reading(request) => read(self, bounds, request, at),
            _ => Reply::Gist(page(self, bounds, at)),
        }
    }

    /// A revision always reads the same; other answers are as of a revision.
    fn note_view(&mut self, process: usize, reply: &Reply, at: usize) {
        if !matches!(reply, Reply::Revision(_)) {
            self.process(process).view = at;
        }
    }

    fn handle_answer(&mut self, process: usize, reply: Result<Reply, LockError>) -> Step {
        let now = self.now();
        let protocol = &mut self.process(process).protocol;
        protocol.handle_answer(now, answer(reply))
    }

    // ---- calls ----

    /// Continues a call until an answer has several possibilities. The first request is answered as
    /// of `at`.
    fn continue_call(
        &mut self,
        bounds: &Bounds,
        process: usize,
        mut step: Step,
        mut at: Option<usize>,
    ) {
        loop {
            let request = match step {
                Step::Done(outcome) => return self.done(process, outcome),
                Step::Ask(request) => request,
            };
            if let Request::Write { content, until } = request {
                return self.send(process, content, until);
            }
            let sure = match &request {
                Request::Revision(_) if self.failures == 0 => Some(self.gist.head()),
                _ => at.take(),
            };
            let Some(at) = sure else {
                self.process(process).doing = Doing::Reading(request);
                return;
            };
            let reply = read(self, bounds, &request, at);
            self.note_view(process, &reply, at);
            step = self.handle_answer(process, Ok(reply));
        }
    }

    fn send(&mut self, process: usize, content: String, supersedes: Revision) {
        let one = self.process(process);
        one.doing = Doing::Writing;
        let number = one.current;
        self.flights.push(Arc::new(Flight {
            id: WriteId { process, number },
            supersedes,
            text: content.into(),
            landed: 0,
        }));
        self.flights
            .sort_by_key(|flight| (flight.id.process, flight.id.number));
    }

    fn done(&mut self, process: usize, outcome: Outcome) {
        let one = self.process(process);
        one.doing = Doing::Nothing;
        one.view = 0;
        match outcome {
            Outcome::Got(Ok(observed)) => {
                let flaw = self.wrong_result(process, &observed);
                self.flaw = self.flaw.or(flaw);
            }
            Outcome::Got(Err(_)) => {}
            Outcome::Wrote(result) => self.reported(process, &result),
        }
    }

    fn reported(&mut self, process: usize, result: &Result<Written, LockError>) {
        let number = self.processes[process].current;
        let id = WriteId { process, number };
        let sent = self.flights.iter().any(|flight| flight.id == id);
        let reported = match result {
            _ if !sent => Reported::NotSent,
            Ok(_) => Reported::Success,
            Err(LockError::Conflict) => Reported::Conflict,
            Err(_) => Reported::Unknown,
        };
        let seen = self.processes[process].protocol.effective();
        let by = seen.and_then(|(at, _)| self.gist.find(at));
        let effective = by.map(|by| self.gist.entry(self.gist.entry(by).effect));
        // An annotated foreign record has no id.
        let is_effective = effective.is_some_and(|entry| match entry.write {
            Some(write) => write == id,
            None => entry.paused == Some(id),
        });
        let flaw = match reported {
            Reported::Success if !is_effective => Some("a success that is not effective"),
            Reported::Conflict if is_effective => Some("a conflict that is effective"),
            _ => None,
        };
        self.flaw = self.flaw.or(flaw);
        // An annotated foreign record is a write without a condition, so its success promises nothing.
        let foreign = effective.is_some_and(|entry| entry.write.is_none());
        let reported = match reported {
            Reported::Success if foreign => Reported::Unknown,
            reported => reported,
        };
        if let Some(current) = self.process(process).current_mut() {
            *current = reported;
        }
    }

    // ---- rule ----

    /// Returns how the result of a read differs from the rule.
    fn wrong_result(&self, process: usize, observed: &Observed) -> Option<Flaw> {
        let seen = self.processes[process].protocol.effective();
        let Some(at) = seen.and_then(|(at, _)| self.gist.find(at)) else {
            return Some("a read that observed nothing");
        };
        self.wrong_result_at(at, Some(process), observed)
    }

    fn wrong_result_at(&self, at: usize, by: Option<usize>, observed: &Observed) -> Option<Flaw> {
        let entry = self.gist.entry(at);
        let effect = self.gist.entry(entry.effect);
        if effect.is_forged {
            return Some("an annotation that changes other fields");
        }
        let mine = effect.owner.filter(|write| Some(write.process) == by);
        if observed.mine != mine.map(|write| write.number as u64) {
            return Some("a read that confuses own and other writes");
        }
        let plain = effect.write.is_none();
        if observed.foreign_wait != plain.then_some(entry.longest_lease.unwrap_or_default()) {
            return Some("a read that misses an overwritten lease");
        }
        if !shows(
            &observed.content,
            &effect.text,
            entry.longest_lease.is_some(),
        ) {
            return Some("a read that shows an ineffective record");
        }
        if observed.highest_fencing_token < entry.highest_fencing_token {
            return Some("a read that misses a fencing token");
        }
        None
    }

    /// Returns what a new process gets wrong about the head, with any page size.
    pub fn flaw_for_new_process(&self, bounds: &Bounds) -> Option<Flaw> {
        let pages = [1, 2, bounds.page].into_iter();
        let mut flaws = pages.filter_map(|page| {
            self.flaw_in_paged_read(&Bounds {
                page,
                ..bounds.clone()
            })
        });
        flaws.next()
    }

    fn flaw_in_paged_read(&self, bounds: &Bounds) -> Option<Flaw> {
        let at = self.gist.head();
        let mut protocol = new_protocol("new");
        let Outcome::Got(Ok(observed)) = self.read_fully(bounds, &mut protocol) else {
            return Some("a failing read of the newest revision");
        };
        let expected = |at: usize| self.gist.entry(at).name;
        if protocol.effective() != Some((expected(at), expected(self.gist.entry(at).effect))) {
            return Some("a new process that disagrees with the rule");
        }
        self.wrong_result_at(at, None, &observed)
    }

    /// Reads the head completely without faults. A read of a long history continues in the next call.
    pub fn read_fully(&self, bounds: &Bounds, protocol: &mut GistProtocol) -> Outcome {
        let at = self.gist.head();
        let mut step = protocol.start_get();
        loop {
            match step {
                Step::Done(Outcome::Got(Err(LockError::Unfinished(_)))) => {
                    step = protocol.start_get();
                }
                Step::Done(outcome) => return outcome,
                Step::Ask(request) => {
                    let reply = read(self, bounds, &request, at);
                    step = protocol.handle_answer(self.now(), answer(Ok(reply)));
                }
            }
        }
    }
}

/// Returns whether `content` matches `text`. `was_record` says that there is or was a record.
fn shows(content: &Content, text: &Text, was_record: bool) -> bool {
    let lease = gist::number(text, "leaseDurationSeconds");
    let token = gist::number(text, "leaderTransitions");
    match content {
        Content::Record(record) => {
            let shown = (record.lease_duration_seconds, record.leader_transitions);
            lease.zip(token) == Some(shown)
        }
        Content::NeverWritten => lease.is_none() && !was_record,
        Content::Deleted | Content::Corrupt(_) => lease.is_none() && was_record,
    }
}

fn answer(reply: Result<Reply, LockError>) -> Answer {
    Answer {
        date: None,
        rate: None,
        reply,
    }
}

/// Returns the answer to a read as of a revision.
fn read(state: &State, bounds: &Bounds, request: &Request, at: usize) -> Reply {
    match request {
        Request::Gist { etag, .. } if *etag == Some(etag_of(state, at)) => Reply::NotModified,
        // An elector's lock neither requests a whole history nor creates gists.
        Request::Gist { .. }
        | Request::History
        | Request::Write { .. }
        | Request::Create { .. } => Reply::Gist(page(state, bounds, at)),
        Request::Revision(revision) => Reply::Revision(text(state, *revision)),
        Request::Commits { page, per_page } => {
            let size = bounds.page.min(*per_page);
            let before = (*page as usize - 1) * size;
            let commits = state.gist.commits(at).skip(before).take(size);
            Reply::Commits(commits.collect())
        }
    }
}

fn text(state: &State, revision: Revision) -> Text {
    let index = state.gist.find(revision);
    index.map_or(Text::Missing, |index| state.gist.entry(index).text.clone())
}

fn page(state: &State, bounds: &Bounds, at: usize) -> GistPage {
    GistPage {
        etag: Some(etag_of(state, at)),
        text: state.gist.entry(at).text.clone(),
        history: state.gist.commits(at).take(bounds.page).collect(),
        ..GistPage::default()
    }
}

fn etag_of(state: &State, at: usize) -> Arc<str> {
    state.gist.entry(at).name.to_string().into()
}

/// Returns an operator's record.
fn plain(lease: u64) -> Text {
    let text = format!(
        r#"{{"holderIdentity":"person","leaseDurationSeconds":{lease},"leaderTransitions":5}}"#
    );
    Text::Whole(text.into())
}
