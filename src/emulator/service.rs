//! One request from arrival to reply: its faults, delays and counting.
//!
//! ```text
//!   draw faults -> dropped? hung? late? -> pause -> admit, route -> pause -> lost? truncated?
//! ```
//!
//! One lock protects all state. It is never held while a request waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::http::{Reply, Request, Response};
use crate::system::clock::unix_millis;

use super::api_error::ApiError;
use super::call::{Call, Route};
use super::caller::{AccessToken, Caller};
use super::counters::Counters;
use super::error::WriteError;
use super::faults::{Faults, RequestFaults};
use super::rate_limit::{Account, RateLimits};
use super::render::http_date;
use super::revision::Timestamp;
use super::state_file::StateFile;
use super::store::Store;

/// State that requests share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) faults: Faults,
    pub(super) rate_limits: RateLimits,
    pub(super) counters: Counters,
    rng: fastrand::Rng,
    state_file: Option<StateFile>,
}

impl Inner {
    pub(super) fn new(store: Store, state_file: Option<StateFile>, seed: u64) -> Self {
        Self {
            store,
            faults: Faults::default(),
            rate_limits: RateLimits::default(),
            counters: Counters::default(),
            // Another sequence than that of the revisions' names.
            rng: fastrand::Rng::with_seed(seed.wrapping_add(1)),
            state_file,
        }
    }

    /// Replaces the faults. Their seed, if set, restarts the draws.
    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.faults.seed = None;
        self.change_faults(faults);
    }

    /// Changes the faults. Only another seed restarts the draws.
    pub(super) fn change_faults(&mut self, faults: Faults) {
        self.store.set_rules(faults.rules());
        if let Some(seed) = faults.seed.filter(|_| faults.seed != self.faults.seed) {
            self.rng = fastrand::Rng::with_seed(seed);
        }
        self.faults = faults;
    }

    /// Changes the store, and appends the changes to the state file.
    pub(super) fn write<T>(
        &mut self,
        write: impl FnOnce(&mut Store) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let done = write(&mut self.store)?;
        if let Some(file) = &mut self.state_file {
            let saved = file.append(&self.store.take_changes());
            saved.map_err(|error| WriteError::NotSaved(error.to_string()))?;
        }
        Ok(done)
    }

    /// Returns the account of a call.
    pub(super) fn account(&self, call: &Call<'_>) -> Account {
        let per_token = self.faults.primary_per_token;
        call.caller.account(call.request, per_token)
    }
}

/// Result of a route.
pub(super) struct Done {
    pub(super) response: Response,
    /// Whether something was written.
    pub(super) landed: bool,
    /// Repetition of the write after the answer.
    pub(super) again: Option<Box<dyn FnOnce() + Send>>,
}

impl Done {
    pub(super) fn write(response: Response) -> Self {
        Self {
            response,
            landed: true,
            again: None,
        }
    }
}

impl From<Response> for Done {
    fn from(response: Response) -> Self {
        Self {
            response,
            landed: false,
            again: None,
        }
    }
}

/// Handler of the HTTP server.
#[derive(Debug)]
pub(super) struct Service {
    inner: Mutex<Inner>,
    tokens: Vec<AccessToken>,
    quiet: bool,
    answered: AtomicU64,
}

