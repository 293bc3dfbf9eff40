//! GitHub's limits: waits, and how writes count.

use super::*;

#[test]
fn retry_after_is_obeyed() {
    let clock = Clock::default();
    clock.set(1_000);
    let slow = status(403, &[("retry-after", "60")], "secondary rate limit");
    let server = Server::new([slow, good()]);
    let mut config = config(&server.url());
    config.clock = clock.reader();
    let mut client = GistClient::new(config).unwrap();
    assert_throttled(client.call(&write(), AMPLE), 60);
    clock.set(1_030);
    assert_throttled(client.call(&write(), AMPLE), 30);
    assert_throttled(client.call(&read(), AMPLE), 30);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(client.stats().held_back, 2);
    clock.set(1_060);
    assert!(client.call(&read(), AMPLE).reply.is_ok());
}

#[test]
fn waits_double_without_retry_after() {
    let clock = Clock::default();
    let server = Server::new(vec![status(429, &[], "slow down"); 3]);
    let mut config = config(&server.url());
    config.clock = clock.reader();
    let mut client = GistClient::new(config).unwrap();
    for (now, wait) in [(0, 60), (60, 120), (180, 240)] {
        clock.set(now);
        assert_throttled(client.call(&read(), AMPLE), wait);
    }
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn other_servers_have_no_write_limits() {
    let server = Server::new(vec![good(); 3]);
    let mut config = config(&server.url());
    config.write_limits = WriteLimits {
        per_minute: 1,
        per_hour: 1,
        longest_gap: Duration::from_secs(3600),
    };
    let mut client = GistClient::new(config).unwrap();
    for _ in 0..3 {
        assert!(client.call(&write(), AMPLE).reply.is_ok());
    }
}

/// Returns a client for github.com that may write once, through a proxy to `server`.
fn client_with_one_write(server: &Server) -> GistClient {
    let (address, _) = proxy(server.address, "HTTP/1.1 200 OK\r\n\r\n");
    let mut config = config("http://api.github.com");
    config.proxy.http_proxy = Some(format!("http://{address}"));
    config.write_limits = WriteLimits {
        per_minute: 1,
        per_hour: 10,
        longest_gap: Duration::from_secs(3600),
    };
    GistClient::new(config).unwrap()
}

#[test]
fn unanswered_writes_count_against_limit() {
    for step in [
        Step::Close,
        Step::Hang,
        Step::Trickle("HTTP/1.1 200 OK\r\nx: ".into()),
        Step::Last(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec()),
        status(502, &[], "Bad Gateway"),
    ] {
        let server = Server::new([step, good()]);
        let mut client = client_with_one_write(&server);
        let first = client.call(&write(), Duration::from_millis(500));
        assert!(
            matches!(first.reply, Err(LockError::OutcomeUnknown(_))),
            "{first:?}"
        );
        assert_throttled(client.call(&write(), AMPLE), 60);
        assert_eq!(server.requests().len(), 1, "the second was not sent");
        assert!(client.call(&read(), AMPLE).reply.is_ok(), "reads pass");
    }
}

#[test]
fn unsent_writes_do_not_count() {
    let (refusing, _) = proxy(Server::new([]).address, "HTTP/1.1 502 Away\r\n\r\n");
    let mut config = config("http://api.github.com");
    config.proxy.http_proxy = Some(format!("http://{refusing}"));
    config.write_limits.per_minute = 1;
    let mut client = GistClient::new(config).unwrap();
    for _ in 0..3 {
        assert_unavailable(client.call(&write(), AMPLE), "502");
    }
}
