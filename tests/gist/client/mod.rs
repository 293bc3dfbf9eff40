//! Gist client over real sockets, against a server that misbehaves on command.

mod addresses;
mod limits;
mod secrets;
mod server;
mod tls;
mod tokens;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as Monotonic};

use elector::election::config::LeaderElectionConfig;
use elector::election::lock::LockError;
use elector::election::time::Instant;
use elector::lock::gist::client::{ClientConfig, GistClient, WriteLimits, check_api_url};
use elector::lock::gist::wire::{Answer, Reply, Request, Text};
use elector::net::{AccessTokenSource, ProxySettings};
use server::{Server, Step, gist, gzip, http, proxy, sha};

/// Timeout that no call reaches on a slow machine. Tests that wait for a timeout use less.
const AMPLE: Duration = Duration::from_secs(20);

/// Access token that is easy to find in texts.
pub(crate) const TOKEN: &str = "ghp_SECRETSECRET";

/// Clock that tests set, in seconds.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    fn reader(&self) -> Box<dyn Fn() -> Instant + Send> {
        let seconds = Arc::clone(&self.0);
        Box::new(move || Instant::from_boot(Duration::from_secs(seconds.load(Ordering::SeqCst))))
    }
}

fn config(url: &str) -> ClientConfig {
    ClientConfig {
        api_url: check_api_url(url, true).unwrap(),
        gist_id: "aa5a315d61ae9438b18d".parse().unwrap(),
        file: Some("lease.json".into()),
        access_token: AccessTokenSource::Value(TOKEN.into()),
        ca_file: None,
        proxy: ProxySettings::default(),
        write_limits: WriteLimits::github(&LeaderElectionConfig::new("baz")),
        clock: Clock::default().reader(),
    }
}

fn client(url: &str) -> GistClient {
    secrets::listen();
    GistClient::new(config(url)).unwrap()
}

fn read() -> Request {
    Request::Gist {
        etag: None,
        until: None,
    }
}

fn write() -> Request {
    Request::Write {
        content: "mine".into(),
        until: sha(0).parse().unwrap(),
    }
}

fn good() -> Step {
    Step::Answer(http(200, &[], &gist("x", 3)))
}

