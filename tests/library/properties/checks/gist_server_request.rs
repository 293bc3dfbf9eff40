//! The gist service's routes: a sequence of requests to a service with one gist, `g`.
//!
//! The input is a list of requests, separated by lines of `---`. Each has a request line without the version,
//! additional headers, an empty line and the body. `{head}` stands for the newest revision.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use elector::emulator::{Delay, Faults, GistService, InitialGist, Options, Probability};
use elector::lock::gist::wire::parse::{History, Want, read_commits, read_gist};

use super::exchange::{Answer, answers, exchange};
use super::{assert_no_server_panicked, watch_server_threads};

/// Gist that exists from the start.
const GIST: &str = "g";

const MOST_REQUESTS: usize = 12;
const MOST_BYTES: usize = 32 * 1024;

/// Statuses of a service without faults.
const STATUSES: [u16; 16] = [
    200, 201, 204, 304, 400, 401, 403, 404, 409, 413, 417, 422, 429, 431, 501, 505,
];

pub fn check(data: &[u8]) {
    watch_server_threads();
    let text = String::from_utf8_lossy(&data[..data.len().min(MOST_BYTES)]).into_owned();
    let service = service();
    let addr: SocketAddr = service.url()["http://".len()..].parse().unwrap();
    for request in text.split("\n---\n").take(MOST_REQUESTS) {
        let head = service.history(GIST);
        let head = head
            .first()
            .map_or_else(String::new, |seen| seen.revision.to_string());
        let request = Request::parse(&request.replace("{head}", &head));
        faults_read_back(request.body.as_bytes());
        let answer = request.exchange(addr);
        is_sound(&request, &answer);
        stores_only_gists(&service);
        tame(&service);
    }
    drop(service);
    assert_no_server_panicked();
}

fn service() -> GistService {
    let gist = InitialGist {
        id: GIST.to_owned(),
        file: "leader.json".to_owned(),
        content: "{}".to_owned(),
    };
    GistService::start(Options {
        gists: vec![gist],
        ..Options::default()
    })
    .unwrap()
}

struct Request {
    line: String,
    headers: String,
    body: String,
}

impl Request {
    fn parse(text: &str) -> Request {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
        Request {
            line: line.to_owned(),
            headers: headers.lines().map(|line| format!("{line}\r\n")).collect(),
            body: body.to_owned(),
        }
    }

    fn path(&self) -> &str {
        let target = self.line.split(' ').nth(1).unwrap_or_default();
        target.split(['?', '#']).next().unwrap_or_default()
    }

    fn is_head(&self) -> bool {
        self.line.starts_with("HEAD ")
    }

    /// Sends the request on a new connection.
    fn exchange(&self, addr: SocketAddr) -> Answer {
        let Request {
            line,
            headers,
            body,
        } = self;
        let usual = "Host: gist.test\r\nUser-Agent: test\r\nAuthorization: Bearer t\r\nConnection: close\r\n";
        let length = body.len();
        let bytes =
            format!("{line} HTTP/1.1\r\n{usual}{headers}Content-Length: {length}\r\n\r\n{body}");
        let answered = exchange(addr, std::iter::once(bytes.as_bytes()));
        // A malformed request is refused with a body.
        let mut answered = answers(&answered, |_, rest| self.is_head() && rest.is_empty());
        // A request line that contains a whole request makes two requests. The first one counts.
        answered
            .drain(..)
            .next()
            .unwrap_or_else(|| panic!("no answer to {bytes:?}"))
    }
}

fn is_sound(request: &Request, answer: &Answer) {
    let status = answer.status;
    assert!(STATUSES.contains(&status), "{status} to {}", request.line);
    let writes = request.line.starts_with("PATCH /gists") || request.line.starts_with("POST ");
    if writes && matches!(status, 200 | 201) {
        let body: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
        assert!(body.is_object(), "{body} was taken for a change");
    }
    if request.is_head() || answer.body.is_empty() {
        return;
    }
    let is_json = answer
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/json"));
    if !is_json {
        return;
    }
    let json: serde_json::Value = serde_json::from_slice(&answer.body)
        .unwrap_or_else(|e| panic!("{e} in the answer to {}", request.line));
    let api = answer.header("x-github-request-id").is_some();
    if !api || !matches!(status, 200 | 201) {
        return;
    }
    // The gist client must be able to parse it.
    if json
        .get("history")
        .is_some_and(|list| list != &serde_json::json!([]))
    {
        let history = History::Newest;
        let gist = read_gist(
            &*answer.body,
            Want {
                file: None,
                history,
            },
        );
        assert!(gist.is_ok(), "{gist:?} is what {} gave", request.line);
    } else if request.path().ends_with("/commits") {
        assert!(read_commits(&*answer.body).is_ok(), "{}", request.line);
    }
}

/// After any request, every revision is a set of files with a unique name.
fn stores_only_gists(service: &GistService) {
    let mut names = BTreeSet::new();
    for seen in service.history(GIST) {
        assert!(
            names.insert(seen.revision),
            "{} is there twice",
            seen.revision
        );
        assert!((1..=1000).contains(&seen.files.len()));
        for (name, content) in &seen.files {
            assert!(
                (1..=255).contains(&name.len()) && !name.contains('/'),
                "{name:?}"
            );
            assert!(!name.contains(char::is_control), "{name:?}");
            assert!(!content.trim().is_empty(), "{name:?} is blank");
        }
    }
}

fn faults_read_back(json: &[u8]) {
    if let Ok(faults) = Faults::from_json(json) {
        let shown = faults.to_json();
        assert_eq!(
            Faults::from_json(shown.as_bytes()),
            Ok(faults.clone()),
            "{shown}"
        );
        assert_eq!(faults.merged(b"{}"), Ok(faults));
    }
}

/// Removes faults that make the service wait, drop requests or fail. Other tests cover them.
fn tame(service: &GistService) {
    let faults = service.faults();
    faults_read_back(faults.to_json().as_bytes());
    let (never, immediate) = (Probability::NEVER, Delay::default());
    service.set_faults(Faults {
        outage: false,
        read_ms: immediate,
        write_ms: immediate,
        hang_reads: never,
        hang_writes: never,
        drop: never,
        lost_answers: never,
        truncated_answers: never,
        late_writes: never,
        late_ms: immediate,
        duplicate_ms: immediate,
        race_window_ms: immediate,
        error_5xx: never,
        ..faults
    });
}
