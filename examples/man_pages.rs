//! Writes the manual pages from the tables of commands and settings.
//!
//! `cargo run --example man_pages -- DIR`. Their date is SOURCE_DATE_EPOCH, or today.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use elector::commands::command::{Command, CommandOption};
use elector::commands::help::{self, ABOUT, EXIT_CODES, USE};
use elector::commands::settings;
use elector::commands::table::COMMANDS;
use time::OffsetDateTime;

/// Longest line of a page's source, in bytes.
const COLUMNS: usize = 78;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::args_os().nth(1).ok_or("usage: man_pages DIR")?);
    let now = match env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => OffsetDateTime::from_unix_timestamp(seconds.parse()?)?,
        Err(_) => OffsetDateTime::now_utc(),
    };
    fs::create_dir_all(&folder)?;
    for (name, text) in pages(&now.date().to_string()) {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// Returns the text of each page by the name of its file. `date` is like `2026-11-30`.
pub(crate) fn pages(date: &str) -> BTreeMap<String, String> {
    let commands = COMMANDS.iter().map(|command| {
        let name = format!("elector-{}", command.name);
        (name.clone() + ".1", command_page(command, &name, date))
    });
    let program = ("elector.1".to_owned(), program_page(date));
    commands.chain([program]).collect()
}

fn program_page(date: &str) -> String {
    let mut page = Page::new("elector", "elect one leader in several clusters", date);
    page.section("SYNOPSIS");
    page.line(".B elector");
    page.line("[\\fICOMMAND\\fR]");
    page.section("DESCRIPTION");
    page.paragraphs(ABOUT);
    page.paragraphs(USE);
    page.section("COMMANDS");
    for command in COMMANDS {
        page.item(&reference(command.name), command.summary);
    }
    let help = "print help on elector, a COMMAND, or the settings";
    page.item(
        "\\fBelector help\\fR [\\fICOMMAND\\fR|\\fBsettings\\fR]",
        help,
    );
    page.section("OPTIONS");
    page.item("\\fB\\-h\\fR, \\fB\\-\\-help\\fR", "print the help");
    page.item("\\fB\\-V\\fR, \\fB\\-\\-version\\fR", "print the version");
    page.exit_status(EXIT_CODES);
    page.section("ENVIRONMENT");
    page.paragraphs(settings::NAMES_AND_VALUES);
    page.paragraphs(&help::shared());
    page.paragraphs(settings::PROXIES);
    for (title, settings) in settings::groups() {
        page.line(&format!(".SS {title}"));
        for setting in settings {
            let default = escaped(&help::default(setting.default));
            page.item(
                &format!("\\fB{}\\fR ({default})", setting.name),
                setting.text,
            );
        }
    }
    page.see_also(COMMANDS.iter().map(|command| command.name));
    page.text
}

fn command_page(command: &Command, name: &str, date: &str) -> String {
    let mut page = Page::new(name, command.summary, date);
    page.section("SYNOPSIS");
    let usage = help::usage(command);
    let head = format!("elector {}", command.name);
    page.line(&format!(".B {}", escaped(&head)));
    let arguments = usage[head.len()..].trim_start();
    if !arguments.is_empty() {
        page.line(&escaped(arguments));
    }
    page.section("DESCRIPTION");
    match command.details {
        "" => page.paragraphs(&help::sentence(command.summary)),
        details => page.paragraphs(details),
    }
    page.section("OPTIONS");
    for option in command.options {
        page.item(&label(option), option.text);
    }
    page.item("\\fB\\-h\\fR, \\fB\\-\\-help\\fR", "print the help");
    let paragraphs = command.notes.split("\n\n");
    let (exit, notes): (Vec<_>, Vec<_>) =
        paragraphs.partition(|paragraph| paragraph.starts_with("Exit codes: "));
    let notes = notes.join("\n\n");
    if !notes.is_empty() {
        page.section("NOTES");
        page.paragraphs(&notes);
    }
    for paragraph in exit {
        page.exit_status(paragraph);
    }
    page.see_also([]);
    page.text
}

/// Source of a page.
struct Page {
    text: String,
}

impl Page {
    fn new(name: &str, summary: &str, date: &str) -> Page {
        let (title, version) = (name.to_uppercase(), env!("CARGO_PKG_VERSION"));
        let text =
            format!(".TH {title} 1 {date} \"elector {version}\" \"elector manual\"\n.ad l\n");
        let mut page = Page { text };
        page.section("NAME");
        page.fill(&format!("{name} - {summary}"));
        page
    }

    fn section(&mut self, title: &str) {
        self.line(&format!(".SH {title}"));
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Adds a described item of a list.
    fn item(&mut self, label: &str, text: &str) {
        self.line(".TP");
        self.line(label);
        self.fill(text);
    }

    /// Adds paragraphs. Lines that begin with a space are kept as they are.
    fn paragraphs(&mut self, text: &str) {
        for paragraph in text.split("\n\n") {
            let lines: Vec<&str> = paragraph.lines().collect();
            for part in lines.chunk_by(|a, b| a.starts_with(' ') == b.starts_with(' ')) {
                if part[0].starts_with(' ') {
                    self.line(".EX");
                    part.iter().for_each(|line| self.line(&escaped(line)));
                    self.line(".EE");
                } else {
                    // A heading begins a paragraph itself.
                    if !self
                        .text
                        .lines()
                        .last()
                        .is_some_and(|line| line.starts_with(".SH "))
                    {
                        self.line(".PP");
                    }
                    self.fill(&part.join(" "));
                }
            }
        }
    }

    /// Adds a text. Each sentence begins a line.
    fn fill(&mut self, text: &str) {
        let (text, mut line) = (escaped(text), String::new());
        for word in text.split_ascii_whitespace() {
            let full = line.len() + 1 + word.len() > COLUMNS || line.ends_with('.');
            if full && !line.is_empty() {
                self.line(&line);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            } else if word.starts_with(['.', '\'']) {
                line.push_str("\\&");
            }
            line.push_str(word);
        }
        self.line(&line);
    }

    /// Adds the section on exit codes, from a text like `Exit codes: 0 done; 1 failed.`
    fn exit_status(&mut self, text: &str) {
        self.section("EXIT STATUS");
        self.fill(text.trim_start_matches("Exit codes: "));
    }

    /// Adds the references to elector(1), to these commands, and to the documentation.
    fn see_also<'a>(&mut self, commands: impl IntoIterator<Item = &'a str>) {
        self.section("SEE ALSO");
        let commands: Vec<String> = commands.into_iter().map(reference).collect();
        self.line(&match commands.as_slice() {
            [] => "\\fBelector\\fR(1)".to_owned(),
            commands => commands.join(",\n"),
        });
        self.line(".PP");
        self.line(env!("CARGO_PKG_HOMEPAGE"));
    }
}

fn reference(command: &str) -> String {
    format!("\\fBelector\\-{}\\fR(1)", escaped(command))
}

fn label(option: &CommandOption) -> String {
    let short = option.short.map(|short| format!("\\fB\\-{short}\\fR, "));
    let name = format!("\\fB{}\\fR", escaped(option.name));
    let value = match option.value {
        "" => String::new(),
        value => format!(" \\fI{}\\fR", escaped(value)),
    };
    short.unwrap_or_default() + &name + &value
}

/// Escapes a text for roff. What is in backticks becomes bold.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let parts = text.split('`').enumerate().map(|(at, part)| match at % 2 {
        0 => part.to_owned(),
        _ => format!("\\fB{part}\\fR"),
    });
    parts.collect()
}
