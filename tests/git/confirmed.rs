//! A lock of a repository whose branch other writers replace without a condition, as those of a gist can.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use elector::lock::backend::Backend as _;
use elector::lock::cas::backend::CasBackend;
use elector::lock::git::GitOptions;
use elector::runtime::election::LeaderElection;
use elector::runtime::{LeaderCallbacks, Term};

use crate::repository::{BRANCH, Repository};
use crate::support::eventually;

/// Counts terms, and leads until each is over.
#[derive(Clone, Default)]
struct Work(Arc<AtomicU64>);

impl LeaderCallbacks for Work {
    fn on_started_leading(&self, term: &Term) {
        self.0.fetch_add(1, Ordering::SeqCst);
        term.wait_until_over();
    }
}

fn options(repository: &Repository) -> GitOptions {
    GitOptions {
        confirm_delay: Some(Duration::from_millis(300)),
        ..repository.options()
    }
}

fn config() -> LeaderElectionConfig {
    LeaderElectionConfig {
        lease_duration: Duration::from_secs(6),
        renew_deadline: Duration::from_secs(3),
        retry_period: Duration::from_secs(1),
        poll_period: Duration::from_millis(300),
        termination_grace: Duration::from_millis(500),
        ..LeaderElectionConfig::new("napoleon")
    }
}

/// Returns the newest commit.
fn head(repository: &Repository) -> String {
    repository.git(&["rev-parse", BRANCH], b"")
}

/// Lets one candidate lead while `disturb` runs, which gets the number of terms so far. Returns it at the end.
fn lead(repository: &Repository, disturb: impl FnOnce(&AtomicU64)) -> u64 {
    let config = config();
    let lock = CasBackend(Arc::new(options(repository)))
        .open(&config)
        .unwrap()
        .lock;
    assert_eq!(lock.confirm_delay(), Some(Duration::from_millis(300)));
    let work = Work::default();
    let election = LeaderElection::new(config, lock, work.clone()).unwrap();
    let handle = election.handle();
    let runs = thread::spawn(move || election.run().map(drop));
    eventually("it leads", || work.0.load(Ordering::SeqCst) > 0);
    disturb(&work.0);
    handle.stop();
    runs.join().unwrap().unwrap();
    work.0.load(Ordering::SeqCst)
}

#[test]
fn lost_renewals_do_not_end_term() {
    let repository = Repository::new();
    let terms = lead(&repository, |_| {
        for _ in 0..3 {
            let before = head(&repository);
            eventually("it renews", || head(&repository) != before);
            // Another writer has read the state before, and replaces the renewal.
            repository.git(&["update-ref", BRANCH, &before], b"");
            eventually("it renews again", || head(&repository) != before);
        }
    });
    assert_eq!(terms, 1);
    assert!(repository.subjects()[0].contains("lease free"));
}

#[test]
fn blind_edit_of_record_deposes() {
    let repository = Repository::new();
    let terms = lead(&repository, |terms| {
        let edited = br#"{"holderIdentity":"operator","leaseDurationSeconds":2}"#;
        repository.commit(BRANCH, &[("leader.json", edited)]);
        eventually("the record is replaced", || {
            repository.subjects()[0].contains("napoleon")
        });
        eventually("it leads again", || terms.load(Ordering::SeqCst) == 2);
    });
    assert_eq!(terms, 2);
}
