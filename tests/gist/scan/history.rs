//! A gist with a history, the processes that write it, and the full rule.

use std::collections::BTreeMap;

use elector::election::lock::LockError;
use elector::lock::gist::revision::Revision;
use elector::lock::gist::scan::Leadership;
use elector::lock::gist::stored::{Stored, to_text};
use elector::lock::gist::wire::{Answer, Commit, GistPage, Reply, Request, Text};
use elector::lock::stored::TermIds;
use fastrand::Rng;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Beginning of every history, in seconds since the Unix epoch.
pub(crate) const EPOCH: i64 = 1_800_000_000;

/// A gist: its revisions with their commit times, oldest first.
#[derive(Clone, Default)]
pub(crate) struct Gist {
    pub(crate) revisions: Vec<(Text, Option<i64>)>,
    /// Index of the effective revision at each revision.
    effects: Vec<usize>,
    by_name: BTreeMap<Revision, usize>,
}

pub(crate) fn name(index: usize) -> Revision {
    let mut bytes = [0xee; 20];
    bytes[..8].copy_from_slice(&(index as u64 + 1).to_be_bytes());
    Revision::from_bytes(bytes)
}

fn whole(text: String) -> Text {
    Text::Whole(text.into())
}

pub(crate) fn rfc3339(at: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(at).unwrap();
    time.format(&Rfc3339).unwrap()
}

/// Fields of a record.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) holder: &'a str,
    pub(crate) token: u64,
    pub(crate) acquired: i64,
    pub(crate) renewed: i64,
}

pub(crate) fn foreign(fields: &Fields<'_>) -> Text {
    whole(record(fields).to_string())
}

pub(crate) fn ours(fields: &Fields<'_>, write_id: &str, supersedes: Revision) -> Text {
    let mut record = record(fields);
    record["protocol"] = 1.into();
    record["writeId"] = write_id.into();
    record["supersedes"] = supersedes.to_string().into();
    whole(record.to_string())
}

/// Adds the ids of the term to the text of an elector's write over `base`.
pub(crate) fn with_ids(text: &Text, base: &Stored) -> Text {
    let stored = Stored::read(text);
    let stored = stored.record().unwrap();
    let origin = stored.origin.as_ref().unwrap();
    let record = TermIds::added_to(&stored.record, base.record(), &origin.write_id);
    whole(to_text(&record, None, origin, false))
}

/// Returns an annotation of an elector's write.
pub(crate) fn annotation(text: &Text, write_id: &str, supersedes: Revision) -> Text {
    let Text::Whole(text) = text else {
        panic!("no record");
    };
    let mut record: serde_json::Value = serde_json::from_str(text).unwrap();
    record["writeId"] = write_id.into();
    record["supersedes"] = supersedes.to_string().into();
    record["paused"] = true.into();
    whole(record.to_string())
}

fn record(fields: &Fields<'_>) -> serde_json::Value {
    json!({
        "holderIdentity": fields.holder,
        "leaseDurationSeconds": if fields.holder.is_empty() { 1 } else { 30 },
        "acquireTime": rfc3339(fields.acquired),
        "renewTime": rfc3339(fields.renewed),
        "leaderTransitions": fields.token,
    })
}

impl Gist {
    pub(crate) fn len(&self) -> usize {
        self.revisions.len()
    }

    pub(crate) fn text(&self, index: usize) -> &Text {
        &self.revisions[index].0
    }

    pub(crate) fn stored(&self, index: usize) -> Stored {
        Stored::read(self.text(index))
    }

    /// Returns the index of the effective revision at this one, by the full rule.
    pub(crate) fn effective_at(&self, index: usize) -> usize {
        self.effects[index]
    }

    /// Returns the leadership at this revision, by the full rule.
    pub(crate) fn holding(&self, index: usize) -> Leadership {
        Leadership::of(&self.stored(self.effective_at(index)))
    }

    pub(crate) fn push(&mut self, text: Text, at: Option<i64>) -> usize {
        let index = self.revisions.len();
        self.revisions.push((text, at));
        self.by_name.insert(name(index), index);
        let effect = match index.checked_sub(1).map(|below| self.effects[below]) {
            None => index,
            Some(before) if self.text(index) == self.text(index - 1) => before,
            Some(before) => match self.stored(index).origin() {
                Some(origin) if origin.supersedes != name(before) => before,
                _ => index,
            },
        };
        self.effects.push(effect);
        index
    }

    fn commit(&self, index: usize) -> Commit {
        Commit {
            revision: name(index),
            committed_at: self.revisions[index].1,
        }
    }

