//! Status and headers of an answer: which failure they mean, and how long to wait after it.

mod redirect;

use std::sync::Arc;
use std::time::Duration;

use super::rate::resets_in;
use super::target::ApiUrl;
use crate::election::lock::LockError;
use crate::fmt::{one_line, unix_time};
use crate::lock::stats::RateLimit;

/// Longest wait that a server can demand: GitHub's windows are an hour long, plus a minute for rounding.
/// A wrong header must not silence a candidate for a day.
const LONGEST_WAIT: Duration = Duration::from_secs(3_660);

/// Wait after an answer without a time: GitHub demands at least a minute, and more each time.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// Shortest wait: `retry-after: 0` still means that a limit was reached.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Longest header value that is kept, in bytes.
const LONGEST_HEADER: usize = 1024;

/// Status and relevant headers of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// The server's clock, in seconds since the Unix epoch.
    pub date: Option<i64>,
    /// Entity tag.
    pub etag: Option<Arc<str>>,
    /// Scopes of the access token.
    pub scopes: Option<Arc<str>>,
    /// Expiration of the access token, in seconds since the Unix epoch.
    pub token_expires_at: Option<i64>,
    /// Whether the body is said to be JSON.
    pub is_json: Option<bool>,
    /// Target of a redirect, which may contain secrets.
    pub location: Option<Arc<str>>,
    /// Demanded wait.
    pub retry_after: Option<Duration>,
    /// Requests per hour.
    pub limit: Option<u64>,
    /// Requests that are left of them.
    pub remaining: Option<u64>,
    /// Time of the reset, in seconds since the Unix epoch.
    pub resets_at: Option<i64>,
}

impl Head {
    /// Reads the headers, which `header` finds by their lower-case names.
    pub fn new<'a>(status: u16, header: impl Fn(&str) -> Option<&'a str>) -> Head {
        let header = |name| header(name).map(str::trim).filter(|text| is_plain(text));
        let date = header("date").and_then(unix_time);
        Head {
            status,
            date,
            etag: header("etag").map(Arc::from),
            scopes: header("x-oauth-scopes").map(Arc::from),
            token_expires_at: header("github-authentication-token-expiration").and_then(expiration),
            is_json: header("content-type").map(|kind| kind.to_ascii_lowercase().contains("json")),
            location: header("location").map(Arc::from),
            retry_after: header("retry-after").and_then(|text| retry_after(text, date)),
            limit: number(header("x-ratelimit-limit")),
            remaining: number(header("x-ratelimit-remaining")),
            resets_at: number(header("x-ratelimit-reset")).and_then(|at| i64::try_from(at).ok()),
        }
    }

    /// Returns the rate limit of the account, if the answer states it.
    #[must_use]
    pub fn rate(&self) -> Option<RateLimit> {
        Some(RateLimit {
            limit: self.limit?,
            remaining: self.remaining?,
            resets_at: self.resets_at?,
        })
    }

    fn is_limit(&self, message: &str) -> bool {
        let message = message.to_ascii_lowercase();
        match self.status {
            429 => true,
            403 => {
                self.retry_after.is_some()
                    || self.remaining == Some(0)
                    || ["rate limit", "abuse"]
                        .iter()
                        .any(|sign| message.contains(sign))
            }
            _ => false,
        }
    }

    /// Returns how long to wait after this rate-limited answer, the `before`-th consecutive one from 0.
    fn wait(&self, before: u32) -> Duration {
        // The limit of the reset was reached only if no requests are left.
        let reset = self.resets_at.filter(|_| self.remaining == Some(0));
        let asked = self.retry_after;
        let asked = asked.or_else(|| resets_in(reset?, self.date));
        let wait = asked.unwrap_or_else(|| {
            FIRST_WAIT.saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX))
        });
        wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)
    }
}

/// Returns whether a header value can be kept and sent back.
fn is_plain(text: &str) -> bool {
    let graphic = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    !text.is_empty() && text.len() <= LONGEST_HEADER && text.bytes().all(graphic)
}

fn number(text: Option<&str>) -> Option<u64> {
    text?.parse().ok()
}

/// Parses `2026-12-24 18:00:00 UTC` or `2026-12-24 18:00:00 +0100`; returns seconds since the Unix epoch.
fn expiration(text: &str) -> Option<i64> {
    let (time, zone) = text.rsplit_once(' ')?;
    let zone = match zone {
        "UTC" => "Z".to_owned(),
        _ => {
            let (hours, minutes) = zone.split_at_checked(3)?;
            format!("{hours}:{minutes}")
        }
    };
    let time = format!("{}{zone}", time.replace(' ', "T"));
    unix_time(&time)
}

