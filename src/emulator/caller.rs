//! Callers of the API: access tokens and their permissions.

use std::fmt;
use std::str::FromStr;

use crate::http::Request;

use super::rate_limit::Account;
use super::render::digest;

/// Scopes of an access token that states none.
const DEFAULT_SCOPES: &str = "gist";

/// Access token that the service accepts.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    secret: String,
    /// Scopes; `None` for a fine-grained token, which has permissions instead.
    scopes: Option<String>,
}

impl FromStr for AccessToken {
    type Err = &'static str;

    /// Parses `TOKEN:SCOPE,SCOPE`. `TOKEN` has the scope gist, `TOKEN:` none. A token that begins with
    /// `github_pat_` is fine-grained.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (secret, scopes) = text.split_once(':').unwrap_or((text, DEFAULT_SCOPES));
        if secret.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("write an access token as TOKEN or TOKEN:SCOPE,SCOPE, without spaces");
        }
        let scopes = scopes.split(',').filter(|scope| !scope.is_empty());
        let scopes: Vec<&str> = scopes.collect();
        let fine_grained = secret.starts_with("github_pat_");
        Ok(Self {
            secret: secret.to_owned(),
            scopes: (!fine_grained).then(|| scopes.join(", ")),
        })
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Secrets are never printed, not even those of tests.
        f.debug_struct("AccessToken")
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Sender of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// A caller without an access token.
    Anonymous,
    /// A caller whose access token is not accepted.
    Unknown,
    /// The user.
    User {
        /// Digest of the access token, which determines ETags and rate limits.
        token: u64,
        scopes: Option<String>,
    },
}

impl Caller {
    /// Identifies the caller. If `accepted` is empty, every access token is accepted.
    pub(super) fn of(request: &Request, accepted: &[AccessToken]) -> Self {
        let Some(value) = request.header("authorization") else {
            return Self::Anonymous;
        };
        let (scheme, secret) = value.split_once(' ').unwrap_or((value, ""));
        let secret = secret.trim();
        let schemes = ["bearer", "token"];
        if !schemes
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
            || secret.is_empty()
        {
            return Self::Unknown;
        }
        let found = match accepted.is_empty() {
            true => secret.split(':').next().and_then(|text| text.parse().ok()),
            false => accepted
                .iter()
                .find(|token| token.secret == secret)
                .cloned(),
        };
        match found {
            // The lower half tells access tokens apart.
            Some(AccessToken { scopes, .. }) => Self::User {
                token: digest(secret.as_bytes()) as u64,
                scopes,
            },
            None => Self::Unknown,
        }
    }

    pub(super) fn may_write_gists(&self) -> bool {
        match self {
            Self::User { scopes, .. } => scopes
                .as_ref()
                .is_none_or(|scopes| scopes.split(", ").any(|scope| scope == "gist")),
            Self::Anonymous | Self::Unknown => false,
        }
    }

    pub(super) fn is_user(&self) -> bool {
        matches!(self, Self::User { .. })
    }

    /// Returns the digest of the access token, or 0 without one.
    pub(super) fn digest(&self) -> u64 {
        match self {
            Self::User { token, .. } => *token,
            Self::Anonymous | Self::Unknown => 0,
        }
    }

    /// Returns the account whose rate limit the request counts against.
    pub(super) fn account(&self, request: &Request, per_token: bool) -> Account {
        match self {
            Self::User { token, .. } if per_token => Account::Token(*token),
            Self::User { .. } => Account::User,
            Self::Anonymous | Self::Unknown => Account::Anonymous(request.peer().ip()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_access_token_has_gist_scope() {
        let scopes = |text: &str| text.parse::<AccessToken>().map(|token| token.scopes);
        assert_eq!(scopes("abc"), Ok(Some("gist".to_owned())));
        assert_eq!(scopes("abc:repo,gist"), Ok(Some("repo, gist".to_owned())));
        assert_eq!(scopes("abc:"), Ok(Some(String::new())));
        assert_eq!(scopes("github_pat_abc"), Ok(None));
        assert!(scopes(":gist").is_err());
        assert!(scopes("a b").is_err());
    }

    #[test]
    fn access_token_is_not_logged() {
        let token: AccessToken = "s3cret:gist".parse().unwrap();
        assert!(!format!("{token:?}").contains("s3cret"));
    }
}
