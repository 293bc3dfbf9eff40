//! The endpoints: the response of each path.
//!
//! A handler takes a snapshot and formats it; it waits for nothing. Only `/step-down` changes
//! something, so only it checks the client.

use std::time::Duration;

use super::snapshot::{Snapshot, SteppedDown};
use super::{json, local_client, metrics, page};
use crate::fmt::{duration, quoted};
use crate::http::{Request, Response};
use crate::workload::restart::LONGEST_STEP_DOWN;

/// The candidate that the endpoints show.
pub trait StatusSource: Send + Sync {
    /// Returns a snapshot of the candidate.
    fn snapshot(&self) -> Snapshot;

    /// Notes that a program is being told that this candidate leads, which it may rely on until the
    /// leadership deadline.
    fn note_followed(&self);

    /// Lets other candidates lead for `period`, by default one lease; zero ends that. Returns `None` if this
    /// candidate cannot be asked.
    fn step_down(&self, period: Option<Duration>) -> Option<SteppedDown>;
}

/// Parses the period of a step-down.
///
/// # Errors
/// Returns problem and fix if the text is not a duration, or above the maximum.
pub fn step_down_period(text: &str) -> Result<Duration, String> {
    match duration::parse(text) {
        Ok(period) if period <= LONGEST_STEP_DOWN => Ok(period),
        Ok(_) => {
            let most = LONGEST_STEP_DOWN.as_secs() / 3600;
            let text = quoted(text);
            Err(format!("duration {text} is too long; give at most {most}h"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// List of the endpoints, for a 404.
const ENDPOINTS: &str = "\
/           the leader, as {\"name\":\"...\"}; a page for browsers
/status     everything, as JSON
/leader     200 if this candidate leads, else 503
/isLeader   true or false
/healthz    200 if this process works, else 500
/readyz     200 if this candidate is ready (READY_WHEN), else 503
/metrics    metrics for Prometheus
/step-down  POST from this machine: others lead for a lease, or for ?for=2h
";

/// Endpoints that also answer `OPTIONS` as `GET`, because HAProxy's checks use it unless told otherwise.
const PROBES: [&str; 5] = ["/", "/leader", "/isLeader", "/healthz", "/readyz"];

/// Returns the response to a request.
pub fn respond(request: &Request, source: &dyn StatusSource) -> Response {
    let response = match (request.path(), request.method()) {
        ("/step-down", "POST") => step_down(request, source),
        ("/step-down", _) => wrong_method("POST"),
        (path, "GET" | "HEAD") => get(path, request, source).unwrap_or_else(not_found),
        (path, "OPTIONS") if PROBES.contains(&path) => {
            get(path, request, source).unwrap_or_else(not_found)
        }
        (path, _) if PROBES.contains(&path) => wrong_method("GET, HEAD, OPTIONS"),
        (path, _) if ENDPOINTS.lines().any(|line| describes(line, path)) => {
            wrong_method("GET, HEAD")
        }
        _ => not_found(),
    };
    response
        .header("Cache-Control", "no-store")
        .header("X-Content-Type-Options", "nosniff")
}

fn describes(line: &str, path: &str) -> bool {
    line.split(' ').next() == Some(path)
}

fn not_found() -> Response {
    Response::text(
        404,
        format!("path not found; the endpoints are\n\n{ENDPOINTS}"),
    )
}

fn wrong_method(allowed: &'static str) -> Response {
    let body = format!("method not allowed; use {allowed}\n");
    Response::text(405, body).header("Allow", allowed)
}

fn get(path: &str, request: &Request, source: &dyn StatusSource) -> Option<Response> {
    let snapshot = || source.snapshot();
    Some(match path {
        "/" => front(request, source),
        "/status" => json(200, json::status(&snapshot())),
        "/leader" => {
            let snapshot = followed(source);
            let status = if snapshot.is_leading() { 200 } else { 503 };
            json(status, json::leader(&snapshot))
        }
        "/isLeader" => json(200, followed(source).is_leading().to_string()),
        "/healthz" => match snapshot().check_health() {
            Ok(()) => Response::text(200, "ok\n"),
            Err(reason) => Response::text(500, format!("{reason}\n")),
        },
        "/readyz" => match snapshot().check_ready() {
            Ok(()) => Response::text(200, "ok\n"),
            Err(reason) => Response::text(503, format!("not ready: {reason}\n")),
        },
        "/metrics" => Response::with_body(200, metrics::CONTENT_TYPE, metrics::text(&snapshot())),
        _ => return None,
    })
}

/// Returns a snapshot for an answer that programs follow.
fn followed(source: &dyn StatusSource) -> Snapshot {
    let snapshot = source.snapshot();
    if !snapshot.is_leading() {
        return snapshot;
    }
    source.note_followed();
    // Taken anew, because noting may take time.
    source.snapshot()
}

fn front(request: &Request, source: &dyn StatusSource) -> Response {
    let response = if prefers_html(request.header("accept")) {
        let page = page::html(&source.snapshot());
        Response::with_body(200, "text/html; charset=utf-8", page)
            .header("Content-Security-Policy", page::SECURITY_POLICY)
            .header("Referrer-Policy", "no-referrer")
    } else {
        json(200, json::name(&followed(source)))
    };
    response.header("Vary", "Accept")
}

/// Returns whether an `Accept` header names HTML and not JSON, as that of a browser. Without the header
/// the answer is JSON, because the leader-elector sidecar's clients send none.
fn prefers_html(accept: Option<&str>) -> bool {
    let accept = accept.unwrap_or_default().to_ascii_lowercase();
    accept.contains("text/html") && !accept.contains("application/json")
}

/// Returns a JSON response without a charset, as the leader-elector sidecar sends it.
fn json(status: u16, body: impl Into<Vec<u8>>) -> Response {
    Response::with_body(status, "application/json", body)
}

fn step_down(request: &Request, source: &dyn StatusSource) -> Response {
    let peer = request.peer().ip();
    if let Err(reason) = local_client::check(peer, |name| request.header(name)) {
        // Not a warning, because any client could fill the log with them.
        log::debug!(peer:%, reason; "rejected step-down request");
        return json(403, json::error(&reason));
    }
    let period = match request.query("for").map(step_down_period).transpose() {
        Ok(period) => period,
        Err(why) => return json(400, json::error(&format!("for: {why}"))),
    };
    match source.step_down(period) {
        Some(stepped_down) => json(202, json::stepped_down(stepped_down)),
        None => json(
            503,
            json::error("this candidate has left the election, or is too busy; try again"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_down_period_is_bounded() {
        for (text, seconds) in [("0", 0), ("2h", 7_200), ("720h", 30 * 86_400)] {
            assert_eq!(step_down_period(text), Ok(Duration::from_secs(seconds)));
        }
        for (text, part) in [
            ("", "unknown duration ``"),
            ("2", "write it like 30s"),
            ("-2h", "negative duration"),
            ("720h1ms", "give at most 720h"),
        ] {
            let error = step_down_period(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn browsers_prefer_html_programs_json() {
        for browser in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html, application/xhtml+xml, image/jxr, */*;q=0.5",
            "text/html",
            "Text/HTML;q=0.4",
        ] {
            assert!(prefers_html(Some(browser)), "{browser}");
        }
        for program in [
            "*/*",
            "",
            "application/json",
            "application/json, text/html",
            "application/json, text/html;q=0.9, */*;q=0.1",
            "text/plain",
            "image/*",
            "nonsense",
        ] {
            assert!(!prefers_html(Some(program)), "{program}");
        }
        assert!(!prefers_html(None));
    }
}
