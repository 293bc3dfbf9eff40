//! The committed manifests compared with the program: settings, ports, versions, times.
//!
//! These tests only read the files. `hack/test-chart.sh` tests that the chart renders them, that they match
//! Kubernetes' schemas, and that they work in a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

const ELECTOR: &str = "hack/manifests/elector.yaml";
const HUB: &str = "hack/manifests/elector-hub.yaml";
const LEASE: &str = "hack/examples/lease.yaml";
const HUB_CLUSTER: &str = "hack/examples/hub.yaml";
const GIST_SERVER: &str = "hack/manifests/gist-server-egress.yaml";
const WRAP: &str = "hack/examples/wrap.yaml";
const SIDECAR: &str = "hack/examples/sidecar.yaml";
/// Deployments with a gist.
const GIST_DEPLOYMENTS: [&str; 3] = [ELECTOR, WRAP, SIDECAR];
const DEPLOYMENTS: [&str; 5] = [ELECTOR, WRAP, SIDECAR, HUB, LEASE];
/// Settings per kind of store.
const ENVIRONMENTS: [&str; 8] = [
    "gist", "gist-git", "git", "lease", "hub", "s3", "azure", "google",
];

pub(crate) fn read(path: &str) -> String {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(whole).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the object of this kind in a file with several.
fn object(path: &str, kind: &str) -> String {
    let text = read(path);
    let objects: Vec<&str> = text
        .split("\n---\n")
        .filter(|object| object.lines().any(|line| line == format!("kind: {kind}")))
        .collect();
    assert_eq!(objects.len(), 1, "{path} has one {kind}");
    objects[0].to_owned()
}

/// Returns the value of `key: ` in the only line that has it, without quotes.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let found: Vec<&str> = values(text, key);
    assert_eq!(found.len(), 1, "`{key}` stands there once:\n{text}");
    found[0]
}

fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let lines = text
        .lines()
        .map(|line| line.trim_start().trim_start_matches("- "));
    lines
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
        .map(|value| value.trim_matches('"'))
        .collect()
}

/// Returns the entries of a ConfigMap: settings and their values.
fn entries(path: &str) -> BTreeMap<String, String> {
    let map = object(path, "ConfigMap");
    let (_, data) = map.split_once("\ndata:\n").unwrap();
    let entries: BTreeMap<_, _> = data
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect();
    assert!(
        entries.contains_key("STOP_TIMEOUT"),
        "{path}: the settings were not found"
    );
    entries
}

/// Returns the program's list of settings.
pub(crate) fn settings_help() -> String {
    let help = Command::new(env!("CARGO_BIN_EXE_elector"))
        .args(["help", "settings"])
        .output()
        .unwrap();
    String::from_utf8(help.stdout).unwrap()
}

/// Returns the names of the settings, as the program lists them.
pub(crate) fn settings() -> BTreeSet<String> {
    let text = settings_help();
    let names: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once(" ("))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.chars().all(|c| c == '_' || c.is_ascii_uppercase()))
        .collect();
    assert!(names.contains("GIST_ID") && names.contains("RUST_LOG"));
    names
}

/// Returns the names of the variables that a Deployment sets, without `ELECTOR_`.
fn variables(path: &str) -> BTreeSet<String> {
    let deployment = object(path, "Deployment");
    let names = values(&deployment, "name").into_iter();
    names
        .filter(|name| name.chars().all(|c| c == '_' || c.is_ascii_uppercase()))
        .map(|name| name.strip_prefix("ELECTOR_").unwrap_or(name).to_owned())
        .collect()
}

fn seconds(duration: &str) -> u64 {
    duration.strip_suffix('s').unwrap().parse().unwrap()
}

#[test]
fn deployed_settings_exist() {
    let known = settings();
    for path in DEPLOYMENTS {
        for name in entries(path).into_keys() {
            assert!(known.contains(&name), "{path}: there is no setting {name}");
        }
        let variables = variables(path);
        for name in ["POD_NAME", "POD_NAMESPACE", "HTTP_ADDR"] {
            assert!(variables.contains(name), "{path} does not set {name}");
        }
        for name in variables.iter().filter(|name| *name != "NODE_NAME") {
            assert!(known.contains(name), "{path}: there is no setting {name}");
        }
    }
}

/// Returns the problems that the program has with these settings.
fn problems(settings: &BTreeMap<String, String>) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_elector"))
        .env_clear()
        .envs(settings)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{printed}");
    let problems = printed.lines().filter(|line| line.starts_with("  "));
    problems.map(|line| line.trim().to_owned()).collect()
}

#[test]
fn deployed_settings_lack_only_cluster_values() {
    for path in GIST_DEPLOYMENTS {
        let problems = problems(&entries(path));
        let [gist, token] = &problems[..] else {
            panic!("{path}: {problems:?}");
        };
        assert!(gist.contains("GIST_ID"), "{gist}");
        assert!(token.contains("GITHUB_API_TOKEN"), "{token}");
    }
}

