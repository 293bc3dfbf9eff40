//! Tests of the owner's events, which no caller of the library can arrange.

use super::*;
use crate::election::lock::{Observed, Written};

/// A store that is never available.
struct NoStore;

impl ResourceLock for NoStore {
    fn get(&mut self, _: Duration) -> Result<Observed, LockError> {
        Err(busy())
    }

    fn create(&mut self, _: &LeaderElectionRecord, _: Duration) -> Result<Written, LockError> {
        Err(busy())
    }

    fn update(&mut self, _: &LeaderElectionRecord, _: Duration) -> Result<Written, LockError> {
        Err(busy())
    }

    fn confirm_delay(&self) -> Option<Duration> {
        None
    }

    fn record_event(&mut self, _: &str) {}

    fn identity(&self) -> &str {
        "baz"
    }

    fn describe(&self) -> String {
        "no store".into()
    }
}

struct NoCallbacks;

impl LeaderCallbacks for NoCallbacks {
    fn on_started_leading(&self, _: &Term) {}
}

#[test]
fn any_event_shows_stop() {
    let config = LeaderElectionConfig::new("baz");
    let election = LeaderElection::new(config, Box::new(NoStore), NoCallbacks).unwrap();
    let handle = election.handle();
    while handle.events.try_send(Event::Timer).is_ok() {}
    // Its own event finds no room in the queue.
    handle.stop();
    let mut owner = Owner::start(election).unwrap();
    let event = owner.events.recv().unwrap();
    owner.handle_event(event).unwrap();
    assert_eq!(owner.elector.finished(), Some(Finish::Stopped));
}
