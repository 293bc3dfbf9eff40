//! The service as requests reach it: faults, limits, races.

use std::time::Duration;

use elector::election::lock::LockError;
use elector::emulator::{Edit, PendingWrite, Race};
use elector::lock::gist::wire::{self, RateLimit};

use super::quota::Refused;
use super::{Event, Requester, Run, Sender};
use crate::clock::Time;
use crate::lock::{Reply, Request, failed};
use crate::service::{self, FILE, Landed, OTHER_FILE, Sent, is_annotation, seconds_of};
use crate::tally::Kind;

impl Run {
    pub(super) fn arrive(&mut self, from: Sender, request: Request) {
        match request {
            Request::Gist(request) => self.arrive_at_gist(from, request.into()),
            Request::Cell(request) => self.arrive_at_cell(from, &request),
        }
    }

    fn arrive_at_gist(&mut self, from: Sender, request: Box<wire::Request>) {
        let write = matches!(*request, wire::Request::Write { .. });
        if self.faults.limits
            && let Err(refused) = self.quota.take(self.now, write)
        {
            self.measure(from, |one| one.refused = 1);
            return self.refuse(from, write, refused);
        }
        if write {
            self.measure(from, |one| one.writes = 1);
        }
        if self.fault(self.faults.throttled, Kind::RateLimited) {
            let retry_after = self.seconds(1.0, 60.0);
            return self.fail(from, Duration::from_millis(50), throttled(retry_after));
        }
        let error = self.fault(self.faults.server_errors, Kind::ServerError);
        if !write {
            return self.arrive_read(from, &request, error);
        }
        if error && self.rng.bool() {
            let failed = LockError::OutcomeUnknown("502".into());
            return self.fail(from, Duration::from_millis(50), failed);
        }
        let wire::Request::Write { content, .. } = &*request else {
            return;
        };
        let file = self.file_of(from.requester);
        match self
            .service
            .begin_write(Edit::put(&*file, content.as_str()))
        {
            Ok(write) => self.begin(from, request, write),
            Err(error) => {
                let failed = LockError::Unavailable(format!("422: {error}"));
                self.fail(from, Duration::from_millis(50), failed);
            }
        }
    }

    fn arrive_read(&mut self, from: Sender, request: &wire::Request, error: bool) {
        if error {
            self.note_read(from);
            let failed = LockError::Unavailable("502".into());
            return self.fail(from, Duration::from_millis(50), failed);
        }
        let back = if self.fault(self.faults.stale_reads, Kind::StaleRead) {
            self.faults.stale_by.as_nanos() as u64
        } else {
            0
        };
        let then = Time(self.now.0.saturating_sub(back));
        let cap = self.faults.history_cap;
        let mut answer =
            self.service
                .read(request, then, self.now, cap, &self.file_of(from.requester));
        if matches!(answer.reply, Ok(wire::Reply::NotModified)) {
            self.quota.return_one();
            self.measure(from, |one| one.free = 1);
        } else {
            self.note_read(from);
            self.measure(from, |one| one.reads = 1);
        }
        answer.rate = self.rate();
        self.answer(from, Reply::Gist(answer));
    }

    /// Reads the head as GitHub does, and moves it a little later.
    fn begin(&mut self, from: Sender, request: Box<wire::Request>, write: PendingWrite) {
        let longest = self.faults.race_window.as_secs_f64();
        let window = self.seconds(0.0, longest);
        let write = Box::new(write);
        self.after(
            window,
            Event::Land {
                from,
                request,
                write,
            },
        );
    }

    pub(super) fn land(&mut self, from: Sender, request: &wire::Request, write: &PendingWrite) {
        let sent = matches!(from.requester, Requester::Candidate(_)).then_some(Sent {
            process: from.process,
            at: from.sent,
        });
        let race: Race = self.faults.race;
        let landed = self.service.finish_write(write, race, self.now, sent);
        self.note(|run| run.describe_landing(from, landed.as_ref().ok()));
        if landed.as_ref().is_ok_and(|landed| landed.lost_write) {
            self.check_confirmed();
        }
        let wire::Request::Write { until, .. } = request else {
            return;
        };
        let Ok(landed) = landed else {
            self.tally.count(Kind::Conflict);
            let failed = LockError::OutcomeUnknown("409".into());
            return self.fail(from, Duration::from_millis(50), failed);
        };
        for (kind, came) in [
            (Kind::LostWrite, landed.lost_write),
            (Kind::Stacked, landed.stacked),
        ] {
            if came {
                self.tally.count(kind);
            }
        }
        self.measure_landing(from, &landed);
        self.note_broken(landed.broken.as_deref());
        if from.requester == Requester::Operator && landed.is_effective && landed.write_id.is_none()
        {
            // An annotated foreign record is a foreign write, which replaces whatever came in between.
            self.steering.forget_pause();
        }
        let annotates = landed.write_id.as_deref().is_some_and(is_annotation);
        if let (Requester::Candidate(node), true, false) =
            (from.requester, landed.is_effective, annotates)
        {
            self.check_landing(node, from, landed.before);
            if let Some(id) = &landed.write_id
                && self.nodes[node].process == from.process
            {
                self.note_landing(node, id, &landed);
            }
        }
        if self.fault(self.faults.server_errors / 2.0, Kind::ServerError) {
            let failed = LockError::OutcomeUnknown("502".into());
            return self.fail(from, Duration::from_millis(50), failed);
        }
        let cap = self.faults.history_cap;
        let mut answer = self
            .service
            .written(*until, self.now, cap, &self.file_of(from.requester));
        answer.rate = self.rate();
        self.answer(from, Reply::Gist(answer));
    }

