//! Settings of a lock in a Lease.

use std::fs;
use std::path::PathBuf;

use super::LeaseOptions;
use crate::lock::cas::backend::read_lock;
use crate::lock::settings::{LOCK_TOKEN, LOCK_TOKEN_FILE, Noted, Reader, Setting};
use crate::lock::{Kind, Place, Surroundings};
use crate::net::{AccessTokenSource, Url};

/// Files that Kubernetes mounts into a container for its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Longest name of an object, and of a namespace.
const LONGEST_NAME: usize = 253;
const LONGEST_NAMESPACE: usize = 63;

/// Kind of lock.
pub const KIND: Kind = Kind {
    schemes: &["lease"],
    forms: &[
        "lease:[NAMESPACE/]NAME",
        "lease://HOST[:PORT]/NAMESPACE/NAME",
    ],
    settings: &[
        LOCK_TOKEN,
        LOCK_TOKEN_FILE,
        Setting::new(
            "LOCK_CA_FILE",
            "the cluster's own, or SSL_CERT_FILE",
            "PEM file with the certificates of the API server",
        )
        .shared(),
    ],
    variables: &[],
    read: |reader, place, surroundings| read_lock(place, |place| read(reader, place, surroundings)),
};

/// Reads the options of a Lease.
///
/// # Errors
/// If a setting is missing or wrong, which is noted.
pub fn read(
    reader: &mut Reader<'_>,
    place: &Place,
    surroundings: Surroundings<'_>,
) -> Result<LeaseOptions, Noted> {
    let token = reader.access_token("LOCK_TOKEN");
    let ca_file = reader.path("LOCK_CA_FILE");
    match place.rest.strip_prefix("//") {
        Some(rest) => hub(reader, place, rest, token?, ca_file, surroundings),
        None => in_cluster(reader, place, token?, ca_file),
    }
}

/// Reads `lease:[NAMESPACE/]NAME`, in the cluster in which this process runs.
fn in_cluster(
    reader: &mut Reader<'_>,
    place: &Place,
    token: Option<AccessTokenSource>,
    ca_file: Option<PathBuf>,
) -> Result<LeaseOptions, Noted> {
    let host = reader.text("KUBERNETES_SERVICE_HOST")?;
    let port = reader.text("KUBERNETES_SERVICE_PORT")?;
    let server = host.as_ref().and_then(|host| {
        let port = port.map_or_else(|| "443".to_owned(), |port| port.value);
        let host = match host.value.contains(':') {
            true => format!("[{}]", host.value),
            false => host.value.clone(),
        };
        format!("https://{host}:{port}").parse::<Url>().ok()
    });
    let Some(server) = server else {
        let why = "KUBERNETES_SERVICE_HOST is not set, so this is not a pod; use lease://HOST/NAMESPACE/NAME";
        return Err(place.refuse(reader, why));
    };
    let (namespace, name) = match place.rest.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (own_namespace(reader), place.rest.as_str()),
    };
    let Some(namespace) = namespace else {
        return Err(place.refuse(
            reader,
            "the pod's namespace is unknown; use lease:NAMESPACE/NAME, or set POD_NAMESPACE",
        ));
    };
    check_names(reader, place, &namespace, name)?;
    let file = |name: &str| PathBuf::from(format!("{SERVICE_ACCOUNT}/{name}"));
    let given = token.is_some();
    Ok(LeaseOptions {
        server,
        in_cluster: true,
        namespace,
        name: name.to_owned(),
        access_token: token.unwrap_or_else(|| AccessTokenSource::File(file("token"))),
        token_setting: if given {
            "LOCK_TOKEN"
        } else {
            "service account"
        },
        ca_file: Some(ca_file.unwrap_or_else(|| file("ca.crt"))),
    })
}

/// Reads `lease://HOST[:PORT]/NAMESPACE/NAME`.
fn hub(
    reader: &mut Reader<'_>,
    place: &Place,
    rest: &str,
    token: Option<AccessTokenSource>,
    ca_file: Option<PathBuf>,
    surroundings: Surroundings<'_>,
) -> Result<LeaseOptions, Noted> {
    let parts: Vec<&str> = rest.split('/').collect();
    let [server, namespace, name] = parts[..] else {
        return Err(place.refuse(reader, "use lease://HOST[:PORT]/NAMESPACE/NAME"));
    };
    let Ok(server) = format!("https://{server}").parse::<Url>() else {
        return Err(place.refuse(
            reader,
            "the host is not valid; use lease://HOST[:PORT]/NAMESPACE/NAME",
        ));
    };
    check_names(reader, place, namespace, name)?;
    let Some(access_token) = token else {
        reader.problem(
            "LOCK_TOKEN: not set, and neither is LOCK_TOKEN_FILE; give a token of the hub cluster that may \
             get, create and update the Lease, or a file that holds one"
                .to_owned(),
        );
        return Err(Noted);
    };
    Ok(LeaseOptions {
        server,
        in_cluster: false,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        access_token,
        token_setting: "LOCK_TOKEN",
        ca_file: ca_file.or_else(|| surroundings.ca_file.map(PathBuf::from)),
    })
}

#[expect(clippy::disallowed_methods, reason = "reads what Kubernetes mounts")]
fn own_namespace(reader: &mut Reader<'_>) -> Option<String> {
    if let Ok(Some(found)) = reader.text("POD_NAMESPACE") {
        return Some(found.value);
    }
    let text = fs::read_to_string(format!("{SERVICE_ACCOUNT}/namespace")).ok()?;
    Some(text.trim().to_owned())
}