impl Service {
    pub(super) fn new(inner: Inner, tokens: Vec<AccessToken>, quiet: bool) -> Self {
        Self {
            inner: Mutex::new(inner),
            tokens,
            quiet,
            answered: AtomicU64::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // The store changes in single steps, so that it is intact even after a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn handle(self: &Arc<Self>, request: &Request) -> Reply {
        if let Some(response) = self.control(request) {
            return response.into();
        }
        let call = Call::of(request, &self.tokens);
        let drawn = {
            let mut guard = self.lock();
            let inner = &mut *guard;
            RequestFaults::draw(&inner.faults, &mut inner.rng, call.is_write())
        };
        self.perform(&call, &drawn)
    }

    fn perform(self: &Arc<Self>, call: &Call<'_>, drawn: &RequestFaults) -> Reply {
        if drawn.dropped {
            self.count(call, "dropped");
            return Reply::Drop;
        }
        if let Some(time) = drawn.hang {
            self.count(call, "hung");
            let _ = call.request.wait_while_connected(time);
            return Reply::Drop;
        }
        if drawn.late.is_some() {
            self.count(call, "late");
            call.request.hang_up();
        }
        let before = drawn.before + drawn.late.unwrap_or_default();
        if !call.request.pause(before) {
            return Reply::Drop;
        }
        let done = self.answer(call, drawn);
        if drawn.late.is_some() {
            if let Some(again) = done.again {
                again();
            }
            return Reply::Drop;
        }
        if !call.request.pause(drawn.after) {
            return Reply::Drop;
        }
        self.reply(call, drawn, done)
    }

    fn reply(&self, call: &Call<'_>, drawn: &RequestFaults, done: Done) -> Reply {
        if drawn.lost && done.landed {
            self.count(call, "lost");
            if let Some(again) = done.again {
                call.request.hang_up();
                again();
            }
            return Reply::Drop;
        }
        // A duplicate write is then done once: nothing can follow a truncated answer.
        if drawn.truncated {
            self.count(call, "truncated");
            return Reply::Truncate(done.response);
        }
        self.count(call, &done.response.status().to_string());
        match done.again {
            Some(again) => Reply::Afterwards(done.response, again),
            None => done.response.into(),
        }
    }

    fn answer(self: &Arc<Self>, call: &Call<'_>, drawn: &RequestFaults) -> Done {
        let admitted = self.admit(call, drawn);
        let routed = admitted.and_then(|()| self.route(call, drawn));
        let mut done = routed.unwrap_or_else(|error| Response::from(error).into());
        if let Some(status) = drawn.error.filter(|_| done.landed) {
            done.response = ApiError::server_error(status).into();
        }
        done.response = self.with_common_headers(call, done.response);
        done
    }

    /// Adds the headers that every answer has.
    fn with_common_headers(&self, call: &Call<'_>, mut response: Response) -> Response {
        let mut inner = self.lock();
        let account = inner.account(call);
        if response.status() == 304 && call.caller.is_user() {
            inner.rate_limits.refund(account);
        }
        let now = clock();
        let faults = &inner.faults;
        if !faults.no_date {
            let date = http_date(now.seconds() + faults.clock_offset_s);
            response = response.header("Date", date);
        }
        response = response.header("Server", "elector-gist-server");
        if let Some(limit) = inner.rate_limits.primary(faults, account, now) {
            response = response
                .header("X-RateLimit-Limit", limit.limit.to_string())
                .header("X-RateLimit-Remaining", limit.remaining.to_string())
                .header("X-RateLimit-Used", limit.used.to_string())
                .header("X-RateLimit-Reset", limit.reset.to_string())
                .header("X-RateLimit-Resource", "core");
        }
        if let Caller::User {
            scopes: Some(scopes),
            ..
        } = &call.caller
        {
            response = response
                .header("X-OAuth-Scopes", scopes.clone())
                .header("X-Accepted-OAuth-Scopes", "");
        }
        if let Some(expiration) = &inner.faults.token_expiration
            && call.caller.is_user()
            && response.status() != 401
        {
            let name = "GitHub-Authentication-Token-Expiration";
            response = response.header(name, expiration.clone());
        }
        let id = self.answered.fetch_add(1, Ordering::Relaxed);
        response
            .header("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP")
            .header("Vary", "Accept-Encoding, Accept, X-Requested-With")
            .header("X-GitHub-Media-Type", "github.v3; format=json")
            .header("X-Content-Type-Options", "nosniff")
            .header("X-GitHub-Request-Id", format!("E1EC:{id:08X}"))
    }

    /// Checks everything that does not depend on the route.
    fn admit(&self, call: &Call<'_>, drawn: &RequestFaults) -> Result<(), ApiError> {
        let request = call.request;
        if request.header("user-agent").is_none_or(str::is_empty) {
            let message = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.";
            return Err(ApiError::new(403, message));
        }
        let rejected = call.has_token_of(&self.lock().faults.rejected_tokens);
        if drawn.unauthorized || rejected || call.caller == Caller::Unknown {
            return Err(ApiError::new(401, "Bad credentials"));
        }
        // At GitHub, reading the rate limits is free.
        if call.route != Route::RateLimit {
            self.charge(call)?;
        }
        if let Some(status) = drawn.error.filter(|_| !drawn.error_landed) {
            return Err(ApiError::server_error(status));
        }
        match call.is_write() {
            true => self.admit_write(call, drawn),
            false => Ok(()),
        }
    }

    fn charge(&self, call: &Call<'_>) -> Result<(), ApiError> {
        let mut guard = self.lock();
        let account = guard.account(call);
        let inner = &mut *guard;
        if inner.rate_limits.charge(&inner.faults, account, clock()) {
            return Ok(());
        }
        let message = match call.caller.is_user() {
            true => "API rate limit exceeded for user ID 1.",
            false => {
                "API rate limit exceeded for your address. (But here's the good news: Authenticated requests get a higher rate limit.)"
            }
        };
        Err(ApiError::new(inner.faults.primary_status, message))
    }

    fn admit_write(&self, call: &Call<'_>, drawn: &RequestFaults) -> Result<(), ApiError> {
        let conditions = [
            "if-match",
            "if-none-match",
            "if-modified-since",
            "if-unmodified-since",
        ];
        let conditional = |name: &&str| call.request.header(name).is_some();
        if conditions.iter().any(conditional) {
            let message = "Conditional request headers are not allowed in unsafe requests unless supported by the endpoint";
            return Err(ApiError::new(400, message));
        }
        if !call.caller.is_user() {
            return Err(ApiError::new(401, "Requires authentication"));
        }
        if drawn.forbidden {
            return Err(ApiError::new(403, "Resource not accessible by integration"));
        }
        if drawn.not_found || !call.caller.may_write_gists() {
            return Err(ApiError::not_found());
        }
        let mut guard = self.lock();
        let inner = &mut *guard;
        if inner.rate_limits.charge_write(&inner.faults, clock()) {
            return Ok(());
        }
        let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
        let error = ApiError::new(inner.faults.secondary_status, message);
        Err(error.retry_after(inner.faults.retry_after_s))
    }

    fn count(&self, call: &Call<'_>, outcome: &str) {
        let (method, route) = (call.method, call.route.name());
        self.lock().counters.count(method, route, outcome);
        if self.quiet {
            return;
        }
        let level = match call.is_write() || !matches!(outcome, "200" | "304") {
            true => log::Level::Info,
            false => log::Level::Debug,
        };
        let path = call.request.path();
        log::log!(level, method, path, outcome; "answered request");
    }
}

/// Returns the current time by this machine's clock.
pub(super) fn clock() -> Timestamp {
    Timestamp(unix_millis())
}
