//! Sequences of answers to the gist lock's protocol: a gist with concurrent writes, lost answers
//! and, if the input demands it, a service that gives false answers.
//!
//! Every input is a sequence: the bytes are consumed one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use elector::LeaderElectionRecord;
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::{Content, LockError, Observed, Written};
use elector::election::record::{HIGHEST_TOKEN, LONGEST_LEASE};
use elector::election::time::Instant;
use elector::lock::gist::budget::Budget;
use elector::lock::gist::protocol::{GistProtocol, Outcome, ProtocolConfig, Step};
use elector::lock::gist::revision::Revision;
use elector::lock::gist::stored::{PROTOCOL, Stored};
use elector::lock::gist::wire::{Answer, Commit, GistPage, RateLimit, Reply, Request, Text};

use super::assert_safe_error;
use super::gist_model::{EPOCH, FILE, GistModel, name};
use super::gist_texts::{failure, files, foreign, odd, ours, scopes, token};

/// Name of the tested process in its writes.
const PROCESS: &str = "me";

/// Most requests of a call: a read or a write is one request plus up to 20 for the history. A first
/// `create` reads before it writes.
const REQUESTS: u32 = 21;

/// Most steps, enough for every state.
const MOST_STEPS: usize = 80;

pub fn check(data: &[u8]) {
    // It fails only at the end of the input.
    let _ = play(&mut Unstructured::new(data));
}

fn play(u: &mut Unstructured<'_>) -> Result<()> {
    let mut session = Session::new(u)?;
    for _ in 0..MOST_STEPS {
        if u.is_empty() {
            break;
        }
        session.step(u)?;
    }
    Ok(())
}

struct Session {
    gist: GistModel,
    protocol: GistProtocol,
    now: Duration,
    /// Whether the service may give any answer.
    lies: bool,
    /// Whether every answer so far was true, perhaps stale.
    lied: bool,
    /// Number of writes that were begun.
    writes: u64,
    /// Id of the write in flight.
    writing: Option<String>,
    /// Whether that write became effective, if it landed.
    became_effective: Option<bool>,
    /// Revision on which it landed.
    landed_on: Option<Revision>,
    /// Newest revision in each answer, and the time of the answer.
    heads: BTreeSet<(Revision, Instant)>,
    /// The process's writes in any answer.
    shown: BTreeSet<String>,
    seen: Told,
}

/// Latest observation of the elector.
#[derive(Default)]
struct Told {
    highest_fencing_token: Option<u64>,
    version: u64,
    revisions: BTreeMap<u64, Revision>,
}

impl Session {
    fn new(u: &mut Unstructured<'_>) -> Result<Session> {
        let lies = u.arbitrary()?;
        let named = u.arbitrary::<bool>()?;
        let (shown, per_page) = (u.int_in_range(1..=8)?, u.int_in_range(1..=5)?);
        let mut gist = GistModel::new(Text::Whole("{}".into()), shown, per_page);
        if u.ratio(1, 4)? {
            gist = GistModel::new(foreign(u)?, shown, per_page);
        }
        Ok(Session {
            gist,
            protocol: GistProtocol::new(ProtocolConfig {
                process: PROCESS.into(),
                file: named.then(|| FILE.to_owned()),
                renew_deadline: Duration::from_secs(16),
                budget: Budget::new(&LeaderElectionConfig::new("a")),
            }),
            now: Duration::from_secs(1000),
            lies,
            lied: false,
            writes: 0,
            writing: None,
            became_effective: None,
            landed_on: None,
            heads: BTreeSet::new(),
            shown: BTreeSet::new(),
            seen: Told::default(),
        })
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.now += Duration::from_millis(u.int_in_range(0..=15_000)?);
        match u.int_in_range(0..=9)? {
            0..=2 => self.get(u),
            3 => self.write(u, true),
            4 | 5 => self.write(u, false),
            _ => self.others(u),
        }
    }

    // ---- changes of the gist ----

    fn others(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let text = match u.int_in_range(0..=7)? {
            0 => foreign(u)?,
            1 => ours(u, self.gist.effective())?,
            2 => {
                let old = self.gist.once_effective(u.arbitrary::<u8>()?.into());
                ours(u, old)?
            }
            3 => ours(u, name(u64::MAX))?,
            // Another file was written.
            4 => self.gist.head_text(),
            5 => {
                self.gist.remove_newest(u.int_in_range(1..=3)?);
                return Ok(());
            }
            6 => Text::Missing,
            _ => odd(u)?,
        };
        self.gist.push(text);
        Ok(())
    }

    // ---- calls ----

    fn get(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let first = self.protocol.start_get();
        let asked = matches!(first, Step::Ask(_));
        match self.drive(u, first)? {
            Outcome::Got(Ok(observed)) => self.observed(&observed, asked),
            Outcome::Got(Err(error)) => {
                assert_safe_error(&error);
                let wrong = matches!(error, LockError::Conflict | LockError::OutcomeUnknown(_));
                assert!(!wrong, "a look never ends in {error:?}");
            }
            other => panic!("a get ended in {other:?}"),
        }
        Ok(())
    }

