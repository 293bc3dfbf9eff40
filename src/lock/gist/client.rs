//! Talks to the gist API over HTTP: connections, TLS, proxies, time limits, the token, and the
//! manners that GitHub asks for. What is said and what it means stands in `wire.rs`.
//!
//! ```text
//!  call ─ limits (not yet?) ─ token ─ attempt ─┬─ answer ──────────────> Answer
//!                                ^             ├─ stale connection, GET: once more, on a new one
//!                                └─────────────┴─ 401: once more, with the token as it is then
//! ```
//!
//! A write is never sent twice unless the first one was certainly refused. A failure is
//! `Unavailable` as long as no byte of the request was handed to a connection; from then on a write
//! is `OutcomeUnknown`.

mod connect;
mod proxy;
mod stats;
mod tls;
mod web;

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant as Monotonic};

use rustls::ClientConfig as TlsConfig;
use ureq::http::{self, HeaderValue};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector};
use ureq::{Agent, AsSendBody, Body, Proxy};

use self::connect::{CallState, Marker, Sockets, Unresolved, plain_io};
use self::tls::TlsConnector;
use super::limits::Limits;
use super::token::{Token, TokenError, TokenKind, TokenSource, TokenStore};
use super::wire::request::{HttpRequest, Method, USER_AGENT};
use super::wire::status::{Asked, Head};
use super::wire::target::{ApiUrl, GistId, TargetError, check_file_name};
use super::wire::{self, Answer, Request, Target};
use crate::election::lock::LockError;
use crate::election::time::Instant;
use crate::fmt::one_line;
use crate::lock::stats::{StatsHandle, StoreStats};

pub use self::proxy::ProxySettings;
pub use self::web::WebClient;
pub use super::limits::WriteLimits;
pub use super::wire::rate::RateLimit;
pub use super::wire::target::check_api_url;

/// The longest call: whoever asks for more has made a mistake, and the arithmetic stays far from
/// its bounds.
const LONGEST_CALL: Duration = Duration::from_secs(3_600);

/// How long a connection may have been idle to be used for a read: less than the minute after which
/// many servers and firewalls drop one. A read that meets a dropped one is tried again anyway.
const IDLE_FOR_READS: Duration = Duration::from_secs(55);

/// How long a connection may have been idle to be used for a write, which is not tried again. Just
/// above the default `RETRY_PERIOD`, so that a leader renews over one connection; below the 10 s
/// after which the more impatient servers and proxies close one.
const IDLE_FOR_WRITES: Duration = Duration::from_secs(9);

/// What is left of an answer, in bytes, is read to its end if it is less than this, so that the
/// connection can be used again: about what a new TLS connection costs.
const LONGEST_REST: usize = 256 * 1024;

/// How long reading that rest may delay an answer that is already known.
const REST_TIME: Duration = Duration::from_millis(200);

/// The longest head of an answer, in bytes. GitHub's have some 6 kB, and servers and proxies rarely take
/// or make one of more than 16.
const LONGEST_HEAD: usize = 32 * 1024;

/// What is read at once, in bytes. A head must fit in, and one that is too long be noticed. An encrypted
/// connection has two such buffers, of which every page stays in memory; ureq's own choice is 128 kB.
const INPUT: usize = LONGEST_HEAD + 8 * 1024;

/// What is sent at once, in bytes: a request's head must fit in, a body may be longer.
const OUTPUT: usize = 16 * 1024;

/// A token shorter than this, in bytes, is none of GitHub's but a made-up one; to take it out of
/// texts would only tear them apart.
const SHORTEST_SECRET: usize = 8;

/// Tells the time since boot.
pub type Clock = Box<dyn Fn() -> Instant + Send>;

/// How to reach a gist.
pub struct ClientConfig {
    /// The API, as [`check_api_url`] makes it.
    pub api_url: ApiUrl,
    /// The gist.
    pub gist_id: GistId,
    /// The file in it; without one the first is read, and nothing can be written.
    pub file: Option<String>,
    /// Where the token comes from.
    pub token: TokenSource,
    /// A file of certificates (PEM) to be trusted besides the built-in ones.
    pub extra_roots: Option<PathBuf>,
    /// The proxies to use.
    pub proxy: ProxySettings,
    /// How much may be written; counts for api.github.com only.
    pub write_limits: WriteLimits,
    /// The clock by which waits and writes are counted.
    pub clock: Clock,
}

