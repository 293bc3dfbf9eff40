//! Signatures of requests, version 4.
//!
//! Rules: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign as hmac};
use time::OffsetDateTime;

use super::keys::Keys;
use crate::lock::store::Request;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Header that proxies change, and that so must not be signed.
const CHANGED_BY_PROXIES: &str = "accept-encoding";

/// Where a signature counts.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Region.
    pub region: String,
    /// Service.
    pub service: &'static str,
}

/// Returns the headers that sign a request to `host` at `time`, in seconds since the Unix epoch; `None`
/// if the time has no date. The request's query is encoded, and its path needs no encoding.
#[must_use]
pub fn sign(
    request: &Request,
    host: &str,
    scope: &Scope,
    keys: &Keys,
    time: i64,
) -> Option<Vec<(&'static str, String)>> {
    let time = timestamp(time)?;
    let hash = sha256(request.body.as_deref().unwrap_or_default());
    let mut added = vec![
        ("x-amz-content-sha256", hash.clone()),
        ("x-amz-date", time.clone()),
    ];
    if !keys.session.is_empty() {
        added.push(("x-amz-security-token", keys.session.clone()));
    }
    let kept = |(name, _): &&(&str, String)| *name != CHANGED_BY_PROXIES;
    let own = request.headers.iter().filter(kept).chain(&added);
    let mut signed: Vec<(&str, &str)> = own
        .map(|(name, value)| (*name, value.trim()))
        .chain([("host", host)])
        .collect();
    signed.sort_unstable();
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut canonical = canonical_address(request);
    for (name, value) in &signed {
        let _ = writeln!(canonical, "{name}:{value}");
    }
    let _ = write!(canonical, "\n{names}\n{hash}");
    let (day, region, service) = (&time[..8], &scope.region, scope.service);
    let range = format!("{day}/{region}/{service}/aws4_request");
    let text = format!(
        "{ALGORITHM}\n{time}\n{range}\n{}",
        sha256(canonical.as_bytes())
    );
    let mut key = format!("AWS4{}", keys.secret).into_bytes();
    for part in [day, region, service, "aws4_request", &text] {
        let tag = hmac(&Key::new(HMAC_SHA256, &key), part.as_bytes());
        key = tag.as_ref().to_vec();
    }
    let (id, signature) = (&keys.id, hex(&key));
    added.push((
        "authorization",
        format!(
            "{ALGORITHM} Credential={id}/{range}, SignedHeaders={names}, Signature={signature}"
        ),
    ));
    Some(added)
}

/// Returns method, path and sorted query, a line each.
fn canonical_address(request: &Request) -> String {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let parameters = query.split('&').filter(|part| !part.is_empty());
    let mut parameters: Vec<String> = parameters
        .map(|part| match part.contains('=') {
            true => part.to_owned(),
            false => format!("{part}="),
        })
        .collect();
    parameters.sort_unstable();
    format!("{}\n{path}\n{}\n", request.method, parameters.join("&"))
}

/// Returns a time as `20130524T000000Z`.
fn timestamp(time: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(time).ok()?;
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    let month = u8::from(month);
    (0..=9999)
        .contains(&year)
        .then(|| format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"))
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the signature with the keys and the time of AWS's examples.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
    fn signature(request: &Request) -> String {
        let keys = Keys {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            session: String::new(),
        };
        let scope = Scope {
            region: "us-east-1".to_owned(),
            service: "s3",
        };
        let host = "examplebucket.s3.amazonaws.com";
        let headers = sign(request, host, &scope, &keys, 1_369_353_600).unwrap();
        let (_, authorization) = headers.last().unwrap();
        let (_, signature) = authorization.split_once("Signature=").unwrap();
        signature.to_owned()
    }

    #[test]
    fn signatures_are_those_of_aws_examples() {
        let object = Request::get("/test.txt").header("range", "bytes=0-9");
        let lifecycle = Request::get("/?lifecycle");
        let list = Request::get("/?prefix=J&max-keys=2");
        for (request, expected) in [
            (
                object,
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                lifecycle,
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                list,
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            assert_eq!(signature(&request), expected, "{}", request.path);
        }
    }

    #[test]
    fn session_token_is_signed() {
        let keys = Keys {
            id: "A".to_owned(),
            secret: "b".to_owned(),
            session: "c".to_owned(),
        };
        let scope = Scope {
            region: "x".to_owned(),
            service: "s3",
        };
        let headers = sign(&Request::get("/"), "h", &scope, &keys, 0).unwrap();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        assert!(names.contains(&"x-amz-security-token"), "{names:?}");
        let (_, authorization) = headers.last().unwrap();
        let signed = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
        assert!(authorization.contains(signed), "{authorization}");
    }

    #[test]
    fn time_without_date_is_not_signed() {
        assert_eq!(timestamp(0).as_deref(), Some("19700101T000000Z"));
        assert_eq!(timestamp(i64::MAX), None);
    }
}