    /// Returns commits, newest first, from this place on.
    fn commits(&self, from: usize, count: usize) -> Vec<Commit> {
        let all = (0..self.len()).rev();
        let some = all.skip(from).take(count);
        some.map(|index| self.commit(index)).collect()
    }

    /// Answers a request. `shows` is the number of revisions in the gist's own answer.
    pub(crate) fn answer(&self, request: &Request, shows: usize) -> Answer {
        let reply = match request {
            Request::History | Request::Gist { .. } => {
                let most = match request {
                    Request::History => shows,
                    _ => shows.min(30),
                };
                Ok(Reply::Gist(GistPage {
                    files: vec!["leader.json".into()],
                    text: self.text(self.len() - 1).clone(),
                    history: self.commits(0, most),
                    ..GistPage::default()
                }))
            }
            Request::Commits { page, per_page } => Ok(Reply::Commits(
                self.commits((*page as usize - 1) * per_page, *per_page),
            )),
            Request::Revision(revision) => match self.by_name.get(revision) {
                Some(index) => Ok(Reply::Revision(self.text(*index).clone())),
                None => Err(LockError::NotFound("no such revision".into())),
            },
            Request::Write { .. } | Request::Create { .. } => panic!("a scan does not write"),
        };
        let newest = self.revisions.last().and_then(|(_, at)| *at);
        Answer {
            date: newest.map(|at| at + 1),
            rate: None,
            reply,
        }
    }
}

/// A candidate, reduced to its writes.
struct Process {
    name: String,
    writes: usize,
}

/// A random history: processes that write by the protocol, and other writes.
pub(crate) struct RandomHistory {
    pub(crate) gist: Gist,
    processes: Vec<Process>,
    /// Probability that a process writes by an old observation.
    lateness: f64,
    /// Probability of a write that is not part of an election.
    disturbance: f64,
    now: i64,
}

impl RandomHistory {
    pub(crate) fn new(rng: &mut Rng) -> RandomHistory {
        let mut gist = Gist::default();
        let first = match rng.u8(..4) {
            0 => Text::Missing,
            1 => whole("{}".into()),
            2 => foreign(&fields("someone", 3, EPOCH, EPOCH)),
            _ => ours(&fields("", 7, EPOCH, EPOCH), "init-0", name(999_999)),
        };
        gist.push(first, Some(EPOCH));
        RandomHistory {
            gist,
            processes: Vec::new(),
            lateness: [0.0, 0.1, 0.4][rng.usize(..3)],
            disturbance: [0.0, 0.05, 0.3, 0.6][rng.usize(..4)],
            now: EPOCH,
        }
    }

    /// Adds a revision.
    pub(crate) fn step(&mut self, rng: &mut Rng) {
        self.now += rng.i64(0..12);
        let last = self.gist.len() - 1;
        let text = if rng.f64() < self.disturbance {
            self.disturb(rng, last)
        } else {
            self.write(rng, last)
        };
        // A server's clock may be set back, and the date may be missing.
        let at = match rng.u8(..50) {
            0 => None,
            1 => Some(self.now - 100),
            _ => Some(self.now),
        };
        self.gist.push(text, at);
    }

