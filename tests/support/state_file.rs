//! The state file of a candidate in virtual time. Its lock belongs to the present process, once that has it, and
//! to the guards that inherited it.

use std::time::Duration;

use elector::election::lock::Observed;
use elector::election::time::Instant;
use elector::workload::restart::{Place, Predecessors, State, Taken, judge};

/// A state file, and what the present process knows from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StateFile {
    text: String,
    /// Number of the machine's boot.
    boot: u64,
    /// Process id of electors: 1 in a container.
    pid: u32,
    /// Whether programs follow the leader file.
    followed: bool,
    /// Content by the process that holds the lock.
    state: Option<State>,
    predecessors: Option<Predecessors>,
    tried: bool,
}

impl StateFile {
    pub fn new(pid: u32, followed: bool) -> StateFile {
        StateFile {
            text: String::new(),
            boot: 0,
            pid,
            followed,
            state: None,
            predecessors: None,
            tried: false,
        }
    }

    /// Returns whether electors are the first processes of containers.
    pub fn is_container(&self) -> bool {
        self.pid == 1
    }

    pub fn is_followed(&self) -> bool {
        self.followed
    }

    /// Returns whether the present process has the lock.
    pub fn is_held(&self) -> bool {
        self.state.is_some()
    }

    pub fn begin_process(&mut self) {
        self.state = None;
        self.predecessors = None;
        self.tried = false;
    }

    pub fn reboot(&mut self) {
        self.boot += 1;
    }

    /// Tries to take the lock before a read. `free` tells whether no guard has it.
    pub fn take(&mut self, now: Instant, process: &str, free: bool, lease: Duration) {
        let at_first_try = !std::mem::replace(&mut self.tried, true);
        if !free || self.state.is_some() {
            return;
        }
        let place = Place {
            lock: "the lock".to_owned(),
            name: "the candidate".to_owned(),
            boot_id: self.boot.to_string(),
            device: 1,
            inode: 1,
        };
        let taken = Taken {
            at: now,
            at_first_try,
            lease,
        };
        self.predecessors = judge(&self.text, &place, taken).unwrap_or_default();
        let known = self.predecessors.as_ref();
        let mut state = State::new(place, (process, self.pid), known, false);
        state.followed |= self.followed;
        self.state = Some(state);
        self.write();
    }

    /// Marks a record of a dead predecessor.
    pub fn mark(&self, observed: &mut Observed) {
        if let Some(known) = &self.predecessors {
            known.mark(observed);
        }
    }

    /// Notes the leadership deadline that a write can lead to.
    pub fn extend(&mut self, valid_until: Instant) {
        if let Some(state) = &mut self.state {
            state.extend(valid_until);
            self.write();
        }
    }

    /// Notes that nothing is left below a guard whose elector is dead.
    pub fn note_stopped(&mut self) {
        if let Some(stopped) = State::stopped(&self.text) {
            self.text = String::from_utf8(stopped).unwrap_or_default();
        }
    }

    fn write(&mut self) {
        let bytes = self.state.as_ref().and_then(State::to_bytes);
        self.text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
    }
}
