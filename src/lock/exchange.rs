//! Sends the requests of a [`Store`](super::store::Store) to its server, with credentials.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ureq::Body;
use ureq::http;
use ureq::http::header::{AUTHORIZATION, HeaderValue};

use super::backend::OpenError;
use super::stats::StatsHandle;
use super::store::{Answer, Failure, Request, Response};
use crate::net::{
    AccessTokenReader, Agent, CallError, Deadline, Effect, PlainBody, ProxySettings, Url,
};
use crate::system::clock;

/// Longest header value that is kept, in bytes.
const LONGEST_HEADER: usize = 1024;

/// Sender of requests to a store's server.
pub trait Exchange {
    /// Sends a request and returns its answer, within `timeout` or very soon after.
    fn call(&mut self, request: &Request, timeout: Duration) -> Answer;

    /// Returns a handle that shows the statistics of the requests to other threads.
    fn stats(&self) -> StatsHandle;
}

/// Credentials of requests.
#[derive(Debug)]
pub enum Credentials {
    /// None.
    Anonymous,
    /// A bearer token.
    Bearer(AccessTokenReader),
    /// A user name, and an access token as the password.
    Basic(String, AccessTokenReader),
}

/// HTTP client for one server.
#[derive(Debug)]
pub struct HttpExchange {
    base: String,
    agent: Agent,
    credentials: Credentials,
    stats: StatsHandle,
}

impl HttpExchange {
    /// Prepares a client for the server of `url`, whose path and query do not count. Sends nothing. The
    /// certificates in `ca_file` (PEM) replace the built-in roots.
    ///
    /// # Errors
    /// [`OpenError`] if the certificates or the proxy cannot be used.
    pub fn new(
        url: &Url,
        ca_file: Option<&Path>,
        proxy: &ProxySettings,
        credentials: Credentials,
    ) -> Result<HttpExchange, OpenError> {
        let host = url.host().to_ascii_lowercase();
        Ok(HttpExchange {
            base: url.origin(),
            agent: Agent::new(url.destination(&host), ca_file, proxy)?,
            credentials,
            stats: StatsHandle::default(),
        })
    }

    /// Returns the proxy as `HOST:PORT`; `None` if the server is reached directly.
    #[must_use]
    pub fn proxy(&self) -> Option<String> {
        self.agent.proxy()
    }

    /// Sends a request. If the server refuses a new access token, sends it again with the one before.
    fn authorized(&mut self, request: &Request, deadline: Deadline) -> Result<Response, Failure> {
        let response = self.exchange(request, deadline)?;
        let refused = matches!(response.status, 401 | 403);
        let Some(token) = self.credentials.token() else {
            return Ok(response);
        };
        if !refused {
            if (200..300).contains(&response.status) {
                token.accept(request.writes);
            }
            return Ok(response);
        }
        let changed = response.status == 401 && token.read_again();
        if !changed {
            if !token.fall_back() {
                return Ok(response);
            }
            log::warn!(event = "access_token_refused", status = response.status; "new access token was refused, keeping the previous one");
        }
        let again = self.exchange(request, deadline)?;
        if let Some(token) = self.credentials.token()
            && matches!(again.status, 401 | 403)
        {
            token.give_up_previous();
        }
        Ok(again)
    }

    fn exchange(&mut self, request: &Request, deadline: Deadline) -> Result<Response, Failure> {
        let sent = self.send(request, deadline);
        let result = sent.and_then(|response| read(response, request.max_body));
        if let Ok(response) = &result {
            let key = (request.method, response.status);
            self.stats.update(|stats| {
                *stats.answers.entry(key).or_insert(0) += 1;
                stats.not_modified += u64::from(response.status == 304);
            });
        } else {
            self.stats.update(|stats| stats.unanswered += 1);
        }
        let mut response = result.map_err(|error| match error {
            CallError::NotSent(why) => Failure::NotSent(why),
            CallError::MayHaveLanded(why) => Failure::NoAnswer(why),
        })?;
        self.censor(&mut response);
        Ok(response)
    }