    fn disturb(&self, rng: &mut Rng, last: usize) -> Text {
        let old = rng.usize(..=last);
        match rng.u8(..10) {
            // A record of a newer protocol.
            9 => {
                let effect = self.gist.effective_at(last);
                let token = self.highest_fencing_token(effect, last).unwrap_or(0);
                let fields = fields("", token, self.now, self.now);
                let text = ours(&fields, &format!("init{last}-1"), name(effect));
                let Text::Whole(text) = text else { return text };
                whole(text.replace(r#""protocol":1"#, r#""protocol":2"#))
            }
            // Another file's revision.
            0 | 1 => self.gist.text(last).clone(),
            // An old text, unchanged.
            2 => self.gist.text(old).clone(),
            // An old record without the elector's fields, as client-go would write it.
            3 | 4 => match self.gist.stored(old).record() {
                Some(stored) => {
                    let mut record = (*stored.record).clone();
                    record.other.clear();
                    whole(record.to_json())
                }
                None => whole("not json".into()),
            },
            5 => foreign(&fields("legacy", rng.u64(..20), self.now - 50, self.now)),
            6 => Text::Missing,
            7 => foreign(&fields("", rng.u64(..20), self.now, self.now)),
            _ => whole("{}".into()),
        }
    }

    /// Adds a write by the record that the process last observed: it renews or releases its lease, or claims.
    fn write(&mut self, rng: &mut Rng, last: usize) -> Text {
        let read_at = match rng.f64() < self.lateness {
            true => rng.usize(..=last),
            false => last,
        };
        let effect = self.gist.effective_at(read_at);
        let stored = self.gist.stored(effect);
        if stored.origin().is_some() && rng.u8(..20) == 0 {
            let write_id = format!("operator{last}-1");
            return annotation(self.gist.text(effect), &write_id, name(effect));
        }
        let Leadership::Term {
            holder,
            fencing_token: token,
            process,
        } = Leadership::of(&stored)
        else {
            return self.claim(rng, effect, read_at);
        };
        let renews = rng.u8(..12);
        let own = self.processes.iter_mut().find(|one| *one.name == *process);
        let (Some(own), 1..) = (own, renews) else {
            return self.claim(rng, effect, read_at);
        };
        own.writes += 1;
        let write_id = format!("{process}-{}", own.writes);
        let acquired = stored.record().unwrap().record.acquire_time.clone();
        let acquired = OffsetDateTime::parse(&acquired, &Rfc3339).unwrap();
        let fields = match renews {
            1 => fields("", token, self.now, self.now),
            _ => fields(&holder, token, acquired.unix_timestamp(), self.now),
        };
        with_ids(&ours(&fields, &write_id, name(effect)), &stored)
    }

    fn claim(&mut self, rng: &mut Rng, effect: usize, read_at: usize) -> Text {
        let number = match rng.u8(..4) {
            0 => self.processes.len(),
            _ => rng.usize(..=self.processes.len()),
        };
        if number == self.processes.len() {
            self.processes.push(Process {
                name: format!("process{number}"),
                writes: 0,
            });
        }
        let process = &mut self.processes[number];
        process.writes += 1;
        let write_id = format!("{}-{}", process.name, process.writes);
        // Several processes may share a name.
        let holder = format!("host{}", number % 3);
        let token = self
            .highest_fencing_token(effect, read_at)
            .map_or(0, |it| it + 1);
        let fields = fields(&holder, token, self.now, self.now);
        let text = ours(&fields, &write_id, name(effect));
        with_ids(&text, &self.gist.stored(effect))
    }

    /// Returns the highest token that a read must report: from the newest effective write of an elector on.
    fn highest_fencing_token(&self, effect: usize, read_at: usize) -> Option<u64> {
        let ours = |index: &usize| {
            self.gist.effective_at(*index) == *index && self.gist.stored(*index).origin().is_some()
        };
        let from = (0..=effect).rev().find(ours).unwrap_or(0);
        let seen = from..=read_at;
        seen.filter_map(|index| self.gist.stored(index).token())
            .max()
    }
}

fn fields(holder: &str, token: u64, acquired: i64, renewed: i64) -> Fields<'_> {
    Fields {
        holder,
        token,
        acquired,
        renewed,
    }
}

/// Makes a history of elections only: terms of random lengths that end by a crash or a release.
pub(crate) fn calm(rng: &mut Rng, length: usize, terms: usize) -> Gist {
    let mut gist = Gist::default();
    let mut now = EPOCH;
    gist.push(whole("{}".into()), Some(now));
    let mut ends: Vec<usize> = (1..terms).map(|_| rng.usize(10..length)).collect();
    ends.push(length);
    ends.sort_unstable();
    for (term, end) in ends.into_iter().enumerate() {
        let (holder, process) = (format!("host{}", term % 3), format!("p{term}"));
        // Clocks of other machines differ.
        let skew = rng.i64(-300..300);
        let acquired = now + skew;
        let mut written = 0;
        while gist.len() < end {
            let holder = match written > 3 && gist.len() + 1 == end && rng.bool() {
                true => "",
                false => holder.as_str(),
            };
            let below = gist.effective_at(gist.len() - 1);
            let acquired = if holder.is_empty() {
                now + skew
            } else {
                acquired
            };
            let fields = fields(holder, term as u64, acquired, now + skew);
            let write_id = format!("{process}-{written}");
            let latency = rng.i64(0..2);
            gist.push(ours(&fields, &write_id, name(below)), Some(now + latency));
            // The confirming write comes after 2 s, and one write in a hundred is repeated.
            now += match (written, rng.u8(..100)) {
                (0, _) => 2,
                (_, 0) => 11,
                _ => 8,
            };
            written += 1;
        }
        now += rng.i64(1..40);
    }
    gist
}
