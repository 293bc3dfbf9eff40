//! Client of the gist API: access token, rate limits and statistics around an HTTP agent. Requests and the
//! meaning of their answers are in `wire.rs`.
//!
//! ```text
//!  call ─ rate limited? ─ access token ─ agent ─┬─ answer ─▶ Answer
//!                              ▲                │
//!                              └────────────────┴─ refused: once more, with the access token as it is then,
//!                                                  or with the one before a new one
//! ```
//!
//! A write is sent again only if the first one was certainly refused. A call without an answer is
//! `Unavailable` if no byte of the request was given to a connection; otherwise a write is `OutcomeUnknown`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ureq::Body;
use ureq::http::header::{AUTHORIZATION, HeaderValue};
use ureq::http::{self, Response};

use super::limiter::RequestLimiter;
use super::token::AccessTokenKind;
use super::wire::head::{Head, unclear};
use super::wire::request::HttpRequest;
use super::wire::target::{ApiUrl, GistId, check_file_name};
use super::wire::{self, Answer, Request, Target};
use crate::election::lock::LockError;
use crate::election::time::Instant;
use crate::lock::backend::OpenError;
use crate::lock::stats::{StatsHandle, StoreStats};
use crate::net::{
    AccessToken, AccessTokenReader, AccessTokenSource, Agent, CallError, Deadline, Effect,
    PlainBody, ProxySettings,
};

pub use super::limiter::WriteLimits;
pub use super::wire::target::check_api_url;

/// Setting that holds the access token. With `_FILE` appended it names the file that does.
const ACCESS_TOKEN_SETTING: &str = "GITHUB_API_TOKEN";

/// Clock that returns the time since boot.
pub type Clock = Box<dyn Fn() -> Instant + Send>;

/// Settings of a client.
pub struct ClientConfig {
    /// Address of the API, from [`check_api_url`].
    pub api_url: ApiUrl,
    /// Id of the gist.
    pub gist_id: GistId,
    /// File in the gist. Without one the first file is read, and nothing can be written.
    pub file: Option<String>,
    /// Source of the access token.
    pub access_token: AccessTokenSource,
    /// File of root certificates (PEM) that replace the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// Proxies.
    pub proxy: ProxySettings,
    /// RequestLimiter on writes, which apply to api.github.com only.
    pub write_limits: WriteLimits,
    /// Clock for waits and write limits.
    pub clock: Clock,
}

/// Client for one gist. It makes one request at a time.
pub struct GistClient {
    target: Target,
    access_token: AccessTokenReader,
    /// Access token that was rejected twice in a row, if no other answer came since.
    rejected: Option<AccessToken>,
    agent: Agent,
    limits: RequestLimiter,
    stats: StatsHandle,
    /// Scopes of the access token, from the last answer that had them.
    scopes: Option<Arc<str>>,
    clock: Clock,
}

impl fmt::Debug for GistClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GistClient")
            .field("target", &self.target)
            .field("access_token", &self.access_token)
            .finish_non_exhaustive()
    }
}

impl GistClient {
    /// Prepares a client, without sending anything.
    ///
    /// # Errors
    /// Returns an error if a setting is wrong, or if a file that one names cannot be used.
    pub fn new(config: ClientConfig) -> Result<GistClient, OpenError> {
        let unusable = |check, why| OpenError::Settings { check, why };
        let file = config.file.as_deref().map(check_file_name).transpose();
        let file = file.map_err(|why| unusable("settings", format!("GIST_FILE: {why}")))?;
        let access_token = AccessTokenReader::open(&config.access_token, ACCESS_TOKEN_SETTING);
        let destination = config.api_url.destination();
        let agent = Agent::new(destination, config.ca_file.as_deref(), &config.proxy);
        let is_github_com = config.api_url.is_github_com();
        Ok(GistClient {
            target: Target {
                api: config.api_url,
                gist: config.gist_id,
                file,
            },
            access_token: access_token.map_err(|why| unusable("token", why))?,
            rejected: None,
            agent: agent?,
            limits: RequestLimiter::new(is_github_com.then_some(config.write_limits)),
            stats: StatsHandle::default(),
            scopes: None,
            clock: config.clock,
        })
    }

