//! The endpoints: which path answers what.
//!
//! A handler takes a copy of what is known and makes an answer of it; it waits for nothing. Only
//! `/step-down` does anything, and that is why only it looks at who asks.

use super::view::{self, About, View};
use super::{accept, door, json, metrics, page};
use crate::election::status::{Status, Unhealthy};
use crate::election::time::Instant;
use crate::http::{Body, Request, Response};

/// What the endpoints show, and the one thing that they do.
pub trait Source: Send + Sync {
    /// The time.
    fn now(&self) -> Instant;

    /// What does not change.
    fn about(&self) -> &About;

    /// How the candidate is: little, for what is asked often.
    fn status(&self) -> Status;

    /// Everything.
    fn view(&self) -> View;

    /// Whether it is healthy.
    ///
    /// # Errors
    /// Says why not.
    fn health(&self) -> Result<(), Unhealthy>;

    /// Asks a leader to let another one lead; whether it leads.
    fn step_down(&self) -> bool;
}

/// What there is, for whoever asks for something else.
const ENDPOINTS: &str = "\
/           who leads, as {\"name\":\"...\"}; for a browser a page
/status     everything, as JSON
/leader     200 if this candidate leads, else 503
/isLeader   true or false
/healthz    200 if this process works, else 500
/readyz     200 if it is ready (READY_WHEN), else 503
/metrics    for Prometheus
/step-down  POST, from this machine: lets another candidate lead
";

/// The answer to a request.
pub fn answer(request: &Request, source: &dyn Source) -> Response {
    let response = match (request.path(), request.method()) {
        ("/step-down", "POST") => step_down(request, source),
        ("/step-down", _) => wrong_method("POST"),
        (path, "GET" | "HEAD") => {
            get(path, request, source).unwrap_or_else(|| Response::text(404, not_found()))
        }
        (path, _) if ENDPOINTS.lines().any(|line| is_named(line, path)) => {
            wrong_method("GET, HEAD")
        }
        _ => Response::text(404, not_found()),
    };
    response
        .header("Cache-Control", "no-store")
        .header("X-Content-Type-Options", "nosniff")
}

fn is_named(line: &str, path: &str) -> bool {
    line.split(' ').next() == Some(path)
}

fn not_found() -> String {
    format!("there is no such page here; there are\n\n{ENDPOINTS}")
}

fn wrong_method(allowed: &'static str) -> Response {
    let body = format!("only {allowed} here\n");
    Response::text(405, body).header("Allow", allowed)
}

fn get(path: &str, request: &Request, source: &dyn Source) -> Option<Response> {
    Some(match path {
        "/" => front(request, source),
        "/status" => json(200, json::status(&source.view())),
        "/leader" => leader(source),
        "/isLeader" => {
            let leads = view::leads(&source.status(), source.now()).is_some();
            json(200, if leads { "true" } else { "false" })
        }
        "/healthz" => match source.health() {
            Ok(()) => Response::text(200, "ok\n"),
            Err(why) => Response::text(500, format!("{why}\n")),
        },
        "/readyz" => match source.view().ready() {
            Ok(()) => Response::text(200, "ok\n"),
            Err(why) => Response::text(503, format!("not ready: {why}\n")),
        },
        "/metrics" => {
            Response::with_body(200, metrics::CONTENT_TYPE, metrics::text(&source.view()))
        }
        _ => return None,
    })
}

fn leader(source: &dyn Source) -> Response {
    let identity = &source.about().config.identity;
    // The time after the status: the other way round, it might look younger than it is.
    let status = source.status();
    let now = source.now();
    let leads = view::leads(&status, now);
    let name = view::leader(&status, identity, now);
    let code = if leads.is_some() { 200 } else { 503 };
    json(code, json::leader(identity, leads, name))
}

fn front(request: &Request, source: &dyn Source) -> Response {
    let response = if accept::prefers_html(request.header("accept")) {
        Response::with_body(200, "text/html; charset=utf-8", page::html(&source.view()))
            .header("Content-Security-Policy", page::SECURITY_POLICY)
            .header("Referrer-Policy", "no-referrer")
    } else {
        let identity = &source.about().config.identity;
        let status = source.status();
        json(
            200,
            json::name(view::leader(&status, identity, source.now())),
        )
    };
    response.header("Vary", "Accept")
}

/// As the sidecar says it: without a charset, which JSON does not have.
fn json(status: u16, body: impl Into<Body>) -> Response {
    Response::with_body(status, "application/json", body)
}

fn step_down(request: &Request, source: &dyn Source) -> Response {
    if let Err(why) = door::check(request.peer().ip(), |name| request.header(name)) {
        // The answer says it to who asks; a line for each would let anybody fill the log.
        log::debug!("refused to step down for {}: {why}", request.peer().ip());
        return json(403, json::error(&why));
    }
    if source.step_down() {
        return json(202, "{\"steppingDown\":true}\n");
    }
    json(409, json::error("this candidate does not lead"))
}
