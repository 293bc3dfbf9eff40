//! The service as requests reach it: faults, limits, races.

use std::time::Duration;

use elector::election::lock::LockError;
use elector::emulator::{Edit, PendingWrite, Race};
use elector::lock::gist::wire::{Answer, RateLimit, Reply, Request};

use super::quota::Refused;
use super::{Event, Sender, Who, World};
use crate::clock::Time;
use crate::service::{self, FILE, Landed, OTHER_FILE, Sent};
use crate::tally::Kind;

impl World {
    pub(super) fn arrive(&mut self, from: Sender, request: Box<Request>) {
        let write = matches!(*request, Request::Write { .. });
        if self.faults.limits
            && let Err(refused) = self.quota.take(self.now, write)
        {
            self.measure(from, |one| one.refused = 1);
            return self.refuse(from, write, refused);
        }
        if write {
            self.measure(from, |one| one.writes = 1);
        }
        if self.fault(self.faults.throttled, Kind::ToldToWait) {
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
        let Request::Write { content, .. } = &*request else {
            return;
        };
        let file = self.file_of(from.who);
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

    fn arrive_read(&mut self, from: Sender, request: &Request, error: bool) {
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
        let mut answer = self
            .service
            .read(request, then, self.now, cap, &self.file_of(from.who));
        if matches!(answer.reply, Ok(Reply::NotModified)) {
            self.quota.give_back();
            self.measure(from, |one| one.free = 1);
        } else {
            self.note_read(from);
            self.measure(from, |one| one.reads = 1);
        }
        answer.rate = self.rate();
        self.answer(from, answer);
    }

    /// GitHub has read the head, and moves it a little later.
    fn begin(&mut self, from: Sender, request: Box<Request>, write: PendingWrite) {
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

    pub(super) fn land(&mut self, from: Sender, request: &Request, write: &PendingWrite) {
        let sent = matches!(from.who, Who::Candidate(_)).then_some(Sent {
            process: from.process,
            at: from.sent,
        });
        let race: Race = self.faults.race;
        let landed = self.service.finish_write(write, race, self.now, sent);
        self.note(|w| w.landing_in_words(from, landed.as_ref().ok()));
        if landed.as_ref().is_ok_and(|landed| landed.vanished) {
            self.check_confirmed();
        }
        let Request::Write { until, .. } = request else {
            return;
        };
        let Ok(landed) = landed else {
            self.tally.count(Kind::Conflict);
            let failed = LockError::OutcomeUnknown("409".into());
            return self.fail(from, Duration::from_millis(50), failed);
        };
        for (kind, came) in [
            (Kind::Vanished, landed.vanished),
            (Kind::Stacked, landed.stacked),
        ] {
            if came {
                self.tally.count(kind);
            }
        }
        self.measure_landing(from, &landed);
        if let (Who::Candidate(node), true) = (from.who, landed.took_effect) {
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
            .written(*until, self.now, cap, &self.file_of(from.who));
        answer.rate = self.rate();
        self.answer(from, answer);
    }

    fn answer(&mut self, from: Sender, answer: Answer) {
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

    /// What an answer says of the hour's requests: where they were limited before the healing, that
    /// all of them are there again.
    fn rate(&self) -> Option<RateLimit> {
        let limited = self.scenario.faults.limits;
        limited.then(|| self.quota.rate(self.now, self.faults.limits))
    }

    /// A candidate's read that counts as a request.
    fn note_read(&mut self, from: Sender) {
        if !self.faults.limits || self.leads(from) {
            return;
        }
        self.tally.reads += 1;
        // While nobody leads, they may take what they need to change that.
        if self.nodes.iter().any(|node| node.elector.is_leader()) {
            self.quota.note_read(self.now);
        }
    }

    pub(super) fn leads(&self, from: Sender) -> bool {
        let Who::Candidate(node) = from.who else {
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
        let answer = Box::new(answer);
        let soon = from.back.unwrap_or(Duration::from_millis(50));
        self.after(soon, Event::Answer { from, answer });
    }

    /// The file that holds the record for whoever asks.
    fn file_of(&self, who: Who) -> String {
        match who {
            Who::Neighbour(index) => self.neighbours[index].file.clone(),
            _ => FILE.to_owned(),
        }
    }

    /// How long a message is on its way.
    pub(super) fn way(&mut self, slow: f64, kind: Kind) -> Duration {
        if self.fault(slow, kind) {
            self.seconds(0.5, 30.0)
        } else {
            let most = self.scenario.faults.usual_way.as_secs_f64();
            self.seconds(most / 40.0, most)
        }
    }

    /// An answer that says that it failed.
    pub(super) fn fail(&mut self, from: Sender, delay: Duration, error: LockError) {
        let answer = Box::new(service::answer(self.now, Err(error)));
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
        self.begin_others(Who::Other, write);
    }

    /// A write that is none of ours.
    pub(super) fn begin_others(&mut self, who: Who, write: PendingWrite) {
        let from = Sender {
            who,
            life: 0,
            request: 0,
            process: 0,
            sent: self.now,
            back: None,
        };
        let request = Request::Commits {
            page: 1,
            per_page: 1,
        };
        self.begin(from, Box::new(request), write);
    }

    fn landing_in_words(&self, from: Sender, landed: Option<&Landed>) -> String {
        let who = self.name_of(from.who);
        let Some(landed) = landed else {
            return format!("a write of {who} is refused: 409");
        };
        let what = match (landed.took_effect, from.who) {
            (true, _) => "takes effect",
            (false, Who::Other | Who::Neighbour(_)) => "lands",
            (false, _) => "is passed over",
        };
        let how = match (landed.vanished, landed.stacked) {
            (true, _) => ", what came before it VANISHES",
            (_, true) => ", on top of another",
            _ => "",
        };
        format!(
            "a write of {who}, sent at {:.3}s, {what}{how}: {:.8}",
            from.sent.seconds(),
            landed.revision.to_string()
        )
    }

    pub(super) fn name_of(&self, who: Who) -> String {
        match who {
            Who::Candidate(node) => self.nodes[node].name().to_owned(),
            Who::Legacy(index) => format!("client-go {index}"),
            Who::Neighbour(index) => format!("neighbour {index}"),
            Who::Other => "somebody, to the other file,".to_owned(),
        }
    }
}

pub(super) fn throttled(retry_after: Duration) -> LockError {
    LockError::RateLimited {
        retry_after,
        why: "a limit".into(),
    }
}
