//! Gist lock as commands for operators use it: reads outside of an election, the write that deposes,
//! and the creation of gists and files.

use std::thread;
use std::time::Duration;

use super::checks;
use super::options::GistOptions;
use super::revision::Revision;
use super::scan::HistoryScan;
use super::session::{Session, neutral};
use super::stored::{Stored, to_first_text};
use super::wire::{Reply, Request};
use crate::election::lock::{Content, LockError};
use crate::election::record::LeaderElectionRecord;
use crate::fmt::one_line;
use crate::lock::admin::{Admin, CALL_TIMEOUT, Checks, Finding, Initialized};
use crate::lock::init::{
    PAUSE, free_record, is_replaceable, nothing_to_do, read_patiently, token_too_low,
};
use crate::lock::inspection::InspectedRecord;
use crate::lock::stats::StoreStats;
use crate::lock::term_history::TermHistory;
use crate::system::random::process_name;

/// Attempts of a request that got no usable answer, a second apart. Answers may be stale for some ten
/// seconds after a write.
const ATTEMPTS: u32 = 15;

/// Attempts of a request of a history scan.
const SCAN_ATTEMPTS: u32 = 3;

/// Attempts to create a file while other writers come first.
const CREATE_ATTEMPTS: u32 = 20;

/// File of a new gist, unless the settings name one.
const DEFAULT_FILE: &str = "leader.json";

/// Description of a new gist, by which its owner recognises it.
const DESCRIPTION: &str = "lease of an elector (multi-cluster-leader-election)";

impl Session {
    /// Adds to the error of an unfinished history scan what the newest revision says.
    fn explain(&self, error: LockError) -> LockError {
        let newest = self.inspector.newest().and_then(Stored::record);
        match (error, newest) {
            (LockError::Unfinished(why), Some(newest)) => LockError::Unfinished(format!(
                "{why}, after {} requests. The newest revision names {:?} (fencing token {}), but \
                 may not be effective; create a new gist with elector init",
                self.requests,
                one_line(&newest.record.holder_identity),
                newest.record.leader_transitions,
            )),
            (error, _) => error,
        }
    }

    /// Creates a secret gist whose only file holds a checkpoint.
    fn create_gist(&mut self) -> Result<Initialized, LockError> {
        let file = self.options.file.as_deref().unwrap_or(DEFAULT_FILE);
        let process = process_name()
            .map_err(|error| LockError::Unavailable(format!("/dev/urandom: {error}")))?;
        let request = Request::Create {
            description: DESCRIPTION.to_owned(),
            content: to_first_text(&free_record(0), &format!("{process}-1")),
        };
        self.client.set_file(file);
        match self.client.call(&request, CALL_TIMEOUT).reply {
            Ok(Reply::Created(gist)) => Ok(self.initialized(
                gist.as_str(),
                file,
                format!("created secret gist {gist} with file {:?}", one_line(file)),
            )),
            Ok(_) => Err(unexpected()),
            Err(LockError::NotFound(why)) => Err(LockError::NotFound(format!(
                "the access token may not create gists: {why}"
            ))),
            Err(LockError::OutcomeUnknown(why)) => Err(LockError::Unavailable(format!(
                "the gist may have been created: {why}; before you run this again, delete a gist \
                 called {DESCRIPTION:?} that you do not know"
            ))),
            Err(error) => Err(error),
        }
    }

