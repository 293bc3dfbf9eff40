//! The rules of the house, as an ordinary test: who may know whom, what is pure, and what no file
//! may hold. What the rules are for stands in `docs/design.md`.
//!
//! Each rule has tests of its own on made-up sources, so that it is known to be able to fail.

mod cargo;
mod lexer;
mod rules;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Longer files are two files. The aim is 500 lines; a hundred more are left for tests that belong
/// to what they test.
const LONGEST_FILE: usize = 600;

/// Folders of the tree that hold Rust, as far as they exist.
const FOLDERS: &[&str] = &["src", "tests", "benches", "examples", "fuzz"];

/// Every Rust file of the tree: its path from the root, with `/`, and its text.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders: Vec<String> = FOLDERS.iter().map(|&name| name.to_owned()).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else {
            continue;
        };
        for entry in entries.map(|entry| entry.expect("the folder can be read")) {
            let path = format!("{folder}/{}", entry.file_name().display());
            if entry.file_type().expect("it can be looked at").is_dir() {
                if !path.ends_with("/target") {
                    folders.push(path);
                }
            } else if path.ends_with(".rs") {
                let text = fs::read_to_string(root.join(&path)).expect("it is UTF-8");
                files.push((path, text));
            }
        }
    }
    files.sort();
    files
}

/// What is wrong with a set of files, one line for each flaw.
fn flaws(files: &[(String, String)]) -> Vec<String> {
    let test_files = test_files(files);
    let mut flaws = Vec::new();
    for (path, text) in files {
        let mut found = Vec::new();
        // A place held for a file that is still to come holds nothing to explain.
        if !text.trim().is_empty() && !text.starts_with("//!") {
            found
                .push("1: the file does not open with `//!`, what it owns and what not".to_owned());
        }
        let code = source::read(text);
        if !path.starts_with("src/") || test_files.iter().any(|test| path.starts_with(test)) {
            found.extend(rules::unfinished(&code));
        } else {
            found.extend(rules::flaws(path, &code));
        }
        if path.starts_with("src/") && text.lines().count() > LONGEST_FILE {
            found.push(format!(
                "{LONGEST_FILE}: the file is too long: make two of it"
            ));
        }
        flaws.extend(found.into_iter().map(|flaw| format!("{path}:{flaw}")));
    }
    flaws
}

/// What the paths of files that hold only tests begin with: those of a `#[cfg(test)] mod name;`.
fn test_files(files: &[(String, String)]) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for (path, text) in files {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let below = match file {
            "mod.rs" | "lib.rs" | "main.rs" => folder,
            _ => path.trim_end_matches(".rs"),
        };
        let code = source::read(text);
        for module in code.test_modules {
            tests.insert(format!("{below}/{module}.rs"));
            tests.insert(format!("{below}/{module}/"));
        }
        let elsewhere = code.test_paths.iter();
        tests.extend(elsewhere.map(|path| format!("{folder}/{path}")));
    }
    tests
}

#[test]
fn the_house_is_in_order() {
    let files = files();
    assert!(files.iter().any(|(path, _)| path == "src/lib.rs"));
    let flaws = flaws(&files);
    assert!(flaws.is_empty(), "\n{}\n", flaws.join("\n"));
}

fn file(path: &str, text: &str) -> (String, String) {
    (path.to_owned(), text.to_owned())
}

#[test]
fn a_file_opens_with_what_it_owns_and_has_an_end() {
    assert_eq!(
        flaws(&[
            file("src/cli.rs", "// x"),
            file("tests/a.rs", "fn f() {}"),
            file("src/http/mod.rs", ""),
            file("src/http/good.rs", &("//! x\n".repeat(600))),
            file("src/http/long.rs", &("//! x\n".repeat(601))),
            file("tests/long.rs", &("//! x\n".repeat(601))),
        ])
        .iter()
        .map(|flaw| flaw.split_at(flaw.find(": ").unwrap()).0)
        .collect::<Vec<_>>(),
        ["src/cli.rs:1", "tests/a.rs:1", "src/http/long.rs:600"]
    );
}

#[test]
fn files_of_tests_are_free_and_others_are_not() {
    let parent = "//! x\n#[cfg(test)]\nmod tests;\nmod code;";
    let reaching = "//! x\nuse std::thread;";
    let files = [
        file("src/election/elector.rs", parent),
        file("src/election/elector/tests.rs", reaching),
        file("src/election/elector/tests/more.rs", reaching),
        file("src/election/elector/code.rs", reaching),
        file("src/election/elector/tests_of.rs", reaching),
        file(
            "src/emulator/store.rs",
            "//! x\n#[cfg(test)]\n#[path = \"store_tests.rs\"]\nmod tests;",
        ),
        file("src/emulator/store_tests.rs", reaching),
        file("src/workload/mod.rs", parent),
        file("src/workload/tests.rs", "//! x\nuse crate::commands::run;"),
        file(
            "tests/a.rs",
            "//! x\nfn f() { std::process::exit(1); dbg!(2) }",
        ),
    ];
    assert_eq!(
        flaws(&files),
        [
            "src/election/elector/code.rs:2: pure code names std::thread",
            "src/election/elector/tests_of.rs:2: pure code names std::thread",
            "tests/a.rs:2: dbg! must not be used here",
        ]
    );
}
