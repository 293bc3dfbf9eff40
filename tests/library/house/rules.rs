//! The rules for single files of `src/`: which rooms a room may name, and what a pure file must not.

use crate::house::source::{Code, Named, paths};

/// The rooms, each of which may name only those before it.
const ROOMS: &[&str] = &[
    "election", "system", "lock", "workload", "http", "observe", "emulator", "runtime", "commands",
];

/// What stands in front of the rooms: they may name every room, and no room may name them.
const PORCH: &[&str] = &["cli", "main", "lib"];

/// Pure files and folders: in with the same, out with the same, whatever the world does.
const PURE: &[&str] = &[
    "src/election",
    "src/lock/gist/rule",
    "src/lock/gist/protocol",
    "src/lock/gist/wire",
    "src/lock/gist/revision",
    "src/lock/gist/stored",
    "src/lock/gist/limiter",
    "src/lock/gist/look",
    "src/workload/health",
    "src/lock/gist/budget",
    "src/workload/message",
    "src/lock/gist/terms",
    "src/workload/guard_state",
    "src/workload/supervisor",
    "src/observe/accept",
    "src/observe/journal",
    "src/observe/json",
    "src/observe/metrics",
    "src/observe/page",
    "src/observe/terms",
    "src/observe/view",
    "src/emulator/store",
    "src/commands/standing",
    "src/commands/doctor/checks",
    "src/commands/doctor/limits",
    "src/commands/doctor/report",
];

/// What a pure file must not name: clocks, threads, sockets, files, the environment, processes, the
/// log, and whatever wraps them.
const WORLD: &[&str] = &[
    "std::time::Instant",
    "std::time::SystemTime",
    "std::time::SystemTimeError",
    "std::time::UNIX_EPOCH",
    "std::thread",
    "std::thread_local",
    "std::net",
    "std::fs",
    "std::env",
    "std::process",
    "std::os",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::io::Stdin",
    "std::io::Stdout",
    "std::io::Stderr",
    "std::io::pipe",
    "std::collections::hash_map::RandomState",
    "std::hash::RandomState",
    "ctrlc",
    "env_logger",
    "libc",
    "log",
    "nix",
    "rustls",
    "signal_hook",
    "time::OffsetDateTime::now_utc",
    "time::OffsetDateTime::now_local",
    "time::UtcDateTime::now",
    "ureq",
];

/// Methods and functions that draw from outside, whatever the path in front of them: types are
/// mostly named by their last segment alone.
const OUTSIDE_CALLS: &[&[&str]] = &[
    &["Rng", "new"],
    &["Rng", "default"],
    &["OffsetDateTime", "now_utc"],
    &["OffsetDateTime", "now_local"],
    &["UtcDateTime", "now"],
    &["SystemTime", "now"],
];

/// Macros that print.
const PRINTING: &[&str] = &["print", "println", "eprint", "eprintln"];

/// Macros that no code may hold.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

/// The module that a file of `src/` is, by its segments: `src/a/b.rs` and `src/a/b/mod.rs` are
/// `a::b`.
fn module(file: &str) -> Vec<&str> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<&str> = path.split('/').collect();
    if module.len() > 1 && module.last() == Some(&"mod") {
        module.pop();
    }
    if module.len() == 1 && ["lib", "main"].contains(&module[0]) {
        module.pop();
    }
    module
}

/// What is wrong with the code of a file of `src/`; each with its line.
pub(crate) fn flaws(file: &str, code: &Code) -> Vec<String> {
    let named = paths(&code.tokens, &module(file));
    let mut flaws = forbidden_rooms(file, &named);
    if is_pure(file) {
        flaws.extend(outside_world(&named));
        flaws.extend(macros(code, PRINTING));
    }
    flaws.extend(
        named
            .iter()
            .filter(|named| ends_process(file, named))
            .map(|named| format!("{}: only src/main.rs may end the process", named.line)),
    );
    flaws.extend(hidden_crates(code));
    flaws.extend(hidden_files(code));
    flaws.extend(macros(code, UNFINISHED));
    flaws
}

/// Uses of macros, for files outside of `src/` too.
pub(crate) fn unfinished(code: &Code) -> Vec<String> {
    macros(code, UNFINISHED)
}

fn room_of(file: &str) -> &str {
    let first = file.trim_start_matches("src/").split('/').next();
    first.unwrap_or("").trim_end_matches(".rs")
}

/// How far down a room is; `None` for what is none.
fn rank(room: &str) -> Option<usize> {
    if PORCH.contains(&room) {
        return Some(ROOMS.len());
    }
    ROOMS.iter().position(|known| *known == room)
}

