//! Environment variables that are probably meant as settings but are not: any other name that begins with
//! `ELECTOR_`, and typing errors.

use super::all;
use crate::commands::spelling::distance;
use crate::fmt::one_line;
use crate::lock;

/// Beginning of a setting's full name.
const PREFIX: &str = "ELECTOR_";

/// Variables of other programs whose names are close to those of settings.
const FOREIGN: &[&str] = &[
    "GITLAB_API_TOKEN",
    "HEADER_FILE",
    "HTTPS_ADDR",
    "READER_NAME",
    "STEP_TIMEOUT",
    "TLS_CERT_FILE",
];

/// Number of letters from which a name may contain two typing errors rather than one.
const LONG: usize = 13;

/// Returns a warning for each of the variables `names` that is probably meant as a setting. Beside a
/// wrapped program, names that it may use itself count only with `ELECTOR_`.
pub(super) fn warnings(names: &[String], with_program: bool) -> Vec<String> {
    let services: Vec<&str> = names
        .iter()
        .filter_map(|name| name.strip_suffix("_SERVICE_HOST"))
        .chain([PREFIX.trim_end_matches('_')])
        .collect();
    let names = names.iter().filter(|name| !is_of_service(name, &services));
    names
        .filter_map(|name| warning(name, with_program))
        .collect()
}

/// Returns whether Kubernetes sets the variable in every container beside one of the `services`.
fn is_of_service(name: &str, services: &[&str]) -> bool {
    services.iter().any(|service| {
        let rest = name.strip_prefix(service).unwrap_or_default();
        rest.starts_with("_SERVICE_") || rest.starts_with("_PORT")
    })
}

