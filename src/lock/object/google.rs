//! An object in Google Cloud Storage, over the JSON API. Its version is its generation.
//!
//! Requests and codes: <https://cloud.google.com/storage/docs/json_api/v1/objects/insert>,
//! <https://cloud.google.com/storage/docs/request-preconditions>. Access tokens of the metadata server:
//! <https://cloud.google.com/compute/docs/access/authenticate-workloads>.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Object;
use super::place::{ENDPOINT, endpoint_parameter, is_name, read, split};
use super::service::{Judgement, Service};
use super::temporary::{Fetched, Temporary};
use crate::election::lock::LockError;
use crate::fmt::span;
use crate::lock::backend::OpenError;
use crate::lock::cas::backend::read_lock;
use crate::lock::credentials::{
    Anonymous, Authorization, Credentials, TokenCredentials, TokenForm,
};
use crate::lock::exchange::{Exchange as _, HttpExchange};
use crate::lock::gist::settings::ALLOW_INSECURE_HTTP;
use crate::lock::settings::{LOCK_TOKEN, LOCK_TOKEN_FILE, Noted, Reader};
use crate::lock::store::{Failure, Request, Response, Version};
use crate::lock::{Kind, Place, Surroundings};
use crate::net::{AccessToken, AccessTokenSource, ProxySettings, Url, is_loopback};
use crate::system::clock::BootClock;

const FORM: &str = "gs://BUCKET/KEY[?endpoint=URL]";

/// Variable of Google's own libraries with the metadata server, as `HOST[:PORT]`.
const METADATA_HOST: &str = "GCE_METADATA_HOST";

const METADATA_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

/// Time before its end at which an access token is replaced. The metadata server gives the same one until
/// four minutes before.
const MARGIN: Duration = Duration::from_secs(225);

/// Kind of lock in an object of Google Cloud Storage.
pub const KIND: Kind = Kind {
    schemes: &["gs"],
    forms: &[FORM],
    settings: &[LOCK_TOKEN, LOCK_TOKEN_FILE, ALLOW_INSECURE_HTTP],
    variables: &[METADATA_HOST],
    read: |reader, place, surroundings| {
        read_lock(place, |place| {
            let object = read_object(reader, place, surroundings)?;
            Ok(Object(Arc::new(object)))
        })
    },
};

/// An object, and access to it.
#[derive(Clone, Debug)]
pub struct Google {
    bucket: String,
    key: String,
    /// Server, if it is not Google's.
    endpoint: Option<Url>,
    server: Url,
    token: TokenSource,
    ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug)]
enum TokenSource {
    Setting(AccessTokenSource),
    Metadata(Url),
    None,
}

/// Reads `LOCK=gs://…` and its credentials.
///
/// # Errors
/// If a setting is missing or wrong, which is noted.
pub fn read_object(
    reader: &mut Reader<'_>,
    place: &Place,
    surroundings: Surroundings<'_>,
) -> Result<Google, Noted> {
    let allow_insecure = reader.boolean("ALLOW_INSECURE_HTTP", false);
    let token = reader.access_token("LOCK_TOKEN")?;
    let metadata = match reader.public_text(METADATA_HOST)? {
        Some(found) => {
            let url = format!("http://{}", found.value).parse::<Url>();
            Some(url.map_err(|_| {
                reader.problem(format!("{}: not valid; use HOST[:PORT]", found.variable));
                Noted
            })?)
        }
        None => None,
    };
    let (bucket, key, endpoint) = read(reader, place, |rest| {
        let parts = split(rest, 1, &[ENDPOINT], FORM)?;
        let bucket = parts.names[0];
        if !is_name(bucket, (3, 222), "-_.") {
            return Err("the bucket has 3 to 222 lower-case letters, digits and - _ .".to_owned());
        }
        Ok((bucket, parts.key, parts.endpoint(None, allow_insecure)?))
    })?;
    let own = |address: &str| address.parse::<Url>().map_err(|_| Noted);
    let server = match &endpoint {
        Some(endpoint) => endpoint.clone(),
        None => own("https://storage.googleapis.com")?,
    };
    let token = match (token, metadata) {
        (Some(source), _) => TokenSource::Setting(source),
        (None, Some(metadata)) => TokenSource::Metadata(metadata),
        (None, None) if is_loopback(server.host()) => TokenSource::None,
        (None, None) => TokenSource::Metadata(own("http://metadata.google.internal")?),
    };
    Ok(Google {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        endpoint,
        server,
        token,
        ca_file: surroundings.ca_file.map(Path::to_owned),
    })
}

impl Google {
    /// Returns the key as one part of a path, or as the value of a parameter.
    fn escaped_key(&self) -> String {
        self.key.replace('/', "%2F")
    }
}

impl Service for Google {
    fn ask_read(&self, known: Option<&Version>) -> Request {
        let (bucket, key) = (&self.bucket, self.escaped_key());
        let path = format!("/storage/v1/b/{bucket}/o/{key}?alt=media");
        Request::get(match known {
            Some(generation) => format!("{path}&ifGenerationNotMatch={generation}"),
            None => path,
        })
    }

    fn ask_write(&self, expected: Option<&Version>, value: Vec<u8>) -> Request {
        let (bucket, key) = (&self.bucket, self.escaped_key());
        let generation = expected.map_or("0", |version| &version.0);
        let path = format!(
            "/upload/storage/v1/b/{bucket}/o?uploadType=media&name={key}&ifGenerationMatch={generation}"
        );
        Request::write("POST", path, value)
    }