fn status(status: u16, headers: &[(&str, &str)], message: &str) -> Step {
    let body = format!(r#"{{"message":"{message}"}}"#);
    Step::Answer(http(status, headers, &body))
}

fn text(answer: &Answer) -> &str {
    match &answer.reply {
        Ok(Reply::Gist(page)) => match &page.text {
            Text::Whole(text) => text,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn error(answer: Answer) -> LockError {
    answer.reply.unwrap_err()
}

#[track_caller]
fn assert_unavailable(answer: Answer, with: &str) {
    match error(answer) {
        LockError::Unavailable(why) => assert!(why.contains(with), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_unknown(answer: Answer, with: &str) {
    match error(answer) {
        LockError::OutcomeUnknown(why) => assert!(why.contains(with), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_throttled(answer: Answer, seconds: u64) {
    match error(answer) {
        LockError::RateLimited { retry_after, .. } => {
            assert_eq!(retry_after, Duration::from_secs(seconds));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn read_returns_page_and_headers() {
    let headers = [
        ("Date", "Mon, 27 Apr 2020 17:24:06 GMT"),
        ("ETag", "W/\"7b67\""),
        ("X-OAuth-Scopes", "gist"),
        ("X-RateLimit-Limit", "5000"),
        ("X-RateLimit-Remaining", "4975"),
        ("X-RateLimit-Reset", "1588010945"),
    ];
    let server = Server::new([
        Step::Answer(http(200, &headers, &gist("hello", 3))),
        Step::Answer("HTTP/1.1 304 Not Modified\r\n\r\n".into()),
    ]);
    let mut client = client(&server.url());
    let answer = client.call(&read(), AMPLE);
    assert_eq!(text(&answer), "hello");
    assert_eq!(answer.date, Some(1_588_008_246));
    let Ok(Reply::Gist(page)) = answer.reply else {
        panic!("no gist");
    };
    assert_eq!(page.scopes.as_deref(), Some("gist"));
    assert_eq!(page.history.len(), 3);
    let again = Request::Gist {
        etag: page.etag,
        until: None,
    };
    let answer = client.call(&again, AMPLE);
    assert_eq!(answer.reply, Ok(Reply::NotModified));
    let requests = server.requests();
    assert!(requests[0].starts_with("GET /gists/aa5a315d61ae9438b18d HTTP/1.1\r\n"));
    assert!(requests[0].contains(&format!("authorization: Bearer {TOKEN}\r\n")));
    assert!(requests[1].contains("if-none-match: W/\"7b67\"\r\n"));
    assert_eq!(server.connections(), 1, "one connection serves both");
    let stats = client.stats();
    assert_eq!((stats.not_modified, stats.unanswered), (1, 0));
    assert_eq!(stats.rate_limit.map(|rate| rate.remaining), Some(4975));
}

#[test]
fn write_is_one_unconditional_patch() {
    let server = Server::new([good()]);
    let mut client = client(&format!("{}/api/v3/", server.url()));
    assert_eq!(text(&client.call(&write(), AMPLE)), "x");
    let requests = server.requests();
    assert!(requests[0].starts_with("PATCH /api/v3/gists/aa5a315d61ae9438b18d HTTP/1.1\r\n"));
    assert!(!requests[0].to_ascii_lowercase().contains("if-match"));
    assert!(requests[0].ends_with(r#"{"files":{"lease.json":{"content":"mine"}}}"#));
}

#[test]
fn messages_longer_than_buffers_arrive_whole() {
    let long = "0123456789".repeat(20_000);
    let server = Server::new([Step::Answer(http(200, &[], &gist(&long, 3)))]);
    let write = Request::Write {
        content: long.clone(),
        until: sha(0).parse().unwrap(),
    };
    assert_eq!(text(&client(&server.url()).call(&write, AMPLE)), long);
    assert!(server.requests()[0].contains(&long));
}

#[test]
fn oversized_head_is_refused() {
    let answer_to_head_of = |kib: usize| {
        let filler = "x".repeat(kib * 1024);
        let answer = http(200, &[("X-Filler", &filler)], &gist("x", 3));
        let server = Server::new([Step::Answer(answer)]);
        client(&server.url()).call(&read(), AMPLE)
    };
    assert_eq!(text(&answer_to_head_of(31)), "x");
    for kib in [33, 50, 500] {
        println!("{kib} KiB");
        assert_unavailable(answer_to_head_of(kib), "header is too big");
    }
}

#[test]
fn interim_answers_are_passed_over() {
    let interim = |status| match status {
        100 => "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
        _ => format!("HTTP/1.1 {status} Wait\r\nlink: </x>; rel=preload\r\n\r\n"),
    };
    let many = [100, 103, 102, 103].map(interim).concat();
    let links = format!("link: </{}>\r\n", "x".repeat(10_000)).repeat(3);
    let large = format!("HTTP/1.1 103 Early Hints\r\n{links}\r\n");
    for before in [interim(100), interim(102), interim(103), many, large] {
        for size in [10, 30_000, 60_000, 500_000] {
            let long = "x".repeat(size);
            let answer = before.clone() + &http(200, &[], &gist(&long, 3));
            let server = Server::new(vec![Step::Answer(answer); 4]);
            let (address, _) = proxy(server.address, "HTTP/1.1 200 OK\r\n\r\n");
            let mut proxied = config("http://ghe.invalid");
            proxied.proxy.http_proxy = Some(address.to_string());
            for mut client in [client(&server.url()), GistClient::new(proxied).unwrap()] {
                for request in [read(), write()] {
                    assert_eq!(text(&client.call(&request, AMPLE)), long);
                }
            }
        }
    }
}

#[test]
fn file_can_be_chosen_later() {
    let server = Server::new([good(), good()]);
    let mut config = config(&server.url());
    config.file = None;
    let mut client = GistClient::new(config).unwrap();
    assert_eq!(text(&client.call(&read(), AMPLE)), "x");
    let refused = error(client.call(&write(), AMPLE));
    assert!(matches!(refused, LockError::Refused(_)), "{refused:?}");
    client.set_file("lease.json");
    let place = format!(
        "file \"lease.json\" of gist aa5a315d61ae9438b18d at {}",
        client.target().api
    );
    assert_eq!(client.describe(), place);
    assert!(client.call(&write(), AMPLE).reply.is_ok());
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn hung_server_times_out() {
    let server = Server::new([Step::Hang, Step::Hang]);
    let mut client = client(&server.url());
    let started = Monotonic::now();
    assert_unavailable(client.call(&read(), Duration::from_millis(300)), "300");
    assert_unknown(client.call(&write(), Duration::from_millis(300)), "300");
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(600), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn trickling_answer_times_out() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{";
    for start in ["", "HTTP/1.1 200 OK\r\nx: ", head] {
        let server = Server::new([Step::Trickle(start.into()), Step::Trickle(start.into())]);
        let mut client = client(&server.url());
        let started = Monotonic::now();
        assert_unavailable(
            client.call(&read(), Duration::from_millis(300)),
            "127.0.0.1",
        );
        assert_unknown(
            client.call(&write(), Duration::from_millis(300)),
            "127.0.0.1",
        );
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "{start:?}: {took:?}");
    }
}

#[test]
fn unneeded_rest_does_not_delay_answer() {
    let body = gist("x", 40);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{body}");
    let server = Server::new([Step::Trickle(head), good()]);
    let mut client = client(&server.url());
    let started = Monotonic::now();
    assert_eq!(text(&client.call(&read(), AMPLE)), "x");
    assert!(started.elapsed() < AMPLE / 2);
    assert!(client.call(&read(), AMPLE).reply.is_ok());
    assert_eq!(server.connections(), 2, "the first one is not used again");
}

#[test]
fn only_new_connection_looks_up_name() {
    secrets::listen();
    let server = Server::new([good(), good(), Step::Close, good()]);
    let port = server.address.port();
    let look_ups = || {
        let printed = format!("resolving host host=localhost port={port}\n");
        secrets::heard().matches(&printed).count()
    };
    let mut client = client(&format!("http://localhost:{port}"));
    for _ in 0..2 {
        assert_eq!(text(&client.call(&read(), AMPLE)), "x");
    }
    assert_eq!((server.connections(), look_ups()), (1, 1));
    // The next one meets a closed connection, and is tried again on a new one.
    assert_eq!(text(&client.call(&read(), AMPLE)), "x");
    // Its addresses are cached, so the second lookup runs in the background.
    let end = Monotonic::now() + AMPLE;
    while look_ups() < 2 {
        assert!(Monotonic::now() < end, "no second lookup");
        std::thread::yield_now();
    }
    assert_eq!((server.connections(), look_ups()), (2, 2));
}

#[test]
fn long_history_keeps_connection() {
    let long = Step::Answer(http(200, &[], &gist("x", 1_000)));
    let server = Server::new([long.clone(), long, good()]);
    let mut client = client(&server.url());
    for request in [read(), write(), read()] {
        assert!(client.call(&request, AMPLE).reply.is_ok());
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn missing_answer_leaves_write_unknown() {
    let server = Server::new([Step::Close, Step::Close]);
    let mut client = client(&server.url());
    assert_unavailable(client.call(&read(), AMPLE), "closed the connection");
    assert_unknown(client.call(&write(), AMPLE), "closed the connection");
    assert_eq!(client.stats().unanswered, 2);
}

#[test]
fn broken_answer_leaves_write_unknown() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{\"files\":{";
    let html = http(200, &[], "<html>Welcome to the hotel</html>");
    let chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    let noise = "SSH-2.0-OpenSSH_9.9\r\n\r\n";
    let corrupt = http(200, &[("content-encoding", "gzip")], "no gzip at all");
    for broken in [cut, &html, chunk, noise, &corrupt] {
        let server = Server::new([
            Step::Last(broken.as_bytes().to_vec()),
            Step::Last(broken.as_bytes().to_vec()),
        ]);
        let mut client = client(&server.url());
        assert_unavailable(client.call(&read(), AMPLE), "127.0.0.1");
        assert_unknown(client.call(&write(), AMPLE), "127.0.0.1");
    }
}

#[test]
fn compressed_answer_keeps_connection() {
    let body = gist("packed", 1_000);
    let server = Server::new(vec![Step::Gzip(gzip([body.as_bytes()])); 2]);
    let mut client = client(&server.url());
    assert_eq!(text(&client.call(&read(), AMPLE)), "packed");
    assert_eq!(text(&client.call(&write(), AMPLE)), "packed");
    assert!(server.requests()[0].contains("accept-encoding: gzip\r\n"));
    assert_eq!(server.connections(), 1);
}

#[test]
fn decompression_bomb_is_refused() {
    let blanks = vec![b' '; 1024 * 1024];
    let pieces = std::iter::once(&b"{\"files\":"[..]).chain(vec![&blanks[..]; 64]);
    let bomb = Step::Gzip(gzip(pieces));
    let server = Server::new([bomb.clone(), bomb]);
    let mut client = client(&server.url());
    assert_unavailable(client.call(&read(), AMPLE), "16 MiB");
    assert_unknown(client.call(&write(), AMPLE), "16 MiB");
}

#[test]
fn corrupt_answers_never_panic_or_hang() {
    let whole = http(200, &[("etag", "W/\"1\"")], &gist("x", 3)).into_bytes();
    let body = gist("x", 3);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let samples = [whole, chunked.into_bytes()];
    let mut random = fastrand::Rng::with_seed(11);
    let server = Server::new([]);
    for round in 0..600 {
        let mut client = client(&server.url());
        let mut bytes = samples[round % 2].clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len().min(400));
            match random.u8(..3) {
                0 => bytes[at] = random.u8(..),
                1 => drop(bytes.drain(at..(at + 5).min(bytes.len()))),
                _ => bytes.insert(at, b"0\r\n:;f,"[random.usize(..7)]),
            }
        }
        server.then(Step::Last(bytes.clone()));
        let request = if random.bool() { read() } else { write() };
        let started = Monotonic::now();
        let reply = client.call(&request, Duration::from_secs(2)).reply;
        assert!(started.elapsed() < Duration::from_secs(10));
        // Whatever the status, no wait is longer than about an hour.
        if let Err(LockError::RateLimited { retry_after, .. }) = reply {
            assert!(retry_after <= Duration::from_secs(3_660));
        }
    }
}

#[test]
fn failed_connection_means_not_sent() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let mut refused = client(&format!("http://{address}"));
    let mut nameless = client("http://nowhere.invalid");
    for request in [read(), write()] {
        let to = format!("cannot connect to {address}");
        assert_unavailable(refused.call(&request, AMPLE), &to);
        let to = "cannot resolve nowhere.invalid";
        assert_unavailable(nameless.call(&request, AMPLE), to);
        assert_unavailable(refused.call(&request, Duration::ZERO), "");
    }
}

#[test]
fn read_survives_closed_idle_connection() {
    let server = Server::new([good(), Step::Close, good()]);
    let mut client = client(&server.url());
    assert!(client.call(&read(), AMPLE).reply.is_ok());
    // The second request goes over the kept connection, is not answered, and goes out again.
    assert!(client.call(&read(), AMPLE).reply.is_ok());
    assert_eq!((server.requests().len(), server.connections()), (3, 2));
}

#[test]
fn write_over_closed_connection_is_unknown() {
    let server = Server::new([good(), Step::Close, good()]);
    let mut client = client(&server.url());
    assert!(client.call(&read(), AMPLE).reply.is_ok());
    assert_unknown(client.call(&write(), AMPLE), "closed the connection");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn single_401_is_retried_immediately() {
    let server = Server::new([status(401, &[], "Bad credentials"), good()]);
    let mut client = client(&server.url());
    assert!(client.call(&write(), AMPLE).reply.is_ok());
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn second_401_stops_retries() {
    let server = Server::new(vec![status(401, &[], "Bad credentials"); 3]);
    let mut client = client(&server.url());
    for requests in [2, 3] {
        match error(client.call(&read(), AMPLE)) {
            LockError::Unauthorized(why) => assert!(why.contains("401 Bad credentials"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(server.requests().len(), requests);
    }
    server.then(good());
    assert!(client.call(&read(), AMPLE).reply.is_ok());
    server.then(status(401, &[], "Bad credentials"));
    server.then(good());
    assert!(client.call(&read(), AMPLE).reply.is_ok(), "trusted again");
}
