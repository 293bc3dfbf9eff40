//! The source of AWS credentials that the environment names. The first one in AWS's order counts.

use std::fmt;
use std::path::{Path, PathBuf};

use super::keys::Keys;
use crate::lock::settings::{Found, Noted, Reader};
use crate::net::{Url, is_loopback};

/// Server of containers on ECS.
const ECS: &str = "http://169.254.170.2";

/// Servers that may be asked without TLS: ECS, and EKS Pod Identity over IPv4 and IPv6.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// Instance metadata service.
const INSTANCE: &str = "http://169.254.169.254";

/// Name of the session if none is set.
const SESSION: &str = "elector";

/// Source of keys.
#[derive(Clone, Debug)]
pub enum Source {
    /// Keys of the environment.
    Static(Keys),
    /// A role that the token service gives in exchange for a token.
    WebIdentity {
        /// ARN of the role.
        role: String,
        /// Name of the session.
        session: String,
        /// File with the token.
        token_file: PathBuf,
        /// Token service.
        server: Url,
        /// PEM file with the certificates to trust; `None` for the built-in ones.
        ca_file: Option<PathBuf>,
    },
    /// Server beside a container.
    Container {
        /// Address, with the path.
        address: Url,
        /// Token for it.
        token: ContainerToken,
    },
    /// Instance metadata service, version 2.
    Instance {
        /// Server.
        server: Url,
    },
}

/// Token for the server beside a container.
#[derive(Clone)]
pub enum ContainerToken {
    /// None.
    None,
    /// The token itself.
    Value(String),
    /// A file with it, which changes.
    File(PathBuf),
}

impl fmt::Debug for ContainerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ContainerToken::None => "None",
            ContainerToken::Value(_) => "Value(…)",
            ContainerToken::File(_) => "File(…)",
        })
    }
}

impl Source {
    /// Reads AWS's variables. `region` is that of the bucket.
    ///
    /// # Errors
    /// If the variables contradict each other, or none names a source, which is noted.
    pub fn read(
        reader: &mut Reader<'_>,
        region: &str,
        ca_file: Option<&Path>,
    ) -> Result<Source, Noted> {
        let mut variables = Variables::of(reader);
        if let Some(keys) = static_keys(&mut variables)? {
            return Ok(Source::Static(keys));
        }
        if let Some(source) = web_identity(&mut variables, region, ca_file)? {
            return Ok(source);
        }
        if let Some(source) = container(&mut variables)? {
            return Ok(source);
        }
        if reader.boolean("AWS_EC2_METADATA_DISABLED", false) {
            reader.problem(
                "AWS_ACCESS_KEY_ID: not set, and no other source of credentials is; set it with \
                 AWS_SECRET_ACCESS_KEY, or give the pod or the machine a role (~/.aws/credentials is \
                 not read)"
                    .to_owned(),
            );
            return Err(Noted);
        }
        let server = value(reader, "AWS_EC2_METADATA_SERVICE_ENDPOINT")?;
        let server = address(
            reader,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            server.as_deref().unwrap_or(INSTANCE),
        )?;
        Ok(Source::Instance { server })
    }

    /// Returns the source for operators.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Source::Static(_) => "AWS_ACCESS_KEY_ID".to_owned(),
            Source::WebIdentity { role, .. } => format!("AWS_WEB_IDENTITY_TOKEN_FILE, role {role}"),
            Source::Container { address, .. } => {
                format!("AWS container credentials of {}", address.host())
            }
            Source::Instance { .. } => "AWS instance metadata".to_owned(),
        }
    }
}

/// Variables that name credentials.
const CREDENTIALS: [&str; 9] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Reader of these variables. If one has the prefix, only those with it count: the others are the wrapped
/// program's.
struct Variables<'r, 'a> {
    reader: &'r mut Reader<'a>,
    prefixed: bool,
}

impl<'r, 'a> Variables<'r, 'a> {
    fn of(reader: &'r mut Reader<'a>) -> Self {
        let found = CREDENTIALS.iter().filter_map(|name| reader.raw(name));
        Variables {
            prefixed: found.into_iter().any(|found| found.prefixed),
            reader,
        }
    }

    fn counts<T>(&self, found: Option<Found<T>>) -> Option<T> {
        let found = found.filter(|found| found.prefixed == self.prefixed);
        found.map(|found| found.value)
    }

    /// Returns a value that is never shown.
    fn secret(&mut self, name: &str) -> Result<Option<String>, Noted> {
        let found = self.reader.text(name)?;
        Ok(self.counts(found))
    }

    /// Returns a value that messages may show.
    fn value(&mut self, name: &str) -> Result<Option<String>, Noted> {
        let found = self.reader.public_text(name)?;
        Ok(self.counts(found))
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.counts(self.reader.raw(name)).map(PathBuf::from)
    }
}

fn static_keys(variables: &mut Variables<'_, '_>) -> Result<Option<Keys>, Noted> {
    let [id_name, secret_name] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let id = variables.value(id_name)?;
    let secret = variables.secret(secret_name)?;
    let session = variables.secret("AWS_SESSION_TOKEN")?;
    let (set, missing) = match (id, secret) {
        (Some(id), Some(secret)) => {
            return Ok(Some(Keys {
                id,
                secret,
                session: session.unwrap_or_default(),
            }));
        }
        (None, None) => return Ok(None),
        (Some(_), None) => (id_name, secret_name),
        (None, Some(_)) => (secret_name, id_name),
    };
    let prefix = if variables.prefixed { "ELECTOR_" } else { "" };
    variables.reader.problem(format!(
        "{prefix}{set}: set, but {prefix}{missing} is not; set both"
    ));
    Err(Noted)
}

