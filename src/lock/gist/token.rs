//! Kinds of GitHub access tokens.

use crate::net::AccessToken;

/// Kind of a GitHub access token.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessTokenKind {
    /// Personal access token with scopes. Those from before 2021 are 40 hexadecimal digits.
    Classic,
    /// Personal access token with permissions.
    FineGrained,
    /// Token of an OAuth app, with scopes.
    OAuthApp,
    /// Token of a GitHub App acting for a user.
    AppUser,
    /// Token of a GitHub App installation, such as the `GITHUB_TOKEN` of Actions. It cannot access gists.
    Installation,
    /// Token that is only exchanged for other tokens.
    Refresh,
    /// Token of none of GitHub's forms.
    Other,
}

/// Prefixes of GitHub's access tokens.
const PREFIXES: [(&str, AccessTokenKind); 6] = [
    ("ghp_", AccessTokenKind::Classic),
    ("github_pat_", AccessTokenKind::FineGrained),
    ("gho_", AccessTokenKind::OAuthApp),
    ("ghu_", AccessTokenKind::AppUser),
    ("ghs_", AccessTokenKind::Installation),
    ("ghr_", AccessTokenKind::Refresh),
];

impl AccessTokenKind {
    /// Returns the kind of `token`, by its prefix.
    #[must_use]
    pub fn of(token: &AccessToken) -> AccessTokenKind {
        let text = token.expose();
        let known = PREFIXES.iter().find(|(prefix, _)| text.starts_with(prefix));
        match known {
            Some((_, kind)) => *kind,
            None if text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
                AccessTokenKind::Classic
            }
            None => AccessTokenKind::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_determines_kind() {
        for (text, kind) in [
            ("ghp_x", AccessTokenKind::Classic),
            (
                "0123456789abcdef0123456789abcdef01234567",
                AccessTokenKind::Classic,
            ),
            ("github_pat_x", AccessTokenKind::FineGrained),
            ("gho_x", AccessTokenKind::OAuthApp),
            ("ghu_x", AccessTokenKind::AppUser),
            ("ghs_x", AccessTokenKind::Installation),
            ("ghr_x", AccessTokenKind::Refresh),
            ("any", AccessTokenKind::Other),
        ] {
            let token = AccessToken::parse(text).unwrap();
            assert_eq!(AccessTokenKind::of(&token), kind, "{text}");
        }
    }
}
