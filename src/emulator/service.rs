//! One request from its arrival to its reply: the faults drawn for it, its delays, its counting.
//!
//! ```text
//!   draw a plan -> dropped? hung? hung up on? -> pause -> routes::answer -> pause -> lost? truncated?
//! ```
//!
//! All state is behind one lock that is never held while anything waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::http::{Reply, Request, Response};

use super::answer::{Dressing, Refusal};
use super::cache::Cache;
use super::call::Call;
use super::caller::Token;
use super::counters::Counters;
use super::faults::{Faults, Plan};
use super::limits::Quota;
use super::revision::Timestamp;
use super::state::Journal;
use super::store::Store;
use super::write::WriteError;

/// What the requests share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) faults: Faults,
    pub(super) quota: Quota,
    pub(super) counters: Counters,
    pub(super) cache: Cache,
    rng: fastrand::Rng,
    journal: Option<Journal>,
}

impl Inner {
    pub(super) fn new(store: Store, journal: Option<Journal>, seed: u64) -> Self {
        Self {
            store,
            faults: Faults::default(),
            quota: Quota::default(),
            counters: Counters::default(),
            cache: Cache::default(),
            // Not the sequence that revisions are named from.
            rng: fastrand::Rng::with_seed(seed.wrapping_add(1)),
            journal,
        }
    }

    /// Replaces the faults; their seed, if there is one, starts the draws anew.
    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.faults.seed = None;
        self.change_faults(faults);
    }

    /// The same, but a seed that stays as it was starts nothing anew.
    pub(super) fn change_faults(&mut self, faults: Faults) {
        self.store.set_rules(faults.rules());
        if let Some(seed) = faults.seed.filter(|_| faults.seed != self.faults.seed) {
            self.rng = fastrand::Rng::with_seed(seed);
        }
        self.faults = faults;
    }

    /// Writes what the store has done into the state file. Before this no write is answered.
    pub(super) fn persist(&mut self) -> Result<(), Refusal> {
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        let events = self.store.take_events();
        journal
            .append(&self.store, events)
            .map_err(|e| Refusal::new(500, &format!("the state file: {e}")))
    }

    /// Does a write and persists it.
    pub(super) fn write<T>(
        &mut self,
        write: impl FnOnce(&mut Store) -> Result<T, WriteError>,
    ) -> Result<T, Refusal> {
        let done = write(&mut self.store)?;
        self.persist()?;
        Ok(done)
    }
}