fn forbidden_rooms(file: &str, named: &[Named]) -> Vec<String> {
    let own = room_of(file);
    let Some(own_rank) = rank(own) else {
        return vec![format!(
            "1: {own} is no room of the house: give it a place in the list"
        )];
    };
    let of_this_crate = named.iter().filter(|named| named.path[0] == "crate");
    of_this_crate
        .filter_map(|named| {
            let line = named.line;
            match named.path.get(1).map(String::as_str) {
                // `pub(crate)` and the like.
                None if !named.imported => None,
                None | Some("*") => Some(format!("{line}: the whole crate is imported")),
                Some(room) if room == own => None,
                Some(room) => match rank(room) {
                    Some(rank) if rank < own_rank || PORCH.contains(&own) => None,
                    Some(_) => Some(format!("{line}: {own} must not know {room}")),
                    None => Some(format!("{line}: crate::{room} is in no room")),
                },
            }
        })
        .collect()
}

fn is_pure(file: &str) -> bool {
    PURE.iter().any(|pure| {
        file.strip_prefix(pure).is_some_and(|rest| {
            // `store` stands for store_index.rs as well.
            rest.starts_with(['/', '.']) || pure.ends_with("/store") && rest.starts_with('_')
        })
    })
}

fn outside_world(named: &[Named]) -> Vec<String> {
    let flawed = named.iter().filter(|named| reaches_out(named));
    flawed
        .map(|named| format!("{}: pure code names {}", named.line, named.path.join("::")))
        .collect()
}

fn reaches_out(named: &Named) -> bool {
    let path: Vec<&str> = named.path.iter().map(String::as_str).collect();
    // A single word in code is a name of the code's own; in a `use` it is a crate.
    if path.len() == 1 && !named.imported {
        return false;
    }
    let call = OUTSIDE_CALLS
        .iter()
        .any(|call| path.windows(2).any(|pair| pair == *call));
    let world = WORLD.iter().any(|thing| {
        let thing: Vec<&str> = thing.split("::").collect();
        path.starts_with(&thing) || covers(&path, &thing)
    });
    call || world || path[0] == "fastrand" && draws_at_random(&path, named)
}

/// Whether an import of `path` brings in `thing` with everything around it: `std::time::*`, or
/// `std` as a whole.
fn covers(path: &[&str], thing: &[&str]) -> bool {
    match path.split_last() {
        Some((&"*", above)) => thing.starts_with(above),
        _ => path == ["std"],
    }
}

/// Of fastrand, pure code may use a generator with a given seed, under its own name.
fn draws_at_random(path: &[&str], named: &Named) -> bool {
    let seeded = path == ["fastrand", "Rng"] || path == ["fastrand", "Rng", "with_seed"];
    named.renamed || !seeded
}

fn ends_process(file: &str, named: &Named) -> bool {
    let ends = named
        .path
        .windows(2)
        .any(|pair| pair == ["process", "exit"]);
    let all = named.path == ["std", "process", "*"];
    file != "src/main.rs" && (ends || all)
}

/// A crate under another name would be out of sight.
fn hidden_crates(code: &Code) -> Vec<String> {
    let pairs = code.tokens.windows(2);
    pairs
        .filter(|pair| pair[0].text == "extern" && pair[1].text == "crate")
        .map(|pair| format!("{}: `extern crate` is not needed", pair[0].line))
        .collect()
}

/// A module whose file is somewhere else would be taken for another one.
fn hidden_files(code: &Code) -> Vec<String> {
    let attributes = code.tokens.windows(3).filter(|tokens| {
        tokens[0].text == "[" && tokens[1].text == "path" && tokens[2].text == "="
    });
    attributes
        .map(|tokens| format!("{}: `path` is for test modules only", tokens[0].line))
        .collect()
}

