//! Who calls: tokens and what they may do.

use std::fmt;
use std::str::FromStr;

use crate::http::Request;

use super::limits::Client;
use super::render;

/// A token that the service accepts.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    /// `None` is a fine-grained token, which has permissions and no scopes.
    scopes: Option<String>,
}

/// Why a token cannot be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadToken;

impl fmt::Display for BadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token is written as TOKEN or TOKEN:SCOPE,SCOPE, without spaces")
    }
}

impl std::error::Error for BadToken {}

impl FromStr for Token {
    type Err = BadToken;

    /// `TOKEN` has the scope gist, `TOKEN:` none; one that starts with `github_pat_` is fine-grained.
    fn from_str(text: &str) -> Result<Self, BadToken> {
        let (secret, scopes) = text.split_once(':').unwrap_or((text, "gist"));
        if secret.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(BadToken);
        }
        let scopes: Vec<&str> = scopes
            .split(',')
            .filter(|scope| !scope.is_empty())
            .collect();
        let fine_grained = secret.starts_with("github_pat_");
        Ok(Self {
            secret: secret.to_owned(),
            scopes: (!fine_grained).then(|| scopes.join(", ")),
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No secret in a log, not even one of a test.
        f.debug_struct("Token")
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// No token was shown.
    Anonymous,
    /// A token that is not accepted.
    Unknown,
    /// The user, with one of the accepted tokens.
    User {
        /// A digest of the token: what ETags and limits differ by.
        token: u64,
        scopes: Option<String>,
    },
}

impl Caller {
    /// Without any accepted tokens every token is accepted, with the scope gist.
    pub(super) fn of(request: &Request, accepted: &[Token]) -> Self {
        let Some(value) = request.header("authorization") else {
            return Self::Anonymous;
        };
        let (scheme, secret) = value.split_once(' ').unwrap_or((value, ""));
        let secret = secret.trim();
        let known_scheme =
            scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
        if !known_scheme || secret.is_empty() {
            return Self::Unknown;
        }
        let found = match accepted.is_empty() {
            true => secret
                .parse::<Token>()
                .ok()
                .map(|token| token.scopes.map(|_| "gist".to_owned())),
            false => accepted
                .iter()
                .find(|token| token.secret == secret)
                .map(|token| token.scopes.clone()),
        };
        let Some(scopes) = found else {
            return Self::Unknown;
        };
        // The lower half is enough to tell tokens apart.
        Self::User {
            token: render::digest(secret.as_bytes()) as u64,
            scopes,
        }
    }

    pub(super) fn may_write_gists(&self) -> bool {
        match self {
            Self::User {
                scopes: Some(scopes),
                ..
            } => scopes.split(", ").any(|scope| scope == "gist"),
            Self::User { scopes: None, .. } => true,
            Self::Anonymous | Self::Unknown => false,
        }
    }

    pub(super) fn is_user(&self) -> bool {
        matches!(self, Self::User { .. })
    }

    pub(super) fn digest(&self) -> u64 {
        match self {
            Self::User { token, .. } => *token,
            Self::Anonymous | Self::Unknown => 0,
        }
    }

    /// Whose limit this request counts against.
    pub(super) fn client(&self, request: &Request, per_token: bool) -> Client {
        match self {
            Self::User { token, .. } if per_token => Client::Token(*token),
            Self::User { .. } => Client::User,
            Self::Anonymous | Self::Unknown => Client::Anonymous(request.peer().ip()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_scope_gist_unless_it_says_otherwise() {
        let scopes = |text: &str| text.parse::<Token>().map(|token| token.scopes);
        assert_eq!(scopes("abc"), Ok(Some("gist".to_owned())));
        assert_eq!(scopes("abc:repo,gist"), Ok(Some("repo, gist".to_owned())));
        assert_eq!(scopes("abc:"), Ok(Some(String::new())));
        assert_eq!(scopes("github_pat_abc"), Ok(None));
        assert_eq!(scopes(":gist"), Err(BadToken));
        assert_eq!(scopes("a b"), Err(BadToken));
    }

    #[test]
    fn a_token_is_not_shown_in_logs() {
        let token: Token = "s3cret:gist".parse().unwrap();
        assert!(!format!("{token:?}").contains("s3cret"));
    }
}
