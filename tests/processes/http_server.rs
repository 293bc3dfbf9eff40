//! The HTTP server over real sockets: what it accepts, and what hostile clients cannot do to it.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::wire::{Wire, exchange};
use crate::support::{PATIENCE, eventually};
use elector::http::{Limits, ListenAddr, Reply, Request, Response, Server, ShutdownHandle, Waited};

struct Running {
    addr: SocketAddr,
    handle: ShutdownHandle,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shut_down();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(limits: Limits, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Running {
    let server = Server::bind(&ListenAddr::loopback(0), limits).unwrap();
    let (addr, handle) = (server.local_addr(), server.handle());
    let thread = Some(thread::spawn(move || server.serve(handler).unwrap()));
    Running {
        addr,
        handle,
        thread,
    }
}

/// Returns what the server understood.
fn echo(request: &Request) -> Reply {
    let body = String::from_utf8_lossy(request.body()).into_owned();
    let query = request.query("q").unwrap_or_default();
    Response::text(
        200,
        format!("{} {} {query} {body}", request.method(), request.path()),
    )
    .into()
}

fn small() -> Limits {
    Limits {
        head_bytes: 1024,
        headers: 10,
        body_bytes: 1000,
        request_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(300),
        ..Limits::default()
    }
}

#[test]
fn connection_serves_pipelined_requests() {
    let server = serve(Limits::default(), echo);
    let mut wire = Wire::connect(server.addr);
    wire.send(
        "GET /a?q=1 HTTP/1.1\r\nHost: h\r\n\r\n\r\nPOST /b HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nxyz\
         GET /c HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    assert_eq!(wire.answer().unwrap().text(), "GET /a 1 ");
    assert_eq!(wire.answer().unwrap().text(), "POST /b  xyz");
    assert_eq!(wire.answer().unwrap().text(), "GET /c  ");
    wire.send("GET /d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let last = wire.answer().unwrap();
    assert_eq!(last.header("connection"), Some("close"));
    assert!(wire.is_closed());
}

#[test]
fn http_1_0_connection_is_closed() {
    let server = serve(Limits::default(), echo);
    let mut wire = Wire::connect(server.addr);
    wire.send("GET /old HTTP/1.0\r\n\r\n");
    assert_eq!(wire.answer().unwrap().text(), "GET /old  ");
    assert!(wire.is_closed());
}

#[test]
fn head_response_has_length_only() {
    let server = serve(Limits::default(), echo);
    let mut wire = Wire::connect(server.addr);
    wire.send("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = wire.answer_to(true).unwrap();
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("9"))
    );
    assert_eq!(wire.answer().unwrap().text(), "GET /b  ");
}

#[test]
fn ended_server_drops_its_handler() {
    for _ in 0..200 {
        let held = Arc::new(());
        let in_handler = Arc::clone(&held);
        let server = serve(Limits::default(), move |request| {
            assert!(Arc::strong_count(&in_handler) > 1);
            echo(request)
        });
        let mut wires: Vec<Wire> = (0..8).map(|_| Wire::connect(server.addr)).collect();
        for wire in &mut wires {
            wire.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_eq!(wire.answer().unwrap().status, 200);
        }
        drop(server);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[test]
fn ambiguous_request_closes_connection() {
    let server = serve(small(), echo);
    for (request, status) in [
        ("nonsense\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            411,
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            411,
        ),
        ("GET / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n", 417),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
            417,
        ),
        ("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", 400),
    ] {
        let mut wire = Wire::connect(server.addr);
        wire.send(request);
        let answer = wire
            .answer()
            .unwrap_or_else(|| panic!("no answer to {request:?}"));
        assert_eq!(answer.status, status, "{request:?}");
        assert!(wire.is_closed(), "{request:?} left the connection open");
    }
}

#[test]
fn oversized_request_is_rejected_early() {
    let server = serve(small(), echo);
    let long = "x".repeat(2000);
    let many = "A: b\r\n".repeat(20);
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nA: {long}"), 431),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{many}\r\n"), 431),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1073741824\r\n\r\n".to_owned(),
            413,
        ),
        (
            format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n{long}"),
            413,
        ),
    ] {
        assert_eq!(
            exchange(server.addr, &request).unwrap().status,
            status,
            "{:.60}",
            request
        );
    }
}

