//! A candidate with a state file, and what its logs and file say about a restart.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use elector::system::clock::BootClock;
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::eventually;
use crate::support::process::program::Start;
use crate::support::process::{Elector, LEASE};
use crate::workload::scene::Scene;

/// Times with which a candidate leads within a test only if it need not wait for a lease.
pub(crate) const LONG: [(&str, &str); 2] = [("LEASE_DURATION", "20m"), ("RENEW_DEADLINE", "10m")];

/// Like [`LONG`], and what a leader announces ends within a test.
pub(crate) const SHORT_TERM: [(&str, &str); 2] =
    [("LEASE_DURATION", "20m"), ("RENEW_DEADLINE", "6s")];

/// Beginning of a program: it notes `together` if a process of another one still runs. Its children keep
/// the lock too.
pub(crate) const ALONE: &str = r#"
exec 9>>"$ALONE"
flock -n 9 || note together
"#;

/// A child in another session that ignores TERM. It keeps no pipe of the elector, whose end a test awaits.
pub(crate) const SESSION: &str = r#"
setsid sh -c 'trap "" TERM HUP
    while true; do echo "$LEADER_ELECTION_FENCING_TOKEN session ${PID:-$$}" >>"$JOURNAL"; sleep 0.05; done' >/dev/null 2>&1 &
"#;

/// Closes all descriptors but the standard ones.
pub(crate) const CLOSED: &str = r#"
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
"#;

/// A scene with a state directory on tmpfs.
pub(crate) struct Stage {
    scene: Scene,
    state: TempDir,
}

impl Deref for Stage {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl Stage {
    pub(crate) fn new() -> Stage {
        Stage::in_directory(Path::new("/dev/shm"))
    }

    /// Returns a stage whose state directory is in `parent`.
    pub(crate) fn in_directory(parent: &Path) -> Stage {
        Stage {
            scene: Scene::new(),
            state: tempfile::tempdir_in(parent).unwrap(),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.state.path()
    }

    /// Returns an elector without a program, named `first`.
    pub(crate) fn sidecar(&self) -> Start {
        let start = self.scene.elector("first");
        start.with("STATE_DIR", self.directory())
    }

    /// Returns an elector with a program that begins with [`ALONE`], named `first`.
    pub(crate) fn wrapping(&self, script: &str) -> Start {
        self.wrapping_with(&[], script)
    }

    /// Like [`wrapping`](Self::wrapping), with options.
    pub(crate) fn wrapping_with(&self, options: &[&str], script: &str) -> Start {
        let script = format!("{ALONE}{script}");
        self.scene
            .with_options("first", options, &script)
            .with("ALONE", self.path("alone"))
            .with("ELECTOR_STATE_DIR", self.directory())
    }

    /// Starts an elector, and waits until it leads.
    pub(crate) fn leader(&self, start: Start) -> Elector {
        let elector = self.spawn(start);
        elector.await_leading();
        elector
    }

    /// Waits for the state file, and returns its path.
    pub(crate) fn file(&self) -> PathBuf {
        let mut file = None;
        eventually("there is a state file", || {
            file = state_file(self.directory());
            file.is_some()
        });
        file.unwrap()
    }

    /// Returns the content of the state file.
    pub(crate) fn state(&self) -> Value {
        let file = self.file();
        let mut state = None;
        // An elector may be writing it.
        eventually("the state file is complete", || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            state = serde_json::from_str(text.trim_end()).ok();
            state.is_some()
        });
        state.unwrap()
    }

    /// Writes the state file with a change, in place.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        change(&mut state);
        fs::write(self.file(), state.to_string()).unwrap();
    }

    /// Asserts that programs of two terms never ran simultaneously.
    #[track_caller]
    pub(crate) fn assert_alone(&self) {
        assert_eq!(self.count("together"), 0, "{:#?}", self.journal());
    }

    /// Returns when the lease of the record ends, at the earliest.
    pub(crate) fn lease_end(&self) -> OffsetDateTime {
        let renewed = self.record();
        let renewed = renewed["renewTime"].as_str().unwrap();
        OffsetDateTime::parse(renewed, &Rfc3339).unwrap() + LEASE
    }
}

/// Returns the state file in a directory.
pub(crate) fn state_file(directory: &Path) -> Option<PathBuf> {
    let mut paths = fs::read_dir(directory).unwrap().flatten();
    paths.find_map(|entry| {
        let path = entry.path();
        path.extension()
            .is_some_and(|end| end == "state")
            .then_some(path)
    })
}

/// Returns when an elector last logged this event.
#[track_caller]
pub(crate) fn time_of(elector: &Elector, event: &str) -> OffsetDateTime {
    elector.last_logged(event).time().unwrap()
}

/// Returns the reasons for which an elector did not resume.
pub(crate) fn reasons(elector: &Elector) -> Vec<String> {
    let mut log = elector.log();
    log.retain(|line| line.event() == "not_resuming");
    log.iter()
        .map(|line| line.text("reason").to_owned())
        .collect()
}

/// Waits until an elector logs a reason for not resuming that contains `part`.
pub(crate) fn await_reason(elector: &Elector, part: &str) {
    eventually(&format!("it does not resume: {part}"), || {
        reasons(elector).iter().any(|reason| reason.contains(part))
    });
}

/// Waits until an elector leads, and asserts that it resumed the term of a predecessor.
#[track_caller]
pub(crate) fn assert_resumes(elector: &Elector, fencing_token: u64) {
    assert_eq!(elector.await_leading(), fencing_token);
    assert_eq!(elector.count_logged("resuming"), 1, "{}", elector.text());
}

/// Waits until an elector leads, and asserts that it waited for the lease and logged one reason.
#[track_caller]
pub(crate) fn assert_waits(elector: &Elector, lease_end: OffsetDateTime, part: &str) {
    elector.await_leading();
    let began = time_of(elector, "started_leading");
    assert!(
        began >= lease_end,
        "{began} {lease_end}\n{}",
        elector.text()
    );
    assert!(!elector.has_logged("resuming"), "{}", elector.text());
    let reasons = reasons(elector);
    assert_eq!(reasons.len(), 1, "{part}: {reasons:#?}");
    assert!(reasons[0].contains(part), "{part}: {reasons:#?}");
}

/// Returns the seconds from boot to the last begin of a term.
pub(crate) fn began_since_boot(elector: &Elector) -> f64 {
    let ago = OffsetDateTime::now_utc() - time_of(elector, "started_leading");
    BootClock::now().since_boot().as_secs_f64() - ago.as_seconds_f64()
}