/// A route's work: the answer, and what else is to be known of it.
pub(super) struct Done {
    pub(super) response: Response,
    /// Something was written.
    pub(super) landed: bool,
    /// The same write once more, after the answer.
    pub(super) again: Option<Box<dyn FnOnce() + Send>>,
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

/// The service behind the HTTP server.
#[derive(Debug)]
pub(super) struct Service {
    inner: Mutex<Inner>,
    pub(super) tokens: Vec<Token>,
    own_origin: String,
    quiet: bool,
    served: AtomicU64,
}

impl Service {
    pub(super) fn new(inner: Inner, tokens: Vec<Token>, own_origin: String, quiet: bool) -> Self {
        Self {
            inner: Mutex::new(inner),
            tokens,
            own_origin,
            quiet,
            served: AtomicU64::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Should a handler panic, the store is still whole: it changes in single steps.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn handle(self: &Arc<Self>, request: &Request) -> Reply {
        if let Some(response) = self.control(request) {
            return response.into();
        }
        let call = Call::of(request, &self.tokens, &self.own_origin);
        let plan = {
            let mut guard = self.lock();
            let inner = &mut *guard;
            Plan::draw(&inner.faults, &mut inner.rng, call.is_write())
        };
        self.perform(&call, &plan)
    }

    fn perform(self: &Arc<Self>, call: &Call<'_>, plan: &Plan) -> Reply {
        if plan.dropped {
            self.count(call, "dropped");
            return Reply::Drop;
        }
        if let Some(time) = plan.hang {
            self.count(call, "hung");
            let _ = call.request.wait_while_connected(time);
            return Reply::Drop;
        }
        if plan.late.is_some() {
            self.count(call, "late");
            call.request.hang_up();
        }
        if !call
            .request
            .pause(plan.before + plan.late.unwrap_or_default())
        {
            return Reply::Drop;
        }
        let done = self.answer(call, plan);
        if plan.late.is_some() {
            if let Some(again) = done.again {
                again();
            }
            return Reply::Drop;
        }
        if !call.request.pause(plan.after) {
            return Reply::Drop;
        }
        self.reply(call, plan, done)
    }

    fn reply(&self, call: &Call<'_>, plan: &Plan, done: Done) -> Reply {
        if plan.lost && done.landed {
            self.count(call, "lost");
            if let Some(again) = done.again {
                call.request.hang_up();
                again();
            }
            return Reply::Drop;
        }
        // A write that was to be done twice is then done once: there is no "after" half an answer.
        if plan.truncated {
            self.count(call, "truncated");
            return Reply::Truncate(done.response);
        }
        self.count(call, &done.response.status().to_string());
        match done.again {
            Some(again) => Reply::Afterwards(done.response, again),
            None => done.response.into(),
        }
    }

    fn answer(self: &Arc<Self>, call: &Call<'_>, plan: &Plan) -> Done {
        let routed = self.admit(call, plan).and_then(|()| self.route(call, plan));
        let mut done = routed.unwrap_or_else(|refusal| Response::from(refusal).into());
        if let Some(status) = plan.error.filter(|_| done.landed) {
            done.response = Refusal::server_error(status).into();
        }
        done.response = self.dressed(call, done.response);
        done
    }

    fn dressed(&self, call: &Call<'_>, response: Response) -> Response {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let client = call
            .caller
            .client(call.request, inner.faults.primary_per_token);
        if response.status() == 304 && call.caller.is_user() {
            inner.quota.refund(client);
        }
        let now = clock();
        let dressing = Dressing {
            faults: &inner.faults,
            caller: &call.caller,
            standing: inner.quota.standing(&inner.faults, client, now),
            now,
            request_id: self.served.fetch_add(1, Ordering::Relaxed),
        };
        dressing.put_on(response)
    }

    /// Everything that can be said against a request before its route is looked at.
    fn admit(&self, call: &Call<'_>, plan: &Plan) -> Result<(), Refusal> {
        let request = call.request;
        if request.header("user-agent").is_none_or(str::is_empty) {
            let message = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.";
            return Err(Refusal::new(403, message));
        }
        if plan.unauthorized || call.caller == super::caller::Caller::Unknown {
            return Err(Refusal::new(401, "Bad credentials"));
        }
        self.charge(call)?;
        let error_now = plan.error.filter(|_| !plan.error_landed);
        if let Some(status) = error_now {
            return Err(Refusal::server_error(status));
        }
        if call.is_write() {
            self.admit_write(call, plan)
        } else {
            Ok(())
        }
    }

    fn charge(&self, call: &Call<'_>) -> Result<(), Refusal> {
        // As at GitHub, asking for the limits costs nothing.
        if call.route == super::call::Route::RateLimit {
            return Ok(());
        }
        let mut guard = self.lock();
        let inner = &mut *guard;
        let client = call
            .caller
            .client(call.request, inner.faults.primary_per_token);
        let charged = inner.quota.charge(&inner.faults, client, clock());
        charged.map_err(|_| Refusal::primary_limit(inner.faults.primary_status, &call.caller))
    }

    fn admit_write(&self, call: &Call<'_>, plan: &Plan) -> Result<(), Refusal> {
        let conditions = [
            "if-match",
            "if-none-match",
            "if-modified-since",
            "if-unmodified-since",
        ];
        if conditions
            .iter()
            .any(|name| call.request.header(name).is_some())
        {
            let message = "Conditional request headers are not allowed in unsafe requests unless supported by the endpoint";
            return Err(Refusal::new(400, message));
        }
        if !call.caller.is_user() {
            return Err(Refusal::new(401, "Requires authentication"));
        }
        if plan.forbidden {
            return Err(Refusal::new(403, "Resource not accessible by integration"));
        }
        if plan.not_found || !call.caller.may_write_gists() {
            return Err(Refusal::not_found());
        }
        let mut guard = self.lock();
        let inner = &mut *guard;
        match inner.quota.take_write(&inner.faults, clock()) {
            true => Ok(()),
            false => Err(Refusal::secondary_limit(&inner.faults)),
        }
    }

    fn count(&self, call: &Call<'_>, outcome: &str) {
        self.lock()
            .counters
            .count(call.method, call.route.name(), outcome);
        if self.quiet {
            return;
        }
        let level = if call.is_write() || !matches!(outcome, "200" | "304") {
            log::Level::Info
        } else {
            log::Level::Debug
        };
        log::log!(level, "{} {}: {outcome}", call.method, call.request.path());
    }
}

/// The one place where the service reads a clock.
pub(super) fn clock() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