#[test]
fn slow_request_meets_one_deadline() {
    let server = serve(small(), echo);
    let started = Instant::now();
    let mut wire = Wire::connect(server.addr);
    let dribbler = wire.stream.try_clone().unwrap();
    let writer = thread::spawn(move || {
        use std::io::Write;
        let deadline = Instant::now() + PATIENCE;
        // Each byte comes well inside of any timeout for a single read.
        while (&dribbler).write_all(b"G").is_ok() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(wire.answer().map(|answer| answer.status), Some(408));
    assert!(started.elapsed() < Duration::from_secs(10));
    drop(wire);
    writer.join().unwrap();
}

#[test]
fn half_body_and_idle_connection_end() {
    let server = serve(small(), echo);
    let half = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc";
    assert_eq!(exchange(server.addr, half).unwrap().status, 408);
    assert!(
        Wire::connect(server.addr).is_closed(),
        "a connection without a request"
    );
    let mut idle = Wire::connect(server.addr);
    idle.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(idle.answer().unwrap().status, 200);
    assert!(idle.is_closed(), "one that was idle after an answer");
}

#[test]
fn idle_connections_block_nobody() {
    let limits = Limits {
        connections: 320,
        request_timeout: PATIENCE,
        ..Limits::default()
    };
    let server = serve(limits, echo);
    let idle: Vec<Wire> = (0..300).map(|_| Wire::connect(server.addr)).collect();
    for _ in 0..50 {
        assert_eq!(
            exchange(server.addr, "GET / HTTP/1.0\r\n\r\n")
                .unwrap()
                .status,
            200
        );
    }
    drop(idle);
}

#[test]
fn connection_beyond_limit_gets_503() {
    let busy = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&busy);
    let server = serve(few(2), move |request| match request.path() {
        "/busy" => {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = request.wait_while_connected(PATIENCE);
            Reply::Drop
        }
        _ => echo(request),
    });
    let mut wires = [Wire::connect(server.addr), Wire::connect(server.addr)];
    for wire in &mut wires {
        wire.send("GET /busy HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    eventually("both are in use", || busy.load(Ordering::SeqCst) == 2);
    assert_eq!(exchange(server.addr, GET).unwrap().status, 503);
    drop(wires);
    eventually("there is room again", || {
        exchange(server.addr, GET).is_some_and(|answer| answer.status == 200)
    });
}

const GET: &str = "GET / HTTP/1.0\r\n\r\n";

/// Returns limits with few connections and long timeouts.
fn few(connections: usize) -> Limits {
    Limits {
        connections,
        request_timeout: PATIENCE * 10,
        idle_timeout: PATIENCE * 10,
        write_timeout: PATIENCE * 10,
        ..Limits::default()
    }
}

#[test]
fn longest_waiting_connection_is_replaced() {
    let server = serve(few(3), echo);
    let mut silent = [Wire::connect(server.addr), Wire::connect(server.addr)];
    let mut used = Wire::connect(server.addr);
    used.send("GET /used HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(used.answer().unwrap().status, 200);
    let mut newcomers = Vec::new();
    for earlier in &mut silent {
        let mut newcomer = Wire::connect(server.addr);
        newcomer.send("GET /new HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(newcomer.answer().unwrap().text(), "GET /new  ");
        newcomers.push(newcomer);
        assert!(earlier.is_closed());
    }
    used.send("GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(used.answer().unwrap().text(), "GET /again  ");
}

#[test]
fn half_request_is_replaced() {
    let server = serve(few(1), echo);
    let mut halfway = Wire::connect(server.addr);
    halfway.send("GET /half HTTP/1.1\r\nHost: h\r\n");
    eventually("another one is served", || {
        exchange(server.addr, GET).is_some_and(|answer| answer.status == 200)
    });
    assert!(halfway.is_closed());
}

#[test]
fn busy_connection_yields_between_requests() {
    let server = serve(few(1), echo);
    let mut greedy = Wire::connect(server.addr);
    let more = "GET /more HTTP/1.1\r\nHost: h\r\n\r\n";
    greedy.send(more);
    assert_eq!(greedy.answer().unwrap().status, 200);
    let asking = thread::spawn(move || {
        let mut answered = 10;
        while answered == 10 {
            greedy.send(more.repeat(10));
            answered = (0..10).take_while(|_| greedy.answer().is_some()).count();
        }
    });
    eventually("another one is served", || {
        exchange(server.addr, GET).is_some_and(|answer| answer.status == 200)
    });
    asking.join().unwrap();
}

#[test]
fn connection_flood_leaves_probe_answered() {
    const FLOOD: usize = 1000;
    let server = serve(few(64), echo);
    let addr = server.addr;
    let flood = thread::spawn(move || {
        let connect = |_| {
            // A faster client could fill the kernel's queue with its connections alone.
            thread::sleep(Duration::from_micros(500));
            TcpStream::connect_timeout(&addr, PATIENCE).unwrap()
        };
        (0..FLOOD).map(connect).collect::<Vec<_>>()
    });
    let mut probes = 0;
    while !flood.is_finished() || probes == 0 {
        // Probes are retried.
        let mut tries = (0..3).map(|_| exchange(server.addr, GET));
        assert!(tries.any(|answer| answer.is_some_and(|a| a.status == 200)));
        probes += 1;
    }
    // All of them are open, and a probe is still answered.
    let held = flood.join().unwrap();
    assert_eq!(exchange(server.addr, GET).unwrap().status, 200);
    assert_eq!(held.len(), FLOOD);
}

#[test]
fn slow_reader_is_replaced() {
    let body = Arc::new(vec![b'x'; 32 * 1024 * 1024]);
    let server = serve(few(1), move |request| match request.path() {
        "/large" => Response::text(200, body.to_vec()).into(),
        _ => echo(request),
    });
    let mut slow = Wire::connect(server.addr);
    slow.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    eventually("another one is served", || {
        exchange(server.addr, GET).is_some_and(|answer| answer.status == 200)
    });
}

#[test]
fn handler_panic_gives_500() {
    let server = serve(Limits::default(), |request| match request.path() {
        "/panic" => panic!("as this test wants it"),
        _ => echo(request),
    });
    let mut wire = Wire::connect(server.addr);
    wire.send("GET /panic HTTP/1.1\r\nHost: h\r\n\r\nGET /fine HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(wire.answer().unwrap().status, 500);
    assert_eq!(wire.answer().unwrap().text(), "GET /fine  ");
}

#[test]
fn handler_drops_truncates_and_hangs_up() {
    let late = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&late);
    let server = serve(Limits::default(), move |request| match request.path() {
        "/drop" => Reply::Drop,
        "/cut" => Reply::Truncate(Response::text(200, "0123456789")),
        "/hang-up" => {
            request.hang_up();
            if request.pause(Duration::from_millis(50)) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            Reply::Drop
        }
        _ => {
            let counted = Arc::clone(&counted);
            let after = Box::new(move || {
                counted.fetch_add(10, Ordering::SeqCst);
            });
            Reply::Afterwards(Response::text(200, "first"), after)
        }
    });
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(exchange(server.addr, get("/drop")).is_none());
    let mut cut = Wire::connect(server.addr);
    cut.send(get("/cut"));
    assert!(cut.answer().is_none());
    assert!(exchange(server.addr, get("/hang-up")).is_none());
    assert_eq!(
        exchange(server.addr, get("/after")).unwrap().text(),
        "first"
    );
    eventually("both went on working", || late.load(Ordering::SeqCst) == 11);
}

#[test]
fn waiting_handler_notices_closed_client() {
    let closed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&closed);
    let server = serve(Limits::default(), move |request| {
        if request.wait_while_connected(PATIENCE) == Waited::PeerGone {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        Reply::Drop
    });
    let mut wire = Wire::connect(server.addr);
    // More requests on the same connection do not count as a close.
    wire.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(closed.load(Ordering::SeqCst), 0);
    drop(wire);
    eventually("the handler returned", || {
        closed.load(Ordering::SeqCst) == 1
    });
}

#[test]
fn shutdown_wakes_all_within_grace() {
    let limits = Limits {
        request_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        ..Limits::default()
    };
    let entered = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&entered);
    let server = serve(limits, move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        match request.path() {
            "/wait" => assert_eq!(request.wait_while_connected(PATIENCE), Waited::ShuttingDown),
            "/pause" => assert!(!request.pause(PATIENCE)),
            _ => {}
        }
        Response::text(200, "woken").into()
    });
    let mut idle = Wire::connect(server.addr);
    let mut waiting = Wire::connect(server.addr);
    let mut pausing = Wire::connect(server.addr);
    waiting.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    pausing.send("GET /pause HTTP/1.1\r\nHost: h\r\n\r\n");
    eventually("both are in their handlers", || {
        entered.load(Ordering::SeqCst) == 2
    });
    let started = Instant::now();
    drop(server);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(waiting.answer().unwrap().text(), "woken");
    assert_eq!(pausing.answer().unwrap().text(), "woken");
    assert!(idle.is_closed());
}

#[test]
fn large_response_arrives_whole() {
    let body = Arc::new(vec![b'x'; 8 * 1024 * 1024]);
    let shared = Arc::clone(&body);
    let server = serve(Limits::default(), move |_| {
        Response::text(200, shared.to_vec()).into()
    });
    let answer = exchange(server.addr, "GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(answer.body.len(), body.len());
}
