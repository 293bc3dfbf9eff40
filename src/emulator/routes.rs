//! What each route does, and the endpoints that control the service itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::http::{Request, Response};

use super::answer::Refusal;
use super::call::{self, Call, Route};
use super::faults::{Faults, FaultsError, Plan};
use super::files::Edit;
use super::history::View;
use super::limits::Standing;
use super::render;
use super::revision::Revision;
use super::service::{Done, Inner, Service, clock};
use super::store::Store;
use super::write::Race;

/// As GitHub has it for lists.
const PER_PAGE: usize = 30;
const MOST_PER_PAGE: usize = 100;

/// A page further out than this holds nothing; it also keeps the arithmetic far from its ends.
const MOST_PAGES: usize = 1_000_000;

impl Service {
    pub(super) fn route(self: &Arc<Self>, call: &Call<'_>, plan: &Plan) -> Result<Done, Refusal> {
        match (call.method, &call.route) {
            ("GET", Route::Root) => Ok(root(call).into()),
            ("GET", Route::RateLimit) => self.rate_limit(call).map(Done::from),
            ("GET", Route::Gists) => Ok(self.list(call).into()),
            ("POST", Route::Gists) => self.create(call),
            ("GET", Route::Gist(id)) => self.read(call, plan, id, None).map(Done::from),
            ("GET", Route::Revision(id, sha)) => {
                self.read(call, plan, id, Some(sha)).map(Done::from)
            }
            ("GET", Route::Commits(id)) => self.commits(call, plan, id).map(Done::from),
            ("PATCH", Route::Gist(id)) => self.patch(call, plan, id),
            ("DELETE", Route::Gist(id)) => self.delete(id),
            _ => Err(Refusal::not_found()),
        }
    }

    fn rate_limit(&self, call: &Call<'_>) -> Result<Response, Refusal> {
        let inner = self.lock();
        let client = call
            .caller
            .client(call.request, inner.faults.primary_per_token);
        // As GitHub Enterprise Server says it where nothing is limited.
        let standing = inner.quota.standing(&inner.faults, client, clock());
        let standing =
            standing.ok_or_else(|| Refusal::new(404, "Rate limiting is not enabled."))?;
        let Standing { limit, used, reset } = standing;
        let reset = reset + inner.faults.clock_offset_s;
        let rate = format!(
            "{{\"limit\":{limit},\"used\":{used},\"remaining\":{},\"reset\":{reset}}}",
            standing.remaining()
        );
        Ok(Response::json(
            200,
            format!("{{\"resources\":{{\"core\":{rate}}},\"rate\":{rate}}}"),
        ))
    }

    fn list(&self, call: &Call<'_>) -> Response {
        let (page, per_page) = (
            call.number("page", 1, MOST_PAGES),
            call.number("per_page", PER_PAGE, MOST_PER_PAGE),
        );
        let inner = self.lock();
        let views = inner
            .store
            .ids()
            .rev()
            .filter_map(|id| inner.store.read(id));
        // Without a token there are only the public ones to see.
        let shown = views.filter(|view| call.caller.is_user() || view.public());
        let mut body = String::from("[");
        for (n, view) in shown.skip((page - 1) * per_page).take(per_page).enumerate() {
            if n > 0 {
                body.push(',');
            }
            render::list_item(&mut body, view, &call.base);
        }
        body.push(']');
        let key = render::digest(body.as_bytes());
        conditional(call, &inner.faults, key, || Response::json(200, body))
    }

    fn read(
        &self,
        call: &Call<'_>,
        plan: &Plan,
        id: &str,
        sha: Option<&str>,
    ) -> Result<Response, Refusal> {
        let mut guard = self.lock();
        let Inner {
            store,
            cache,
            faults,
            ..
        } = &mut *guard;
        let view = select(store, faults, plan, id, sha)?;
        let modified = render::http_time(view.updated_at());
        let key = representation(view, call, faults);
        let answer = || {
            let body = cache.get(key, || render::gist(view, &call.base, faults.history_cap));
            Response::json(200, body.to_vec())
        };
        let response = conditional(call, faults, key, answer);
        Ok(response.header("Last-Modified", modified))
    }