/// Parses `retry-after`: seconds, or a date that is compared with the answer's own.
fn retry_after(text: &str, date: Option<i64>) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = unix_time(text)?;
    let seconds = until.checked_sub(date?)?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Returns the failure of a request that the server may have carried out or may still carry out.
#[must_use]
pub fn unclear(write: bool, why: String) -> LockError {
    if write {
        LockError::OutcomeUnknown(why)
    } else {
        LockError::Unavailable(why)
    }
}

/// Context in which a status is interpreted.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// API that received the request.
    pub api: &'a ApiUrl,
    /// Whether the request was a write.
    pub write: bool,
    /// Number of consecutive rate-limited answers right before this one.
    pub limits_before: u32,
}

impl Asked<'_> {
    /// Returns the failure that an answer other than 200, 201 and 304 means. `message` is from its body;
    /// `None` if that is a web page.
    #[must_use]
    pub fn failure(&self, head: &Head, message: Option<&str>) -> LockError {
        let host = self.api.host();
        let status = head.status;
        let is_page = message.is_none() || head.is_json == Some(false);
        let message = message.unwrap_or_default();
        let said = quote(status, message);
        if head.is_limit(message) {
            return LockError::RateLimited {
                retry_after: head.wait(self.limits_before),
                why: format!("{host}: rate limited ({said})"),
            };
        }
        match status {
            301 | 302 | 303 | 307 | 308 => LockError::Unavailable(self.redirected(head, message)),
            407 => LockError::Unavailable(format!(
                "a proxy on the way to {host} wants a proxy password ({said}); set {} to http://USER:PASSWORD@HOST:PORT",
                self.api.proxy_variable()
            )),
            401 | 403 if is_page => LockError::Unauthorized(self.no_api(&said)),
            404 | 410 | 451 if is_page => LockError::NotFound(self.no_api(&said)),
            401 => LockError::Unauthorized(format!(
                "GITHUB_API_TOKEN: access token rejected ({said}) by {host}; set GITHUB_API_TOKEN or GITHUB_API_TOKEN_FILE to a valid one that has not expired"
            )),
            403 => LockError::Unauthorized(format!(
                "GITHUB_API_TOKEN: the access token lacks the permission at {host} ({said}); give it the scope gist, or the permission Gists (write) if it is fine-grained; the GITHUB_TOKEN of Actions cannot have it"
            )),
            404 | 410 | 451 => self.not_found(&said),
            409 => unclear(
                self.write,
                format!("{host} reported a conflicting change of the gist ({said})"),
            ),
            422 => LockError::Unavailable(format!("{host} refused the request ({said})")),
            400 => unclear(
                self.write,
                format!("{host} could not parse the request ({said})"),
            ),
            500..=599 => unclear(self.write, format!("{host} failed ({said})")),
            _ => unclear(
                self.write,
                format!(
                    "GITHUB_API_URL: {host} gave an answer unlike GitHub's API ({said}); check the address and any proxy on the way"
                ),
            ),
        }
    }

    /// Returns that the server redirects, and where to, without the parts of the target that may be secret.
    fn redirected(&self, head: &Head, message: &str) -> String {
        let host = self.api.host();
        // The text may repeat the target.
        let said = quote(head.status, message.split('?').next().unwrap_or_default());
        let target = head.location.as_deref();
        let to = match target.and_then(|target| redirect::shown(target, self.api)) {
            Some(target) => format!(" to {target}"),
            None => String::new(),
        };
        let usual = self.api.usual();
        let usual = usual.as_deref().unwrap_or("https://HOST/api/v3");
        format!(
            "GITHUB_API_URL: redirected by {host}{to} ({said}), access token not sent there; set the API's own address, such as {usual}"
        )
    }

    /// Returns that the server answered otherwise than GitHub's API does.
    fn no_api(&self, said: &str) -> String {
        let host = self.api.host();
        let fix = match self.api.usual() {
            Some(usual) => format!("set the API's address, which is usually {usual}"),
            None => "check the address and any proxy on the way".to_owned(),
        };
        format!(
            "GITHUB_API_URL: {host} answered with a web page, not as GitHub's API ({said}); {fix}"
        )
    }

    fn not_found(&self, said: &str) -> LockError {
        let host = self.api.host();
        LockError::NotFound(if self.write {
            format!(
                "GIST_ID: {host} does not let this access token write the gist ({said}), or the gist was deleted; the token must belong to the gist's owner and have the scope gist, or the permission Gists (write)"
            )
        } else {
            format!(
                "GIST_ID: {host} shows no such gist ({said}); check the id, and that the access token has the scope gist"
            )
        })
    }
}

/// Formats a status with the server's message: `404 Not Found`.
fn quote(status: u16, message: &str) -> String {
    let message = one_line(message);
    if message.is_empty() {
        return format!("HTTP status {status}");
    }
    format!("{status} {message}")
}

#[cfg(test)]
mod tests;
