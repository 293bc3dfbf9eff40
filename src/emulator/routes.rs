//! Routes of the API, and those that control the service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use crate::http::{Request, Response};

use super::api_error::ApiError;
use super::call::{self, Call, Route};
use super::change::Race;
use super::counters::Counters;
use super::faults::{Faults, RequestFaults};
use super::files::Edit;
use super::history::View;
use super::rate_limit::RateLimit;
use super::render;
use super::revision::Revision;
use super::service::{Done, Inner, Service, clock};

/// Entries of a page, as at GitHub.
const PER_PAGE: usize = 30;
const MOST_PER_PAGE: usize = 100;

/// Highest page number, beyond every history.
const MOST_PAGES: usize = 1_000_000;

/// Header `Cache-Control` for users and for anonymous callers.
const PRIVATE: &str = "private, max-age=60, s-maxage=60";
const PUBLIC: &str = "public, max-age=60, s-maxage=60";

/// Body of `GET /rate_limit`.
#[derive(Serialize)]
struct RateLimitBody {
    resources: BTreeMap<&'static str, RateLimit>,
    rate: RateLimit,
}

impl Service {
    pub(super) fn route(
        self: &Arc<Self>,
        call: &Call<'_>,
        drawn: &RequestFaults,
    ) -> Result<Done, ApiError> {
        let response = match (call.method, &call.route) {
            ("POST", Route::Gists) => return self.create(call),
            ("PATCH", Route::Gist(id)) => return self.patch(call, drawn, id),
            ("DELETE", Route::Gist(id)) => return self.delete(id),
            ("GET", Route::Root) => root(call),
            ("GET", Route::RateLimit) => self.rate_limit(call)?,
            ("GET", Route::Gists) => self.list(call),
            ("GET", Route::Gist(id)) => self.read(call, drawn, id, None)?,
            ("GET", Route::Revision(id, sha)) => self.read(call, drawn, id, Some(sha))?,
            ("GET", Route::Commits(id)) => self.commits(call, drawn, id)?,
            _ => return Err(ApiError::not_found()),
        };
        Ok(response.into())
    }

    fn rate_limit(&self, call: &Call<'_>) -> Result<Response, ApiError> {
        let inner = self.lock();
        let account = inner.account(call);
        let limit = inner.rate_limits.primary(&inner.faults, account, clock());
        // GitHub Enterprise Server without limits answers so.
        let rate = limit.ok_or_else(|| ApiError::new(404, "Rate limiting is not enabled."))?;
        let resources = [("core", rate)].into();
        let body = render::to_json(&RateLimitBody { resources, rate });
        Ok(Response::json(200, body))
    }

    fn list(&self, call: &Call<'_>) -> Response {
        let page = call.number("page", 1, MOST_PAGES);
        let per_page = call.number("per_page", PER_PAGE, MOST_PER_PAGE);
        let inner = self.lock();
        let newest_first = inner.store.ids().rev();
        let views = newest_first.filter_map(|id| inner.store.read(id));
        let shown = views.filter(|view| call.caller.is_user() || view.gist.public);
        let shown = shown.skip((page - 1) * per_page).take(per_page);
        let body = render::list(shown, &call.base);
        conditional(call, &inner.faults, render::digest(&body), || body)
    }

    fn read(
        &self,
        call: &Call<'_>,
        drawn: &RequestFaults,
        id: &str,
        sha: Option<&str>,
    ) -> Result<Response, ApiError> {
        let inner = self.lock();
        let view = select(&inner, drawn, id, sha)?;
        let cap = inner.faults.history_cap;
        let body = || render::gist(view, &call.base, cap);
        let response = conditional(call, &inner.faults, key(view, call, cap), body);
        let modified = render::http_date(view.updated_at);
        Ok(response.header("Last-Modified", modified))
    }

    fn commits(
        &self,
        call: &Call<'_>,
        drawn: &RequestFaults,
        id: &str,
    ) -> Result<Response, ApiError> {
        let inner = self.lock();
        let view = select(&inner, drawn, id, None)?;
        let cap = inner.faults.per_page_cap.unwrap_or(MOST_PER_PAGE);
        let most = cap.min(MOST_PER_PAGE);
        let per_page = call.number("per_page", PER_PAGE, most);
        let page = call.number("page", 1, MOST_PAGES);
        let body = render::commits(view.commits(page, per_page), id, &call.base);
        let response = conditional(call, &inner.faults, render::digest(&body), || body);
        Ok(match links(call, page, per_page, view.depth()) {
            Some(links) => response.header("Link", links),
            None => response,
        })
    }