    fn commits(&self, call: &Call<'_>, plan: &Plan, id: &str) -> Result<Response, Refusal> {
        let guard = self.lock();
        let Inner { store, faults, .. } = &*guard;
        let view = select(store, faults, plan, id, None)?;
        let most = faults
            .per_page_cap
            .unwrap_or(MOST_PER_PAGE)
            .min(MOST_PER_PAGE);
        let per_page = call.number("per_page", PER_PAGE, most).min(most);
        let page = call.number("page", 1, MOST_PAGES);
        let body = render::commits(view.commits(page, per_page), id, &call.base);
        let key = render::digest(&body);
        let response = conditional(call, faults, key, || Response::json(200, body));
        Ok(match links(call, page, per_page, view.depth()) {
            Some(links) => response.header("Link", links),
            None => response,
        })
    }

    fn create(&self, call: &Call<'_>) -> Result<Done, Refusal> {
        let new = call::new_gist(call.request.body())?;
        let mut guard = self.lock();
        let id = guard.write(|store| store.create(None, new, clock()))?;
        let location = format!("{}{}/gists/{id}", call.base.origin, call.base.prefix);
        let response = written(&mut guard, call, &id, 201)?.header("Location", location);
        Ok(Done {
            response,
            landed: true,
            again: None,
        })
    }

    fn delete(&self, id: &str) -> Result<Done, Refusal> {
        self.lock().write(|store| store.delete(id))?;
        Ok(Done {
            response: Response::new(204),
            landed: true,
            again: None,
        })
    }

    fn patch(self: &Arc<Self>, call: &Call<'_>, plan: &Plan, id: &str) -> Result<Done, Refusal> {
        let edit = call::edit(call.request.body())?;
        let mut guard = self.lock();
        let began = Instant::now();
        let pending = guard.store.begin_write(id, edit.clone())?;
        if !plan.window.is_zero() {
            drop(guard);
            if !call.request.pause(plan.window) {
                return Err(Refusal::server_error(503));
            }
            guard = self.lock();
        }
        let race = plan.race_after(began.elapsed());
        guard.write(|store| store.finish_write(&pending, race, clock()))?;
        if plan.duplicate.is_some_and(|after| after.is_zero()) {
            once_more(&mut guard, id, edit.clone());
        }
        let response = written(&mut guard, call, id, 200)?;
        drop(guard);
        let again = plan
            .duplicate
            .filter(|after| !after.is_zero())
            .map(|after| self.later(call, id, edit, after));
        Ok(Done {
            response,
            landed: true,
            again,
        })
    }

    /// The second time of a write that is done twice.
    fn later(
        self: &Arc<Self>,
        call: &Call<'_>,
        id: &str,
        edit: Edit,
        after: Duration,
    ) -> Box<dyn FnOnce() + Send> {
        let (service, id, pause) = (Arc::clone(self), id.to_owned(), call.request.pauser());
        Box::new(move || {
            if pause(after) {
                once_more(&mut service.lock(), &id, edit);
            }
        })
    }

    /// The endpoints that are not GitHub's; they work during an outage, too.
    pub(super) fn control(&self, request: &Request) -> Option<Response> {
        let mut guard = self.lock();
        let changed = match (request.method(), request.path()) {
            ("GET", "/_faults") => Ok(guard.faults.clone()),
            ("PUT", "/_faults") => Faults::from_json(request.body()),
            ("PATCH", "/_faults") => guard.faults.merged(request.body()),
            ("GET", "/_requests") => return Some(Response::json(200, guard.counters.to_json())),
            ("POST", "/_reset-counters") => {
                guard.counters = super::counters::Counters::default();
                return Some(Response::new(204));
            }
            (_, path) if path.starts_with("/_") => {
                return Some(Response::text(404, "no such control\n"));
            }
            _ => return None,
        };
        Some(match changed {
            Ok(faults) => {
                let json = faults.to_json();
                match request.method() {
                    "PUT" => guard.set_faults(faults),
                    "PATCH" => guard.change_faults(faults),
                    _ => {}
                }
                Response::json(200, json)
            }
            Err(e) => refused_faults(&e),
        })
    }
}

fn refused_faults(error: &FaultsError) -> Response {
    Response::json(
        422,
        format!("{{\"message\":{}}}\n", render::quote(&error.to_string())),
    )
}

