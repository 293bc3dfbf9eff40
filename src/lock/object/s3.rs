//! An object in S3, or in a store that follows it. Its version is its ETag, a hash of its bytes.
//!
//! Requests, conditions and codes: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::aws::chain::{Source, domain};
use super::aws::credentials::{AwsCredentials, VARIABLES};
use super::place::{ENDPOINT, Parts, endpoint_parameter, is_name, read, split};
use super::service::{Judgement, Service};
use super::{Object, xml};
use crate::election::lock::LockError;
use crate::lock::backend::OpenError;
use crate::lock::cas::backend::read_lock;
use crate::lock::exchange::HttpExchange;
use crate::lock::gist::settings::ALLOW_INSECURE_HTTP;
use crate::lock::settings::{Found, Noted, Reader};
use crate::lock::store::{Request, Response, Version};
use crate::lock::{Kind, Place, Surroundings};
use crate::net::{ProxySettings, Url};

const FORM: &str = "s3://BUCKET/KEY[?region=REGION&endpoint=URL]";

/// Parameter with the region of the bucket.
const REGION: &str = "region";

/// Region of stores that have none.
const DEFAULT_REGION: &str = "us-east-1";

/// Kind of lock in an object of S3.
pub const KIND: Kind = Kind {
    schemes: &["s3"],
    forms: &[FORM],
    settings: &[ALLOW_INSECURE_HTTP],
    variables: VARIABLES,
    read: |reader, place, surroundings| {
        read_lock(place, |place| {
            let object = read_object(reader, place, surroundings)?;
            Ok(Object(Arc::new(object)))
        })
    },
};

/// An object, and access to it.
#[derive(Clone, Debug)]
pub struct S3 {
    bucket: String,
    key: String,
    region: String,
    /// Server, if it is not Amazon's.
    endpoint: Option<Url>,
    server: Url,
    /// Path of the bucket.
    path: String,
    source: Source,
    ca_file: Option<PathBuf>,
}

/// Reads `LOCK=s3://…` and AWS's own variables.
///
/// # Errors
/// If a setting is missing or wrong, which is noted.
pub fn read_object(
    reader: &mut Reader<'_>,
    place: &Place,
    surroundings: Surroundings<'_>,
) -> Result<S3, Noted> {
    let allow_insecure = reader.boolean("ALLOW_INSECURE_HTTP", false);
    let region = first(reader, ["AWS_REGION", "AWS_DEFAULT_REGION"])?;
    let endpoint = first(reader, ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])?;
    let (bucket, key, region, endpoint) = read(reader, place, |rest| {
        let parts = split(rest, 1, &[REGION, ENDPOINT], FORM)?;
        let endpoint = parts.endpoint(endpoint.as_deref(), allow_insecure)?;
        let bucket = checked_bucket(&parts, endpoint.as_ref())?;
        let region = parts.parameter(REGION).map(str::to_owned).or(region);
        let region = region.or_else(|| endpoint.as_ref().map(|_| DEFAULT_REGION.to_owned()));
        let region =
            region.ok_or("give the bucket's region: add ?region=REGION, or set AWS_REGION")?;
        if !is_name(&region, (2, 32), "-") {
            return Err("the region has lower-case letters, digits and hyphens".to_owned());
        }
        Ok((bucket, parts.key, region, endpoint))
    })?;
    let source = Source::read(reader, &region, surroundings.ca_file)?;
    let (server, path) = match &endpoint {
        Some(endpoint) => {
            let start = endpoint.uri().path().trim_end_matches('/');
            (Ok(endpoint.clone()), format!("{start}/{bucket}"))
        }
        None => amazon(bucket, &region),
    };
    Ok(S3 {
        server: server.map_err(|error| place.refuse(reader, &error))?,
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        region,
        endpoint,
        path,
        source,
        ca_file: surroundings.ca_file.map(Path::to_owned),
    })
}

/// Returns the first of the variables that is set.
fn first(reader: &mut Reader<'_>, names: [&str; 2]) -> Result<Option<String>, Noted> {
    for name in names {
        if let Some(Found { value, .. }) = reader.text(name)? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Returns the bucket, if conditional writes to it can be relied on.
fn checked_bucket<'a>(parts: &Parts<'a>, endpoint: Option<&Url>) -> Result<&'a str, String> {
    let bucket = parts.names[0];
    let host = endpoint.map(|url| url.host().to_ascii_lowercase());
    let host = host.unwrap_or_default();
    if host == "storage.googleapis.com" || host.ends_with(".storage.googleapis.com") {
        return Err(
            "Google's server ignores the condition of a write over this interface; use gs://"
                .to_owned(),
        );
    }
    if bucket.ends_with(".mrap") {
        return Err(
            "a multi-region access point has several copies, between which nothing decides; use \
                    one bucket"
                .to_owned(),
        );
    }
    if bucket.ends_with("--x-s3") {
        return Err(
            "directory buckets need another kind of credentials; use a general purpose \
                    bucket"
                .to_owned(),
        );
    }
    if !is_name(bucket, (3, 63), "-.") {
        return Err(
            "the bucket has 3 to 63 lower-case letters, digits, hyphens and dots".to_owned(),
        );
    }
    Ok(bucket)
}