#[test]
fn each_store_gets_only_its_credentials() {
    let token_files = |path: &str| -> Vec<String> {
        let names = variables(path).into_iter();
        names.filter(|name| name.ends_with("_FILE")).collect()
    };
    for path in GIST_DEPLOYMENTS {
        assert_eq!(token_files(path), ["GITHUB_API_TOKEN_FILE"], "{path}");
    }
    assert_eq!(token_files(HUB), ["LOCK_CA_FILE", "LOCK_TOKEN_FILE"]);
    assert!(token_files(LEASE).is_empty());
    for path in [HUB, LEASE] {
        let text = read(path);
        for part in ["GIST_ID", "GITHUB", "elector-github"] {
            assert!(!text.contains(part), "{path} contains {part}");
        }
    }
}

/// RBAC cannot limit `create` to a name.
#[test]
fn rights_cover_one_lease() {
    for (path, name) in [(LEASE, "batch"), (HUB_CLUSTER, "elector")] {
        let role = object(path, "Role");
        let (_, rules) = role.split_once("\nrules:\n").unwrap();
        let expected = format!(
            "- {{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}}\n\
             - apiGroups: [coordination.k8s.io]\n  resources: [leases]\n  \
             resourceNames: [\"{name}\"]\n  verbs: [get, update]"
        );
        assert_eq!(rules.trim_end(), expected, "{path}");
        let binding = object(path, "RoleBinding");
        let account = format!("{{kind: ServiceAccount, name: {name}, namespace: leader-election}}");
        assert!(binding.contains(&account), "{path}");
        let service_account = object(path, "ServiceAccount");
        assert_eq!(
            value(&service_account, "automountServiceAccountToken"),
            "false"
        );
    }
    let deployment = object(LEASE, "Deployment");
    assert!(deployment.contains("value: \"lease:batch\""));
    assert_eq!(value(&deployment, "serviceAccountName"), "batch");
    let hub = object(HUB, "Deployment");
    assert!(hub.contains(":6443/leader-election/elector\""));
}

