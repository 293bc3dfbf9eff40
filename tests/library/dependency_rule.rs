//! The dependency rule of `src/`, checked by its `use` lines, and rules for each file.
//!
//! `clippy.toml` names the functions that pure code must not call.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module imports only from those before it. Inside a module, imports form no cycle.
const MODULES: &str =
    "election system fmt net lock workload http observe emulator runtime commands cli";

/// Paths that pure modules do not import: they get time, files and randomness as arguments.
const OUTSIDE: &str = "std::env std::fs std::net std::process std::thread log nix rustls ureq";

/// Returns every module of `src/` with its text, without unit tests. `lock/gist/mod.rs` is `lock::gist`.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut sources) = (vec![root.clone()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("\n#[cfg(test)]").next().unwrap().to_owned();
                let name = name.trim_end_matches(".rs").trim_end_matches("/mod");
                sources.insert(name.replace('/', "::"), code);
            }
        }
    }
    sources
}

/// Returns the lines of code: without blank lines and comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//"))
}

/// Returns the paths that a module imports by `use`, or names in full in its code. A `pub use` inside
/// a module only renames.
fn imports(module: &str, text: &str) -> Vec<String> {
    let code = code(text).fold(String::new(), |all, line| all + "\n" + line);
    let mut paths = Vec::new();
    for item in code.split("\nuse ").skip(1) {
        let item: String = item.split(';').next().unwrap().split_whitespace().collect();
        expand(&item, "", &mut paths);
    }
    let named = code.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        format!("crate::{}", &rest[..end.unwrap_or(rest.len())])
    });
    paths.extend(named);
    let (parent, _) = module.rsplit_once("::").unwrap_or_default();
    let resolve = |path: String| match path.split_once("::") {
        Some(("self", rest)) => format!("crate::{module}::{rest}"),
        Some(("super", rest)) => match rest.strip_prefix("super::") {
            Some(rest) => format!("crate::{}::{rest}", parent.rsplit_once("::").unwrap().0),
            None => format!("crate::{parent}::{rest}"),
        },
        _ => path,
    };
    paths.into_iter().map(resolve).collect()
}

/// Expands `a::{b, c::{d}}`, written without blanks, to `a::b` and `a::c::d`.
fn expand(item: &str, prefix: &str, paths: &mut Vec<String>) {
    let Some((before, group)) = item.split_once('{') else {
        return paths.push(format!("{prefix}{item}"));
    };
    let (mut depth, mut start, prefix) = (0, 0, format!("{prefix}{before}"));
    for (at, c) in group.char_indices() {
        if depth == 0 && (c == ',' || c == '}') {
            expand(&group[start..at], &prefix, paths);
            start = at + 1;
        }
        depth += i32::from(c == '{') - i32::from(c == '}');
    }
}

#[test]
fn imports_follow_the_dependency_rule() {
    let (sources, mut flaws, mut edges) = (sources(), Vec::new(), BTreeSet::new());
    let top = |module: &str| module.split("::").next().unwrap().to_owned();
    let rank = |module: &str| MODULES.split(' ').position(|known| known == top(module));
    for (from, text) in sources.iter().filter(|s| s.0 != "lib" && s.0 != "main") {
        assert!(rank(from).is_some(), "{from} has no place in the order");
        for import in imports(from, text) {
            let pure = ["election", "fmt"].contains(&top(from).as_str());
            if pure && OUTSIDE.split(' ').any(|path| import.starts_with(path)) {
                flaws.push(format!("{from} must not import {import}"));
            }
            let Some(mut to) = import.strip_prefix("crate::") else {
                continue;
            };
            // The item's file is the longest prefix that is a module with one.
            while !sources.contains_key(to) && to.contains("::") {
                to = to.rsplit_once("::").unwrap().0;
            }
            if from != to {
                edges.insert((from.clone(), to.to_owned()));
            }
        }
    }
    let mut reachable = edges.clone();
    for middle in sources.keys() {
        let into: Vec<_> = reachable
            .iter()
            .filter(|e| e.1 == *middle)
            .cloned()
            .collect();
        let onward: Vec<_> = reachable
            .iter()
            .filter(|e| e.0 == *middle)
            .cloned()
            .collect();
        for (from, _) in &into {
            reachable.extend(onward.iter().map(|(_, to)| (from.clone(), to.clone())));
        }
    }
    for (from, to) in edges {
        if rank(&to).is_none_or(|to| rank(&from) < Some(to)) {
            flaws.push(format!(
                "{from} must not import from {to}: against the order"
            ));
        } else if reachable.contains(&(to.clone(), from.clone())) {
            flaws.push(format!("{from} must not import from {to}: a cycle"));
        }
    }
    assert!(flaws.is_empty(), "\n{}\n", flaws.join("\n"));
}

#[test]
fn files_are_short_and_documented() {
    for (module, text) in sources() {
        let lines = code(&text).count();
        assert!(lines <= 450, "{module}: {lines} lines of code");
        assert!(text.starts_with("//!"), "{module}: no `//!` at the top");
    }
}

/// Why: programs read the events of the log.
#[test]
fn every_log_event_is_documented() {
    let usage = include_str!("../../docs/usage.md");
    let mut missing = Vec::new();
    for (file, text) in sources() {
        let events = text.split("event = \"").skip(1);
        let events = events.filter_map(|rest| rest.split('"').next());
        let new = events.filter(|event| !usage.contains(&format!("`{event}`")));
        missing.extend(new.map(|event| format!("{file}: {event}")));
    }
    assert!(missing.is_empty(), "missing in docs/usage.md: {missing:#?}");
}