/// Returns Amazon's server, and the path of the bucket there.
fn amazon(bucket: &str, region: &str) -> (Result<Url, String>, String) {
    let end = domain(region);
    // The certificate does not cover names with more dots.
    let (host, path) = match bucket.contains('.') {
        true => (format!("s3.{region}.{end}"), format!("/{bucket}")),
        false => (format!("{bucket}.s3.{region}.{end}"), String::new()),
    };
    let url = format!("https://{host}").parse();
    (url.map_err(|error| format!("{error}")), path)
}

impl S3 {
    fn object(&self) -> String {
        format!("{}/{}", self.path, self.key)
    }

    /// Returns the error of a bucket in another region, if the answer tells it.
    fn wrong_region(&self, response: &Response) -> Option<LockError> {
        let body = String::from_utf8_lossy(&response.body);
        let named = response.header("x-amz-bucket-region");
        let region = named.or_else(|| xml::element(&body, "Region"))?;
        let differs = matches!(response.status, 300..=308 | 400) && region != self.region;
        let shown: String = region.chars().take(32).collect();
        differs.then(|| {
            LockError::Refused(format!(
                "{}: the bucket is in region {shown:?}, not {}; change region= in LOCK, or AWS_REGION",
                self.describe(),
                self.region
            ))
        })
    }
}

impl Service for S3 {
    fn versions_recur(&self) -> bool {
        true
    }

    fn ask_read(&self, known: Option<&Version>) -> Request {
        let request = Request::get(self.object());
        match known {
            Some(version) => request.header("if-none-match", version.to_string()),
            None => request,
        }
    }

    fn ask_write(&self, expected: Option<&Version>, value: Vec<u8>) -> Request {
        let request = Request::write("PUT", self.object(), value);
        match expected {
            Some(version) => request.header("if-match", version.to_string()),
            None => request.header("if-none-match", "*"),
        }
    }

    fn version(&self, response: &Response) -> Option<Version> {
        response.header("etag").map(Version::from)
    }

    fn judge(&self, response: &Response, writes: bool) -> Judgement {
        let place = self.describe();
        if let Some(error) = self.wrong_region(response) {
            return Judgement::Error(error);
        }
        let (code, message) = xml::error(&response.body);
        let error = match (response.status, &*code) {
            (404, "NoSuchKey") => return Judgement::Missing,
            // A 409 tells of a write at the same time. This one was not carried out.
            (409 | 412, _) if writes => return Judgement::Conflict,
            (404, "NoSuchBucket") => {
                LockError::NotFound(format!("{place}: the bucket does not exist; create it"))
            }
            (403, "AccessDenied") => LockError::Unauthorized(format!(
                "{place} answered 403: access denied; permit s3:GetObject and s3:PutObject for the object, \
                 and s3:ListBucket for the bucket, without which a missing object cannot be recognised"
            )),
            // versitygw says the last one, with status 404.
            (_, "SignatureDoesNotMatch" | "InvalidAccessKeyId" | "XAdminUserNotFound") => {
                LockError::Unauthorized(format!(
                    "{place} answered {}: {message}; check the access key and the secret key",
                    response.status
                ))
            }
            (400 | 403, "ExpiredToken" | "InvalidToken") => LockError::Unauthorized(format!(
                "{place} answered {}: {message}; get new keys, or use a source that renews them",
                response.status
            )),
            (403, "RequestTimeTooSkewed") => LockError::Unauthorized(format!(
                "{place} answered 403: {message}; set this machine's clock (NTP)"
            )),
            (503, "SlowDown") => response.throttled(&place, &message),
            (501, _) => LockError::Refused(format!(
                "{place}: the server has no conditional writes; use another server"
            )),
            _ => response.error(&place, &message, writes),
        };
        Judgement::Error(error)
    }

    fn impossible_version(&self) -> Version {
        "\"00000000000000000000000000000000\"".into()
    }

    fn keeps_versions(&self, response: &Response) -> Option<bool> {
        let version = response.header("x-amz-version-id");
        (response.status == 200).then(|| version.is_some_and(|version| version != "null"))
    }

    fn exchange(&self) -> Result<HttpExchange, OpenError> {
        let proxy = ProxySettings::from_environment();
        let source = self.source.clone();
        let credentials = AwsCredentials::open(source, "s3", &self.region, &self.server, &proxy)?;
        let ca_file = self.ca_file.as_deref();
        HttpExchange::new(&self.server, ca_file, &proxy, Box::new(credentials))
    }

    fn lock(&self) -> String {
        let (bucket, key, region) = (&self.bucket, &self.key, &self.region);
        let endpoint = endpoint_parameter('&', self.endpoint.as_ref());
        format!("s3://{bucket}/{key}?{REGION}={region}{endpoint}")
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn with_key(&self, key: &str) -> Arc<dyn Service> {
        Arc::new(S3 {
            key: key.to_owned(),
            ..self.clone()
        })
    }

    fn describe(&self) -> String {
        let object = format!("object {} in bucket {}", self.key, self.bucket);
        match &self.endpoint {
            Some(endpoint) => format!("{object} at {}", endpoint.host()),
            None => object,
        }
    }
}