/// Returns the settings of a kind of store in `hack/examples`.
fn environment(store: &str) -> BTreeMap<String, String> {
    let text = read(&format!("hack/examples/{store}.env"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

#[test]
fn example_environments_are_complete() {
    let probe = BTreeMap::from([("LOCK".to_owned(), "nothing:x".to_owned())]);
    let forms = problems(&probe).join(" ");
    let known = settings();
    for store in ENVIRONMENTS {
        let mut settings = environment(store);
        let (scheme, _) = settings["LOCK"].split_once(':').unwrap();
        if !forms.contains(&format!("{scheme}:")) {
            // A build without git locks lacks their setting too.
            assert!(!known.contains("LOCK_USER"), "{store}: {forms}");
            continue;
        }
        let pod = [
            ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
            ("RETRY_PERIOD", "x"),
        ];
        settings.extend(pod.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let problems = problems(&settings);
        let [problem] = &problems[..] else {
            panic!("{store}: {problems:?}");
        };
        assert!(problem.starts_with("RETRY_PERIOD"), "{problem}");
    }
}

#[test]
fn pod_outlives_stop_and_release() {
    for path in DEPLOYMENTS {
        let stop = seconds(&entries(path)["STOP_TIMEOUT"]);
        let deployment = object(path, "Deployment");
        let grace = value(&deployment, "terminationGracePeriodSeconds");
        assert!(grace.parse::<u64>().unwrap() >= stop + 10, "{path}");
    }
}

#[test]
fn versions_match_the_package() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = read("hack/chart/Chart.yaml");
    assert_eq!(value(&chart, "version"), version);
    assert_eq!(value(&chart, "appVersion"), version);
    let oldest = format!("container: rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(
        read(".github/workflows/test.yml").contains(&oldest),
        "{oldest}"
    );
    let ours = format!("g1g1/multi-cluster-leader-election:{version}");
    for path in DEPLOYMENTS {
        let deployment = object(path, "Deployment");
        let images = values(&deployment, "image");
        assert!(images.contains(&ours.as_str()), "{path}: {images:?}");
    }
    let first = read("CHANGELOG.md")
        .lines()
        .find_map(|line| line.strip_prefix("## ").map(str::to_owned))
        .unwrap();
    assert!(
        first.starts_with(version),
        "CHANGELOG.md begins with {first}"
    );
}

/// Returns the ports that a policy allows for egress.
fn egress_ports(policy: &str) -> BTreeSet<(String, u16)> {
    let (_, egress) = policy.split_once("\n  egress:\n").unwrap();
    let ports = egress
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- {protocol: "));
    ports
        .map(|line| {
            let (protocol, port) = line.split_once(", port: ").unwrap();
            let port = port.trim_end_matches('}').parse().unwrap();
            (protocol.to_owned(), port)
        })
        .collect()
}

fn ports(ports: &[(&str, u16)]) -> BTreeSet<(String, u16)> {
    let owned = ports
        .iter()
        .map(|&(protocol, port)| (protocol.into(), port));
    owned.collect()
}

#[test]
fn egress_allows_dns_and_https_only() {
    let expected = ports(&[("UDP", 53), ("TCP", 53), ("TCP", 443)]);
    for path in DEPLOYMENTS {
        let mut expected = expected.clone();
        if [HUB, LEASE].contains(&path) {
            // The API server.
            expected.insert(("TCP".into(), 6443));
        }
        let policy = object(path, "NetworkPolicy");
        assert_eq!(egress_ports(&policy), expected, "{path}");
        assert_eq!(value(&policy, "policyTypes"), "[Ingress, Egress]");
    }
}

#[test]
fn demonstration_policy_allows_gist_server_port() {
    let script = read("hack/lib.sh");
    let port = script
        .lines()
        .find_map(|line| line.trim().strip_prefix("GIST_SERVER_PORT="))
        .expect("hack/lib.sh says at which port the gist service listens");
    let policy = object(GIST_SERVER, "NetworkPolicy");
    assert_eq!(
        egress_ports(&policy),
        ports(&[("TCP", port.parse().unwrap())])
    );
    // It must select the same pods.
    let selected = |policy: &str| {
        let (_, rest) = policy.split_once("podSelector:").unwrap();
        rest.split_once("policyTypes").unwrap().0.to_owned()
    };
    assert_eq!(
        selected(&policy),
        selected(&object(ELECTOR, "NetworkPolicy"))
    );
}

#[test]
fn scripts_create_what_manifests_need() {
    let deployment = object(ELECTOR, "Deployment");
    let up = read("hack/up.sh");
    let map = "elector-cluster";
    assert!(deployment.contains(&format!("configMapRef: {{name: {map}}}")));
    let secret = value(&deployment, "secretName");
    let hub = object(HUB, "Deployment");
    assert!(hub.contains(&format!("configMapRef: {{name: {map}}}")));
    let lock = value(&hub, "secretName");
    for name in [
        map,
        secret,
        lock,
        value(&object(ELECTOR, "Namespace"), "name"),
    ] {
        let given = up.contains(name) || read("hack/lib.sh").contains(name);
        assert!(given, "hack/up.sh makes no {name}");
    }
}

/// The examples can be deployed beside each other and beside the plain elector, because each names another
/// ConfigMap, which names the gist.
#[test]
fn deployments_have_separate_config_maps() {
    let maps = GIST_DEPLOYMENTS.map(|path| {
        let deployment = object(path, "Deployment");
        let maps = values(&deployment, "configMapRef");
        let own: Vec<&str> = maps
            .into_iter()
            .filter(|map| map.contains("-cluster"))
            .collect();
        assert_eq!(own.len(), 1, "{path}: {own:?}");
        own[0].to_owned()
    });
    assert_eq!(BTreeSet::from(maps).len(), GIST_DEPLOYMENTS.len());
}

/// Helm adopts only objects with its labels, and must not delete those that kubectl applied.
#[test]
fn kubectl_manifests_are_not_helms() {
    for path in DEPLOYMENTS.iter().chain(&[GIST_SERVER, HUB_CLUSTER]) {
        for part in ["managed-by", "helm.sh/", "kind: Pod\n"] {
            assert!(!read(path).contains(part), "{path} contains {part}");
        }
    }
}

#[test]
fn every_container_is_hardened() {
    for path in DEPLOYMENTS {
        let deployment = object(path, "Deployment");
        let containers = values(&deployment, "image").len();
        for (key, expected) in [
            ("allowPrivilegeEscalation", "false"),
            ("readOnlyRootFilesystem", "true"),
            ("memory", ""),
        ] {
            let found = values(&deployment, key);
            // Memory has a request and a limit.
            let times = if key == "memory" { 2 } else { 1 };
            assert_eq!(found.len(), containers * times, "{path}: {key}");
            let alike = |value: &&str| expected.is_empty() || *value == expected;
            assert!(found.iter().all(alike), "{path}: {key} is {found:?}");
        }
        let drops = deployment.matches("drop:\n            - ALL\n").count();
        assert_eq!(drops, containers, "{path}: capabilities");
        let token = (path == LEASE).to_string();
        assert_eq!(value(&deployment, "automountServiceAccountToken"), token);
        assert_eq!(value(&deployment, "enableServiceLinks"), "false");
        let seccomp = "seccompProfile:\n          type: RuntimeDefault\n";
        assert!(deployment.contains(seccomp), "{path}");
    }
}