fn warning(name: &str, with_program: bool) -> Option<String> {
    let short = name.strip_prefix(PREFIX).unwrap_or(name);
    let known = all().any(|setting| setting.name == short) || FOREIGN.contains(&name);
    if known || lock::variables().any(|variable| variable == short) {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    let likely = match upper.strip_prefix(PREFIX) {
        Some(short) => closest(short, all().map(|setting| setting.name.to_owned()), true)
            .map(|likely| format!("{PREFIX}{likely}")),
        None => {
            let full = all().map(|setting| format!("{PREFIX}{}", setting.name));
            let plain = all().filter(|setting| !(with_program && setting.shared));
            let known = plain.map(|setting| setting.name.to_owned()).chain(full);
            Some(closest(name, known, false)?)
        }
    };
    let fix = match likely {
        Some(likely) => format!("did you mean {likely}?"),
        None => "see `elector help settings`".to_owned(),
    };
    let name = one_line(name);
    Some(format!("{name}: not a setting, so it has no effect; {fix}"))
}

/// Returns the known name that `name` resembles most, if it does. A name that is certainly `meant` as a
/// setting may differ more, and may have more words: `LEASE_DURATION_SECONDS`.
fn closest(name: &str, known: impl Iterator<Item = String>, meant: bool) -> Option<String> {
    let letters_of_name = letters(name);
    let errors = |known: &String| {
        let known = letters(known);
        let most = match meant {
            true => known.len() / 3,
            false => 1 + usize::from(known.len() >= LONG),
        };
        if meant && letters_of_name.starts_with(&known) {
            return Some(0);
        }
        // The distance is at least the difference in length, which bounds the work.
        let close = letters_of_name.len().abs_diff(known.len()) <= most;
        let errors = distance(close.then_some(&letters_of_name)?, &known);
        (errors <= most).then_some(errors)
    };
    let close = known.filter_map(|known| Some((errors(&known)?, known)));
    close.min().map(|(_, known)| known)
}

/// Returns the letters and digits of a name, in upper case.
fn letters(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    letters.collect::<String>().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Variables that images, shells, CI services, Kubernetes and common libraries set.
    const COMMON: &str = "\
        PATH HOME USER SHELL PWD OLDPWD SHLVL LANG LC_ALL TERM TZ TMPDIR HOSTNAME LOGNAME MAIL EDITOR _ \
        HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY FTP_PROXY http_proxy https_proxy no_proxy all_proxy \
        HTTP_PORT HTTPS_PORT HTTP_HOST HTTP_ADDRESS HTTPS_ADDR HTTP_BIND HTTP_LISTEN LISTEN_ADDR ADDR PORT \
        KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_SERVICE_PORT_HTTPS KUBERNETES_PORT \
        KUBERNETES_PORT_443_TCP KUBERNETES_PORT_443_TCP_ADDR KUBECONFIG KUBE_NAMESPACE NAMESPACE \
        NODE_NAME NODE_IP HOST_IP HOST_NAME POD_IP POD_IPS POD_UID POD_HOST POD_SERVICE_ACCOUNT POD_LABELS \
        MY_POD_NAME MY_POD_NAMESPACE MY_NODE_NAME K8S_POD_NAME K8S_POD_NAMESPACE KUBE_POD_NAMESPACE \
        K8S_NAMESPACE WATCH_NAMESPACE OPERATOR_NAME CONTAINER_NAME CLUSTER CLUSTER_ID CLUSTER_NAMESPACE \
        CLUSTER_DOMAIN CLUSTER_REGION KUBE_CLUSTER_NAME EKS_CLUSTER_NAME APP_NAME SERVICE_NAME LOCK_FILE \
        RELEASE_NAME RELEASE_DATE LEADER_ELECT LEADER_ELECTION LEADER_ELECTION_IDENTITY READER_NAME \
        LEADER_ELECTION_FENCING_TOKEN LEADER_ELECTION_NAMESPACE LEASE_NAME HEADER_FILE READY \
        GITHUB_TOKEN GITHUB_ACTIONS GITHUB_ACTOR GITHUB_API GITHUB_REF GITHUB_SHA GITHUB_URL GITHUB_JOB \
        GITHUB_SERVER_URL GITHUB_GRAPHQL_URL GITHUB_REPOSITORY GITHUB_OUTPUT GITHUB_ENV GITHUB_PATH \
        GITHUB_APP_ID GITHUB_RUN_ID GH_TOKEN GITLAB_TOKEN GITLAB_API_TOKEN GITLAB_API_URL GITEA_API_URL \
        CI_API_V4_URL API_TOKEN API_URL TOKEN_FILE API_TOKEN_FILE GIT_DIR GIT_SSL_CAINFO \
        SSL_CERT_DIR SSL_CERT SSL_KEY_FILE SSL_CA_FILE NIX_SSL_CERT_FILE TLS_CERT_FILE TLS_KEY_FILE \
        CERT_FILE CA_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS AWS_CA_BUNDLE \
        RUST_BACKTRACE RUST_LOG_STYLE RUST_LIB_BACKTRACE RUST_MIN_STACK RUSTFLAGS RUSTUP_HOME CARGO_HOME \
        LOG_LEVEL LOG_FILE LOG_DIR LOG_FORMATTER LOG LOGGING_FORMAT NGINX_LOG_FORMAT DEBUG \
        WEBHOOK WEBHOOK_TOKEN WEBHOOK_SECRET WEBHOOK_PORT SLACK_WEBHOOK_URL DISCORD_WEBHOOK_URL \
        HEALTH_URL HEALTHCHECK_URL WORKLOAD_NAME WORKLOAD_TYPE WORKLOAD_IDENTITY STEP_TIMEOUT TIMEOUT \
        RETRY_COUNT RETRY_DELAY RETRY_INTERVAL RETRIES MAX_RETRIES POLL_INTERVAL POLLING_PERIOD \
        TERMINATION_LOG TERMINATION_GRACE_PERIOD_SECONDS STOP_SIGNAL STOPSIGNAL GRACE_PERIOD \
        AWS_REGION AWS_PROFILE GOOGLE_APPLICATION_CREDENTIALS AZURE_CLIENT_ID OTEL_SERVICE_NAME \
        OTEL_EXPORTER_OTLP_ENDPOINT JAVA_HOME JAVA_OPTS NODE_ENV NODE_OPTIONS PYTHONPATH GOPATH GOMAXPROCS \
        DATABASE_URL REDIS_URL POSTGRES_HOST PGHOST PGUSER MYSQL_HOST DOCKER_HOST CONTAINER XDG_RUNTIME_DIR \
        INVOCATION_ID JOURNAL_STREAM SYSTEMD_EXEC_PID NOTIFY_SOCKET MAINPID LISTEN_FDS SSH_AUTH_SOCK DISPLAY";

    fn warned(names: &[&str], with_program: bool) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        warnings(&names, with_program)
    }

    /// Returns the likely setting of a name; empty for none, `-` without a warning.
    fn likely(name: &str) -> String {
        let warnings = warned(&[name], false);
        let Some(warning) = warnings.first() else {
            return "-".to_owned();
        };
        assert!(warning.contains(": not a setting"), "{warning}");
        match warning.split_once("did you mean ") {
            Some((_, likely)) => likely.trim_end_matches('?').to_owned(),
            None => String::new(),
        }
    }

    #[test]
    fn misspelt_setting_names_the_likely_one() {
        for (name, expected) in [
            ("LEASE_DURATON", "LEASE_DURATION"),
            ("LEASE_DURATIONS", "LEASE_DURATION"),
            ("LEASE_DRUATOIN", "LEASE_DURATION"),
            ("LEASEDURATION", "LEASE_DURATION"),
            ("LEASE-DURATION", "LEASE_DURATION"),
            ("lease_duration", "LEASE_DURATION"),
            ("lease_duraton", "LEASE_DURATION"),
            ("RETRY_PERIODS", "RETRY_PERIOD"),
            ("RETRY_PEROID", "RETRY_PERIOD"),
            ("RENEW_DEADLNE", "RENEW_DEADLINE"),
            ("RENW_DEADLNE", "RENEW_DEADLINE"),
            ("POLL_PERIODE", "POLL_PERIOD"),
            ("GIST_IDS", "GIST_ID"),
            ("GISTID", "GIST_ID"),
            ("GITHUB_API_TOKN", "GITHUB_API_TOKEN"),
            ("GITHUB_API_TOKEN_FIEL", "GITHUB_API_TOKEN_FILE"),
            ("CLUSTER_NAMES", "CLUSTER_NAME"),
            ("POD_NAME_SPACE", "POD_NAMESPACE"),
            ("WEB_HOOK_URL", "WEBHOOK_URL"),
            ("WEBHOOK_URI", "WEBHOOK_URL"),
            ("HTTP_ADR", "HTTP_ADDR"),
            ("ELECTOR_LEASE_DURATON", "ELECTOR_LEASE_DURATION"),
            ("ELECTOR_lease_duration", "ELECTOR_LEASE_DURATION"),
            ("elector_lease_duration", "ELECTOR_LEASE_DURATION"),
            ("ELECTOR_LEASE_DURATION_SECONDS", "ELECTOR_LEASE_DURATION"),
            ("ELECTOR_EASE_DURATION", "ELECTOR_LEASE_DURATION"),
            ("ELECTOR_GITHUB_TOKEN", "ELECTOR_GITHUB_API_TOKEN"),
            ("ELECTOR_HTTP_ADDRESS", "ELECTOR_HTTP_ADDR"),
            (
                "ELECTOR_TERMINATION_GRACE_PERIOD",
                "ELECTOR_TERMINATION_GRACE",
            ),
            ("ELECTOR__GIST_ID", "ELECTOR_GIST_ID"),
            ("ELECTR_GIST_ID", "ELECTOR_GIST_ID"),
            ("ELECTORGIST_ID", "ELECTOR_GIST_ID"),
            ("EASE_DURATION", "LEASE_DURATION"),
            ("ELECTOR_FOO", ""),
            ("ELECTOR_", ""),
            ("ELECTOR_HTTPS_PROXY", ""),
        ] {
            assert_eq!(likely(name), expected, "{name}");
        }
    }

    #[test]
    fn every_single_typing_error_is_found() {
        for setting in all() {
            let name = setting.name;
            for at in 1..name.len() {
                let (before, after) = name.split_at(at);
                let (letter, rest) = after.split_at(1);
                let (other, end) = rest.split_at(rest.len().min(1));
                let swapped = format!("{before}{other}{letter}{end}");
                let doubled = format!("{before}{letter}{letter}{rest}");
                let missing = format!("{before}{rest}");
                for wrong in [swapped, doubled, missing] {
                    let found = likely(&wrong);
                    assert!(found == name || wrong == name, "{wrong}: {found}");
                }
            }
        }
    }

    #[test]
    fn common_variables_are_not_mistaken() {
        for name in COMMON.split_whitespace() {
            assert_eq!(likely(name), "-", "{name}");
        }
    }

    #[test]
    fn settings_are_known_in_both_forms() {
        for setting in all() {
            assert_eq!(likely(setting.name), "-");
            assert_eq!(likely(&format!("{PREFIX}{}", setting.name)), "-");
        }
    }

    #[test]
    fn variables_of_kubernetes_services_are_ignored() {
        let names = [
            "ELECTOR_SERVICE_HOST",
            "ELECTOR_SERVICE_PORT",
            "ELECTOR_SERVICE_PORT_HTTP",
            "ELECTOR_PORT",
            "ELECTOR_PORT_4040_TCP",
            "ELECTOR_PORT_4040_TCP_ADDR",
        ];
        assert_eq!(warned(&names, false), [""; 0]);
        // Of a service named elector-http.
        let names = [
            "ELECTOR_HTTP_PORT",
            "ELECTOR_HTTP_PORT_80_TCP_PROTO",
            "ELECTOR_HTTP_SERVICE_PORT",
            "ELECTOR_HTTP_SERVICE_HOST",
        ];
        assert_eq!(warned(&names, false), [""; 0]);
        assert_eq!(warned(&names[..1], false).len(), 1);
    }

    #[test]
    fn wrapped_programs_variables_are_ignored() {
        let names = ["HTTP_ADR", "WEBHOOK_URLS", "LOG_FORMATS"];
        assert_eq!(warned(&names, true), [""; 0]);
        assert_eq!(warned(&names, false).len(), 3);
        assert_eq!(warned(&["ELECTOR_HTTP_ADR", "GIST_IDS"], true).len(), 2);
    }

    #[test]
    fn hostile_names_are_harmless() {
        let long = format!("ELECTOR_{}", "X".repeat(1_000_000));
        let warnings = warned(&[&long, "ELECTOR_\n\u{1b}[31m", "", "Ä"], false);
        assert_eq!(warnings.len(), 2);
        for warning in warnings {
            assert!(warning.len() < 400 && !warning.contains(char::is_control));
        }
    }
}