/// Why there can be no client with these settings.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The gist is not named properly.
    Target(TargetError),
    /// There is no token.
    Token(TokenError),
    /// The further certificates cannot be used.
    Roots(String),
    /// The proxy cannot be used.
    Proxy(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Target(error) => error.fmt(f),
            ClientError::Token(error) => error.fmt(f),
            ClientError::Roots(why) | ClientError::Proxy(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<TargetError> for ClientError {
    fn from(error: TargetError) -> Self {
        ClientError::Target(error)
    }
}

/// A client for one gist. It makes one request at a time.
pub struct GistClient {
    target: Target,
    token: TokenStore,
    /// The token that was refused twice in a row, if that was the last that was heard.
    refused: Option<Token>,
    agent: Agent,
    state: Arc<CallState>,
    proxy: Option<String>,
    limits: Limits,
    stats: StatsHandle,
    /// Rate limit of the last answer that had one.
    rate_limit: Option<RateLimit>,
    /// Scopes of the access token, from the last answer that had them.
    scopes: Option<Arc<str>>,
    clock: Clock,
}

impl fmt::Debug for GistClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GistClient")
            .field("target", &self.target)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

impl GistClient {
    /// A client, which has not sent anything yet.
    ///
    /// # Errors
    /// A setting is wrong, or a file that one names cannot be used.
    pub fn new(config: ClientConfig) -> Result<GistClient, ClientError> {
        let file = config.file.as_deref().map(check_file_name).transpose()?;
        let token = TokenStore::open(&config.token).map_err(ClientError::Token)?;
        let proxy = config
            .proxy
            .for_api(&config.api_url)
            .map_err(ClientError::Proxy)?;
        let tls = tls::config(config.extra_roots.as_deref()).map_err(ClientError::Roots)?;
        let state = Arc::new(CallState::new(proxy.is_some()));
        let counted = config
            .api_url
            .is_github_com()
            .then_some(config.write_limits);
        Ok(GistClient {
            proxy: proxy.as_ref().map(|p| format!("{}:{}", p.host(), p.port())),
            agent: agent(proxy, tls, &state),
            target: Target {
                api: config.api_url,
                gist: config.gist_id,
                file,
            },
            token,
            refused: None,
            state,
            limits: Limits::new(counted),
            stats: StatsHandle::default(),
            rate_limit: None,
            scopes: None,
            clock: config.clock,
        })
    }

    /// Chooses the file in the gist.
    ///
    /// # Errors
    /// That is no file's name.
    pub fn set_file(&mut self, name: &str) -> Result<(), TargetError> {
        self.target.file = Some(check_file_name(name)?);
        Ok(())
    }

    /// The gist, and the file in it.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Where the requests go, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let Target { api, gist, file } = &self.target;
        match file {
            Some(file) => format!("file {file:?} of gist {gist} at {api}"),
            None => format!("gist {gist} at {api}"),
        }
    }

    /// The proxy on the way to the API, as `HOST:PORT`; `None` if it is reached directly.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    /// What kind of token is used.
    #[must_use]
    pub fn token_kind(&self) -> TokenKind {
        self.token.last().kind()
    }

    /// Returns the statistics of the requests so far.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.stats.snapshot()
    }

    /// Returns the rate limit of the last answer that had one.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.rate_limit
    }

    /// Returns the access token's scopes, from the last answer that had them.
    #[must_use]
    pub fn scopes(&self) -> Option<&str> {
        self.scopes.as_deref()
    }

    /// Returns a handle that shows the statistics to other threads.
    #[must_use]
    pub fn stats_handle(&self) -> StatsHandle {
        self.stats.clone()
    }

    /// Sends a request and comes back with what came of it, within `timeout` or very soon after.
    ///
    /// As long as GitHub wants no requests, this answers `RateLimited` without sending any.
    pub fn call(&mut self, request: &Request, timeout: Duration) -> Answer {
        if let Err(error) = self.limits.admit((self.clock)(), request.is_write()) {
            self.stats.update(|stats| stats.held_back += 1);
            return unanswered(error);
        }
        let http = match request.to_http(&self.target) {
            Ok(http) => http,
            Err(error) => return unanswered(error),
        };
        stats::count_request(&self.stats, request);
        let end = Monotonic::now() + timeout.min(LONGEST_CALL);
        let mut answer = self.authorized(request, &http, timeout, end);
        self.limits.heard((self.clock)(), &answer.reply);
        if let Err(error) = &mut answer.reply {
            self.censor(error);
        }
        answer
    }

    /// Sends a request; after a 401 once more. A single 401 can be a passing fault, or the token has
    /// just been replaced, and what was refused can safely be sent again. Not so for a token that
    /// was refused twice already: GitHub locks out who keeps trying.
    fn authorized(
        &mut self,
        request: &Request,
        http: &HttpRequest,
        timeout: Duration,
        end: Monotonic,
    ) -> Answer {
        let (status, answer) = self.exchange(request, http, timeout, end);
        if status != Some(401) {
            if status.is_some() {
                self.refused = None;
            }
            return answer;
        }
        self.token.read_again();
        if self.refused.as_ref() == Some(self.token.last()) {
            return answer;
        }
        let (status, again) = self.exchange(request, http, timeout, end);
        self.refused = (status == Some(401)).then(|| self.token.last().clone());
        again
    }

    /// Sends a request, twice if the first time met a connection that the server had closed and a
    /// repetition does no harm. The status is `None` if there was no answer.
    fn exchange(
        &mut self,
        request: &Request,
        http: &HttpRequest,
        timeout: Duration,
        end: Monotonic,
    ) -> (Option<u16>, Answer) {
        let idle = if request.is_write() {
            IDLE_FOR_WRITES
        } else {
            IDLE_FOR_READS
        };
        let mut sent = self.send(http, end, idle);
        let stale = |error: &ureq::Error| !matches!(error, ureq::Error::Timeout(_));
        if !request.is_write() && self.state.reused() && sent.as_ref().is_err_and(stale) {
            log::debug!("a connection was closed while it was idle; trying again on a new one");
            sent = self.send(http, end, Duration::ZERO);
        }
        match sent {
            Ok(response) => {
                let (status, answer) = self.read(request, http.method, response);
                (Some(status), answer)
            }
            Err(error) => {
                self.stats.update(|stats| stats.unanswered += 1);
                (None, unanswered(self.failure(request, &error, timeout)))
            }
        }
    }

    /// Sends a request over a connection that was idle for less than `idle`, or a new one.
    fn send(
        &mut self,
        http: &HttpRequest,
        end: Monotonic,
        idle: Duration,
    ) -> Result<http::Response<Body>, ureq::Error> {
        let mut builder = http::Request::builder()
            .method(http.method.as_str())
            .uri(&http.url);
        for (name, value) in &http.headers {
            builder = builder.header(*name, value);
        }
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", self.token.current().expose()))
                .map_err(http::Error::from)?;
        bearer.set_sensitive(true);
        builder = builder.header("authorization", bearer);
        self.state.begin(end);
        let response = match &http.body {
            None => run(&self.agent, builder.body(())?, end, idle),
            Some(body) => run(&self.agent, builder.body(body.as_str())?, end, idle),
        };
        if http.method != Method::Get && self.state.sent() {
            self.limits.sent_write((self.clock)());
        }
        response
    }

    fn read(
        &mut self,
        request: &Request,
        method: Method,
        response: http::Response<Body>,
    ) -> (u16, Answer) {
        let (parts, body) = response.into_parts();
        let status = parts.status.as_u16();
        let head = Head::new(status, |name| parts.headers.get(name)?.to_str().ok());
        stats::count_answer(&self.stats, method, &head);
        self.rate_limit = head.rate().or(self.rate_limit);
        if head.scopes.is_some() {
            self.scopes.clone_from(&head.scopes);
        }
        let mut body = PlainBody(body.into_reader());
        let before = self.limits.in_a_row();
        let answer = wire::answer(request, &self.target, &head, before, &mut body);
        self.state.shorten(REST_TIME);
        finish(&mut body);
        (status, answer)
    }

    /// What it means that no answer came.
    fn failure(&self, request: &Request, error: &ureq::Error, timeout: Duration) -> LockError {
        let why = self.explain(error, timeout);
        if !self.state.sent() {
            return LockError::Unavailable(why);
        }
        let asked = Asked {
            api: &self.target.api,
            write: request.is_write(),
            limits_before: 0,
        };
        asked.unclear(why)
    }

    fn explain(&self, error: &ureq::Error, timeout: Duration) -> String {
        let host = self.target.api.host();
        let way = match &self.proxy {
            Some(proxy) => format!(" (through the proxy {proxy})"),
            None => String::new(),
        };
        match error {
            ureq::Error::Other(failure) => format!("{failure}{way}"),
            ureq::Error::Timeout(_) => format!("{host} did not answer within {timeout:.1?}{way}"),
            ureq::Error::ConnectProxyFailed(why) => format!(
                "the proxy does not connect us with {host} ({}){way}; check HTTPS_PROXY and NO_PROXY",
                one_line(why)
            ),
            ureq::Error::Io(error) if is_closed(error) => {
                format!("{host} closed the connection without an answer{way}")
            }
            ureq::Error::Io(error) => format!("the connection to {host} broke{way}: {error}"),
            ureq::Error::Protocol(error) => format!(
                "{host} does not speak HTTP as it should{way} ({}); check GITHUB_API_URL and any proxy on the way",
                one_line(&error.to_string())
            ),
            other => format!(
                "the request to {host} failed{way}: {}",
                one_line(&other.to_string())
            ),
        }
    }

    /// Takes the token out of a text, in case that a server repeats what we sent.
    fn censor(&self, error: &mut LockError) {
        let token = self.token.last().expose();
        if token.len() < SHORTEST_SECRET {
            return;
        }
        match error {
            LockError::RateLimited { why, .. }
            | LockError::NotFound(why)
            | LockError::Unauthorized(why)
            | LockError::Unavailable(why)
            | LockError::Unfinished(why)
            | LockError::OutcomeUnknown(why)
            | LockError::Refused(why) => {
                if why.contains(token) {
                    *why = why.replace(token, "…");
                }
            }
            LockError::Conflict => {}
        }
    }
}

