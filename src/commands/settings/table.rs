//! Table of all settings. The reader, `elector help settings` and `docs/configuration.md` use it.

use std::iter;

use crate::lock;
use crate::lock::settings::Setting;

/// Syntax of names and values, for the help.
pub const NAMES_AND_VALUES: &str = "\
Settings are environment variables. elector reads each as ELECTOR_<NAME> first, then as <NAME>. An empty \
value means unset. Durations are written like 30s, 1m30s or 500ms.";

/// Settings that other programs share, for the help.
pub const PROXIES: &str = "HTTPS_PROXY and NO_PROXY are respected.";

/// Returns every setting of the program in its group, those of its locks first.
pub fn groups() -> impl Iterator<Item = (&'static str, Vec<Setting>)> {
    let lock = ("Lock", lock::settings().collect());
    let others = GROUPS.iter().map(|(title, group)| (*title, group.to_vec()));
    iter::once(lock).chain(others)
}

/// Returns every setting of the program.
pub fn all() -> impl Iterator<Item = Setting> {
    groups().flat_map(|(_, settings)| settings)
}

/// Settings that do not depend on the kind of lock.
const GROUPS: &[(&str, &[Setting])] = &[
    ("Identity", IDENTITY),
    ("Election", ELECTION),
    ("Workload", WORKLOAD),
    ("Status and notifications", STATUS),
    ("Network and log", SYSTEM),
];

const IDENTITY: &[Setting] = &[
    Setting::new(
        "LEADER_NAME",
        "the next three, joined by `/`, or the host name",
        "identity of this candidate; must be unique in the election",
    ),
    Setting::new("CLUSTER_NAME", "none", "first part of the identity"),
    Setting::new("POD_NAMESPACE", "none", "second part of the identity"),
    Setting::new("POD_NAME", "none", "last part of the identity"),
    Setting::new(
        "LOCK_NAME",
        "the lock's own name",
        "name of the election on the status page and in webhook messages",
    ),
];

const ELECTION: &[Setting] = &[
    Setting::new(
        "LEASE_DURATION",
        "30s; Lease 15s, objects 20s, git 40s",
        "time without a renewal after which standbys take over; at most 1h",
    ),
    Setting::new(
        "RENEW_DEADLINE",
        "16s; Lease 6s, objects 9s, git 21s",
        "time without a renewal after which the leader stops leading",
    ),
    Setting::new(
        "RETRY_PERIOD",
        "8s; Lease 2s, objects 4s, git 12s",
        "interval between two renewals",
    ),
    Setting::new(
        "POLL_PERIOD",
        "2s; Lease 1s, git 3s",
        "interval between a candidate's reads",
    ),
    Setting::new(
        "TAKEOVER_STAGGER",
        "400ms",
        "longest random delay before acquiring a free lease, tripled after the first read; by default at \
         most a quarter of POLL_PERIOD",
    ),
    Setting::new(
        "PREFERRED",
        "false",
        "whether this candidate is preferred: it acquires a free lease without the random delay, and other \
         preferred candidates let it lead",
    ),
    Setting::new(
        "FAILBACK_AFTER",
        "none",
        "with PREFERRED, time after which this candidate asks a leader that is not preferred to hand over to \
         it; counted from its start, its last request and the end of each of its terms",
    ),
    Setting::new(
        "RELEASE_ON_CANCEL",
        "true",
        "release the lease on SIGTERM and SIGINT",
    ),
    Setting::new(
        "EXIT_ON_LOST_LEASE",
        "false",
        "exit with code 1 after losing the lease, instead of running for election again",
    ),
];

const WORKLOAD: &[Setting] = &[
    Setting::new(
        "TERMINATION_GRACE",
        "5s",
        "time from SIGTERM to SIGKILL for the workload if the lease is being lost",
    ),
    Setting::new(
        "STOP_TIMEOUT",
        "25s",
        "time from the stop signal to SIGKILL on a graceful shutdown, while the lease is still renewed",
    ),
    Setting::new(
        "WORKLOAD_HEALTH_URL",
        "none",
        "URL on this machine to check while leading; if it fails, the workload is stopped and the lease \
         released",
    ),
    Setting::new(
        "LEADER_FILE",
        "none",
        "file that exists while leading, with one line of JSON: identity, fencing token, deadline",
    ),
    Setting::new(
        "STATE_DIR",
        "none",
        "directory on tmpfs or a local disk, by which a restarted candidate resumes without waiting for \
         its own lease, and which keeps a step-down",
    )
    .shared(),
];

const STATUS: &[Setting] = &[
    Setting::new(
        "HTTP_ADDR",
        "off",
        "address of the status endpoints: :PORT (every interface, IPv4 and IPv6) or HOST:PORT",
    )
    .shared(),
    Setting::new(
        "READY_WHEN",
        "candidate",
        "role in which /readyz answers 200: `candidate` (since the store's first answer) or `leader` (while \
         leading, and while a wrapped program runs and is healthy)",
    ),
    Setting::new(
        "WEBHOOK_URL",
        "none",
        "URL that gets a JSON POST at every transition; its `text` is what Slack and Mattermost display",
    )
    .shared(),
    Setting::new(
        "WEBHOOK_TOKEN_FILE",
        "none",
        "file with a bearer token for WEBHOOK_URL; read again when it changes",
    )
    .shared(),
];

const SYSTEM: &[Setting] = &[
    Setting::new(
        "SSL_CERT_FILE",
        "built-in roots",
        "PEM file with trusted root certificates for every HTTPS host, in place of the built-in ones; \
         read again when it changes",
    ),
    Setting::new(
        "RUST_LOG",
        "info",
        "log filter: `error`, `warn`, `info`, `debug`, or `module=level,...`; anything else counts as \
         `info`",
    ),
    Setting::new(
        "LOG_FORMAT",
        "text",
        "`text`, or `json`: one object per line, for programs that read the log",
    )
    .shared(),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_setting_is_listed_twice() {
        let names: BTreeSet<_> = all().map(|row| row.name).collect();
        assert_eq!(names.len(), all().count());
    }
}
