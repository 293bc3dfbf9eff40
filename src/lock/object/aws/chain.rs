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
        if let Some(keys) = static_keys(reader)? {
            return Ok(Source::Static(keys));
        }
        if let Some(source) = web_identity(reader, region, ca_file)? {
            return Ok(source);
        }
        if let Some(source) = container(reader)? {
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

/// Reads keys of the environment. Those with the prefix are not mixed with those of the wrapped program.
fn static_keys(reader: &mut Reader<'_>) -> Result<Option<Keys>, Noted> {
    let names = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ];
    let found = [
        reader.public_text(names[0])?,
        reader.text(names[1])?,
        reader.text(names[2])?,
    ];
    let own = found.iter().flatten().any(|found| found.prefixed);
    let [id, secret, session] = found.map(|found| found.filter(|found| found.prefixed == own));
    let (id, secret) = match (id, secret) {
        (Some(id), Some(secret)) => (id.value, secret.value),
        (None, None) if session.is_none() || !own => return Ok(None),
        (id, secret) => {
            let set = id.as_ref().or(secret.as_ref()).or(session.as_ref());
            let set = set.map_or("", |found| &found.variable);
            let prefix = if own { "ELECTOR_" } else { "" };
            let missing = names[usize::from(id.is_some())];
            reader.problem(format!(
                "{set}: set, but {prefix}{missing} is not; set both"
            ));
            return Err(Noted);
        }
    };
    Ok(Some(Keys {
        id,
        secret,
        session: session.map_or(String::new(), |found| found.value),
    }))
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
    reader: &mut Reader<'_>,
    region: &str,
    ca_file: Option<&Path>,
) -> Result<Option<Source>, Noted> {
    let role = value(reader, "AWS_ROLE_ARN")?;
    let token_file = reader.path("AWS_WEB_IDENTITY_TOKEN_FILE");
    let (Some(role), Some(token_file)) = (role, token_file) else {
        return Ok(None);
    };
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

fn container(reader: &mut Reader<'_>) -> Result<Option<Source>, Noted> {
    let relative = value(reader, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")?;
    let full = value(reader, "AWS_CONTAINER_CREDENTIALS_FULL_URI")?;
    let (variable, text) = match (relative, full) {
        (Some(path), _) => (
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            format!("{ECS}{path}"),
        ),
        (None, Some(full)) => ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full),
        (None, None) => return Ok(None),
    };
    let address = address(reader, variable, &text)?;
    let host = address.host();
    if !address.is_https() && !is_loopback(host) && !CONTAINER_HOSTS.contains(&host) {
        reader.problem(format!(
            "{variable}: neither https:// nor a server of the machine; use https://"
        ));
        return Err(Noted);
    }
    let token = match reader.path("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => ContainerToken::File(file),
        None => secret(reader, "AWS_CONTAINER_AUTHORIZATION_TOKEN")?
            .map_or(ContainerToken::None, ContainerToken::Value),
    };
    Ok(Some(Source::Container { address, token }))
}

/// Returns a value that is never shown.
fn secret(reader: &mut Reader<'_>, name: &str) -> Result<Option<String>, Noted> {
    let found: Option<Found<String>> = reader.text(name)?;
    Ok(found.map(|found| found.value))
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
