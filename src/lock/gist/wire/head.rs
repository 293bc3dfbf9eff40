//! Status and headers of an answer: which failure they mean, and how long to wait after it.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::rate::resets_in;
use super::target::ApiUrl;
use crate::election::lock::LockError;
use crate::fmt::one_line;
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
        let date = header("date").and_then(unix_seconds);
        Head {
            status,
            date,
            etag: header("etag").map(Arc::from),
            scopes: header("x-oauth-scopes").map(Arc::from),
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

/// Parses an HTTP date; returns seconds since the Unix epoch.
fn unix_seconds(text: &str) -> Option<i64> {
    let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some(date.unix_timestamp())
}

/// Parses `retry-after`: seconds, or a date that is compared with the answer's own.
fn retry_after(text: &str, date: Option<i64>) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = unix_seconds(text)?;
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
    /// Returns the failure that an answer other than 200, 201 and 304 means. `message` is from its body.
    #[must_use]
    pub fn failure(&self, head: &Head, message: &str) -> LockError {
        let host = self.api.host();
        let status = head.status;
        let said = quote(status, message);
        if head.is_limit(message) {
            return LockError::RateLimited {
                retry_after: head.wait(self.limits_before),
                why: format!("{host}: rate limited ({said})"),
            };
        }
        match status {
            301 | 302 | 303 | 307 | 308 => LockError::Unavailable(format!(
                "GITHUB_API_URL: redirected by {host} ({said}), access token not sent there; set the API's own address, such as https://HOST/api/v3"
            )),
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
mod tests {
    use super::super::target::check_api_url;
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn head(status: u16, headers: &[(&str, &'static str)]) -> Head {
        Head::new(status, |name| {
            headers
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| *value)
        })
    }

    fn judge(write: bool, head: &Head, message: &str) -> LockError {
        let api = check_api_url("https://api.github.com", false).unwrap();
        let asked = Asked {
            api: &api,
            write,
            limits_before: 0,
        };
        asked.failure(head, message)
    }

    fn wait_of(error: &LockError) -> Duration {
        match error {
            LockError::RateLimited { retry_after, .. } => *retry_after,
            other => panic!("not throttled: {other:?}"),
        }
    }

    #[test]
    fn recorded_headers_are_parsed() {
        let head = head(
            200,
            &[
                ("date", "Mon, 27 Apr 2020 17:24:06 GMT"),
                ("etag", "W/\"7b67efd855ab094b8909712c7e622749\""),
                ("x-oauth-scopes", "gist, repo"),
                ("x-ratelimit-limit", "5000"),
                ("x-ratelimit-remaining", "4975"),
                ("x-ratelimit-reset", "1588010945"),
            ],
        );
        assert_eq!(head.date, Some(1_588_008_246));
        assert_eq!(
            head.etag.as_deref(),
            Some("W/\"7b67efd855ab094b8909712c7e622749\"")
        );
        assert_eq!(head.scopes.as_deref(), Some("gist, repo"));
        let rate = RateLimit {
            limit: 5000,
            remaining: 4975,
            resets_at: 1_588_010_945,
        };
        assert_eq!(head.rate(), Some(rate));
        assert_eq!(Head::default().rate(), None);
    }

    #[test]
    fn corrupt_headers_count_as_absent() {
        let long: &'static str = Box::leak("x".repeat(2000).into_boxed_str());
        let head = head(
            200,
            &[
                ("date", "yesterday"),
                ("etag", long),
                ("x-oauth-scopes", ""),
                ("retry-after", "-1"),
                ("x-ratelimit-limit", "many"),
                ("x-ratelimit-remaining", "99999999999999999999999"),
                ("x-ratelimit-reset", "18446744073709551615"),
            ],
        );
        let bare = Head {
            status: 200,
            ..Head::default()
        };
        assert_eq!(head, bare);
    }

    #[test]
    fn each_status_has_its_failure() {
        type Kind = fn(&LockError) -> bool;
        let unauthorized: Kind = |error| matches!(error, LockError::Unauthorized(_));
        let not_found: Kind = |error| matches!(error, LockError::NotFound(_));
        let unavailable: Kind = |error| matches!(error, LockError::Unavailable(_));
        let unknown: Kind = |error| matches!(error, LockError::OutcomeUnknown(_));
        for (status, read, write) in [
            (401, unauthorized, unauthorized),
            (403, unauthorized, unauthorized),
            (404, not_found, not_found),
            (410, not_found, not_found),
            (451, not_found, not_found),
            (301, unavailable, unavailable),
            (302, unavailable, unavailable),
            (307, unavailable, unavailable),
            (308, unavailable, unavailable),
            (400, unavailable, unknown),
            (409, unavailable, unknown),
            (412, unavailable, unknown),
            (422, unavailable, unavailable),
            (500, unavailable, unknown),
            (502, unavailable, unknown),
            (503, unavailable, unknown),
            (204, unavailable, unknown),
            (418, unavailable, unknown),
        ] {
            let head = head(status, &[("x-ratelimit-remaining", "17")]);
            let (get, patch) = (judge(false, &head, "Oh"), judge(true, &head, "Oh"));
            assert!(read(&get), "GET {status}: {get:?}");
            assert!(write(&patch), "PATCH {status}: {patch:?}");
            let said = format!("{status} Oh");
            assert!(get.to_string().contains(&said), "{get}");
            assert!(patch.to_string().contains(&said), "{patch}");
        }
    }

    #[test]
    fn failures_state_the_fix() {
        for (status, write, hint) in [
            (401, false, "GITHUB_API_TOKEN"),
            (403, true, "scope gist"),
            (404, false, "GIST_ID"),
            (404, true, "scope gist"),
            (302, false, "GITHUB_API_URL"),
        ] {
            let error = judge(write, &head(status, &[]), "").to_string();
            assert!(error.contains(hint), "{status}: {error}");
            assert!(error.contains("api.github.com"), "{status}: {error}");
            assert!(!error.ends_with('.'), "{status}: {error}");
        }
    }

    #[test]
    fn limit_and_refusal_differ() {
        let secondary = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        for error in [
            judge(true, &head(429, &[]), ""),
            judge(true, &head(403, &[("retry-after", "60")]), "Forbidden"),
            judge(false, &head(403, &[("x-ratelimit-remaining", "0")]), ""),
            judge(false, &head(403, &[]), secondary),
            judge(
                false,
                &head(403, &[]),
                "You have triggered an abuse detection mechanism",
            ),
        ] {
            assert_eq!(wait_of(&error), MINUTE, "{error:?}");
        }
        let refused = judge(
            true,
            &head(403, &[]),
            "Resource not accessible by integration",
        );
        assert!(matches!(refused, LockError::Unauthorized(_)), "{refused:?}");
    }

    #[test]
    fn retry_after_precedes_reset_precedes_minute() {
        let date = ("date", "Mon, 27 Apr 2020 17:24:06 GMT");
        let (none_left, reset) = (
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1588008346"),
        );
        let wait = |headers: &[_]| wait_of(&judge(true, &head(429, headers), ""));
        assert_eq!(
            wait(&[date, none_left, reset, ("retry-after", "7")]),
            Duration::from_secs(7)
        );
        assert_eq!(wait(&[date, none_left, reset]), Duration::from_secs(101));
        assert_eq!(
            wait(&[none_left, reset]),
            MINUTE,
            "no clock to compare with"
        );
        assert_eq!(wait(&[date, reset]), MINUTE, "the limit is another one");
        let past = ("x-ratelimit-reset", "1588008246");
        assert_eq!(wait(&[date, none_left, past]), MINUTE);
        let retry_at = ("retry-after", "Mon, 27 Apr 2020 17:25:36 GMT");
        assert_eq!(wait(&[date, retry_at]), Duration::from_secs(90));
    }

    #[test]
    fn undated_waits_double_within_bounds() {
        let bare = head(429, &[]);
        for (before, seconds) in [
            (0, 60),
            (1, 120),
            (2, 240),
            (5, 1920),
            (6, 3660),
            (99, 3660),
        ] {
            assert_eq!(bare.wait(before), Duration::from_secs(seconds));
        }
        let asks = |text| head(429, &[("retry-after", text)]).wait(0);
        assert_eq!(asks("0"), SHORTEST_WAIT);
        assert_eq!(asks("18446744073709551615"), LONGEST_WAIT);
        let far = head(
            429,
            &[
                ("date", "Mon, 27 Apr 2020 17:24:06 GMT"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "9223372036854775807"),
            ],
        );
        assert_eq!(far.wait(0), LONGEST_WAIT);
    }

    #[test]
    fn arbitrary_headers_never_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        let samples = [
            "0",
            "-1",
            "1588010945",
            "18446744073709551615",
            "Mon, 27 Apr 2020 17:24:06 GMT",
            "Fri, 31 Dec 9999 23:59:60 GMT",
            "-9223372036854775808",
            "",
            "é",
            "W/\"\"",
        ];
        for _ in 0..5_000 {
            let values: Vec<&'static str> = (0..7).map(|_| samples[random.usize(..10)]).collect();
            let next = std::cell::Cell::new(0);
            let head = Head::new(random.u16(..), |_| {
                next.set(next.get() + 1);
                values.get(next.get() - 1).copied()
            });
            assert!(head.wait(random.u32(..)) <= LONGEST_WAIT);
            let _ = judge(random.bool(), &head, samples[random.usize(..10)]);
        }
    }
}
