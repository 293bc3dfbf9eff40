//! Gets keys that expire from their source.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::chain::{ContainerToken, Source};
use super::keys::Keys;
use crate::fmt::unix_time;
use crate::lock::backend::OpenError;
use crate::lock::credentials::Anonymous;
use crate::lock::exchange::{Exchange as _, HttpExchange};
use crate::lock::object::temporary::Fetched;
use crate::lock::object::xml;
use crate::lock::store::{Failure, Request, Response};
use crate::net::{Deadline, ProxySettings, Url};
use crate::system::clock;

/// Path of the instance's roles.
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// Time limit of an answer of the machine's own servers.
const NEAR: Duration = Duration::from_secs(2);

/// Greatest length of a token file, in bytes.
const LONGEST_TOKEN: usize = 64 * 1024;

/// Client for the server of a source.
#[derive(Debug)]
pub struct Fetcher(Option<HttpExchange>);

impl Fetcher {
    /// Prepares a client. Sends nothing.
    ///
    /// # Errors
    /// [`OpenError`] if certificates or proxy cannot be used.
    pub fn open(source: &Source, proxy: &ProxySettings) -> Result<Fetcher, OpenError> {
        let direct = ProxySettings::default();
        let (server, ca_file, proxy): (&Url, Option<&Path>, &ProxySettings) = match source {
            Source::Static(_) => return Ok(Fetcher(None)),
            Source::WebIdentity {
                server, ca_file, ..
            } => (server, ca_file.as_deref(), proxy),
            Source::Container { address, .. } => (address, None, &direct),
            Source::Instance { server } => (server, None, &direct),
        };
        let exchange = HttpExchange::new(server, ca_file, proxy, Box::new(Anonymous))?;
        Ok(Fetcher(Some(exchange)))
    }

    /// Gets keys within `timeout`.
    ///
    /// # Errors
    /// [`Failure::NotSent`] if the source does not answer now, [`Failure::NoCredentials`] if it refuses.
    pub fn fetch(&mut self, source: &Source, timeout: Duration) -> Result<Fetched<Keys>, Failure> {
        let exchange = match (&mut self.0, source) {
            (Some(exchange), _) => exchange,
            (None, Source::Static(keys)) => {
                return Ok(Fetched {
                    value: keys.clone(),
                    valid_for: None,
                });
            }
            (None, _) => return Err(Failure::NotSent("internal error".to_owned())),
        };
        let fetched = match source {
            Source::Static(_) => Err(Failure::NotSent("internal error".to_owned())),
            Source::WebIdentity {
                role,
                session,
                token_file,
                ..
            } => web_identity(exchange, (role, session), token_file, timeout),
            Source::Container { address, token } => container(exchange, address, token, timeout),
            Source::Instance { .. } => instance(exchange, timeout),
        };
        fetched.map_err(|failure| explain(source, failure))
    }
}

/// Names the source in an error, and says what to do.
fn explain(source: &Source, failure: Failure) -> Failure {
    let source = source.describe();
    let text = |why: String| {
        format!(
            "no AWS credentials from {source}: {why}; fix that, or set AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY (~/.aws/credentials is not read)"
        )
    };
    match failure {
        Failure::NoCredentials(why) => Failure::NoCredentials(text(why)),
        Failure::NotSent(why) | Failure::NoAnswer(why) => Failure::NotSent(text(why)),
    }
}

fn web_identity(
    exchange: &mut HttpExchange,
    (role, session): (&str, &str),
    token_file: &Path,
    timeout: Duration,
) -> Result<Fetched<Keys>, Failure> {
    let token = read_token(token_file)?;
    let body = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}\
         &WebIdentityToken={}",
        form_value(role),
        form_value(session),
        form_value(&token)
    );
    let request = Request::write("POST", "/", body.into_bytes())
        .header("content-type", "application/x-www-form-urlencoded");
    let response = exchange.call(&request, timeout).reply?;
    if response.status != 200 {
        let (code, message) = xml::error(&response.body);
        return Err(refused(
            &response,
            &format!("{code} {message}").replace(&token, "…"),
        ));
    }
    parse_xml(&response.body, now(&response)).ok_or_else(unreadable)
}

fn container(
    exchange: &mut HttpExchange,
    address: &Url,
    token: &ContainerToken,
    timeout: Duration,
) -> Result<Fetched<Keys>, Failure> {
    let path = address.uri().path_and_query();
    let mut request = Request::get(path.map_or("/", |path| path.as_str()));
    let token = match token {
        ContainerToken::None => None,
        ContainerToken::Value(token) => Some(token.clone()),
        ContainerToken::File(file) => Some(read_token(file)?),
    };
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let response = exchange.call(&request, timeout.min(NEAR)).reply?;
    match response.status {
        200 => parse_json(&response.body, now(&response)).ok_or_else(unreadable),
        _ => Err(refused(&response, "")),
    }
}