    /// Chooses the file in the gist, whose name [`check_file_name`] accepts.
    pub fn set_file(&mut self, name: &str) {
        if self.target.file.as_deref() != Some(name) {
            self.target.file = Some(name.into());
        }
    }

    /// Returns the gist, and the file in it.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns a text for operators that says where the requests go.
    #[must_use]
    pub fn describe(&self) -> String {
        let Target { api, gist, file } = &self.target;
        match file {
            Some(file) => format!("file {file:?} of gist {gist} at {api}"),
            None => format!("gist {gist} at {api}"),
        }
    }

    /// Returns the proxy for the API as `HOST:PORT`; `None` if the API is reached directly.
    #[must_use]
    pub fn proxy(&self) -> Option<String> {
        self.agent.proxy()
    }

    /// Returns the kind of the access token.
    #[must_use]
    pub fn access_token_kind(&self) -> AccessTokenKind {
        AccessTokenKind::of(self.access_token.last())
    }

    /// Returns the statistics of the requests so far.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.stats.snapshot()
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

    /// Sends a request and returns its answer, within `timeout` or very soon after.
    ///
    /// While GitHub's rate limits forbid requests, this returns `RateLimited` without sending any.
    pub fn call(&mut self, request: &Request, timeout: Duration) -> Answer {
        if let Err(error) = self.limits.admit((self.clock)(), request.is_write()) {
            self.stats.update(|stats| stats.held_back += 1);
            return unanswered(error);
        }
        let http = match request.to_http(&self.target) {
            Ok(http) => http,
            Err(error) => return unanswered(error),
        };
        if matches!(request, Request::Revision(_) | Request::Commits { .. }) {
            self.stats.update(|stats| stats.history_scan_requests += 1);
        }
        let mut answer = self.authorized(request, &http, Deadline::after(timeout));
        self.limits.note_result((self.clock)(), &answer.reply);
        if let Err(error) = &mut answer.reply {
            self.censor(error);
        }
        answer
    }

    /// Sends a request. If the server refuses a new access token, sends it with the one before, and keeps
    /// that one if the server does not refuse it as well.
    fn authorized(&mut self, request: &Request, http: &HttpRequest, deadline: Deadline) -> Answer {
        let (status, mut answer) = self.attempt(request, http, deadline);
        if !is_refusal(request, &answer) {
            return answer;
        }
        let invalid = status == Some(401);
        // A token that can read may lack the right to write.
        let is_new = self.access_token.is_on_trial() || (request.is_write() && !invalid);
        if !is_new || !self.access_token.fall_back() {
            if invalid {
                self.access_token.give_up_previous();
            }
            return answer;
        }
        let (status, again) = self.attempt(request, http, deadline);
        if is_refusal(request, &again) && (status == Some(401) || !invalid) {
            self.access_token.give_up_previous();
            return answer;
        }
        if let Err(error) = &mut answer.reply {
            self.censor(error);
            log::warn!(event = "access_token_refused", error:% = error; "new access token was refused, keeping the previous one");
        }
        again
    }

    /// Sends a request; after a 401 once more. Why: a single 401 can be a passing fault, or the access token
    /// was just replaced, and a refused request can safely be sent again. An access token that was rejected
    /// twice is not tried again, because GitHub locks out clients that keep trying.
    fn attempt(
        &mut self,
        request: &Request,
        http: &HttpRequest,
        deadline: Deadline,
    ) -> (Option<u16>, Answer) {
        let (status, answer) = self.exchange(request, http, deadline);
        if status != Some(401) {
            if status.is_some() {
                self.rejected = None;
            }
            return (status, answer);
        }
        if self.access_token.is_on_trial() {
            return (status, answer);
        }
        self.access_token.read_again();
        if self.rejected.as_ref() == Some(self.access_token.last()) {
            return (status, answer);
        }
        let (status, again) = self.exchange(request, http, deadline);
        self.rejected = (status == Some(401)).then(|| self.access_token.last().clone());
        (status, again)
    }