    pub(super) fn answer(&mut self, from: Sender, answer: Reply) {
        if self.fault(self.faults.lost_answers, Kind::LostAnswer) {
            return;
        }
        let way = if self.fault(self.faults.sluggish_answers, Kind::SlowAnswer) {
            self.seconds(2.0, 4.9)
        } else if let Some(back) = from.back {
            back
        } else {
            self.way(self.faults.slow_answers, Kind::SlowAnswer)
        };
        let answer = Box::new(answer);
        self.after(way, Event::Answer { from, answer });
    }

    /// Returns the rate limit that an answer states. After the faults have ended, the full limit is
    /// left.
    fn rate(&self) -> Option<RateLimit> {
        let limited = self.scenario.faults.limits;
        limited.then(|| self.quota.rate(self.now, self.faults.limits))
    }

    /// Counts a candidate's read that counts as a request.
    fn note_read(&mut self, from: Sender) {
        if !self.faults.limits || self.leads(from) {
            return;
        }
        self.tally.reads += 1;
        // While no candidate leads, candidates may use the requests that it takes to change that.
        if self.nodes.iter().any(|node| node.elector.is_leader()) {
            self.quota.note_read(self.now);
        }
    }

    pub(super) fn leads(&self, from: Sender) -> bool {
        let Requester::Candidate(node) = from.requester else {
            return false;
        };
        let node = &self.nodes[node];
        node.process == from.process && node.elector.is_leader()
    }

    fn refuse(&mut self, from: Sender, write: bool, refused: Refused) {
        self.tally.count(Kind::LimitReached);
        let leads = write || self.leads(from);
        self.check_requests_left(from, leads, refused);
        let mut answer = service::answer(self.now, Err(throttled(refused.wait)));
        answer.rate = self.rate();
        let answer = Box::new(Reply::Gist(answer));
        let soon = from.back.unwrap_or(Duration::from_millis(50));
        self.after(soon, Event::Answer { from, answer });
    }

    /// Returns the name of the file that holds the requester's record.
    fn file_of(&self, requester: Requester) -> String {
        match requester {
            Requester::Neighbour(index) => self.neighbours[index].file.clone(),
            _ => FILE.to_owned(),
        }
    }

    /// Draws the time that a message takes.
    pub(super) fn way(&mut self, slow: f64, kind: Kind) -> Duration {
        if self.fault(slow, kind) {
            self.seconds(0.5, 30.0)
        } else {
            let most = self.scenario.faults.usual_way.as_secs_f64();
            self.seconds(most / 40.0, most)
        }
    }

    /// Answers that a request failed.
    /// Notes a broken rule about the fields for operators.
    pub(super) fn note_broken(&mut self, broken: Option<&str>) {
        if let Some(broken) = broken {
            self.break_rule(|_| broken.to_owned());
        }
    }

    pub(super) fn fail(&mut self, from: Sender, delay: Duration, error: LockError) {
        let answer = Box::new(failed(Some(seconds_of(self.now)), error));
        self.after(delay, Event::Answer { from, answer });
    }

    pub(super) fn other_file(&mut self) {
        self.tally.count(Kind::OtherFile);
        let text = format!("{}", self.rng.u64(..));
        let Ok(write) = self
            .service
            .begin_write(Edit::put(OTHER_FILE, text.as_str()))
        else {
            return;
        };
        self.begin_others(Requester::Other, write);
    }

    /// Begins a write that no candidate made.
    pub(super) fn begin_others(&mut self, requester: Requester, write: PendingWrite) {
        let from = Sender {
            requester,
            generation: 0,
            request: 0,
            process: 0,
            sent: self.now,
            back: None,
        };
        let request = wire::Request::Commits {
            page: 1,
            per_page: 1,
        };
        self.begin(from, Box::new(request), write);
    }

    fn describe_landing(&self, from: Sender, landed: Option<&Landed>) -> String {
        let requester = self.name_of(from.requester);
        let Some(landed) = landed else {
            return format!("a write of {requester} is refused: 409");
        };
        let what = match (landed.is_effective, from.requester) {
            (true, _) => "is effective",
            (false, Requester::Other | Requester::Neighbour(_)) => "lands",
            (false, _) => "is ignored",
        };
        let how = match (landed.lost_write, landed.stacked) {
            (true, _) => ", the write before it is LOST",
            (_, true) => ", on top of another",
            _ => "",
        };
        format!(
            "a write of {requester}, sent at {:.3}s, {what}{how}: {:.8}",
            from.sent.seconds(),
            landed.revision.to_string()
        )
    }

    pub(super) fn name_of(&self, requester: Requester) -> String {
        match requester {
            Requester::Candidate(node) => self.nodes[node].name().to_owned(),
            Requester::Operator => "an operator".to_owned(),
            Requester::ClientGo(index) => format!("client-go {index}"),
            Requester::Neighbour(index) => format!("neighbour {index}"),
            Requester::Other => "another writer, to the other file,".to_owned(),
        }
    }
}

pub(super) fn throttled(retry_after: Duration) -> LockError {
    LockError::RateLimited {
        retry_after,
        why: "a limit".into(),
    }
}
