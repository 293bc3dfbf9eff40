//! The state file of an elector with its guard.

use std::sync::Arc;

use elector::workload::restart::State;
use elector::workload::state_file::{StateFile, StatePath};

use crate::trial::{Folder, Setup};

/// Returns a trial whose guard shares the lock of a state file, and the file.
fn trial_with_state(script: &str) -> (crate::trial::Trial, Arc<StateFile>, tempfile::TempDir) {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = StatePath::new(directory.path(), "a lock", "napoleon");
    let file = path.take(true).unwrap();
    let state = State::new(file.place.clone(), ("p", 7), None, false);
    file.write(&state).unwrap();
    let file = Arc::new(file);
    let mut setup = Setup::sh(script);
    setup.state = Some(Arc::clone(&file));
    let mut trial = setup.spawn_in(Folder::new());
    trial.begin(crate::trial::LONG);
    (trial, file, directory)
}

#[test]
fn living_elector_needs_no_note() {
    let (mut trial, file, _directory) = trial_with_state("exit 3");
    assert_eq!(trial.await_end(), 3);
    assert!(file.read().unwrap().contains("\"stopped\":false"));
    let (mut trial, file, _directory) = trial_with_state("echo > ready; exec sleep 600");
    trial.await_text("ready", "\n");
    // The guard takes this for the end of the elector, which is still its parent.
    trial.disconnect();
    trial.await_end();
    assert!(file.read().unwrap().contains("\"stopped\":false"));
}

#[test]
fn program_inherits_no_state_file() {
    let (mut trial, _file, directory) =
        trial_with_state("readlink /proc/self/fd/* > files; exit 0");
    assert_eq!(trial.await_end(), 0);
    let files = trial.folder.read("files");
    let directory = directory.path().display().to_string();
    assert!(!files.is_empty() && !files.contains(&directory), "{files}");
}
