//! The lock as the program uses it.

use std::sync::Arc;
use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use elector::election::lock::{Content, ResourceLock};
use elector::election::record::{LeaderElectionRecord, STOP_REASON};
use elector::lock::backend::{Backend, Opened};
use elector::lock::cas::backend::CasBackend;
use elector::lock::cas::kind::Kind as _;
use elector::lock::git::{Access, GitOptions};
use elector::lock::term_history::TermEnd;
use elector::net::AccessTokenSource;

use crate::repository::{BRANCH, Fault, Repository};
use crate::support;

const TIMEOUT: Duration = Duration::from_secs(30);

fn backend(repository: &Repository) -> CasBackend {
    CasBackend(Arc::new(repository.options()))
}

fn open(repository: &Repository, name: &str) -> Box<dyn ResourceLock + Send> {
    let config = LeaderElectionConfig::new(name);
    let Opened { lock, .. } = backend(repository).open(&config).unwrap();
    lock
}

/// Returns a record without times, whose commit gets the time of the server's clock.
fn record(holder: &str, token: u64) -> LeaderElectionRecord {
    LeaderElectionRecord {
        acquire_time: String::new(),
        renew_time: String::new(),
        ..support::record(holder, token)
    }
}

#[test]
fn locks_exchange_records() {
    let repository = Repository::new();
    let mut first = open(&repository, "napoleon");
    let observed = first.get(TIMEOUT).unwrap();
    assert_eq!(observed.content, Content::Deleted);
    let token = observed.highest_fencing_token.unwrap() + 1;
    first.update(&record("napoleon", token), TIMEOUT).unwrap();
    first.update(&record("napoleon", token), TIMEOUT).unwrap();
    assert_eq!(first.get(TIMEOUT).unwrap().mine, Some(2));
    let mut second = open(&repository, "cleopatra");
    let observed = second.get(TIMEOUT).unwrap();
    assert_eq!(observed.content.holder(), "napoleon");
    assert_eq!((observed.foreign_wait, observed.age), (None, None));
    assert_eq!(observed.highest_fencing_token, Some(token));
    // Two creations and the probe's halves were refused.
    assert_eq!(repository.subjects().len(), 2);
}

#[test]
fn renewal_survives_lost_requests() {
    let repository = Repository::new();
    let mut lock = open(&repository, "napoleon");
    lock.get(TIMEOUT).unwrap();
    lock.update(&record("napoleon", 7), TIMEOUT).unwrap();
    for fault in [Fault::Lost, Fault::AnswerLost] {
        repository.fail("git-receive-pack", fault);
        lock.update(&record("napoleon", 7), TIMEOUT).unwrap();
    }
    assert_eq!(repository.subjects().len(), 3);
}

#[test]
fn init_writes_checkpoint_once() {
    let repository = Repository::new();
    let mut config = LeaderElectionConfig::new("operator");
    config.lease_duration = Duration::from_secs(1);
    let mut admin = backend(&repository).admin(&config).unwrap();
    let made = admin.init(0, &mut |_| {}).unwrap();
    assert_eq!(made.name, repository.options().lock());
    assert!(
        admin
            .init(0, &mut |_| {})
            .unwrap()
            .message
            .starts_with("nothing to do")
    );
    let inspected = admin.inspect().unwrap();
    assert!(inspected.checkpoint && !inspected.foreign);
    let log = repository.git(&["log", "--format=%H", BRANCH], b"");
    assert_eq!(log, inspected.version);
}

#[test]
fn history_lists_terms() {
    let repository = Repository::new();
    for (holder, token) in [("napoleon", 7), ("cleopatra", 8), ("hannibal", 9)] {
        let mut lock = open(&repository, holder);
        lock.get(TIMEOUT).unwrap();
        lock.update(&record(holder, token), TIMEOUT).unwrap();
        lock.update(&record(holder, token), TIMEOUT).unwrap();
        if holder == "cleopatra" {
            let mut release = record("", token);
            let reason = "stepped_down".into();
            release.other.insert(STOP_REASON.to_owned(), reason);
            lock.update(&release, TIMEOUT).unwrap();
        }
    }
    let config = LeaderElectionConfig::new("operator");
    let mut admin = backend(&repository).admin(&config).unwrap();
    let history = admin.history(10, None);
    assert_eq!((&history.error, history.complete), (&None, true));
    assert_eq!((history.revisions, history.requests), (4, 4));
    let terms: Vec<_> = history
        .terms()
        .map(|term| (term.holder.as_str(), term.fencing_token, term.end))
        .collect();
    assert_eq!(
        terms,
        [
            ("napoleon", 7, TermEnd::Expired),
            ("cleopatra", 8, TermEnd::Released),
            ("hannibal", 9, TermEnd::Alive)
        ]
    );
    let reasons: Vec<_> = history.terms().map(|term| &term.stop_reason).collect();
    assert_eq!(reasons, [&None, &Some("stepped_down".to_owned()), &None]);
    assert!(admin.history(3, None).exhausted);
}

#[test]
fn scratch_place_is_another_branch() {
    let repository = Repository::new();
    let options = repository.options();
    let scratch = options.scratch();
    assert_ne!(scratch.lock(), options.lock());
    let mut lock = CasBackend(scratch)
        .open(&LeaderElectionConfig::new("a"))
        .unwrap()
        .lock;
    lock.get(TIMEOUT).unwrap();
    lock.update(&record("a", 7), TIMEOUT).unwrap();
    let branches = repository.git(&["for-each-ref", "--format=%(refname)"], b"");
    assert_eq!(branches, "refs/heads/elector-doctor");
}

#[test]
fn access_token_is_sent_and_reread() {
    let repository = Repository::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first-token\n").unwrap();
    let options = GitOptions {
        access: Some(Access {
            user: "me".to_owned(),
            token: AccessTokenSource::File(file.path().to_owned()),
            setting: "LOCK_TOKEN",
        }),
        ..repository.options()
    };
    let config = LeaderElectionConfig::new("a");
    let mut lock = CasBackend(Arc::new(options)).open(&config).unwrap().lock;
    lock.get(TIMEOUT).unwrap();
    std::fs::write(file.path(), "the-second-token\n").unwrap();
    lock.update(&record("a", 7), TIMEOUT).unwrap();
    let credentials = repository.credentials();
    // me:first-token, me:the-second-token
    assert_eq!(credentials.first().unwrap(), "Basic bWU6Zmlyc3QtdG9rZW4=");
    assert_eq!(
        credentials.last().unwrap(),
        "Basic bWU6dGhlLXNlY29uZC10b2tlbg=="
    );
}
