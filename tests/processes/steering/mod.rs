//! The commands that steer an election, `switchover`, `pause`, `resume` and `init --from`, and failback, with
//! whole electors on a gist.

mod failback;
mod pause;
mod relocation;
mod relocation_refused;
mod shown;
mod switchover;

use std::ops::Deref;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::operating::command::Run;
use crate::support::process::steering::{Place, program_of};
use crate::support::process::{Elector, Fixture};

/// A gist, and a file that lets slow programs end.
pub(crate) struct Scene {
    // Dropped first, so that no elector outlives the folder.
    fixture: Fixture,
    folder: TempDir,
}

impl Deref for Scene {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl Scene {
    pub(crate) fn new() -> Scene {
        Scene {
            fixture: Fixture::new(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn go(&self) -> PathBuf {
        self.folder.path().join("go")
    }

    /// Starts an elector whose program ends only after [`permit_end`](Self::permit_end), and waits until it leads.
    fn start_slow_leader(&self, name: &str) -> (Elector, i32) {
        let place = Place::gist(self);
        let elector = self.spawn(place.with_slow_program(name, &self.go()));
        let program = program_of(&elector);
        (elector, program)
    }

    fn permit_end(&self) {
        std::fs::write(self.go(), "").unwrap();
    }

    /// Starts a standby, and waits until it has observed the leader.
    fn start_standby(&self, name: &str, leader: &str) -> Elector {
        let standby = self.start(name);
        standby.await_observed(leader);
        standby
    }

    fn run(&self, args: &[&str]) -> Run {
        Run::on(self, args)
    }

    fn field(&self, name: &str) -> Value {
        self.record()[name].clone()
    }
}