    /// Creates the file in an existing gist, unless it holds a record with this fencing token or a higher one.
    fn create_file(&mut self, least_token: u64) -> Result<Initialized, LockError> {
        let lock = GistOptions::open(&self.options, &self.election);
        let mut lock = lock.map_err(|error| LockError::Refused(error.to_string()))?;
        lock.permit_new_election(true);
        for _ in 0..CREATE_ATTEMPTS {
            let observed = read_patiently(&mut lock, ATTEMPTS)?;
            let gist = self.client.target().gist.clone();
            let file = lock.file().unwrap_or_default().to_owned();
            let place = format!("file {:?} of gist {gist}", one_line(&file));
            let token = observed.highest_fencing_token.unwrap_or_default();
            let foreign = observed.foreign_wait.is_some();
            let message = match &observed.content {
                Content::Record(record)
                    if token < least_token && !is_replaceable(record, foreign) =>
                {
                    return Err(token_too_low(&place, token, least_token));
                }
                Content::Record(record) if token >= least_token => {
                    nothing_to_do(&place, token, record)
                }
                Content::NeverWritten | Content::Record(_) => {
                    let token = token.max(least_token);
                    match lock.write_checkpoint(&free_record(token), CALL_TIMEOUT) {
                        Ok(_) => format!("created {place}"),
                        Err(LockError::Conflict) => continue,
                        Err(LockError::OutcomeUnknown(_) | LockError::Unavailable(_)) => {
                            thread::sleep(PAUSE);
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                }
                Content::Corrupt(_) | Content::Deleted => format!(
                    "nothing to do: {place} held a record, which is corrupt or deleted; candidates \
                     wait and then replace it, because a leader may still be running"
                ),
            };
            return Ok(self.initialized(gist.as_str(), &file, message));
        }
        Err(LockError::Unavailable(
            "other writers came first every time; run this again".to_owned(),
        ))
    }

    fn initialized(&self, gist: &str, file: &str, message: String) -> Initialized {
        Initialized {
            message,
            settings: vec![("GIST_ID", gist.to_owned()), ("GIST_FILE", file.to_owned())],
            name: gist.to_owned(),
        }
    }
}

impl Admin for Session {
    fn describe(&self) -> String {
        self.client.describe()
    }

    fn stats(&self) -> StoreStats {
        self.client.stats()
    }

    fn permit_new_election(&mut self) {
        self.inspector.permit_new_election();
    }

    fn inspect(&mut self) -> Result<InspectedRecord, LockError> {
        match self.read() {
            Ok(inspected) => Ok(neutral(&inspected)),
            Err(error) => Err(self.explain(error)),
        }
    }

    fn replace(
        &mut self,
        inspected: &InspectedRecord,
        record: &LeaderElectionRecord,
    ) -> Result<(), LockError> {
        let until: Revision = inspected
            .version
            .parse()
            .map_err(|_| LockError::Refused("the inspected record is of another store".into()))?;
        let content = record.to_json();
        let request = Request::Write { content, until };
        self.call(&request).reply.map(drop)
    }

    fn check(&mut self) -> Checks {
        checks::run(self)
    }

    fn race(&mut self) -> Finding {
        let text = "a gist cannot refuse a write; its lock does not depend on that";
        Finding::ok("race", text)
    }

    fn init(
        &mut self,
        least_token: u64,
        _report: &mut dyn FnMut(&str),
    ) -> Result<Initialized, LockError> {
        match self.options.gist_id {
            Some(_) => self.create_file(least_token),
            None => self.create_gist(),
        }
    }

    fn history(&mut self, max_requests: u32, since: Option<Duration>) -> TermHistory {
        let mut scan = HistoryScan::new(self.options.file.clone(), max_requests).since(since);
        let error = self.run_scan(&mut scan).err();
        TermHistory {
            error,
            ..scan.history()
        }
    }
}

impl Session {
    fn run_scan(&mut self, scan: &mut HistoryScan) -> Result<(), LockError> {
        let mut failures = 0;
        while let Some(request) = scan.poll_request() {
            let answer = self.call(&request);
            let taken = scan.handle_answer(answer);
            if let Some(file) = scan.file() {
                self.client.set_file(file);
            }
            match taken {
                Ok(()) => failures = 0,
                Err(LockError::Unavailable(_)) if failures + 1 < SCAN_ATTEMPTS => {
                    failures += 1;
                    thread::sleep(PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn unexpected() -> LockError {
    LockError::Unavailable("the gist service answered another request than was sent".to_owned())
}