    /// Sends a request and reads the answer. The status is `None` if there was no answer.
    fn exchange(
        &mut self,
        request: &Request,
        http: &HttpRequest,
        deadline: Deadline,
    ) -> (Option<u16>, Answer) {
        let sent = self.send(http, deadline);
        let may_have_landed = !matches!(sent, Err(CallError::NotSent(_)));
        if request.is_write() && may_have_landed {
            self.limits.sent_write((self.clock)());
        }
        match sent {
            Ok(response) => {
                let (status, answer) = self.read(request, response);
                if answer.reply.is_ok() {
                    self.access_token.accept(request.is_write());
                }
                (Some(status), answer)
            }
            Err(error) => {
                self.stats.update(|stats| stats.unanswered += 1);
                (None, unanswered(Self::failure(request, error)))
            }
        }
    }

    fn send(
        &mut self,
        http: &HttpRequest,
        deadline: Deadline,
    ) -> Result<Response<Body>, CallError> {
        let bearer = format!("Bearer {}", self.access_token.current().expose());
        let bearer = HeaderValue::from_str(&bearer);
        let mut bearer = bearer.map_err(|error| CallError::NotSent(error.to_string()))?;
        bearer.set_sensitive(true);
        let (mut parts, body) = http.clone().into_parts();
        parts.headers.insert(AUTHORIZATION, bearer);
        match body {
            None => {
                let request = http::Request::from_parts(parts, ());
                self.agent.call(request, Effect::Read, deadline)
            }
            Some(body) => {
                let request = http::Request::from_parts(parts, body.as_str());
                self.agent.call(request, Effect::Write, deadline)
            }
        }
    }

    fn read(&mut self, request: &Request, response: Response<Body>) -> (u16, Answer) {
        let (parts, body) = response.into_parts();
        let status = parts.status.as_u16();
        let head = Head::new(status, |name| parts.headers.get(name)?.to_str().ok());
        self.count(request, &head);
        if head.scopes.is_some() {
            self.scopes.clone_from(&head.scopes);
        }
        let mut body = PlainBody(body.into_reader());
        let before = self.limits.in_a_row();
        let answer = wire::answer(request, &self.target, &head, before, &mut body);
        self.agent.drain(&mut body);
        (status, answer)
    }

    /// Counts an answer. A status has three digits, so the number of entries is bounded.
    fn count(&self, request: &Request, head: &Head) {
        self.stats.update(|stats| {
            let key = (request.method(), head.status);
            *stats.answers.entry(key).or_insert(0) += 1;
            if !request.is_write() && head.status == 304 {
                stats.not_modified += 1;
            }
            stats.rate_limit = head.rate().or(stats.rate_limit);
            // A complete answer without it is that of a token that does not expire.
            if head.token_expires_at.is_some() || matches!(head.status, 200 | 201) {
                stats.access_token_expires_at = head.token_expires_at;
            }
        });
    }

    /// Returns what a call without an answer means.
    fn failure(request: &Request, error: CallError) -> LockError {
        match error {
            CallError::NotSent(why) => LockError::Unavailable(why),
            CallError::MayHaveLanded(why) => unclear(request.is_write(), why),
        }
    }

    /// Removes the access tokens from a text, in case a server repeats what it received.
    fn censor(&self, error: &mut LockError) {
        let (LockError::RateLimited { why, .. }
        | LockError::NotFound(why)
        | LockError::Unauthorized(why)
        | LockError::Unavailable(why)
        | LockError::Unfinished(why)
        | LockError::OutcomeUnknown(why)
        | LockError::Refused(why)) = error
        else {
            return;
        };
        for token in self.access_token.secrets() {
            *why = why.replace(token, "…");
        }
    }
}

/// Returns whether an answer may mean that the access token is invalid or lacks the right to the request. A
/// revision that is not shown is another matter.
fn is_refusal(request: &Request, answer: &Answer) -> bool {
    let refused = matches!(
        answer.reply,
        Err(LockError::Unauthorized(_) | LockError::NotFound(_))
    );
    refused && !matches!(request, Request::Revision(_))
}

fn unanswered(error: LockError) -> Answer {
    Answer {
        date: None,
        rate: None,
        reply: Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_is_send() {
        fn moves<T: Send>() {}
        moves::<GistClient>();
    }
}
