//! Reads of a gist outside of an election.

use std::sync::Arc;
use std::time::Duration;

use super::client::GistClient;
use super::inspect::{InspectStep, Inspected, Inspector};
use super::options::GistOptions;
use super::stored::{PROTOCOL, Stored};
use super::wire::{Answer, Request};
use crate::election::config::LeaderElectionConfig;
use crate::election::lock::{Content, LockError};
use crate::fmt::unix_time;
use crate::lock::backend::OpenError;
use crate::lock::clocks::Clocks;
use crate::lock::inspection::{InspectedRecord, Refusal};
use crate::system::clock::{self, BootClock};

/// Time limit of a request: GitHub itself gives up after 10 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests to a gist outside of an election.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) options: GistOptions,
    pub(super) election: LeaderElectionConfig,
    pub(super) client: GistClient,
    pub(super) inspector: Inspector,
    /// Times around the last answer that had a date.
    pub(super) clocks: Option<Clocks>,
    /// Number of requests sent.
    pub(super) requests: u32,
}

impl Session {
    pub(super) fn open(
        options: &GistOptions,
        election: &LeaderElectionConfig,
    ) -> Result<Session, OpenError> {
        Ok(Session {
            client: options.client(election)?,
            inspector: Inspector::new(options.file.clone()),
            options: options.clone(),
            election: election.clone(),
            clocks: None,
            requests: 0,
        })
    }

    /// Reads the effective revision.
    pub(super) fn read(&mut self) -> Result<Inspected, LockError> {
        let mut step = self.inspector.start();
        loop {
            let request = match step {
                InspectStep::Done(inspected) => return inspected,
                InspectStep::Ask(request) => request,
            };
            let sent = clock::unix_millis();
            let answer = self.call(&request);
            let answered = clock::unix_millis();
            let clocks = answer.date.map(|date| Clocks {
                sent,
                answered,
                date,
            });
            self.clocks = clocks.or(self.clocks);
            step = self.inspector.handle_answer(BootClock::now(), answer);
            if let Some(file) = self.inspector.file() {
                self.client.set_file(file);
            }
        }
    }

    /// Sends a request.
    pub(super) fn call(&mut self, request: &Request) -> Answer {
        self.requests += 1;
        self.client.call(request, REQUEST_TIMEOUT)
    }
}