    fn create(&self, call: &Call<'_>) -> Result<Done, ApiError> {
        let new = call::new_gist(call.request.body())?;
        let mut inner = self.lock();
        let id = inner.write(|store| store.create(None, new, clock()))?;
        let location = format!("{}/gists/{id}", call.base.api);
        let response = written(&inner, call, &id, 201)?;
        Ok(Done::write(response.header("Location", location)))
    }

    fn delete(&self, id: &str) -> Result<Done, ApiError> {
        self.lock().write(|store| store.delete(id))?;
        Ok(Done::write(Response::new(204)))
    }

    fn patch(
        self: &Arc<Self>,
        call: &Call<'_>,
        drawn: &RequestFaults,
        id: &str,
    ) -> Result<Done, ApiError> {
        let edit = call::edit(call.request.body())?;
        let mut inner = self.lock();
        let began = Instant::now();
        let pending = inner.store.begin_write(id, edit.clone())?;
        if !drawn.window.is_zero() {
            drop(inner);
            if !call.request.pause(drawn.window) {
                return Err(ApiError::server_error(503));
            }
            inner = self.lock();
        }
        let race = drawn.race_after(began.elapsed());
        inner.write(|store| store.finish_write(&pending, race, clock()))?;
        if drawn.duplicate.is_some_and(|delay| delay.is_zero()) {
            repeat(&mut inner, id, edit.clone());
        }
        let response = written(&inner, call, id, 200)?;
        drop(inner);
        let later = drawn.duplicate.filter(|delay| !delay.is_zero());
        Ok(Done {
            again: later.map(|delay| self.repeat_later(call, id, edit, delay)),
            ..Done::write(response)
        })
    }

    fn repeat_later(
        self: &Arc<Self>,
        call: &Call<'_>,
        id: &str,
        edit: Edit,
        delay: Duration,
    ) -> Box<dyn FnOnce() + Send> {
        let (service, id, pause) = (Arc::clone(self), id.to_owned(), call.request.pauser());
        Box::new(move || {
            if pause(delay) {
                repeat(&mut service.lock(), &id, edit);
            }
        })
    }

    /// Answers the requests that GitHub does not know. They work during an outage too.
    pub(super) fn control(&self, request: &Request) -> Option<Response> {
        if !request.path().starts_with("/_") {
            return None;
        }
        let mut inner = self.lock();
        Some(match (request.method(), request.path()) {
            ("GET", "/_faults") => Response::json(200, inner.faults.to_json()),
            ("PUT", "/_faults") => {
                let faults = Faults::from_json(request.body());
                let set = faults.map(|faults| inner.set_faults(faults));
                changed_faults(&inner, set)
            }
            ("PATCH", "/_faults") => {
                let faults = inner.faults.merged(request.body());
                let set = faults.map(|faults| inner.change_faults(faults));
                changed_faults(&inner, set)
            }
            ("GET", "/_requests") => Response::json(200, inner.counters.to_json()),
            ("POST", "/_reset-counters") => {
                inner.counters = Counters::default();
                Response::new(204)
            }
            _ => Response::text(404, "no such control\n"),
        })
    }
}

fn changed_faults(inner: &Inner, set: Result<(), String>) -> Response {
    match set {
        Ok(()) => Response::json(200, inner.faults.to_json()),
        Err(error) => {
            let body = json!({"message": error});
            Response::json(422, format!("{body}\n"))
        }
    }
}

fn root(call: &Call<'_>) -> Response {
    let (origin, api) = (&call.base.origin, &call.base.api);
    let body = json!({
        "gists_url": format!("{api}/gists{{/gist_id}}"),
        "rate_limit_url": format!("{api}/rate_limit"),
        "faults_url": format!("{origin}/_faults"),
        "requests_url": format!("{origin}/_requests"),
    });
    Response::json(200, body.to_string())
}

