//! Answers other than a gist: refusals in GitHub's words, and the headers that every answer has.

use std::fmt;

use crate::http::Response;

use super::caller::Caller;
use super::faults::Faults;
use super::limits::Standing;
use super::render::{http_time, quote};
use super::revision::Timestamp;
use super::write::WriteError;

const DOCUMENTATION: &str = "https://docs.github.com/rest/gists/gists";

/// An answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    message: String,
    /// What a 422 adds.
    detail: Option<String>,
    retry_after: Option<u32>,
}

impl Refusal {
    pub(super) fn new(status: u16, message: &str) -> Self {
        Self {
            status,
            message: message.to_owned(),
            detail: None,
            retry_after: None,
        }
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "Not Found")
    }

    pub(super) fn invalid(why: &str) -> Self {
        Self {
            detail: Some(why.to_owned()),
            ..Self::new(422, "Validation Failed")
        }
    }

    pub(super) fn primary_limit(status: u16, caller: &Caller) -> Self {
        Self::new(
            status,
            if caller.is_user() {
                "API rate limit exceeded for user ID 1."
            } else {
                "API rate limit exceeded for your address. (But here's the good news: Authenticated requests get a higher rate limit.)"
            },
        )
    }

    pub(super) fn secondary_limit(faults: &Faults) -> Self {
        let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        Self {
            retry_after: faults.retry_after_s,
            ..Self::new(faults.secondary_status, message)
        }
    }

    pub(super) fn server_error(status: u16) -> Self {
        Self::new(status, "Server Error")
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail.as_deref().unwrap_or(&self.message))
    }
}

impl From<WriteError> for Refusal {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotFound => Self::not_found(),
            WriteError::Conflict => Self::new(409, "Gist cannot be updated."),
            WriteError::Invalid(why) => Self::invalid(&why),
            WriteError::Exists | WriteError::Full => Self::invalid(&error.to_string()),
        }
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        let Refusal {
            status,
            message,
            detail,
            retry_after,
        } = refusal;
        let errors = detail.map_or_else(String::new, |why| {
            let why = quote(&why);
            format!("\"errors\":[{{\"resource\":\"Gist\",\"code\":\"custom\",\"field\":\"files\",\"message\":{why}}}],")
        });
        let body = format!(
            "{{\"message\":{},{errors}\"documentation_url\":\"{DOCUMENTATION}\",\"status\":\"{status}\"}}",
            quote(&message)
        );
        let response = Response::json(status, body);
        match retry_after {
            Some(seconds) => response.header("Retry-After", seconds.to_string()),
            None => response,
        }
    }
}

/// What every answer carries besides its own headers.
pub(super) struct Dressing<'a> {
    pub(super) faults: &'a Faults,
    pub(super) caller: &'a Caller,
    pub(super) standing: Option<Standing>,
    pub(super) now: Timestamp,
    pub(super) request_id: u64,
}

impl Dressing<'_> {
    pub(super) fn put_on(&self, mut response: Response) -> Response {
        if !self.faults.no_date {
            let seconds = self.now.seconds() + self.faults.clock_offset_s;
            response = response.header("Date", http_time(seconds));
        }
        response = response.header("Server", "elector-gist-server");
        if let Some(standing) = self.standing {
            response = limits(response, standing, self.faults.clock_offset_s);
        }
        if let Caller::User {
            scopes: Some(scopes),
            ..
        } = self.caller
        {
            response = response
                .header("X-OAuth-Scopes", scopes.clone())
                .header("X-Accepted-OAuth-Scopes", "");
        }
        response
            .header("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP")
            .header("Vary", "Accept-Encoding, Accept, X-Requested-With")
            .header("X-GitHub-Media-Type", "github.v3; format=json")
            .header("X-Content-Type-Options", "nosniff")
            .header(
                "X-GitHub-Request-Id",
                format!("E1EC:{:08X}", self.request_id),
            )
    }
}

fn limits(response: Response, standing: Standing, clock_offset_s: i64) -> Response {
    response
        .header("X-RateLimit-Limit", standing.limit.to_string())
        .header("X-RateLimit-Remaining", standing.remaining().to_string())
        .header("X-RateLimit-Used", standing.used.to_string())
        .header(
            "X-RateLimit-Reset",
            (standing.reset + clock_offset_s).to_string(),
        )
        .header("X-RateLimit-Resource", "core")
}