    fn observed(&mut self, observed: &Observed, asked: bool) {
        let (head, effect) = self.protocol.effective().expect("something was observed");
        assert!(
            observed.highest_fencing_token >= self.seen.highest_fencing_token,
            "the token fell"
        );
        assert!(observed.highest_fencing_token.unwrap_or(0) <= HIGHEST_TOKEN);
        assert!(observed.foreign_wait.unwrap_or_default() <= LONGEST_LEASE);
        assert!(observed.resource_version >= self.seen.version);
        let now = Instant::from_boot(self.now);
        assert!(observed.head_known_since.is_none_or(|since| since <= now));
        assert!(observed.mine.is_none_or(|write| write <= self.writes));
        self.seen.highest_fencing_token = observed.highest_fencing_token;
        self.seen.version = observed.resource_version;
        let shown = &mut self.seen.revisions;
        let before = *shown.entry(observed.resource_version).or_insert(effect);
        assert_eq!(before, effect, "one version names two writes");
        if let Some(record) = observed.content.record() {
            assert!(observed.highest_fencing_token >= Some(record.leader_transitions));
        }
        if observed.foreign_wait.is_some() {
            assert_eq!((observed.age, observed.mine), (None, None));
        }
        if asked && !self.lied {
            assert_eq!((head, effect), (self.gist.head(), self.gist.effective()));
            self.check_content(observed, effect);
        }
    }

    /// Checks that true answers lead to a true observation.
    fn check_content(&self, observed: &Observed, effect: Revision) {
        let stored = Stored::read(&self.gist.text_of(effect).unwrap());
        match (&observed.content, &stored) {
            (Content::Record(record), Stored::Record(stored)) => {
                assert_eq!(*record, stored.record);
                assert!(stored.protocol <= PROTOCOL, "a newer rule was followed");
                assert_eq!(observed.foreign_wait.is_some(), stored.origin.is_none());
            }
            (Content::NeverWritten | Content::Deleted, Stored::Blank) => {}
            (Content::NeverWritten | Content::Corrupt(_), Stored::Empty(_)) => {}
            (Content::Corrupt(_), Stored::Unrelated(_) | Stored::Corrupt { .. }) => {}
            (content, stored) => panic!("{stored:?} was reported as {content:?}"),
        }
    }

    fn write(&mut self, u: &mut Unstructured<'_>, create: bool) -> Result<()> {
        let record = LeaderElectionRecord {
            holder_identity: ["baz", ""][usize::from(u.ratio(1, 5)?)].into(),
            lease_duration_seconds: u.int_in_range(1..=90)?,
            leader_transitions: token(u)?,
            ..LeaderElectionRecord::default()
        };
        self.writes += 1;
        self.writing = None;
        self.became_effective = None;
        self.landed_on = None;
        let first = match create {
            true => self.protocol.start_create(&record),
            false => self.protocol.start_update(&record),
        };
        match self.drive(u, first)? {
            Outcome::Wrote(result) => self.wrote(result),
            other => panic!("a write ended in {other:?}"),
        }
        Ok(())
    }

    fn wrote(&mut self, result: std::result::Result<Written, LockError>) {
        match result {
            Ok(written) => {
                self.check_known_head(written);
                let id = self.writing.as_ref().expect("nothing was written");
                assert!(self.shown.contains(id), "no answer showed {id}");
                assert!(
                    self.lied || self.became_effective == Some(true),
                    "it was passed over"
                );
            }
            // Under a newer protocol the effective revision is unknown.
            Err(LockError::Conflict)
                if self.writing.is_some() && !self.lied && !self.gist.has_newer_rule() =>
            {
                assert_eq!(self.became_effective, Some(false), "it became effective");
            }
            Err(error) => assert_safe_error(&error),
        }
    }

    /// Checks that a reported known head was the write's parent and was shown at that time.
    fn check_known_head(&self, written: Written) {
        let Some(since) = written.head_known_since else {
            return;
        };
        assert!(since <= Instant::from_boot(self.now));
        if !self.lied {
            let below = self.landed_on.expect("it landed");
            assert!(
                self.heads.contains(&(below, since)),
                "{below} since {since}"
            );
        }
    }

    // ---- requests and answers ----

    fn drive(&mut self, u: &mut Unstructured<'_>, mut step: Step) -> Result<Outcome> {
        let mut requests = 0;
        let mut most = REQUESTS;
        loop {
            let request = match step {
                Step::Done(outcome) => return Ok(outcome),
                Step::Ask(request) => request,
            };
            requests += 1;
            if request.is_write() && requests > 1 {
                most += REQUESTS;
            }
            assert!(requests <= most, "request {requests}: {request:?}");
            if let Request::Write { content, until } = &request {
                self.is_well_written(content, *until);
            }
            step = match u.int_in_range(0..=40)? {
                0 => self.protocol.give_up("it took too long"),
                n => {
                    let reply = match self.lies && n < 8 {
                        true => self.lie(u, &request)?,
                        false => self.truth(u, &request)?,
                    };
                    self.hand_in(u, reply)?
                }
            };
        }
    }