/// Applies an edit again, to the present head. A failure is only logged: the request was answered.
fn repeat(inner: &mut Inner, id: &str, edit: Edit) {
    let repeated = inner.write(|store| {
        let pending = store.begin_write(id, edit)?.forced();
        store.finish_write(&pending, Race::Stack, clock())
    });
    if let Err(error) = repeated {
        log::debug!(error:%; "refused repeated write");
    }
}

/// Returns the gist that a request sees: at a revision, at an earlier time, or now.
fn select<'a>(
    inner: &'a Inner,
    drawn: &RequestFaults,
    id: &str,
    sha: Option<&str>,
) -> Result<View<'a>, ApiError> {
    let view = match drawn.stale {
        Some(age) => {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            inner.store.read_as_of(id, clock().plus_ms(-age))
        }
        None => inner.store.read(id),
    };
    let view = view.ok_or_else(ApiError::not_found)?;
    let Some(sha) = sha else { return Ok(view) };
    let revision: Revision = sha.parse().map_err(|_| ApiError::not_found())?;
    let at = match inner.faults.lost_readable {
        true => view.at_any(revision),
        false => view.at(revision),
    };
    at.ok_or_else(ApiError::not_found)
}

/// Answers a write with the present gist, and with the ETag of a read.
fn written(inner: &Inner, call: &Call<'_>, id: &str, status: u16) -> Result<Response, ApiError> {
    let view = inner.store.read(id).ok_or_else(ApiError::not_found)?;
    let cap = inner.faults.history_cap;
    let body = render::gist(view, &call.base, cap);
    let response = Response::json(status, body).header("Cache-Control", PRIVATE);
    let etag = etag(call, key(view, call, cap));
    Ok(match (inner.faults.no_etag, status) {
        (true, _) => response,
        // GitHub sends a strong ETag for a new gist, and weak ones otherwise.
        (false, 201) => response.header("ETag", etag),
        (false, _) => response.header("ETag", format!("W/{etag}")),
    })
}

/// Returns a digest of everything that determines a gist's body.
fn key(view: View<'_>, call: &Call<'_>, history_cap: Option<usize>) -> u128 {
    let parts = format!(
        "{}|{}|{}|{}|{}|{history_cap:?}",
        view.id,
        view.head().revision(),
        view.updated_at,
        call.base.api,
        view.gist.description,
    );
    render::digest(parts.as_bytes())
}

/// Returns the ETag of a body, which differs between access tokens.
fn etag(call: &Call<'_>, key: u128) -> String {
    let parts = format!("{key:x}|{:x}", call.caller.digest());
    format!("\"{:032x}\"", render::digest(parts.as_bytes()))
}

/// Answers 304 if the client has the body already, otherwise 200 with body and ETag.
fn conditional(
    call: &Call<'_>,
    faults: &Faults,
    key: u128,
    body: impl FnOnce() -> Vec<u8>,
) -> Response {
    let etag = etag(call, key);
    let known = call.request.header("if-none-match");
    let known = known.is_some_and(|list| matches(list, &etag));
    let response = match known && !faults.no_etag {
        true => Response::new(304),
        false => Response::json(200, body()),
    };
    let cache = if call.caller.is_user() {
        PRIVATE
    } else {
        PUBLIC
    };
    let response = response.header("Cache-Control", cache);
    match faults.no_etag {
        true => response,
        false => response.header("ETag", format!("W/{etag}")),
    }
}

/// Compares weakly, as RFC 9110 requires for `If-None-Match`.
fn matches(list: &str, etag: &str) -> bool {
    let mut tags = list.split(',').map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn links(call: &Call<'_>, page: usize, per_page: usize, entries: usize) -> Option<String> {
    let last = entries.div_ceil(per_page).max(1);
    let (origin, path) = (&call.base.origin, call.request.path());
    let link = |page: usize, rel: &str| {
        format!("<{origin}{path}?per_page={per_page}&page={page}>; rel=\"{rel}\"")
    };
    let mut links = Vec::new();
    if page > 1 {
        links.push(link(page.min(last + 1) - 1, "prev"));
    }
    if page < last {
        links.extend([link(page + 1, "next"), link(last, "last")]);
    }
    if page > 1 {
        links.push(link(1, "first"));
    }
    (!links.is_empty()).then(|| links.join(", "))
}
