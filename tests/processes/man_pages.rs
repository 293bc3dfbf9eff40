//! Tests the manual pages: every command has one, and formatters accept each without a warning.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use elector::commands::settings;
use elector::commands::table::COMMANDS;

use crate::support::tools::find;

#[path = "../../examples/man_pages.rs"]
#[allow(dead_code, reason = "its main function")]
mod generator;

const DATE: &str = "2026-11-22";

/// Asserts that a formatter succeeds and complains about nothing.
fn accepts(formatter: &Path, arguments: &[&str], page: &Path) -> String {
    let mut command = Command::new(formatter);
    // Without MANPAGER and MANWIDTH of the tester.
    command
        .args(arguments)
        .arg(page)
        .env_clear()
        .env("LC_ALL", "C.UTF-8");
    command.env("PATH", std::env::var_os("PATH").unwrap());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success() && said.is_empty(), "{command:?}: {said}");
    String::from_utf8(stdout).unwrap()
}

#[test]
fn formatters_accept_every_page() {
    let folder = tempfile::tempdir().unwrap();
    let man = find(&["man"], "the manual pages are not formatted by man");
    let mandoc = find(&["mandoc"], "the manual pages are not checked by mandoc");
    for (name, text) in generator::pages(DATE) {
        let page = folder.path().join(name);
        fs::write(&page, text).unwrap();
        if let Some(man) = &man {
            let shown = accepts(man, &["--warnings", "-E", "UTF-8", "-l"], &page);
            assert!(
                shown.contains("SYNOPSIS") && !shown.contains("\\f"),
                "{shown}"
            );
        }
        if let Some(mandoc) = &mandoc {
            assert_eq!(accepts(mandoc, &["-Tlint"], &page), "");
        }
    }
}

#[test]
fn pages_name_commands_options_and_settings() {
    let pages = generator::pages(DATE);
    let program = &pages["elector.1"];
    for setting in settings::all() {
        assert!(program.contains(&format!("\n\\fB{}\\fR (", setting.name)));
    }
    assert_eq!(pages.len(), COMMANDS.len() + 1);
    for command in COMMANDS {
        let name = format!("elector-{}", command.name);
        let reference = format!("\\fB{}\\fR(1)\n", name.replace('-', "\\-"));
        assert!(program.contains(&reference), "{reference}");
        let page = &pages[&format!("{name}.1")];
        for option in command.options {
            let name = option.name.replace('-', "\\-");
            assert!(page.contains(&format!("\\fB{name}\\fR")), "{page}");
        }
        if let Some((_, exit)) = command.notes.split_once("Exit codes: ") {
            let first = exit.split(';').next().unwrap().split(' ').next().unwrap();
            assert!(
                page.contains(&format!("\n.SH EXIT STATUS\n{first} ")),
                "{page}"
            );
        }
    }
}