fn root(call: &Call<'_>) -> Response {
    let api = format!("{}{}", call.base.origin, call.base.prefix);
    Response::json(
        200,
        format!(
            "{{\"gists_url\":\"{api}/gists{{/gist_id}}\",\"rate_limit_url\":\"{api}/rate_limit\",\
             \"faults_url\":\"{0}/_faults\",\"requests_url\":\"{0}/_requests\"}}",
            call.base.origin
        ),
    )
}

/// Applies an edit to whatever the head is now; that it fails is nobody's business any more.
fn once_more(inner: &mut Inner, id: &str, edit: Edit) {
    let again = inner.write(|store| {
        let pending = store.begin_write(id, edit)?.forced();
        store.finish_write(&pending, Race::Stack, clock())
    });
    if let Err(refusal) = again {
        log::debug!("the second time of a write was refused: {refusal:?}");
    }
}

/// The gist as this request is to see it: at a revision, at an earlier time, or as it is.
fn select<'s>(
    store: &'s Store,
    faults: &Faults,
    plan: &Plan,
    id: &str,
    sha: Option<&str>,
) -> Result<View<'s>, Refusal> {
    let view = match plan.stale {
        Some(age) => {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            store.read_as_of(id, clock().plus_ms(-age))
        }
        None => store.read(id),
    };
    let view = view.ok_or_else(Refusal::not_found)?;
    let Some(sha) = sha else { return Ok(view) };
    let revision: Revision = sha.parse().map_err(|_| Refusal::not_found())?;
    let at = if faults.vanished_readable {
        view.at_any(revision)
    } else {
        view.at(revision)
    };
    at.ok_or_else(Refusal::not_found)
}

/// The answer to a write: the gist as it is now, its ETag as in the answer to a read.
fn written(inner: &mut Inner, call: &Call<'_>, id: &str, status: u16) -> Result<Response, Refusal> {
    let Inner {
        store,
        cache,
        faults,
        ..
    } = inner;
    let view = store.read(id).ok_or_else(Refusal::not_found)?;
    let key = representation(view, call, faults);
    let body = cache.get(key, || render::gist(view, &call.base, faults.history_cap));
    let response = Response::json(status, body.to_vec()).header("Cache-Control", PRIVATE);
    // A new gist's ETag was seen to be a strong one, all others weak.
    let weak = if status == 201 { "" } else { "W/" };
    Ok(match faults.no_etag {
        true => response,
        false => response.header("ETag", format!("{weak}{}", etag(call, key))),
    })
}

const PRIVATE: &str = "private, max-age=60, s-maxage=60";
const PUBLIC: &str = "public, max-age=60, s-maxage=60";

/// What a gist's body depends on: a head has one past for ever.
fn representation(view: View<'_>, call: &Call<'_>, faults: &Faults) -> u128 {
    let parts = format!(
        "{}|{}|{}|{}|{}|{}|{:?}",
        view.id(),
        view.head().revision(),
        view.updated_at(),
        call.base.origin,
        call.base.prefix,
        view.description(),
        faults.history_cap,
    );
    render::digest(parts.as_bytes())
}

/// The same body has another ETag for another token.
fn etag(call: &Call<'_>, key: u128) -> String {
    let mixed = render::digest(format!("{key:x}|{:x}", call.caller.digest()).as_bytes());
    format!("\"{mixed:032x}\"")
}

/// 304 if the client has it already, else the answer with its ETag.
fn conditional(
    call: &Call<'_>,
    faults: &Faults,
    key: u128,
    answer: impl FnOnce() -> Response,
) -> Response {
    let etag = etag(call, key);
    let known = call
        .request
        .header("if-none-match")
        .is_some_and(|list| matches(list, &etag));
    let response = if known && !faults.no_etag {
        Response::new(304)
    } else {
        answer()
    };
    let response = response.header(
        "Cache-Control",
        if call.caller.is_user() {
            PRIVATE
        } else {
            PUBLIC
        },
    );
    if faults.no_etag {
        response
    } else {
        response.header("ETag", format!("W/{etag}"))
    }
}

/// Weak comparison, as RFC 9110 wants it for `If-None-Match`.
fn matches(list: &str, etag: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}

fn links(call: &Call<'_>, page: usize, per_page: usize, entries: usize) -> Option<String> {
    let last = entries.div_ceil(per_page).max(1);
    let link = |page: usize, rel: &str| {
        let path = call.request.path();
        format!(
            "<{}{path}?per_page={per_page}&page={page}>; rel=\"{rel}\"",
            call.base.origin
        )
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