fn instance(exchange: &mut HttpExchange, timeout: Duration) -> Result<Fetched<Keys>, Failure> {
    let deadline = Deadline::after(timeout.min(NEAR));
    let mut ask = |request: Request| {
        let response = exchange.call(&request, deadline.left()).reply?;
        match response.status {
            200 => Ok(response),
            _ => Err(refused(&response, "")),
        }
    };
    let text = |response: &Response| {
        let text = String::from_utf8_lossy(&response.body);
        text.lines().next().unwrap_or_default().trim().to_owned()
    };
    let request = Request {
        writes: false,
        ..Request::write("PUT", "/latest/api/token", Vec::new())
    };
    let token = ask(request.header("x-aws-ec2-metadata-token-ttl-seconds", "21600"))?;
    let token = text(&token);
    let get = |path: String| Request::get(path).header("x-aws-ec2-metadata-token", token.clone());
    let role = ask(get(ROLES.to_owned()))?;
    let role = text(&role);
    if role.is_empty() || !role.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unreadable());
    }
    let response = ask(get(format!("{ROLES}{role}")))?;
    parse_json(&response.body, now(&response)).ok_or_else(unreadable)
}

/// Parses the answer of the token service. `now` is its clock, in seconds since the Unix epoch.
#[must_use]
pub fn parse_xml(body: &[u8], now: i64) -> Option<Fetched<Keys>> {
    let xml = String::from_utf8_lossy(body);
    let text = |name| xml::element(&xml, name);
    keys(
        (
            text("AccessKeyId"),
            text("SecretAccessKey"),
            text("SessionToken"),
        ),
        text("Expiration"),
        now,
    )
}

/// Parses the answer of a container's server or of the instance metadata. `now` is as for `parse_xml`.
#[must_use]
pub fn parse_json(body: &[u8], now: i64) -> Option<Fetched<Keys>> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| answer[name].as_str();
    keys(
        (text("AccessKeyId"), text("SecretAccessKey"), text("Token")),
        text("Expiration"),
        now,
    )
}

fn keys(
    (id, secret, session): (Option<&str>, Option<&str>, Option<&str>),
    expiration: Option<&str>,
    now: i64,
) -> Option<Fetched<Keys>> {
    // They become parts of headers.
    let part = |text: Option<&str>| {
        let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let expires_at = match expiration {
        Some(text) => Some(unix_time(text)?),
        None => None,
    };
    let valid_for = expires_at.map(|at| u64::try_from(at.saturating_sub(now)).unwrap_or(0));
    Some(Fetched {
        value: Keys {
            id: part(id)?,
            secret: part(secret)?,
            session: part(session)?,
        },
        valid_for: valid_for.map(Duration::from_secs),
    })
}

/// Returns the source's clock, which judges what it gives.
fn now(response: &Response) -> i64 {
    response
        .date()
        .unwrap_or_else(|| clock::unix_millis() / 1000)
}

#[expect(
    clippy::disallowed_methods,
    reason = "reads a token when keys are fetched"
)]
fn read_token(file: &Path) -> Result<String, Failure> {
    let failed = |why: &str| Failure::NotSent(format!("{file:?} {why}"));
    let text = fs::read_to_string(file).map_err(|error| failed(&error.to_string()))?;
    let token = text.trim();
    let usable = token.bytes().all(|byte| byte.is_ascii_graphic());
    match usable && !token.is_empty() && token.len() <= LONGEST_TOKEN {
        true => Ok(token.to_owned()),
        false => Err(failed("holds no token")),
    }
}

fn refused(response: &Response, why: &str) -> Failure {
    let text = format!("it answered {} {why}", response.status);
    let text = crate::fmt::one_line(text.trim());
    match response.status {
        400..=499 if response.status != 429 => Failure::NoCredentials(text),
        _ => Failure::NotSent(text),
    }
}

fn unreadable() -> Failure {
    Failure::NotSent("its answer holds no keys".to_owned())
}

/// Returns a text as a form carries it.
fn form_value(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"s/+=","Token":"t",
        "Expiration":"2026-11-30T11:00:00Z"}"#;

    #[test]
    fn keys_are_valid_by_source_clock() {
        let now = unix_time("2026-11-30T10:00:00Z").unwrap();
        let fetched = parse_json(JSON.as_bytes(), now).unwrap();
        assert_eq!(fetched.valid_for, Some(Duration::from_secs(3600)));
        assert_eq!(fetched.value.secret, "s/+=");
        let late = parse_json(JSON.as_bytes(), now + 7200).unwrap();
        assert_eq!(late.valid_for, Some(Duration::ZERO));
        let xml = "<R><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>b</SecretAccessKey>\
                   <SessionToken>c</SessionToken><Expiration>2026-11-30T10:00:01Z</Expiration></R>";
        let fetched = parse_xml(xml.as_bytes(), now).unwrap();
        assert_eq!(fetched.valid_for, Some(Duration::from_secs(1)));
        assert_eq!(fetched.value.session, "c");
    }

    #[test]
    fn incomplete_keys_are_refused() {
        for json in [
            JSON.replace("ASIA1", ""),
            JSON.replace("ASIA1", "A\\nB"),
            JSON.replace("Token", "Tokem"),
            JSON.replace("2026-11-30", "soon"),
            "{}".to_owned(),
            "[".to_owned(),
        ] {
            assert!(parse_json(json.as_bytes(), 0).is_none(), "{json}");
        }
        assert!(parse_xml(b"<AccessKeyId>A</AccessKeyId>", 0).is_none());
    }

    #[test]
    fn form_values_are_encoded() {
        assert_eq!(
            form_value("arn:aws:iam::1:role/x y"),
            "arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx%20y"
        );
    }
}
