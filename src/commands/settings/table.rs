//! Table of all settings. The reader, `elector help` and the documentation use it.

use crate::lock;
use crate::lock::settings::Setting;

/// Returns every setting of the program, those of its locks first.
pub fn all() -> impl Iterator<Item = Setting> {
    lock::settings().chain(SETTINGS.iter().copied())
}

/// Settings that do not depend on the kind of lock.
const SETTINGS: &[Setting] = &[
    Setting::new(
        "SSL_CERT_FILE",
        "built-in roots",
        "PEM file with trusted roots, in place of the built-in ones",
    ),
    Setting::new(
        "LEADER_NAME",
        "the next three, or the host name",
        "identity of this candidate, different from that of every other one",
    ),
    Setting::new("CLUSTER_NAME", "none", "first part of the identity"),
    Setting::new("POD_NAMESPACE", "none", "second part of the identity"),
    Setting::new("POD_NAME", "none", "last part of the identity"),
    Setting::new(
        "LOCK_NAME",
        "the lock's own name",
        "name of the election on the page and in webhook messages",
    ),
    Setting::new(
        "LEASE_DURATION",
        "30s",
        "time without a renewal after which standbys take over",
    ),
    Setting::new(
        "RENEW_DEADLINE",
        "16s",
        "time without a renewal after which the leader stops leading",
    ),
    Setting::new("RETRY_PERIOD", "8s", "interval between two renewals"),
    Setting::new("POLL_PERIOD", "2s", "interval between a candidate's reads"),
    Setting::new(
        "TAKEOVER_STAGGER",
        "400ms",
        "longest random delay before acquiring a free lease",
    ),
    Setting::new(
        "TERMINATION_GRACE",
        "5s",
        "time from SIGTERM to SIGKILL for the workload if the lease is being lost",
    ),
    Setting::new(
        "STOP_TIMEOUT",
        "25s",
        "the same on a graceful shutdown, while the lease is still renewed",
    ),
    Setting::new(
        "RELEASE_ON_CANCEL",
        "true",
        "release the lease on SIGTERM and SIGINT",
    ),
    Setting::new(
        "EXIT_ON_LOST_LEASE",
        "false",
        "exit with code 1 instead of running for election again",
    ),
    Setting::new(
        "HTTP_ADDR",
        "off",
        "address of the status endpoints: :PORT (every interface) or HOST:PORT",
    )
    .shared(),
    Setting::new(
        "READY_WHEN",
        "candidate",
        "or leader: role in which /readyz answers 200",
    ),
    Setting::new(
        "LEADER_FILE",
        "none",
        "file with one line of JSON while leading: identity, token, deadline",
    ),
    Setting::new(
        "WORKLOAD_HEALTH_URL",
        "none",
        "URL to check while leading; a workload that fails is stopped",
    ),
    Setting::new(
        "WEBHOOK_URL",
        "none",
        "URL that gets a JSON POST at every transition",
    )
    .shared(),
    Setting::new(
        "WEBHOOK_TOKEN_FILE",
        "none",
        "file with a bearer token for it; read again when it changes",
    )
    .shared(),
    Setting::new(
        "RUST_LOG",
        "info",
        "log filter: error, warn, info, debug, or module=level,...",
    ),
    Setting::new(
        "LOG_FORMAT",
        "text",
        "or json: one object per line, for programs that read the log",
    )
    .shared(),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Returns the names in the README's table of settings: those in its first column, and those in any
    /// column.
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

    /// Returns the differences of a README, one line per name.
    fn differences(readme: &str) -> Vec<String> {
        let (listed, mentioned) = names_in(readme);
        let known: BTreeSet<String> = all().map(|setting| setting.name.to_owned()).collect();
        let missing = known.difference(&mentioned).map(|n| format!("{n} missing"));
        let unknown = listed.difference(&known).map(|n| format!("{n} unknown"));
        missing.chain(unknown).collect()
    }

    #[test]
    fn readme_lists_every_setting() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        if let Ok(readme) = std::fs::read_to_string(path) {
            assert_eq!(differences(&readme), Vec::<String>::new());
        }
    }

    #[test]
    fn missing_and_unknown_settings_are_found() {
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
