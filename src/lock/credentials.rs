//! Credentials of requests to a store's server.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::backend::OpenError;
use super::store::{Failure, Request, Response};
use crate::net::{AccessTokenReader, AccessTokenSource};

/// What lets a server know on whose behalf a request is made.
pub trait Credentials: fmt::Debug + Send {
    /// Returns what `request` carries beside its own headers. May ask another server for up to `timeout`.
    ///
    /// # Errors
    /// [`Failure`] if there are no usable credentials now.
    fn authorize(&mut self, request: &Request, timeout: Duration)
    -> Result<Authorization, Failure>;

    /// Learns from the response to a request that was sent again `repeated` times. Returns whether it was
    /// refused only because of credentials that have changed, so that it should be sent again.
    fn learn(&mut self, request: &Request, response: &Response, repeated: u32) -> bool;

    /// Returns the secrets that texts must not show.
    fn secrets(&self) -> Vec<String>;

    /// Returns for operators where the credentials come from, and until when they are valid.
    fn describe(&self) -> String;
}

/// What a request carries for its credentials. All of it is secret.
#[derive(Clone, Default)]
pub struct Authorization {
    /// Headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Query parameters, as a URL carries them; empty for none.
    pub query: String,
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(…)")
    }
}

impl Authorization {
    /// Returns a header with a bearer token.
    #[must_use]
    pub fn bearer(token: &str) -> Authorization {
        Authorization {
            headers: vec![("authorization", format!("Bearer {token}"))],
            query: String::new(),
        }
    }
}

/// No credentials.
#[derive(Clone, Copy, Debug)]
pub struct Anonymous;

impl Credentials for Anonymous {
    fn authorize(&mut self, _: &Request, _: Duration) -> Result<Authorization, Failure> {
        Ok(Authorization::default())
    }

    fn learn(&mut self, _: &Request, _: &Response, _: u32) -> bool {
        false
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    fn describe(&self) -> String {
        "none".to_owned()
    }
}

/// How a request carries an access token.
#[derive(Clone, Debug)]
pub enum TokenForm {
    /// As a bearer token.
    Bearer,
    /// As the password of this user.
    Basic(String),
    /// As query parameters.
    Query,
}

/// An access token of a setting or a file, which may change.
#[derive(Debug)]
pub struct TokenCredentials {
    form: TokenForm,
    token: AccessTokenReader,
    source: String,
}

impl TokenCredentials {
    /// Reads the access token. `setting` names it in messages.
    ///
    /// # Errors
    /// [`OpenError`] if there is no usable access token.
    pub fn open(
        source: &AccessTokenSource,
        setting: &str,
        form: TokenForm,
    ) -> Result<TokenCredentials, OpenError> {
        let token = AccessTokenReader::open(source, setting);
        let token = token.map_err(|why| OpenError::Settings {
            check: "credentials",
            why,
        })?;
        let source = match source {
            AccessTokenSource::Value(_) => format!("access token of {setting}"),
            AccessTokenSource::File(path) => format!("access token in {path:?}"),
        };
        Ok(TokenCredentials {
            form,
            token,
            source,
        })
    }
}

impl Credentials for TokenCredentials {
    fn authorize(&mut self, _: &Request, _: Duration) -> Result<Authorization, Failure> {
        let token = self.token.current().expose();
        Ok(match &self.form {
            TokenForm::Bearer => Authorization::bearer(token),
            TokenForm::Basic(user) => Authorization {
                headers: vec![("authorization", format!("Basic {}", basic(user, token)))],
                query: String::new(),
            },
            TokenForm::Query => Authorization {
                headers: Vec::new(),
                query: token.trim_start_matches('?').to_owned(),
            },
        })
    }

    fn learn(&mut self, request: &Request, response: &Response, repeated: u32) -> bool {
        let refused = matches!(response.status, 401 | 403);
        if refused && repeated > 0 {
            self.token.give_up_previous();
            return false;
        }
        if !refused {
            if (200..300).contains(&response.status) {
                self.token.accept(request.writes);
            }
            return false;
        }
        if response.status == 401 && self.token.read_again() {
            return true;
        }
        let previous = self.token.fall_back();
        if previous {
            log::warn!(event = "access_token_refused", status = response.status; "new access token was refused, keeping the previous one");
        }
        previous
    }

    fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = self.token.secrets().map(str::to_owned).collect();
        match &self.form {
            TokenForm::Bearer => {}
            TokenForm::Basic(user) => {
                secrets.extend(self.token.secrets().map(|token| basic(user, token)));
            }
            TokenForm::Query => {
                let signatures = self.token.secrets().filter_map(signature);
                let signatures: Vec<&str> = signatures.collect();
                let forms = signatures
                    .iter()
                    .flat_map(|one| [(*one).to_owned(), decoded(one)]);
                secrets.extend(forms.collect::<Vec<_>>());
            }
        }
        secrets
    }

    fn describe(&self) -> String {
        match (&self.form, expiry(self.token.last().expose())) {
            (TokenForm::Query, Some(end)) => format!("{}, valid until {end}", self.source),
            _ => self.source.clone(),
        }
    }
}

/// Returns the end of a SAS token's validity, `se`.
/// <https://learn.microsoft.com/rest/api/storageservices/create-service-sas>
fn expiry(token: &str) -> Option<String> {
    let mut parameters = token.trim_start_matches('?').split('&');
    let end = parameters.find_map(|parameter| parameter.strip_prefix("se="))?;
    let end = end.replace("%3A", ":").replace("%3a", ":");
    let is_date = end
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"-:TZ".contains(&byte));
    is_date.then_some(end)
}

/// Returns a user name and a password as a header carries them.
fn basic(user: &str, password: &str) -> String {
    BASE64_STANDARD.encode(format!("{user}:{password}"))
}

/// Returns the signature of query parameters, without which the others are no secret.
fn signature(token: &str) -> Option<&str> {
    let (_, rest) = token.split_once("sig=")?;
    rest.split('&').next().filter(|rest| rest.len() >= 8)
}

/// Returns the text that a query parameter carries, as a server may repeat it.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() {
            &after[2..]
        } else {
            after
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_decoded() {
        for (value, expected) in [
            ("a%2Bb%2f%3D", "a+b/="),
            ("a%", "a%"),
            ("a%2", "a%2"),
            ("%zz", "%zz"),
            ("", ""),
        ] {
            assert_eq!(decoded(value), expected);
        }
    }

    #[test]
    fn sas_token_names_its_end() {
        for (token, expected) in [
            (
                "sv=2021&se=2027-11-30T00%3A00%3A00Z&sig=abc",
                Some("2027-11-30T00:00:00Z"),
            ),
            ("?se=2027-11-30T00%3A00Z", Some("2027-11-30T00:00Z")),
            ("se=soon&sig=abc", None),
            ("sv=2021", None),
        ] {
            assert_eq!(expiry(token).as_deref(), expected, "{token}");
        }
    }

    #[test]
    fn signature_of_sas_token_is_secret() {
        let token = AccessTokenSource::Value("sv=2021&sig=abcdefghij%2B&se=x".to_owned());
        let token = TokenCredentials::open(&token, "LOCK_TOKEN", TokenForm::Query).unwrap();
        assert!(token.secrets().contains(&"abcdefghij%2B".to_owned()));
        assert!(!format!("{token:?}").contains("abcdefghij"));
    }
}
