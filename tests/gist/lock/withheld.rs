//! A gist that too large, so that GitHub shows the record cut although it is short.

use elector::election::config::LeaderElectionConfig;
use elector::election::lock::{Content, LockError};
use elector::election::time::Instant;
use elector::lock::gist::budget::Budget;
use elector::lock::gist::protocol::{GistProtocol, Outcome, ProtocolConfig, Step};
use elector::lock::gist::revision::Revision;
use elector::lock::gist::wire::{Answer, Commit, GistPage, Reply, Request, Text};

use crate::lock::support::{FILE, RENEW_DEADLINE, plain, record};

/// A gist whose answers truncate the file, and optionally its revisions too.
struct Gist {
    protocol: GistProtocol,
    texts: Vec<String>,
    shows_revisions: bool,
    requests: Vec<Request>,
}

fn revision(number: usize) -> Revision {
    Revision::from_bytes([u8::try_from(number + 1).unwrap(); 20])
}

impl Gist {
    fn new(shows_revisions: bool) -> Gist {
        Gist {
            protocol: GistProtocol::new(ProtocolConfig {
                process: "a".into(),
                file: Some(FILE.into()),
                renew_deadline: RENEW_DEADLINE,
                budget: Budget::new(&LeaderElectionConfig::new("baz")),
            }),
            texts: vec![plain("bing", 15, 3)],
            shows_revisions,
            requests: Vec::new(),
        }
    }

    fn reply(&mut self, request: &Request) -> Reply {
        if let Request::Write { content, .. } = request {
            self.texts.push(content.clone());
        }
        let commits = (0..self.texts.len()).rev().map(|number| Commit {
            revision: revision(number),
            committed_at: None,
        });
        match request {
            Request::Revision(wanted) => {
                let number = (0..self.texts.len()).find(|number| revision(*number) == *wanted);
                let text = &self.texts[number.unwrap()];
                Reply::Revision(match self.shows_revisions {
                    true => Text::Whole(text.as_str().into()),
                    false => Text::Cut("".into()),
                })
            }
            Request::Commits { page: 1, .. } => Reply::Commits(commits.collect()),
            Request::Commits { .. } => Reply::Commits(Vec::new()),
            _ => Reply::Gist(GistPage {
                files: vec![FILE.into(), "big.bin".into()],
                largest: vec![("big.bin".into(), 12_000_000)],
                text: Text::Cut("".into()),
                history: commits.collect(),
                ..GistPage::default()
            }),
        }
    }

    fn drive(&mut self, mut step: Step) -> Outcome {
        loop {
            let request = match step {
                Step::Done(outcome) => return outcome,
                Step::Ask(request) => request,
            };
            let reply = Ok(self.reply(&request));
            self.requests.push(request);
            let answer = Answer {
                date: None,
                rate: None,
                reply,
            };
            step = self.protocol.handle_answer(Instant::BOOT, answer);
        }
    }

    fn get(&mut self) -> Outcome {
        let step = self.protocol.start_get();
        self.drive(step)
    }

    fn update(&mut self) -> Outcome {
        let step = self.protocol.start_update(&record("baz", 4));
        self.drive(step)
    }
}

#[test]
fn withheld_record_is_read_by_revision() {
    let mut gist = Gist::new(true);
    let Outcome::Got(Ok(observed)) = gist.get() else {
        panic!("nothing observed");
    };
    assert_eq!(observed.content.holder(), "bing");
    assert!(
        gist.protocol
            .too_much()
            .unwrap()
            .contains("big.bin (12000 kB)")
    );
    assert!(matches!(gist.update(), Outcome::Wrote(Ok(_))));
    let Outcome::Got(Ok(observed)) = gist.get() else {
        panic!("nothing observed");
    };
    assert_eq!(observed.mine, Some(1));
}

#[test]
fn unreadable_record_prevents_any_write() {
    let mut gist = Gist::new(false);
    for _ in 0..3 {
        let Outcome::Got(Err(LockError::Refused(why))) = gist.get() else {
            panic!("it was accepted");
        };
        assert!(why.contains("too large"), "{why}");
        assert!(why.contains("delete big.bin (12000 kB)"), "{why}");
    }
    assert!(matches!(gist.update(), Outcome::Wrote(Err(_))));
    assert!(!gist.requests.iter().any(Request::is_write));
}

#[test]
fn hidden_write_is_not_effective() {
    let mut gist = Gist::new(true);
    gist.get();
    gist.shows_revisions = false;
    let Outcome::Wrote(Err(LockError::OutcomeUnknown(why))) = gist.update() else {
        panic!("it counts as effective");
    };
    assert!(why.contains("delete big.bin"), "{why}");
    assert!(matches!(
        gist.get(),
        Outcome::Got(Err(LockError::Refused(_)))
    ));
    gist.shows_revisions = true;
    let Outcome::Got(Ok(observed)) = gist.get() else {
        panic!("nothing observed");
    };
    assert_eq!(observed.mine, Some(1));
    assert!(matches!(observed.content, Content::Record(_)));
}
