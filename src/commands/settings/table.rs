//! The settings as people read about them: name, default, meaning.
//!
//! `elector help` prints this table, and a test holds the one in the README against it. What a
//! setting does to the program stands in the parent module.

use crate::lock;
use crate::lock::settings::Setting;

/// Returns every setting of the program: those of its locks first.
pub fn all() -> impl Iterator<Item = Setting> {
    lock::settings().chain(SETTINGS.iter().copied())
}

/// Settings that no lock contributes.
const SETTINGS: &[Setting] = &[
    Setting::new(
        "SSL_CERT_FILE",
        "built-in roots",
        "trusted root certificates (PEM) instead; read again when the file changes",
    ),
    Setting::new(
        "LEADER_NAME",
        "the next three, or the host name",
        "this candidate's identity, unlike every other one's",
    ),
    Setting::new("CLUSTER_NAME", "none", "first part of the identity"),
    Setting::new("POD_NAMESPACE", "none", "second part of the identity"),
    Setting::new("POD_NAME", "none", "last part of the identity"),
    Setting::new(
        "LEASE_DURATION",
        "30s",
        "how long a lease lasts for those who wait for it",
    ),
    Setting::new(
        "RENEW_DEADLINE",
        "16s",
        "a leader that could not renew for so long stops leading",
    ),
    Setting::new("RETRY_PERIOD", "8s", "between two renewals"),
    Setting::new("POLL_PERIOD", "2s", "how often a candidate looks"),
    Setting::new(
        "TAKEOVER_STAGGER",
        "400ms",
        "a free lease is taken up to so much later, at random",
    ),
    Setting::new(
        "TERMINATION_GRACE",
        "5s",
        "between TERM and KILL for the workload when the lease is being lost",
    ),
    Setting::new(
        "STOP_TIMEOUT",
        "25s",
        "the same on a polite stop, with the lease kept alive meanwhile",
    ),
    Setting::new(
        "RELEASE_ON_CANCEL",
        "true",
        "give the lease back on SIGTERM and SIGINT",
    ),
    Setting::new(
        "EXIT_ON_LOST_LEASE",
        "false",
        "exit with code 1 rather than stand again",
    ),
    Setting::new(
        "HTTP_ADDR",
        "off",
        "status endpoints: :PORT is every address, or HOST:PORT",
    ),
    Setting::new(
        "READY_WHEN",
        "candidate",
        "or leader: what /readyz answers 200 for",
    ),
    Setting::new(
        "LEADER_FILE",
        "none",
        "one line of JSON while leading: identity, token, until when",
    ),
    Setting::new(
        "WORKLOAD_HEALTH_URL",
        "none",
        "asked while leading; a workload that fails is stopped",
    ),
    Setting::new(
        "WEBHOOK_URL",
        "none",
        "gets a JSON POST at every transition",
    ),
    Setting::new(
        "RUST_LOG",
        "info",
        "what is logged: error, warn, info, debug, or module=level,...",
    ),
    Setting::new(
        "LOG_FORMAT",
        "text",
        "or json: one object per line, for programs that read the log",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The names in the README's table of settings: those that its first column lists, and those
    /// that any of its columns mentions.
    fn names_in(readme: &str) -> (BTreeSet<String>, BTreeSet<String>) {
        let rows = readme
            .lines()
            .skip_while(|line| !line.to_lowercase().starts_with("| variable | default"))
            .take_while(|line| line.starts_with('|'));
        let (mut listed, mut mentioned) = (BTreeSet::new(), BTreeSet::new());
        for row in rows {
            let first = row.trim_start_matches('|').split('|').next().unwrap_or("");
            listed.extend(names_in_code(first));
            mentioned.extend(names_in_code(row));
        }
        (listed, mentioned)
    }

    fn names_in_code(text: &str) -> impl Iterator<Item = String> {
        text.split('`')
            .skip(1)
            .step_by(2)
            .flat_map(|code| code.split(|c: char| c != '_' && !c.is_ascii_uppercase()))
            .map(|name| name.strip_prefix("ELECTOR_").unwrap_or(name))
            .filter(|name| name.contains('_'))
            .map(str::to_owned)
    }

    /// What is wrong with a README, one line for each name.
    fn differences(readme: &str) -> Vec<String> {
        let (listed, mentioned) = names_in(readme);
        let known: BTreeSet<String> = all().map(|setting| setting.name.to_owned()).collect();
        let missing = known.difference(&mentioned).map(|n| format!("{n} missing"));
        let unknown = listed.difference(&known).map(|n| format!("{n} unknown"));
        missing.chain(unknown).collect()
    }

    #[test]
    fn the_readme_lists_the_settings_that_exist() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        if let Ok(readme) = std::fs::read_to_string(path) {
            assert_eq!(differences(&readme), Vec::<String>::new());
        }
    }

    #[test]
    fn a_readme_that_lacks_a_setting_or_has_one_too_many_is_found_out() {
        let rows: String = all()
            .map(|row| format!("| `{}` | `x` | text |\n", row.name))
            .collect();
        let readme = |rows: &str| format!("# Hi\n\n| variable | default |\n|---|---|\n{rows}\nEnd");
        assert_eq!(differences(&readme(&rows)), Vec::<String>::new());
        let without = rows.replace("| `GIST_FILE` | `x` | text |\n", "");
        assert_eq!(differences(&readme(&without)), ["GIST_FILE missing"]);
        let with = format!("{rows}| `LEASE_LENGTH` | |\n");
        assert_eq!(differences(&readme(&with)), ["LEASE_LENGTH unknown"]);
    }

    #[test]
    fn no_setting_is_listed_twice() {
        let names: BTreeSet<_> = all().map(|row| row.name).collect();
        assert_eq!(names.len(), all().count());
    }
}