fn check_names(
    reader: &mut Reader<'_>,
    place: &Place,
    namespace: &str,
    name: &str,
) -> Result<(), Noted> {
    if !is_dns_name(namespace, LONGEST_NAMESPACE) || namespace.contains('.') {
        return Err(place.refuse(
            reader,
            "the namespace is not valid; use lower-case letters, digits and -",
        ));
    }
    if !is_dns_name(name, LONGEST_NAME) {
        return Err(place.refuse(
            reader,
            "the name is not valid; use lower-case letters, digits, - and .",
        ));
    }
    Ok(())
}

/// Returns whether Kubernetes accepts the name of an object (RFC 1123).
fn is_dns_name(name: &str, longest: usize) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        part.bytes().all(|byte| inner(byte) || byte == b'-')
            && part.bytes().next().is_some_and(inner)
            && part.bytes().last().is_some_and(inner)
    };
    name.len() <= longest && name.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::lock::LockSpec;
    use crate::lock::cas::kind::Kind as _;

    const IN_CLUSTER: &[(&str, &str)] = &[
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
        ("POD_NAMESPACE", "web"),
    ];

    fn read_spec(variables: &[(&str, &str)]) -> Result<LockSpec, Vec<String>> {
        let lookup = |name: &str| {
            let found = variables.iter().rev().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let mut reader = Reader::new(&lookup);
        let (spec, confirm_delay) = LockSpec::read(&mut reader, None, crate::lock::Purpose::Use);
        assert_eq!(confirm_delay, None);
        match spec {
            Ok(spec) if reader.problem_count() == 0 => Ok(spec),
            _ => Err(reader.into_problems()),
        }
    }

    fn read_in_cluster(lock: &str, more: &[(&str, &str)]) -> Result<LockSpec, Vec<String>> {
        read_spec(&[&[("LOCK", lock)], IN_CLUSTER, more].concat())
    }

    #[test]
    fn own_cluster_needs_only_the_name() {
        let spec = read_in_cluster("lease:report", &[]).unwrap();
        let shown = format!("{spec:?}");
        for part in ["10.96.0.1:443", "\"web\"", "serviceaccount/token", "ca.crt"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let spec = read_in_cluster(
            "lease:jobs/report",
            &[("KUBERNETES_SERVICE_HOST", "fd00::1")],
        );
        let shown = format!("{:?}", spec.unwrap());
        assert!(
            shown.contains("[fd00::1]:443") && shown.contains("\"jobs\""),
            "{shown}"
        );
    }

    #[test]
    fn hub_needs_token() {
        let hub = ("LOCK", "lease://hub.example:6443/jobs/report");
        let problems = read_spec(&[hub]).unwrap_err();
        assert!(problems[0].contains("LOCK_TOKEN_FILE"), "{problems:?}");
        let spec = read_spec(&[hub, ("LOCK_TOKEN_FILE", "/t"), ("LOCK_CA_FILE", "/ca")]).unwrap();
        let shown = format!("{spec:?}");
        for part in [
            "hub.example:6443",
            "\"jobs\"",
            "/t",
            "/ca",
            "in_cluster: false",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn wrong_places_name_fix() {
        for (lock, part) in [
            ("lease:", "name is not valid"),
            ("lease:Report", "name is not valid"),
            ("lease:a/b/c", "name is not valid"),
            ("lease:a.b/c", "namespace is not valid"),
            ("lease://hub/jobs", "lease://HOST[:PORT]/NAMESPACE/NAME"),
            ("lease:///jobs/report", "host is not valid"),
            ("lease://me:secret@hub/jobs/report", "LOCK: contains"),
            ("leases:x", "use one of"),
        ] {
            let problems = read_in_cluster(lock, &[("LOCK_TOKEN", "x")]).unwrap_err();
            assert!(problems[0].contains(part), "{problems:?}");
            assert!(!problems[0].contains("secret"), "{problems:?}");
        }
        let outside = read_spec(&[("LOCK", "lease:report")]).unwrap_err();
        assert!(outside[0].contains("not a pod"), "{outside:?}");
    }

    #[test]
    fn settings_of_other_locks_are_refused() {
        let more = [("GIST_ID", "923dcb52"), ("LOCK_USER", "me")];
        let problems = read_in_cluster("lease:report", &more).unwrap_err();
        assert!(
            problems
                .iter()
                .any(|problem| problem.starts_with("GIST_ID")),
            "{problems:?}"
        );
    }

    #[test]
    fn lock_text_leads_to_same_place() {
        for lock in ["lease:web/report", "lease://hub:6443/web/report"] {
            let variables = [("LOCK", lock), ("LOCK_TOKEN", "x")];
            let variables = [&variables, IN_CLUSTER].concat();
            let lookup = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            let mut reader = Reader::new(&lookup);
            let (scheme, rest) = lock.split_once(':').unwrap();
            let place = Place {
                variable: "LOCK".into(),
                value: lock.into(),
                scheme: scheme.into(),
                rest: rest.into(),
            };
            let surroundings = Surroundings {
                ca_file: None,
                new: false,
            };
            let options = super::read(&mut reader, &place, surroundings).unwrap();
            assert_eq!(options.lock(), lock);
        }
    }
}