    fn is_well_written(&mut self, content: &str, until: Revision) {
        let stored = Stored::read(&Text::Whole(content.into()));
        let record = stored.record().expect("what is written is a record");
        let origin = record.origin.as_ref().expect("it says where it came from");
        assert_eq!(*origin.write_id, format!("{PROCESS}-{}", self.writes));
        assert_eq!(origin.supersedes, until);
        let known = self.protocol.effective().expect("it writes blindly");
        assert_eq!(origin.supersedes, known.1);
        assert_eq!((record.protocol, record.checkpoint), (PROTOCOL, false));
        assert!(record.record.leader_transitions <= HIGHEST_TOKEN);
        assert!(self.writing.is_none(), "one call writes twice");
        self.writing = Some(origin.write_id.to_string());
    }

    fn hand_in(
        &mut self,
        u: &mut Unstructured<'_>,
        reply: std::result::Result<Reply, LockError>,
    ) -> Result<Step> {
        if let Ok(Reply::Gist(GistPage { text, .. }) | Reply::Revision(text)) = &reply
            && let Some(origin) = Stored::read(text).origin()
        {
            self.shown.insert(origin.write_id.to_string());
        }
        self.now += Duration::from_millis(u.int_in_range(0..=3000)?);
        let now = Instant::from_boot(self.now);
        if let Ok(Reply::Gist(page)) = &reply {
            let head = page.history.first().map(|head| (head.revision, now));
            self.heads.extend(head);
        }
        let answer = Answer {
            date: u.ratio(3, 4)?.then_some(EPOCH + self.now.as_secs() as i64),
            rate: u.ratio(1, 4)?.then_some(RateLimit {
                limit: 5000,
                remaining: if u.ratio(1, 4)? { 100 } else { 4000 },
                resets_at: EPOCH + self.now.as_secs() as i64 + 3000,
            }),
            reply,
        };
        Ok(self.protocol.handle_answer(now, answer))
    }

    /// Returns the gist's state, or a failure.
    fn truth(
        &mut self,
        u: &mut Unstructured<'_>,
        request: &Request,
    ) -> Result<std::result::Result<Reply, LockError>> {
        let fails = u.ratio(1, 12)?;
        if let Request::Write { content, .. } = request {
            if u.ratio(1, 6)? {
                self.others(u)?;
            }
            if !fails || u.arbitrary()? {
                self.landed_on = Some(self.gist.head());
                let made = self.gist.push(Text::Whole(content.as_str().into()));
                self.became_effective = Some(self.gist.effective() == made);
            }
            if u.ratio(1, 6)? {
                self.others(u)?;
            }
        }
        if fails {
            return Ok(Err(failure(u, request.is_write())?));
        }
        Ok(Ok(match request {
            Request::Gist { etag, .. } if *etag == self.gist.page().etag => Reply::NotModified,
            Request::Gist { .. } | Request::Write { .. } => Reply::Gist(self.gist.page()),
            Request::History | Request::Create { .. } => panic!("a lock does not ask for that"),
            Request::Commits { page, per_page } => {
                Reply::Commits(self.gist.commits(*page, *per_page))
            }
            Request::Revision(revision) => match self.gist.text_of(*revision) {
                Some(text) => Reply::Revision(text),
                None => return Ok(Err(LockError::NotFound("no such revision".into()))),
            },
        }))
    }

    /// Returns any answer that the parser can produce.
    fn lie(
        &mut self,
        u: &mut Unstructured<'_>,
        request: &Request,
    ) -> Result<std::result::Result<Reply, LockError>> {
        self.lied = true;
        let text = match request {
            Request::Write { content, .. } if u.arbitrary()? => {
                Text::Whole(content.as_str().into())
            }
            _ => match u.int_in_range(0..=3)? {
                0 => foreign(u)?,
                1 => {
                    let supersedes = name(u.int_in_range(0..=9)?);
                    ours(u, supersedes)?
                }
                _ => odd(u)?,
            },
        };
        Ok(Ok(match u.int_in_range(0..=6)? {
            0 => Reply::NotModified,
            1 => Reply::Revision(text),
            2 => Reply::Commits(self.history(u)?),
            3 => return Ok(Err(failure(u, request.is_write())?)),
            _ => Reply::Gist(GistPage {
                etag: u.arbitrary::<bool>()?.then(|| "W/\"lie\"".into()),
                files: files(u)?,
                text,
                history: self.history(u)?,
                scopes: scopes(u)?,
                ..GistPage::default()
            }),
        }))
    }

    /// Returns known and unknown revisions in any order, with duplicates, or none.
    fn history(&self, u: &mut Unstructured<'_>) -> Result<Vec<Commit>> {
        let mut history = Vec::new();
        for _ in 0..u.int_in_range(0..=6)? {
            history.push(Commit {
                revision: name(u.int_in_range(0..=12)?),
                committed_at: u.arbitrary()?,
            });
        }
        if u.arbitrary()? {
            history.extend(self.gist.page().history);
        }
        Ok(history)
    }
}
