//! Credentials that sign each request, with keys that are replaced before they expire.

use std::time::Duration;

use super::chain::Source;
use super::fetch::Fetcher;
use super::keys::Keys;
use super::sign::{Scope, sign};
use crate::fmt::span;
use crate::lock::backend::OpenError;
use crate::lock::credentials::{Authorization, Credentials};
use crate::lock::object::temporary::Temporary;
use crate::lock::object::xml;
use crate::lock::store::{Failure, Request, Response};
use crate::net::{ProxySettings, Url};
use crate::system::clock::{self, BootClock};

/// AWS's variables that a lock reads. The wrapped program keeps them.
pub const VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
];

/// Time before their end at which keys are replaced, as AWS's own tools do.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// Codes of answers that refuse keys which may have been replaced.
const STALE_KEYS: [&str; 4] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidToken",
];

/// Credentials that sign requests to one service of AWS.
#[derive(Debug)]
pub struct AwsCredentials {
    source: Source,
    fetcher: Fetcher,
    keys: Temporary<Keys>,
    scope: Scope,
    host: String,
    /// Seconds that the server's clock is ahead of this machine's, if that is too much for a signature.
    offset: i64,
}

impl AwsCredentials {
    /// Prepares to sign requests to `server`, which is a `service` in `region`. Sends nothing.
    ///
    /// # Errors
    /// [`OpenError`] if the source of the keys cannot be asked.
    pub fn open(
        source: Source,
        service: &'static str,
        region: &str,
        server: &Url,
        proxy: &ProxySettings,
    ) -> Result<AwsCredentials, OpenError> {
        let origin = server.origin();
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        Ok(AwsCredentials {
            fetcher: Fetcher::open(&source, proxy)?,
            source,
            keys: Temporary::new(MARGIN),
            scope: Scope {
                region: region.to_owned(),
                service,
            },
            host: host.to_owned(),
            offset: 0,
        })
    }
}

impl Credentials for AwsCredentials {
    fn authorize(
        &mut self,
        request: &Request,
        timeout: Duration,
    ) -> Result<Authorization, Failure> {
        let (source, fetcher) = (&self.source, &mut self.fetcher);
        let keys = self.keys.get(BootClock::now(), timeout, |timeout| {
            fetcher.fetch(source, timeout)
        })?;
        let time = clock::unix_millis() / 1000 + self.offset;
        let headers = sign(request, &self.host, &self.scope, keys, time);
        let headers = headers.ok_or_else(|| {
            Failure::NotSent("this machine's clock is out of range; set it (NTP)".to_owned())
        })?;
        Ok(Authorization {
            headers,
            query: String::new(),
        })
    }

    fn learn(&mut self, _: &Request, response: &Response, repeated: u32) -> bool {
        if !(400..404).contains(&response.status) {
            return false;
        }
        let (code, _) = xml::error(&response.body);
        match (&*code, response.date()) {
            ("RequestTimeTooSkewed", Some(date)) if repeated == 0 => {
                self.offset = date - clock::unix_millis() / 1000;
                log::warn!(event = "clock_wrong", seconds = self.offset; "this machine's clock is wrong, signing with the server's; set it (NTP)");
                true
            }
            (code, _) => STALE_KEYS.contains(&code) && self.keys.refuse(BootClock::now()),
        }
    }

    fn secrets(&self) -> Vec<String> {
        let held = self.keys.held(BootClock::now());
        let secrets = held.map(|(keys, _)| vec![keys.secret.clone(), keys.session.clone()]);
        let mut secrets = secrets.unwrap_or_default();
        secrets.retain(|secret| !secret.is_empty());
        secrets
    }

    fn describe(&self) -> String {
        let source = self.source.describe();
        match self.keys.held(BootClock::now()) {
            Some((keys, Some(left))) => {
                format!("{source}, key {}, valid for {}", keys.id, span(left))
            }
            Some((keys, None)) => format!("{source}, key {}", keys.id),
            None => source,
        }
    }
}
