//! Checks signatures of requests by AWS's rules for version 4, from what arrived.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use ring::hmac;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::objects::Pass;
use crate::support::server::Received;

/// Region of the bucket.
pub(crate) const REGION: &str = "eu-central-1";

/// Greatest difference between the times of a request and the server.
const SKEW: time::Duration = time::Duration::minutes(15);

/// Code and message of a refusal.
pub(crate) type Refusal = (u16, &'static str, String);

/// Checks the signature of a request with one of these passes.
pub(crate) fn check(
    request: &Received,
    passes: &[Pass],
    now: OffsetDateTime,
) -> Result<(), Refusal> {
    let refuse = |status, code, message: &str| Err((status, code, message.to_owned()));
    let Some(authorization) = request.header("authorization") else {
        return refuse(403, "AccessDenied", "Access Denied.");
    };
    let malformed = (
        400,
        "AuthorizationHeaderMalformed",
        authorization.to_owned(),
    );
    let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ");
    let fields = fields.ok_or_else(|| malformed.clone())?;
    let field = |name: &str| {
        let found = fields.split(", ").find_map(|one| one.strip_prefix(name));
        found.ok_or_else(|| malformed.clone())
    };
    let (credential, names) = (field("Credential=")?, field("SignedHeaders=")?);
    let given = field("Signature=")?;
    let scope: Vec<&str> = credential.split('/').collect();
    let [id, day, region, "s3", "aws4_request"] = scope[..] else {
        return Err(malformed);
    };
    if region != REGION {
        let message = format!("the region '{region}' is wrong; expecting '{REGION}'");
        return Err((400, "WrongRegion", message));
    }
    let Some(pass) = passes.iter().find(|pass| pass.id == id) else {
        return refuse(
            403,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        );
    };
    let date = request.header("x-amz-date").unwrap_or_default();
    if !is_close(date, now) {
        return refuse(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        );
    }
    if signature(request, pass, names, date, day) != given {
        return refuse(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
        );
    }
    let token = request.header("x-amz-security-token").unwrap_or_default();
    match pass.is_valid() {
        _ if token != pass.session => refuse(400, "InvalidToken", "The token is malformed."),
        false => refuse(400, "ExpiredToken", "The provided token has expired."),
        true => Ok(()),
    }
}

/// Returns whether a time like `20130524T000000Z` is close to the server's.
fn is_close(date: &str, now: OffsetDateTime) -> bool {
    let parts = [0..4, 4..6, 6..8, 9..11, 11..13, 13..15].map(|part| date.get(part).unwrap_or("?"));
    let [year, month, day, hour, minute, second] = parts;
    let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    let date = OffsetDateTime::parse(&text, &Rfc3339);
    date.is_ok_and(|date| (date - now).abs() <= SKEW)
}

/// Returns the signature that the request must have, or nothing if it cannot be right.
fn signature(request: &Received, pass: &Pass, names: &str, date: &str, day: &str) -> String {
    let signed: Vec<&str> = names.split(';').collect();
    let required = |name: &str| {
        let relevant = name == "host" || name.starts_with("x-amz-");
        !relevant || signed.contains(&name)
    };
    let all = request.headers.iter().all(|(name, _)| required(name));
    let body = hex(digest(&SHA256, request.body.as_bytes()).as_ref());
    let hash_fits = request.header("x-amz-content-sha256") == Some(&body);
    if !all || !signed.is_sorted() || !hash_fits || !date.starts_with(day) {
        return String::new();
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    assert_eq!(query, "", "no request to an object of S3 has a query");
    let mut canonical = format!("{}\n{path}\n\n", request.method);
    for name in &signed {
        let value = request.header(name).unwrap_or_default();
        let _ = writeln!(canonical, "{name}:{value}");
    }
    let _ = write!(canonical, "\n{names}\n{body}");
    let canonical = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{day}/{REGION}/s3/aws4_request\n{canonical}");
    let mac = |key: &[u8], data: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, data.as_bytes()).as_ref().to_vec()
    };
    let key = mac(format!("AWS4{}", pass.secret).as_bytes(), day);
    let key = mac(&mac(&mac(&key, REGION), "s3"), "aws4_request");
    hex(&mac(&key, &text))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
