//! The rules for the package: which compiler it needs, and that its lock file is kept.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// A compiler's version: `1.88` is `1.88.0`.
type Version = (u64, u64, u64);

fn version(text: &str) -> Option<Version> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    let (major, minor) = (parts.next()??, parts.next()??);
    let patch = parts.next().unwrap_or(Some(0))?;
    Some((major, minor, patch))
}

/// What cargo knows of this package and what it is built from on this machine.
fn metadata() -> Value {
    let host = host();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        // Without this it would want the sources for every other system too.
        .args(["--filter-platform", &host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {errors}");
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

/// The kind of machine that the compiler builds for by default.
fn host() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .expect("rustc can be run");
    let text = String::from_utf8(output.stdout).expect("rustc writes text");
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_owned()
}

fn texts<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("cargo lists it")
}

fn find<'a>(list: &'a [Value], id: &str) -> &'a Value {
    let found = list.iter().find(|entry| texts(entry, "id") == id);
    found.expect("cargo lists it")
}

/// The packages that the program is built from, itself included; those that only its tests need are
/// left out, those that build it are not, for the same compiler compiles them.
fn needed(metadata: &Value) -> BTreeSet<String> {
    let nodes = array(&metadata["resolve"]["nodes"]);
    let mut waiting = vec![texts(&metadata["resolve"], "root").to_owned()];
    let mut needed = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !needed.insert(id.clone()) {
            continue;
        }
        let node = find(nodes, &id);
        let dependencies = array(&node["deps"]).iter();
        waiting.extend(
            dependencies
                .filter(|d| !for_tests_only(d))
                .map(|d| texts(d, "pkg").to_owned()),
        );
    }
    needed
}

fn for_tests_only(dependency: &Value) -> bool {
    let kinds = array(&dependency["dep_kinds"]);
    kinds.iter().all(|kind| texts(kind, "kind") == "dev")
}

/// The packages that need a newer compiler than this one promises to do with.
fn too_new(metadata: &Value) -> Vec<String> {
    let packages = array(&metadata["packages"]);
    let root = texts(&metadata["resolve"], "root");
    let own = find(packages, root);
    let own = version(texts(own, "rust_version")).expect("Cargo.toml has a rust-version");
    let needed = needed(metadata);
    let newer = |package: &&Value| version(texts(package, "rust_version")).is_some_and(|v| v > own);
    packages
        .iter()
        .filter(|package| needed.contains(texts(package, "id")))
        .filter(newer)
        .map(|package| {
            format!(
                "{} needs {}",
                texts(package, "name"),
                texts(package, "rust_version")
            )
        })
        .collect()
}

#[test]
fn the_promised_compiler_is_new_enough_for_every_dependency() {
    let metadata = metadata();
    assert!(
        needed(&metadata).len() > 10,
        "the dependencies were not found"
    );
    let too_new = too_new(&metadata);
    assert!(
        too_new.is_empty(),
        "raise rust-version in Cargo.toml: {too_new:?}"
    );
}

#[test]
fn a_dependency_that_needs_a_newer_compiler_is_found_out() {
    let metadata = serde_json::json!({
        "resolve": {"root": "me", "nodes": [
            {"id": "me", "deps": [
                {"pkg": "old", "dep_kinds": [{"kind": null}]},
                {"pkg": "tool", "dep_kinds": [{"kind": "build"}]},
                {"pkg": "test", "dep_kinds": [{"kind": "dev"}]}]},
            {"id": "old", "deps": [{"pkg": "deep", "dep_kinds": [{"kind": "dev"}, {"kind": null}]}]},
            {"id": "tool", "deps": []}, {"id": "test", "deps": []}, {"id": "deep", "deps": []}]},
        "packages": [
            {"id": "me", "name": "me", "rust_version": "1.88"},
            {"id": "old", "name": "old", "rust_version": "1.88.0"},
            {"id": "tool", "name": "tool", "rust_version": "1.88.1"},
            {"id": "test", "name": "test", "rust_version": "1.99"},
            {"id": "deep", "name": "deep", "rust_version": "1.100"},
            {"id": "none", "name": "none", "rust_version": null}]});
    assert_eq!(
        too_new(&metadata),
        ["tool needs 1.88.1", "deep needs 1.100"]
    );
}

#[test]
fn the_lock_file_is_kept() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(root.join("Cargo.lock").is_file());
    if !root.join(".git").exists() {
        // A copy of the sources, not a work tree.
        return;
    }
    let git = Command::new("git")
        .args(["ls-files", "--error-unmatch", "Cargo.lock"])
        .current_dir(root)
        .output();
    // Without git, or in a tree of somebody else's (exit code 128), nothing can be said.
    if let Ok(git) = git {
        assert_ne!(
            git.status.code(),
            Some(1),
            "commit Cargo.lock: the builds are --locked"
        );
    }
}
