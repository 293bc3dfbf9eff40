//! The Helm chart compared with the program: settings and default times.

use std::collections::BTreeSet;

use crate::manifests::{read, settings, settings_help};

/// Settings that the chart does not accept, because they come from elsewhere.
const FROM_ELSEWHERE: &[&str] = &[
    // From the cluster.
    "CLUSTER_NAME",
    "GIST_ID",
    "GITHUB_API_URL",
    // From the pod.
    "POD_NAME",
    "POD_NAMESPACE",
    // From a Secret.
    "GITHUB_API_TOKEN",
    "GITHUB_API_TOKEN_FILE",
    "LOCK_TOKEN",
    "LOCK_TOKEN_FILE",
    "LOCK_CA_FILE",
    "WEBHOOK_URL",
    // Values of the lock.
    "LOCK",
    "LOCK_USER",
    // Determined by the kind of deployment.
    "HTTP_ADDR",
    "READY_WHEN",
    "STATE_DIR",
    "STOP_TIMEOUT",
    "WORKLOAD_HEALTH_URL",
];

#[test]
fn chart_accepts_every_deployable_setting() {
    let schema: serde_json::Value =
        serde_json::from_str(&read("hack/chart/values.schema.json")).unwrap();
    let taken = schema["properties"]["settings"]["properties"]
        .as_object()
        .unwrap();
    let taken: BTreeSet<String> = taken.keys().cloned().collect();
    let elsewhere: BTreeSet<String> = FROM_ELSEWHERE.iter().map(|&name| name.into()).collect();
    let expected: BTreeSet<String> = settings().difference(&elsewhere).cloned().collect();
    assert_eq!(taken, expected);
}

/// Returns a kind's default of a setting in the chart's table.
fn chart_default(kind: &str, setting: &str) -> String {
    let table = read("hack/chart/templates/_checks.tpl");
    let line = table
        .lines()
        .find_map(|line| line.strip_prefix(kind)?.strip_prefix(": {"))
        .unwrap_or_else(|| panic!("no times of {kind}"));
    let mut times = line.trim_end_matches('}').split(", ");
    let time = times.find_map(|time| time.strip_prefix(setting)?.strip_prefix(": "));
    time.unwrap_or_else(|| panic!("{kind}: no {setting}"))
        .to_owned()
}

#[test]
fn chart_knows_default_times() {
    let help = settings_help();
    for setting in [
        "LEASE_DURATION",
        "RENEW_DEADLINE",
        "RETRY_PERIOD",
        "POLL_PERIOD",
    ] {
        let gist = chart_default("gist", setting);
        let mut expected = vec![gist.clone()];
        for (name, kind) in [("Lease", "lease"), ("objects", "object"), ("git", "git")] {
            let time = chart_default(kind, setting);
            if time != gist {
                expected.push(format!("{name} {time}"));
            }
        }
        let (first, others) = expected.split_first().unwrap();
        let expected = format!("  {setting} (default: {first}; {})", others.join(", "));
        assert!(help.contains(&expected), "{expected}");
        assert_eq!(
            chart_default("gist+git", setting),
            chart_default("git", setting)
        );
    }
}
