//! `elector help`: what the commands and settings are.
//!
//! This file owns the texts and how they are laid out; the settings come from their own table. Who
//! prints them, and where to, is the command line's business.

use std::fmt::Write;

use super::{
    depose, doctor, gist_server, history, init, install, run, settings, status, step_down,
};

/// A command of the program, as its help shows it.
#[derive(Debug)]
pub struct Topic {
    /// What is typed.
    pub name: &'static str,
    /// What may follow it.
    usage: &'static str,
    /// One line on it.
    summary: &'static str,
    /// The rest of what is to be known.
    details: &'static str,
}

const RUN_TOPIC: Topic = Topic {
    name: "run",
    usage: "[--try D] [--unless-led-within D] [-- CMD [ARG]...]",
    summary: "stand for election (also what plain `elector` does)",
    details: run::DETAILS,
};

/// What plain `elector` does.
pub const RUN: &Topic = &RUN_TOPIC;

/// Every command.
pub const TOPICS: &[Topic] = &[
    RUN_TOPIC,
    Topic {
        name: "demo",
        usage: "",
        summary: "three candidates on an embedded gist service, without an account",
        details: "\
Shows an election on this machine: three candidates, a gist service in memory, no
account and no cluster needed.",
    },
    Topic {
        name: "gist-server",
        usage: "[OPTION]...",
        summary: "a gist service that behaves like GitHub's, for tests",
        details: gist_server::DETAILS,
    },
    Topic {
        name: "status",
        usage: "[--json]",
        summary: "who leads, and how long ago that was renewed",
        details: status::DETAILS,
    },
    Topic {
        name: "history",
        usage: "[--json] [--requests N]",
        summary: "who led from when to when, by the gist's revisions",
        details: history::DETAILS,
    },
    Topic {
        name: "init",
        usage: "[--from OLD]",
        summary: "make the gist or the file, or move a lock to a new gist",
        details: init::DETAILS,
    },
    Topic {
        name: "doctor",
        usage: "",
        summary: "check token, gist, record, limits and clock, and say what to do",
        details: doctor::DETAILS,
    },
    Topic {
        name: "step-down",
        usage: "[--port N]",
        summary: "have the elector on this machine give the lease to another",
        details: step_down::DETAILS,
    },
    Topic {
        name: "depose",
        usage: "[--yes]",
        summary: "depose the leader by hand, the safe way",
        details: depose::DETAILS,
    },
    Topic {
        name: "install",
        usage: "DIR",
        summary: "put this program at DIR/elector, for a container of another image",
        details: install::DETAILS,
    },
    Topic {
        name: "help",
        usage: "[COMMAND]",
        summary: "this text, or that of a command",
        details: "",
    },
];

/// The command of this name.
#[must_use]
pub fn topic(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

/// The whole help, or that of one command. It ends with a newline.
#[must_use]
pub fn text(topic: Option<&Topic>) -> String {
    match topic {
        Some(topic) => topic_text(topic),
        None => overview(),
    }
}

/// The version, on a line.
#[must_use]
pub fn version() -> String {
    concat!("elector ", env!("CARGO_PKG_VERSION"), "\n").to_owned()
}

fn topic_text(topic: &Topic) -> String {
    let usage = format!("elector {} {}", topic.name, topic.usage);
    let mut text = format!(
        "Usage: {}\n\n{}\n",
        usage.trim_end(),
        sentence(topic.summary)
    );
    if !topic.details.is_empty() {
        text.push('\n');
        text.push_str(topic.details);
        text.push('\n');
    }
    text
}

fn sentence(summary: &str) -> String {
    let mut rest = summary.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(rest).chain(['.']).collect()
}

fn overview() -> String {
    let mut text = String::from(
        "\
elector elects one leader among copies of a workload in several Kubernetes
clusters, through a lease record in a GitHub gist.

Usage: elector [COMMAND]

Commands:
",
    );
    for topic in TOPICS {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "  {:<12} {}", topic.name, topic.summary);
    }
    text.push_str(
        "
Options:
  -h, --help     this text, or with a command its own
  -V, --version  the version

Settings are environment variables. Each is read as ELECTOR_<NAME> first, then as
<NAME>; set but empty means unset. Durations are written like 30s, 1m30s or 500ms.

",
    );
    for row in settings::ALL {
        let required = row.default.starts_with("required");
        let label = if required { "" } else { "default: " };
        let _ = writeln!(
            text,
            "  {} ({label}{})\n      {}",
            row.name, row.default, row.meaning
        );
    }
    text.push_str(
        "
HTTPS_PROXY and NO_PROXY work as everywhere.

Exit codes: 0 done, 1 failed while running, 2 wrong usage or settings.
",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overview_names_every_command_and_setting() {
        let text = text(None);
        for topic in TOPICS {
            assert!(text.contains(&format!("\n  {} ", topic.name)));
        }
        for row in settings::ALL {
            assert!(text.contains(&format!("\n  {} (", row.name)));
        }
    }

    #[test]
    fn help_fits_a_terminal_of_85_columns() {
        let texts = TOPICS.iter().map(Some).chain([None]).map(text);
        for text in texts {
            for line in text.lines() {
                assert!(line.chars().count() <= 85, "{line}");
            }
        }
    }

    #[test]
    fn a_commands_help_begins_with_its_usage() {
        let text = text(topic("help"));
        assert_eq!(
            text,
            "Usage: elector help [COMMAND]\n\nThis text, or that of a command.\n"
        );
    }
}
