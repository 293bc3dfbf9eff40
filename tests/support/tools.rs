//! Optional programs that a test needs.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "a test helper, of which every test uses another part"
)]

use std::env;
use std::io::Write;
use std::path::PathBuf;

/// Variable that makes a missing program a failure. CI sets it, because it installs every tool.
const ALL_TOOLS: &str = "ELECTOR_TESTS_NEED_ALL_TOOLS";

/// Returns the path of the first installed program of these. If there is none, it says so on the real
/// standard error, past the test's captured output.
pub fn find(programs: &[&str], what_is_not_tested: &str) -> Option<PathBuf> {
    find_also_in(&[], programs, what_is_not_tested)
}

/// Like [`find`], and searches these folders after those of `PATH`.
pub fn find_also_in(
    folders: &[PathBuf],
    programs: &[&str],
    what_is_not_tested: &str,
) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let all: Vec<PathBuf> = env::split_paths(&path).collect();
    let all = [all.as_slice(), folders].concat();
    let places = programs.iter().flat_map(|program| {
        let folders = all.clone();
        folders.into_iter().map(move |folder| folder.join(program))
    });
    let found = places.into_iter().find(|place| place.is_file());
    if found.is_none() {
        let missing = format!("{} is missing: {what_is_not_tested}", programs[0]);
        assert!(env::var_os(ALL_TOOLS).is_none(), "{missing}");
        let _ = writeln!(std::io::stderr(), "\n*** {missing} ***");
    }
    found
}