    fn version(&self, response: &Response) -> Option<Version> {
        if let Some(generation) = response.header("x-goog-generation") {
            return Some(generation.into());
        }
        let object: Value = serde_json::from_slice(&response.body).ok()?;
        object["generation"].as_str().map(Version::from)
    }

    fn judge(&self, response: &Response, writes: bool) -> Judgement {
        let place = self.describe();
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let message = body["error"]["message"].as_str().unwrap_or_default();
        let no_bucket = writes || message.contains("bucket does not exist");
        // A page of a proxy says nothing about the object.
        let is_page = response.body.trim_ascii_start().starts_with(b"<");
        Judgement::Error(match response.status {
            404 if is_page => response.error(&place, message, writes),
            404 if no_bucket => {
                LockError::NotFound(format!("{place}: the bucket does not exist; create it"))
            }
            404 => return Judgement::Missing,
            412 => return Judgement::Conflict,
            403 if !message.is_empty() => LockError::Unauthorized(format!(
                "{}; grant the role Storage Object User on the bucket",
                response.error(&place, message, writes)
            )),
            _ => response.error(&place, message, writes),
        })
    }

    fn impossible_version(&self) -> Version {
        "1".into()
    }

    fn ask_versioning(&self) -> Request {
        Request::get(format!("/storage/v1/b/{}?fields=versioning", self.bucket))
    }

    fn keeps_versions(&self, response: &Response) -> Option<bool> {
        let bucket: Value = serde_json::from_slice(&response.body).ok()?;
        (response.status == 200).then(|| bucket["versioning"]["enabled"] == true)
    }

    fn exchange(&self) -> Result<HttpExchange, OpenError> {
        let credentials: Box<dyn Credentials> = match &self.token {
            TokenSource::Setting(source) => Box::new(TokenCredentials::open(
                source,
                "LOCK_TOKEN",
                TokenForm::Bearer,
            )?),
            TokenSource::Metadata(server) => Box::new(MetadataToken::open(server)?),
            TokenSource::None => Box::new(Anonymous),
        };
        let proxy = ProxySettings::from_environment();
        HttpExchange::new(&self.server, self.ca_file.as_deref(), &proxy, credentials)
    }

    fn lock(&self) -> String {
        let endpoint = endpoint_parameter('?', self.endpoint.as_ref());
        format!("gs://{}/{}{endpoint}", self.bucket, self.key)
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn with_key(&self, key: &str) -> Arc<dyn Service> {
        Arc::new(Google {
            key: key.to_owned(),
            ..self.clone()
        })
    }

    fn describe(&self) -> String {
        format!("object {} in bucket {} at Google", self.key, self.bucket)
    }
}

/// Access tokens of the metadata server, for the service account of the machine or the pod.
#[derive(Debug)]
struct MetadataToken {
    exchange: HttpExchange,
    token: Temporary<AccessToken>,
}

impl MetadataToken {
    fn open(server: &Url) -> Result<MetadataToken, OpenError> {
        // The metadata server is part of the machine, so no proxy leads there.
        let direct = ProxySettings::default();
        Ok(MetadataToken {
            exchange: HttpExchange::new(server, None, &direct, Box::new(Anonymous))?,
            token: Temporary::new(MARGIN),
        })
    }
}

/// Gets an access token from the metadata server.
fn fetch(exchange: &mut HttpExchange, timeout: Duration) -> Result<Fetched<AccessToken>, Failure> {
    let failed = |why: &str| {
        format!(
            "no access token: the metadata server {why}; set LOCK_TOKEN_FILE, or give the machine or the \
             pod a service account"
        )
    };
    let request = Request::get(METADATA_PATH).header("metadata-flavor", "Google");
    let response = match exchange.call(&request, timeout).reply {
        Ok(response) => response,
        Err(failure) => {
            let why = failure.why();
            return Err(Failure::NotSent(failed(&format!("did not answer: {why}"))));
        }
    };
    match (response.status, parse_token(&response.body)) {
        (200, Some(fetched)) => Ok(fetched),
        (200, None) => Err(Failure::NotSent(failed("gave none"))),
        (400..=499, _) => Err(Failure::NoCredentials(failed("refuses one"))),
        _ => Err(Failure::NotSent(failed("has none now"))),
    }
}

/// Parses the answer of the metadata server.
#[must_use]
pub fn parse_token(body: &[u8]) -> Option<Fetched<AccessToken>> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let seconds = answer["expires_in"].as_u64()?;
    Some(Fetched {
        value: AccessToken::parse(answer["access_token"].as_str()?).ok()?,
        valid_for: Some(Duration::from_secs(seconds.min(24 * 3600))),
    })
}

impl Credentials for MetadataToken {
    fn authorize(&mut self, _: &Request, timeout: Duration) -> Result<Authorization, Failure> {
        let exchange = &mut self.exchange;
        let token = self.token.get(BootClock::now(), timeout, |timeout| {
            fetch(exchange, timeout)
        })?;
        Ok(Authorization::bearer(token.expose()))
    }

    fn learn(&mut self, _: &Request, response: &Response, _: u32) -> bool {
        response.status == 401 && self.token.refuse(BootClock::now())
    }

    fn secrets(&self) -> Vec<String> {
        let held = self.token.held(BootClock::now());
        let held = held.map(|(token, _)| token.expose().to_owned());
        held.into_iter().collect()
    }

    fn describe(&self) -> String {
        let source = "access token of the metadata server";
        match self.token.held(BootClock::now()) {
            Some((_, Some(left))) => format!("{source}, valid for {}", span(left)),
            _ => source.to_owned(),
        }
    }
}
