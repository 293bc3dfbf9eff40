//! Sources of AWS keys and of Google's access tokens: token service, server beside a container, instance
//! metadata, metadata server.

use std::time::{Duration, Instant};

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::client::{Bucket, Variables};
use crate::objects::{Pass, Passes};
use crate::s3::xml;
use crate::support::server::{Received, Server, Service, http};

/// Time for which passes are valid beyond what their source says, because it says whole seconds.
const SLACK: Duration = Duration::from_secs(1);

/// Tokens that the sources demand.
pub(crate) const WEB_TOKEN: &str = "eyJ.TheSecretWebToken";
const CONTAINER_TOKEN: &str = "TheSecretContainerToken";
const INSTANCE_TOKEN: &str = "TheSecretInstanceToken";

/// One source of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    WebIdentity,
    Container,
    Instance,
    /// Google's metadata server.
    Google,
}

/// Server of all sources, and what it gives.
#[derive(Debug)]
pub(crate) struct Sources {
    passes: Passes,
    /// Time for which new credentials are valid.
    pub(crate) lifetime: Duration,
    given: u64,
    /// Sources whose credentials were given, in order.
    pub(crate) log: Vec<Source>,
}

/// Returns a server of sources, whose credentials the bucket accepts.
pub(crate) fn start(bucket: &Bucket, lifetime: Duration) -> Server<Sources> {
    let sources = Sources {
        passes: bucket.passes.clone(),
        lifetime,
        given: 0,
        log: Vec::new(),
    };
    Server::start(sources, None)
}

/// Settings that lead to sources, and the files that they name.
pub(crate) struct Files {
    folder: tempfile::TempDir,
    server: String,
}

impl Files {
    pub(crate) fn new(server: &Server<Sources>) -> Files {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("web"), WEB_TOKEN).unwrap();
        std::fs::write(folder.path().join("container"), CONTAINER_TOKEN).unwrap();
        Files {
            folder,
            server: server.address.to_string(),
        }
    }

    /// Returns the path of a token file.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Sets the variables of a source.
    pub(crate) fn add(&self, source: Source, variables: &mut Variables) {
        let server = &self.server;
        let added = match source {
            Source::WebIdentity => vec![
                ("AWS_ROLE_ARN", "arn:aws:iam::1:role/elector".to_owned()),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", self.path("web")),
                ("AWS_ENDPOINT_URL_STS", format!("http://{server}")),
            ],
            Source::Container => vec![
                (
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                    format!("http://{server}/v1/credentials"),
                ),
                (
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                    self.path("container"),
                ),
            ],
            Source::Instance => vec![(
                "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                format!("http://{server}"),
            )],
            Source::Google => vec![("GCE_METADATA_HOST", server.clone())],
        };
        variables.extend(added);
    }
}

/// Returns the settings of a lock whose credentials come from this source.
pub(crate) fn variables(bucket: &Bucket, files: &Files, source: Source) -> Variables {
    let mut variables = bucket.variables();
    variables.retain(|name, _| *name == "LOCK");
    files.add(source, &mut variables);
    variables
}

impl Sources {
    fn give(&mut self, source: Source) -> Pass {
        self.given += 1;
        self.log.push(source);
        let number = self.given;
        let aws = source != Source::Google;
        let or_none = |text: String| if aws { text } else { String::new() };
        let pass = Pass {
            id: match aws {
                true => format!("ASIAELECTOR{number}"),
                false => format!("ya29.TheSecret{number}"),
            },
            secret: or_none(format!("TheSecretKey/+{number}")),
            session: or_none(format!("TheSecretSession/+{number}==")),
            until: Some(Instant::now() + self.lifetime + SLACK),
        };
        self.passes.lock().unwrap().push(pass.clone());
        pass
    }

    /// Gives keys as JSON.
    fn give_json(&mut self, source: Source) -> Vec<u8> {
        let end = self.end();
        let pass = self.give(source);
        let body = json!({
            "Code": "Success", "AccessKeyId": pass.id, "SecretAccessKey": pass.secret,
            "Token": pass.session, "Expiration": end,
        });
        http(200, &[], body.to_string().as_bytes())
    }

    fn end(&self) -> String {
        let end = OffsetDateTime::now_utc() + self.lifetime;
        end.replace_nanosecond(0).unwrap().format(&Rfc3339).unwrap()
    }
}

impl Service for Sources {
    fn respond(&mut self, request: &Received) -> Vec<u8> {
        let refused = |status, text: &str| http(status, &[], text.as_bytes());
        let has = |name: &str, value: &str| request.header(name) == Some(value);
        match (&*request.method, &*request.path) {
            ("POST", "/")
                if !request
                    .body
                    .contains(&format!("WebIdentityToken={WEB_TOKEN}")) =>
            {
                refused(400, &xml("InvalidIdentityToken", "wrong token"))
            }
            ("POST", "/") => {
                let end = self.end();
                let pass = self.give(Source::WebIdentity);
                let body = format!(
                    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
                     <AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
                     <SessionToken>{}</SessionToken><Expiration>{end}</Expiration></Credentials>\
                     </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
                    pass.id, pass.secret, pass.session
                );
                http(200, &[], body.as_bytes())
            }
            ("GET", "/v1/credentials") if has("authorization", CONTAINER_TOKEN) => {
                self.give_json(Source::Container)
            }
            ("PUT", "/latest/api/token") => http(200, &[], INSTANCE_TOKEN.as_bytes()),
            ("GET", path) if path.starts_with("/latest/") => {
                if !has("x-aws-ec2-metadata-token", INSTANCE_TOKEN) {
                    return refused(401, "");
                }
                match path.strip_prefix("/latest/meta-data/iam/security-credentials/") {
                    Some("") => http(200, &[], b"elector-role\n"),
                    Some("elector-role") => self.give_json(Source::Instance),
                    _ => refused(404, ""),
                }
            }
            ("GET", "/computeMetadata/v1/instance/service-accounts/default/token")
                if has("metadata-flavor", "Google") =>
            {
                let seconds = self.lifetime.as_secs();
                let pass = self.give(Source::Google);
                let body = json!({"access_token": pass.id, "expires_in": seconds});
                http(200, &[], body.to_string().as_bytes())
            }
            _ => refused(403, "forbidden"),
        }
    }
}