/// Returns the domain of AWS's servers in a region.
#[must_use]
pub fn domain(region: &str) -> &'static str {
    match region.starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    }
}

fn web_identity(
    variables: &mut Variables<'_, '_>,
    region: &str,
    ca_file: Option<&Path>,
) -> Result<Option<Source>, Noted> {
    let role = variables.value("AWS_ROLE_ARN")?;
    let token_file = variables.path("AWS_WEB_IDENTITY_TOKEN_FILE");
    let (Some(role), Some(token_file)) = (role, token_file) else {
        return Ok(None);
    };
    let reader = &mut *variables.reader;
    let session = value(reader, "AWS_ROLE_SESSION_NAME")?;
    let server = value(reader, "AWS_ENDPOINT_URL_STS")?;
    let server = server.unwrap_or_else(|| format!("https://sts.{region}.{}", domain(region)));
    let server = address(reader, "AWS_ENDPOINT_URL_STS", &server)?;
    if !server.is_https() && !is_loopback(server.host()) {
        reader.problem("AWS_ENDPOINT_URL_STS: not encrypted; use https://".to_owned());
        return Err(Noted);
    }
    Ok(Some(Source::WebIdentity {
        role,
        session: session.unwrap_or_else(|| SESSION.to_owned()),
        token_file,
        server,
        ca_file: ca_file.map(Path::to_owned),
    }))
}

fn container(variables: &mut Variables<'_, '_>) -> Result<Option<Source>, Noted> {
    let relative = variables.value("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")?;
    let full = variables.value("AWS_CONTAINER_CREDENTIALS_FULL_URI")?;
    let (variable, text) = match (relative, full) {
        (Some(path), _) => (
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            format!("{ECS}{path}"),
        ),
        (None, Some(full)) => ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full),
        (None, None) => return Ok(None),
    };
    let address = address(variables.reader, variable, &text)?;
    let host = address.host();
    if !address.is_https() && !is_loopback(host) && !CONTAINER_HOSTS.contains(&host) {
        variables.reader.problem(format!(
            "{variable}: neither https:// nor a server of the machine; use https://"
        ));
        return Err(Noted);
    }
    let token = match variables.path("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => ContainerToken::File(file),
        None => variables
            .secret("AWS_CONTAINER_AUTHORIZATION_TOKEN")?
            .map_or(ContainerToken::None, ContainerToken::Value),
    };
    Ok(Some(Source::Container { address, token }))
}

/// Returns a value that messages may show.
fn value(reader: &mut Reader<'_>, name: &str) -> Result<Option<String>, Noted> {
    let found: Option<Found<String>> = reader.public_text(name)?;
    Ok(found.map(|found| found.value))
}

fn address(reader: &mut Reader<'_>, variable: &str, text: &str) -> Result<Url, Noted> {
    text.parse().map_err(|error| {
        reader.problem(format!("{variable}: not an address; {error}"));
        Noted
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s")];
    const ROLE: [(&str, &str); 2] = [
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/x"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
    ];
    const CONTAINER: [(&str, &str); 1] = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")];

    fn read(variables: &[(&str, &str)]) -> Result<String, Vec<String>> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let mut reader = Reader::new(&lookup);
        match Source::read(&mut reader, "eu-central-1", None) {
            Ok(source) => Ok(source.describe()),
            Err(Noted) => Err(reader.into_problems()),
        }
    }

    #[test]
    fn sources_have_aws_order() {
        let role = "AWS_WEB_IDENTITY_TOKEN_FILE, role arn:aws:iam::1:role/x";
        let container = "AWS container credentials of 169.254.170.2";
        for (variables, expected) in [
            ([&KEYS[..], &ROLE, &CONTAINER].concat(), "AWS_ACCESS_KEY_ID"),
            ([&CONTAINER[..], &ROLE].concat(), role),
            (CONTAINER.to_vec(), container),
            (ROLE[..1].to_vec(), "AWS instance metadata"),
            (Vec::new(), "AWS instance metadata"),
        ] {
            assert_eq!(read(&variables).as_deref(), Ok(expected), "{variables:?}");
        }
    }

    #[test]
    fn prefixed_source_outranks_program_keys() {
        let own = ROLE.map(|(name, value)| (format!("ELECTOR_{name}"), value));
        let own = own.iter().map(|(name, value)| (name.as_str(), *value));
        let variables: Vec<_> = own.chain(KEYS).collect();
        assert!(read(&variables).unwrap().contains("role"));
    }

    #[test]
    fn half_of_the_keys_is_refused() {
        for (at, missing) in [(0, "AWS_SECRET_ACCESS_KEY"), (1, "AWS_ACCESS_KEY_ID")] {
            let problems = read(&KEYS[at..=at]).unwrap_err();
            assert!(
                problems[0].contains(&format!("{missing} is not")),
                "{problems:?}"
            );
        }
        let off = [("AWS_EC2_METADATA_DISABLED", "true")];
        assert!(read(&off).unwrap_err()[0].contains("~/.aws/credentials"));
    }
}