/// Converts the effective revision to the neutral form.
pub(super) fn neutral(inspected: &Inspected) -> InspectedRecord {
    let effective = &inspected.effective;
    let (content, refusal) = match &*effective.stored {
        Stored::Record(stored) => (Content::Record(Arc::clone(&stored.record)), None),
        Stored::Corrupt { why, .. } => (Content::Corrupt(Arc::clone(why)), None),
        Stored::Unrelated(why) => (Content::Corrupt(Arc::clone(why)), Some(Refusal::NotARecord)),
        // Only a history that was read to its end shows that there never was a record.
        Stored::Blank | Stored::Empty(_)
            if effective.settled && effective.longest_lease.is_none() =>
        {
            (Content::NeverWritten, None)
        }
        Stored::Blank | Stored::Empty(_) => (Content::Deleted, None),
    };
    let newer = effective
        .newer_protocol
        .map(|record| Refusal::NewerProtocol {
            record,
            supported: PROTOCOL,
        });
    InspectedRecord {
        content,
        refusal: newer.or(refusal),
        foreign: effective.stored.origin().is_none(),
        checkpoint: effective
            .stored
            .record()
            .is_some_and(|stored| stored.checkpoint),
        fencing_token: effective.stored.token(),
        version: effective.commit.revision.to_string(),
        written_at: match effective.stored.record() {
            // An annotation is not a sign of life. The leader's own clock must do.
            Some(stored) if stored.is_annotated() => unix_time(&stored.record.renew_time),
            _ => effective.commit.committed_at,
        },
        read_at: inspected.date,
        longest_lease: effective.longest_lease.unwrap_or_default(),
        complete: effective.settled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::record::LeaderElectionRecord;
    use crate::lock::gist::revision::Revision;
    use crate::lock::gist::rule::EffectiveRevision;
    use crate::lock::gist::wire::{Commit, Text};
    use crate::lock::inspection::LeaseState;

    /// Returns the inspection of `text` as the only revision, written `age` seconds ago.
    fn inspect(text: &str, age: i64) -> Inspected {
        let stored = Arc::new(Stored::read(&Text::Whole(text.into())));
        let protocol = stored.record().map(|stored| stored.protocol);
        Inspected {
            file: "leader.json".to_owned(),
            effective: EffectiveRevision {
                commit: Commit {
                    revision: Revision::from_bytes([9; 20]),
                    committed_at: Some(1_588_008_246 - age),
                },
                settled: true,
                longest_lease: stored.lease(),
                newer_protocol: protocol.filter(|protocol| *protocol > PROTOCOL),
                stored,
            },
            date: Some(1_588_008_246),
        }
    }

    fn ours(holder: &str, more: &str) -> String {
        let supersedes = "7".repeat(40);
        format!(
            r#"{{"holderIdentity":"{holder}","leaseDurationSeconds":30,"leaderTransitions":3,"writeId":"a-1","supersedes":"{supersedes}"{more}}}"#
        )
    }

    #[test]
    fn every_text_has_its_state() {
        let foreign = r#"{"holderIdentity":"me","leaderTransitions":3}"#;
        let checkpoint = r#"{"holderIdentity":"","checkpoint":true}"#;
        for (text, age, state, leader) in [
            (
                ours("napoleon", "").as_str(),
                29,
                LeaseState::Held,
                "napoleon",
            ),
            (&ours("napoleon", ""), -1, LeaseState::Held, "napoleon"),
            (&ours("napoleon", ""), 30, LeaseState::Expired, ""),
            (&ours("", ""), 1, LeaseState::Released, ""),
            (
                &ours("x", r#","protocol":2"#),
                1,
                LeaseState::NewerProtocol,
                "",
            ),
            (foreign, 1, LeaseState::ForeignWrite, ""),
            (checkpoint, 1, LeaseState::Checkpoint, ""),
            (
                &ours("", r#","checkpoint":true"#),
                1,
                LeaseState::Checkpoint,
                "",
            ),
            (r#"{"leaderTransitions":"x"}"#, 1, LeaseState::Corrupt, ""),
            ("{}", 1, LeaseState::NeverWritten, ""),
            ("", 1, LeaseState::NeverWritten, ""),
            ("dear diary", 1, LeaseState::NotARecord, ""),
        ] {
            let record = neutral(&inspect(text, age));
            assert_eq!((record.state(), record.leader()), (state, leader), "{text}");
        }
    }

    #[test]
    fn blank_file_after_record_means_deleted() {
        let mut after_record = inspect("{}", 5);
        after_record.effective.longest_lease = Some(Duration::from_secs(30));
        let mut unread = inspect("{}", 5);
        unread.effective.settled = false;
        for inspected in [after_record, unread] {
            assert_eq!(neutral(&inspected).state(), LeaseState::Deleted);
        }
    }

    #[test]
    fn inspected_record_lacks_fields_of_lock() {
        let more = r#","strategy":"x","checkpoint":true,"protocol":1,"y":[1.5]"#;
        let inspected = neutral(&inspect(&ours("napoleon", more), 4));
        let written: LeaderElectionRecord = inspected.record().unwrap().clone();
        let written = written.to_json();
        for own in ["writeId", "supersedes", "protocol", "checkpoint"] {
            assert!(!written.contains(own), "{own} in {written}");
        }
        let stored = Stored::read(&Text::Whole(written.as_str().into()));
        let stored = stored.record().unwrap();
        assert_eq!(stored.origin, None);
        assert_eq!((stored.protocol, stored.checkpoint), (0, false));
        assert_eq!(stored.record.leader_transitions, 3);
        assert_eq!(stored.record.other["strategy"], "x");
        assert_eq!(stored.record.other["y"], serde_json::json!([1.5]));
    }
}
