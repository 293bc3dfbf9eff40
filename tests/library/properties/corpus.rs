//! Replays every entry of the fuzzer's corpus, including inputs that once failed, both unchanged and damaged.

use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use crate::properties::checks;
use crate::properties::generate::damage;
use crate::properties::run::holds_for;

/// Size limit of the corpus. It holds inputs to start from, not what a fuzzer finds in an hour.
const MOST_BYTES: u64 = 200 * 1024;

fn folder(target: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("fuzz/corpus").join(target)
}

/// Returns names and contents, sorted by name.
fn entries(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = fs::read_dir(folder(target)).expect("every target has a corpus");
    let mut entries: Vec<_> = folder
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    entries.sort();
    assert!(entries.len() >= 8, "{target} has {} entries", entries.len());
    entries
}

#[test]
fn every_corpus_entry_holds() {
    for (target, _) in checks::ALL {
        for (name, input) in entries(target) {
            holds_for(target, &name, &input);
        }
    }
}

/// Checks this number of damaged inputs.
fn damaged(target: &str, cases: u64) {
    let entries = entries(target);
    for seed in 0..cases {
        let mut rng = Rng::with_seed(seed);
        let mut input = entries[rng.usize(..entries.len())].1.clone();
        let other = &entries[rng.usize(..entries.len())].1;
        damage(&mut rng, &mut input, other);
        holds_for(target, &format!("damage of seed {seed}"), &input);
    }
}

#[test]
fn damaged_records_hold() {
    damaged("record", 20_000);
}

#[test]
fn damaged_answers_hold() {
    damaged("gist_answer", 5_000);
}

#[test]
fn damaged_sequences_of_answers_hold() {
    damaged("gist_protocol", 2_000);
}

#[test]
fn damaged_connections_hold() {
    damaged("http_request", 1_000);
}

#[test]
fn damaged_environments_hold() {
    damaged("settings", 3_000);
}

#[test]
fn damaged_requests_to_emulator_hold() {
    damaged("gist_server_request", 500);
}

#[test]
fn damaged_state_files_hold() {
    damaged("state_file", 800);
}

#[test]
fn damaged_git_answers_hold() {
    damaged("git_answer", 3_000);
}

#[test]
fn damaged_git_packs_hold() {
    damaged("git_pack", 2_000);
}

#[test]
fn damaged_git_objects_hold() {
    damaged("git_object", 5_000);
}

#[test]
fn damaged_object_answers_hold() {
    damaged("object_answer", 5_000);
}

#[test]
fn damaged_cloud_credentials_hold() {
    damaged("cloud_credentials", 5_000);
}

#[test]
fn corpus_matches_targets_and_stays_small() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| name.trim_end_matches(".rs").to_owned())
            .collect();
        names.sort();
        names
    };
    let mut known: Vec<String> = checks::ALL.iter().map(|(name, _)| (*name).into()).collect();
    known.sort();
    assert_eq!(names("corpus"), known);
    assert_eq!(names("fuzz_targets"), known);
    let bytes: usize = known
        .iter()
        .flat_map(|target| entries(target))
        .map(|(_, input)| input.len())
        .sum();
    assert!((bytes as u64) < MOST_BYTES, "{bytes} bytes");
}
