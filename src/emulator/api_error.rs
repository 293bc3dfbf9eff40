//! Error answers in GitHub's words.

use serde::Serialize;

use crate::http::Response;

use super::error::WriteError;
use super::render::to_json;

/// Link in every error answer.
const DOCUMENTATION: &str = "https://docs.github.com/rest/gists/gists";

/// Error answer of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    status: u16,
    message: String,
    /// Reason in a 422 answer.
    detail: Option<String>,
    /// Value of the header `Retry-After` in seconds.
    retry_after: Option<u32>,
}

#[derive(Serialize)]
struct ErrorBody {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<[Detail; 1]>,
    documentation_url: &'static str,
    status: String,
}

#[derive(Serialize)]
struct Detail {
    resource: &'static str,
    code: &'static str,
    field: &'static str,
    message: String,
}

impl ApiError {
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

    pub(super) fn server_error(status: u16) -> Self {
        Self::new(status, "Server Error")
    }

    pub(super) fn invalid(detail: String) -> Self {
        Self {
            detail: Some(detail),
            ..Self::new(422, "Validation Failed")
        }
    }

    pub(super) fn retry_after(self, retry_after: Option<u32>) -> Self {
        Self {
            retry_after,
            ..self
        }
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotFound => Self::not_found(),
            WriteError::Conflict => Self::new(409, "Gist cannot be updated."),
            WriteError::NotSaved(_) => Self::new(500, &error.to_string()),
            WriteError::Invalid(_) | WriteError::Exists | WriteError::Full => {
                Self::invalid(error.to_string())
            }
        }
    }
}

impl From<ApiError> for Response {
    fn from(error: ApiError) -> Self {
        let detail = |message| Detail {
            resource: "Gist",
            code: "custom",
            field: "files",
            message,
        };
        let body = ErrorBody {
            message: error.message,
            errors: error.detail.map(|message| [detail(message)]),
            documentation_url: DOCUMENTATION,
            status: error.status.to_string(),
        };
        let response = Response::json(error.status, to_json(&body));
        match error.retry_after {
            Some(seconds) => response.header("Retry-After", seconds.to_string()),
            None => response,
        }
    }
}
