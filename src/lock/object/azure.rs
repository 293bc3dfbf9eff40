//! A block blob in Azure Blob Storage. Its version is its ETag, which is new with every write.
//!
//! Requests and codes: <https://learn.microsoft.com/rest/api/storageservices/put-blob>,
//! <https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes>.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::place::{ENDPOINT, endpoint_parameter, is_name, read, split};
use super::service::{Judgement, Service};
use super::{Object, xml};
use crate::election::lock::LockError;
use crate::lock::backend::OpenError;
use crate::lock::cas::backend::read_lock;
use crate::lock::credentials::{TokenCredentials, TokenForm};
use crate::lock::exchange::HttpExchange;
use crate::lock::gist::settings::ALLOW_INSECURE_HTTP;
use crate::lock::settings::{LOCK_TOKEN, LOCK_TOKEN_FILE, Noted, Reader};
use crate::lock::store::{Request, Response, Version};
use crate::lock::{Kind, Place, Surroundings};
use crate::net::{AccessTokenSource, ProxySettings, Url};

/// Version of the service's interface that the requests follow.
const INTERFACE: &str = "2021-12-02";

const FORM: &str = "az://ACCOUNT/CONTAINER/KEY[?endpoint=URL]";

/// Kind of lock in a blob.
pub const KIND: Kind = Kind {
    schemes: &["az"],
    forms: &[FORM],
    settings: &[LOCK_TOKEN, LOCK_TOKEN_FILE, ALLOW_INSECURE_HTTP],
    variables: &[],
    read: |reader, place, surroundings| {
        read_lock(place, |place| {
            let object = read_blob(reader, place, surroundings)?;
            Ok(Object(Arc::new(object)))
        })
    },
};

/// A blob, and access to it.
#[derive(Clone, Debug)]
pub struct Blob {
    account: String,
    container: String,
    key: String,
    /// Address of the blob service, if it is not Azure's own for the account.
    endpoint: Option<Url>,
    server: Url,
    token: AccessTokenSource,
    ca_file: Option<PathBuf>,
}

/// Reads `LOCK=az://…` and its credentials.
///
/// # Errors
/// If a setting is missing or wrong, which is noted.
pub fn read_blob(
    reader: &mut Reader<'_>,
    place: &Place,
    surroundings: Surroundings<'_>,
) -> Result<Blob, Noted> {
    let allow_insecure = reader.boolean("ALLOW_INSECURE_HTTP", false);
    let token = reader.access_token("LOCK_TOKEN");
    let (account, container, key, endpoint) = read(reader, place, |rest| {
        let parts = split(rest, 2, &[ENDPOINT], FORM)?;
        let (account, container) = (parts.names[0], parts.names[1]);
        if !is_name(account, (3, 24), "") {
            return Err("the account has 3 to 24 lower-case letters and digits".to_owned());
        }
        if !is_name(container, (3, 63), "-") {
            return Err(
                "the container has 3 to 63 lower-case letters, digits and hyphens".to_owned(),
            );
        }
        let endpoint = parts.endpoint(None, allow_insecure)?;
        Ok((account, container, parts.key, endpoint))
    })?;
    let Some(token) = token? else {
        reader.problem(
            "LOCK_TOKEN: not set, and neither is LOCK_TOKEN_FILE; give a SAS token that may read, \
             create and write the blob, or a file that holds one"
                .to_owned(),
        );
        return Err(Noted);
    };
    let server = match &endpoint {
        Some(endpoint) => endpoint.clone(),
        None => {
            let server = format!("https://{account}.blob.core.windows.net").parse();
            server.map_err(|error| place.refuse(reader, &format!("{error}")))?
        }
    };
    Ok(Blob {
        account: account.to_owned(),
        container: container.to_owned(),
        key: key.to_owned(),
        endpoint,
        server,
        token,
        ca_file: surroundings.ca_file.map(Path::to_owned),
    })
}

impl Blob {
    fn path(&self) -> String {
        let start = self.server.uri().path().trim_end_matches('/');
        format!("{start}/{}/{}", self.container, self.key)
    }
}

impl Service for Blob {
    fn ask_read(&self, known: Option<&Version>) -> Request {
        let request = Request::get(self.path()).header("x-ms-version", INTERFACE);
        match known {
            Some(version) => request.header("if-none-match", version.to_string()),
            None => request,
        }
    }

    fn ask_write(&self, expected: Option<&Version>, value: Vec<u8>) -> Request {
        let request = Request::write("PUT", self.path(), value)
            .header("x-ms-version", INTERFACE)
            .header("x-ms-blob-type", "BlockBlob");
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
        let (xml_code, message) = xml::error(&response.body);
        let code = response.header("x-ms-error-code").unwrap_or(&xml_code);
        // The id and the time of the request follow.
        let message = message.lines().next().unwrap_or_default();
        match (response.status, code) {
            (404, "BlobNotFound") => Judgement::Missing,
            (404, "ContainerNotFound") => Judgement::Error(LockError::NotFound(format!(
                "{place}: the container does not exist; create it"
            ))),
            (412, "" | "ConditionNotMet" | "TargetConditionNotMet")
            | (409, "" | "BlobAlreadyExists") => Judgement::Conflict,
            (403, "AuthenticationFailed" | "AuthorizationFailure") => {
                Judgement::Error(LockError::Unauthorized(format!(
                    "{place}: the SAS token is wrong or has expired; put a new one into LOCK_TOKEN_FILE"
                )))
            }
            _ => Judgement::Error(response.error(&place, message, writes)),
        }
    }

    fn impossible_version(&self) -> Version {
        "\"0x0\"".into()
    }

    fn keeps_versions(&self, response: &Response) -> Option<bool> {
        (response.status == 200).then(|| response.header("x-ms-version-id").is_some())
    }

    fn exchange(&self) -> Result<HttpExchange, OpenError> {
        let token = TokenCredentials::open(&self.token, "LOCK_TOKEN", TokenForm::Query)?;
        let proxy = ProxySettings::from_environment();
        let ca_file = self.ca_file.as_deref();
        HttpExchange::new(&self.server, ca_file, &proxy, Box::new(token))
    }

    fn lock(&self) -> String {
        let (account, container, key) = (&self.account, &self.container, &self.key);
        let endpoint = endpoint_parameter('?', self.endpoint.as_ref());
        format!("az://{account}/{container}/{key}{endpoint}")
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn with_key(&self, key: &str) -> Arc<dyn Service> {
        Arc::new(Blob {
            key: key.to_owned(),
            ..self.clone()
        })
    }

    fn describe(&self) -> String {
        let (account, container, key) = (&self.account, &self.container, &self.key);
        format!("blob {key} in container {container} of account {account}")
    }
}
