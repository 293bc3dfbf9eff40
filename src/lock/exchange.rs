//! Sends the requests of a [`Store`](super::store::Store) to its server, with credentials.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ureq::Body;
use ureq::http;
use ureq::http::header::HeaderValue;

use super::backend::OpenError;
use super::credentials::{Authorization, Credentials};
use super::stats::StatsHandle;
use super::store::{Answer, Failure, Request, Response};
use crate::net::{Agent, CallError, Deadline, Effect, PlainBody, ProxySettings, Url};
use crate::system::clock::{self, BootClock};

/// Longest header value that is kept, in bytes.
const LONGEST_HEADER: usize = 1024;

/// Times that a request is sent again with other credentials.
const MOST_REPEATED: u32 = 2;

/// Sender of requests to a store's server.
pub trait Exchange {
    /// Sends a request and returns its answer, within `timeout` or very soon after.
    fn call(&mut self, request: &Request, timeout: Duration) -> Answer;

    /// Sends the requests of a [`Step`](super::store::Step), each with its [share](Request::share) of the time
    /// that is left, and returns the first answer. Returns `None` if none comes in time.
    fn ask(&mut self, requests: &[Request], left: Duration) -> Option<Answer> {
        let request = requests.first()?;
        Some(self.call(request, request.share(left)))
    }

    /// Returns a handle that shows the statistics of the requests to other threads.
    fn stats(&self) -> StatsHandle;
}

/// HTTP client for one server.
#[derive(Debug)]
pub struct HttpExchange {
    base: String,
    agent: Agent,
    credentials: Box<dyn Credentials>,
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
        credentials: Box<dyn Credentials>,
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

    /// Gets credentials as for a request. Returns for operators where they come from, and until when they
    /// are valid.
    ///
    /// # Errors
    /// [`Failure`] if there are none now.
    pub fn check_credentials(&mut self, timeout: Duration) -> Result<String, Failure> {
        self.credentials
            .authorize(&Request::get("/"), timeout)
            .map(|_| self.credentials.describe())
    }

    /// Sends a request, and again if it was refused only because of credentials that have changed.
    fn authorized(&mut self, request: &Request, deadline: Deadline) -> Result<Response, Failure> {
        let mut repeated = 0;
        loop {
            let response = self.exchange(request, deadline)?;
            let again = self.credentials.learn(request, &response, repeated);
            if !again || repeated == MOST_REPEATED {
                return Ok(response);
            }
            repeated += 1;
        }
    }

    fn exchange(&mut self, request: &Request, deadline: Deadline) -> Result<Response, Failure> {
        let authorization = self.credentials.authorize(request, deadline.left())?;
        let sent = self.send(request, authorization, deadline);
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
        authorization: Authorization,
        deadline: Deadline,
    ) -> Result<http::Response<Body>, CallError> {
        let mut uri = format!("{}{}", self.base, request.path);
        if !authorization.query.is_empty() {
            uri.push(if uri.contains('?') { '&' } else { '?' });
            uri.push_str(&authorization.query);
        }
        let mut builder = http::Request::builder().method(request.method).uri(uri);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        for (name, value) in authorization.headers {
            let value = HeaderValue::from_str(&value);
            let mut value = value.map_err(|error| CallError::NotSent(error.to_string()))?;
            value.set_sensitive(true);
            builder = builder.header(name, value);
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

    /// Removes secrets from an answer, in case a server repeats what it received.
    fn censor(&self, response: &mut Response) {
        if response.status < 300 {
            return;
        }
        let secrets = self.credentials.secrets();
        if secrets.is_empty() {
            return;
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
            member: request.member,
            at: BootClock::now(),
            received_at: clock::unix_millis() / 1000,
            reply,
        }
    }

    fn stats(&self) -> StatsHandle {
        self.stats.clone()
    }
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
