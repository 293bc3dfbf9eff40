//! client-go's own cases (`tools/leaderelection`) on a lock with a true compare-and-swap, and cases
//! that client-go does not test: deadlines, slow, hanging and lost answers, and stops at every
//! point.

mod backoff;
mod client_go;
mod config;
mod deadlines;
mod ending;
mod limits;
mod prediction;
mod restart;
mod rig;
mod same_name;
mod stagger;
mod steering;
mod takeover;

use elector::election::lock::Content;

use crate::conformance::rig::{Rig, config, record};

pub(crate) fn rig() -> Rig {
    Rig::new(config(), None)
}

pub(crate) fn rig_with(content: Content) -> Rig {
    let rig = rig();
    rig.store.borrow_mut().put_content(content);
    rig.store.borrow_mut().highest_fencing_token = Some(0);
    rig
}

pub(crate) fn rig_with_record(holder: &str, lease_seconds: u64, transitions: u64) -> Rig {
    let rig = rig();
    rig.store
        .borrow_mut()
        .put(record(holder, lease_seconds, transitions));
    rig
}

pub(crate) fn assert_leads(rig: &Rig, transitions: u64) {
    assert!(rig.elector.is_leader());
    let record = rig.store.borrow().record();
    assert_eq!(record.holder_identity, "baz");
    assert_eq!(record.lease_duration_seconds, 10);
    assert_eq!(record.leader_transitions, transitions);
    assert_eq!(rig.leaders.last().map(String::as_str), Some("baz"));
}