    fn send(
        &mut self,
        request: &Request,
        deadline: Deadline,
    ) -> Result<http::Response<Body>, CallError> {
        let mut builder = http::Request::builder()
            .method(request.method)
            .uri(format!("{}{}", self.base, request.path));
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(authorization) = self.credentials.header() {
            let value = HeaderValue::from_str(&authorization);
            let mut value = value.map_err(|error| CallError::NotSent(error.to_string()))?;
            value.set_sensitive(true);
            builder = builder.header(AUTHORIZATION, value);
        }
        let effect = match request.writes {
            true => Effect::Write,
            false => Effect::Read,
        };
        let not_sent = |error: http::Error| CallError::NotSent(error.to_string());
        match request.body.as_deref() {
            None => {
                let request = builder.body(()).map_err(not_sent)?;
                self.agent.call(request, effect, deadline)
            }
            Some(body) => {
                let request = builder.body(body).map_err(not_sent)?;
                self.agent.call(request, effect, deadline)
            }
        }
    }

    /// Removes access tokens from an answer, in case a server repeats what it received.
    fn censor(&self, response: &mut Response) {
        let (Credentials::Bearer(token) | Credentials::Basic(_, token)) = &self.credentials else {
            return;
        };
        if response.status < 300 {
            return;
        }
        let mut secrets: Vec<String> = token.secrets().map(str::to_owned).collect();
        if let Credentials::Basic(user, _) = &self.credentials {
            secrets.extend(token.secrets().map(|token| basic(user, token)));
        }
        let mut body = String::from_utf8_lossy(&response.body).into_owned();
        for secret in &secrets {
            for (_, value) in &mut response.headers {
                *value = value.replace(secret, "…");
            }
            body = body.replace(secret, "…");
        }
        response.body = body.into_bytes();
    }
}

impl Exchange for HttpExchange {
    fn call(&mut self, request: &Request, timeout: Duration) -> Answer {
        let reply = self.authorized(request, Deadline::after(timeout));
        Answer {
            received_at: clock::unix_millis() / 1000,
            reply,
        }
    }

    fn stats(&self) -> StatsHandle {
        self.stats.clone()
    }
}

impl Credentials {
    fn token(&mut self) -> Option<&mut AccessTokenReader> {
        match self {
            Credentials::Anonymous => None,
            Credentials::Bearer(token) | Credentials::Basic(_, token) => Some(token),
        }
    }

    fn header(&mut self) -> Option<String> {
        match self {
            Credentials::Anonymous => None,
            Credentials::Bearer(token) => Some(format!("Bearer {}", token.current().expose())),
            Credentials::Basic(user, token) => {
                Some(format!("Basic {}", basic(user, token.current().expose())))
            }
        }
    }
}

/// Returns a user name and a password as a header carries them.
fn basic(user: &str, password: &str) -> String {
    BASE64_STANDARD.encode(format!("{user}:{password}"))
}

/// Reads a response, whose body is cut after `longest` bytes.
fn read(response: http::Response<Body>, longest: usize) -> Result<Response, CallError> {
    let (parts, body) = response.into_parts();
    let headers = parts.headers.iter().filter_map(|(name, value)| {
        let value = value
            .to_str()
            .ok()
            .filter(|value| value.len() <= LONGEST_HEADER)?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let mut response = Response {
        status: parts.status.as_u16(),
        headers: headers.collect(),
        ..Response::default()
    };
    let mut body = PlainBody(body.into_reader()).take(longest as u64 + 1);
    let whole = body.read_to_end(&mut response.body);
    whole.map_err(|error| CallError::MayHaveLanded(format!("the answer broke off: {error}")))?;
    response.cut = response.body.len() > longest;
    response.body.truncate(longest);
    Ok(response)
}