fn agent(proxy: Option<Proxy>, tls: Arc<TlsConfig>, state: &Arc<CallState>) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy)
        .user_agent(USER_AGENT)
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .max_idle_age(IDLE_FOR_READS)
        .max_response_header_size(LONGEST_HEAD)
        .input_buffer_size(INPUT)
        .output_buffer_size(OUTPUT)
        .build();
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(Sockets::new(Arc::clone(state)))
            .chain(TlsConnector::new(tls, Arc::clone(state)))
            .chain(Marker(Arc::clone(state)));
    Agent::with_parts(config, connector, Unresolved)
}

fn run(
    agent: &Agent,
    request: http::Request<impl AsSendBody>,
    end: Monotonic,
    idle: Duration,
) -> Result<http::Response<Body>, ureq::Error> {
    let left = end.saturating_duration_since(Monotonic::now());
    let request = agent
        .configure_request(request)
        .timeout_global(Some(left))
        .max_idle_age(idle)
        .build();
    agent.run(request)
}

fn unanswered(error: LockError) -> Answer {
    Answer {
        date: None,
        rate: None,
        reply: Err(error),
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

/// Reads what is left of a body if that is little; ureq uses the connection again only then.
fn finish(body: &mut impl Read) {
    let mut buffer = [0; 8 * 1024];
    let mut left = LONGEST_REST;
    while left > 0 {
        match body.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => left = left.saturating_sub(read),
        }
    }
}

/// A body whose errors have the kinds that `wire.rs` knows.
struct PlainBody<R>(R);

impl<R: Read> Read for PlainBody<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(plain_io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_can_move_to_the_thread_that_uses_it() {
        fn moves<T: Send>() {}
        moves::<GistClient>();
    }
}