fn macros(code: &Code, names: &[&str]) -> Vec<String> {
    let calls = code.tokens.windows(3).filter(|tokens| {
        names.contains(&tokens[0].text.as_str())
            && tokens[1].text == "!"
            && ["(", "[", "{"].contains(&tokens[2].text.as_str())
    });
    calls
        .map(|tokens| {
            format!(
                "{}: {}! must not be used here",
                tokens[0].line, tokens[0].text
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::source::read;

    fn flaws_of(file: &str, source: &str) -> Vec<String> {
        flaws(file, &read(source))
    }

    #[track_caller]
    fn assert_good(file: &str, source: &str) {
        assert_eq!(flaws_of(file, source), [] as [&str; 0], "{file}: {source}");
    }

    #[track_caller]
    fn assert_bad(file: &str, source: &str) {
        assert_ne!(flaws_of(file, source), [] as [&str; 0], "{file}: {source}");
    }

    #[test]
    fn a_room_may_name_itself_and_the_rooms_above() {
        assert_good(
            "src/lock/gist/wire.rs",
            "use crate::{election::lock, lock::gist};",
        );
        assert_good(
            "src/lock/mod.rs",
            "use super::election::time; pub mod gist;",
        );
        assert_good(
            "src/commands/run.rs",
            "use super::help; use crate::system::clock;",
        );
        assert_good("src/cli.rs", "use crate::{commands, election};");
        assert_good("src/main.rs", "elector::cli::main()");
        assert_good(
            "src/lib.rs",
            "pub mod election; pub use election::lock; use self::cli::x;",
        );
        assert_good(
            "src/election/elector.rs",
            "pub(crate) fn f() {} pub(super) fn g() {}",
        );
        assert_good(
            "src/election/a.rs",
            "#[cfg(test)] mod tests { use crate::emulator::x; }",
        );
        assert_good(
            "src/election/a.rs",
            "/// see [`crate::lock`]\nconst A: &str = \"crate::lock\";",
        );
    }

    #[test]
    fn a_room_may_not_name_the_rooms_below() {
        assert_eq!(
            flaws_of(
                "src/election/a.rs",
                "\nuse crate::{election::b, lock::gist};"
            ),
            ["2: election must not know lock"]
        );
        assert_bad("src/election/a.rs", "fn f(x: crate::lock::L) {}");
        assert_bad("src/election/a.rs", "use super::super::lock;");
        assert_bad("src/election/mod.rs", "use super::lock;");
        assert_bad(
            "src/election/a.rs",
            "mod b { use super::super::super::http::x; }",
        );
        assert_bad("src/http/mod.rs", "use crate::observe as o;");
        assert_bad("src/runtime/a.rs", "use crate::commands::*;");
        assert_bad("src/commands/a.rs", "use crate::cli;");
        assert_bad("src/election/a.rs", "use crate::*;");
        assert_bad("src/election/a.rs", "use crate as c;");
        assert_bad("src/election/a.rs", "use super::super::*;");
        assert_bad("src/election/a.rs", "use crate::Reexported;");
        assert_bad("src/cellar/a.rs", "");
        assert_bad("src/lock/a.rs", "extern crate elector as x;");
    }

    #[test]
    fn pure_code_may_compute() {
        let source = "
            use std::{fmt, time::Duration, collections::BTreeMap, io::Read, sync::Arc};
            use fastrand::Rng; use super::time::Instant;
            fn f(log: &mut Vec<u8>) { log.push(1); Rng::with_seed(2).u8(..); Instant::BOOT; }
            fn g() { fastrand::Rng::with_seed(3); time::OffsetDateTime::parse(x, y); }
            #[cfg(test)] mod tests { use std::thread; }";
        assert_good("src/election/a.rs", source);
        assert_good(
            "src/lock/gist/client.rs",
            "use std::{thread, time::Instant};",
        );
    }

    #[test]
    fn pure_code_may_not_touch_the_world() {
        for source in [
            "use std::time::Instant;",
            "use std::time::{self, SystemTime};",
            "use std::time::*;",
            "use std::{thread, fmt};",
            "fn f() { std::thread::sleep(d) }",
            "use std;",
            "use std as s;",
            "use std::*;",
            "use std::net::TcpStream;",
            "use ::std::fs;",
            "let x = std::env::var(y);",
            "use std::process as p;",
            "use std::io::{Read, stderr};",
            "use std::hash::RandomState;",
            "use nix::unistd;",
            "use ureq;",
            "log::info!(\"x\");",
            "use log::info;",
            "println!();",
            "use fastrand;",
            "use fastrand as f;",
            "use fastrand::Rng as R;",
            "use fastrand::*;",
            "fastrand::u8(..);",
            "Rng::new();",
            "fastrand::Rng::default();",
            "time::OffsetDateTime::now_utc();",
            "use time::OffsetDateTime; fn f() { OffsetDateTime::now_utc() }",
        ] {
            assert_bad("src/election/a.rs", source);
        }
    }

    #[test]
    fn every_pure_file_counts_as_one_and_others_do_not() {
        for file in [
            "src/election/mod.rs",
            "src/election/elector/claims.rs",
            "src/lock/gist/rule.rs",
            "src/lock/gist/protocol.rs",
            "src/lock/gist/wire/body.rs",
            "src/workload/message.rs",
            "src/workload/supervisor.rs",
            "src/workload/guard_state.rs",
            "src/emulator/store.rs",
            "src/emulator/store/history.rs",
            "src/emulator/store_index.rs",
        ] {
            assert_bad(file, "use std::thread;");
        }
        for file in [
            "src/lock/gist/client.rs",
            "src/lock/gist/mod.rs",
            "src/lock/gist/historian.rs",
            "src/emulator/server.rs",
            "src/workload/guard.rs",
            "src/runtime/clock.rs",
        ] {
            assert_good(file, "use std::thread;");
        }
    }

    #[test]
    fn the_process_is_ended_in_main_only() {
        for source in [
            "fn f() { std::process::exit(1) }",
            "use std::process; fn f() { process::exit(1) }",
            "use std::process::{exit, Command};",
            "use std::process::*;",
        ] {
            assert_bad("src/commands/a.rs", source);
            assert_good("src/main.rs", source);
        }
        assert_good(
            "src/commands/a.rs",
            "use std::process::ExitCode; fn f() { child.exit() }",
        );
    }

    #[test]
    fn unfinished_code_is_found() {
        for source in ["todo!()", "unimplemented!(\"x\")", "dbg![x]"] {
            assert_bad("src/commands/a.rs", source);
            assert_eq!(unfinished(&read(source)).len(), 1);
        }
        assert_good(
            "src/commands/a.rs",
            "// todo!()\nlet todo = !x; f(\"dbg!()\");",
        );
    }
}
