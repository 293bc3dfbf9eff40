//! Tests each state of the network with a real client and a real service.

use super::*;
use crate::support::eventually;
use crate::support::wire::{Wire, call, request, start};
use elector::emulator::GistService;

struct Rig {
    service: GistService,
    proxy: Proxy,
    gist: String,
}

impl Rig {
    fn new() -> Rig {
        let (service, addr, gist) = start();
        let proxy = Proxy::to(addr);
        Rig {
            service,
            proxy,
            gist,
        }
    }

    fn put(&self, content: &str) -> String {
        let body = serde_json::json!({"files": {"leader.json": {"content": content}}});
        request(
            "PATCH",
            &format!("/gists/{}", self.gist),
            &[],
            &body.to_string(),
        )
    }

    fn content(&self) -> String {
        self.service.history(&self.gist)[0].files["leader.json"].clone()
    }

    /// Returns a connection on which the service has answered a request.
    fn connected(&self) -> Wire {
        let mut wire = Wire::connect(self.proxy.addr);
        wire.send(self.put("before"));
        assert_eq!(wire.answer().unwrap().status, 200);
        wire
    }
}

#[test]
fn clear_proxy_carries_requests_and_answers() {
    let rig = Rig::new();
    let mut wire = rig.connected();
    wire.send(rig.put("again"));
    assert_eq!(wire.answer().unwrap().status, 200);
    assert_eq!(rig.content(), "again");
}

#[test]
fn refusing_proxy_accepts_nothing_until_cleared() {
    let rig = Rig::new();
    let mut wire = rig.connected();
    rig.proxy.set(Network::Refusing);
    assert!(wire.is_closed());
    eventually("the proxy stops listening", || !rig.proxy.is_listening());
    let refused = TcpStream::connect(rig.proxy.addr).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    rig.proxy.set(Network::Healthy);
    eventually("the proxy listens", || rig.proxy.is_listening());
    rig.connected();
}

#[test]
fn resetting_proxy_resets_on_first_data() {
    let rig = Rig::new();
    let mut wire = rig.connected();
    rig.proxy.set(Network::Resetting);
    wire.send(rig.put("lost"));
    let mut byte = [0];
    let error = wire.stream.read(&mut byte).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(rig.content(), "before");
}

#[test]
fn black_hole_delivers_data_when_cleared() {
    let rig = Rig::new();
    let mut wire = rig.connected();
    rig.proxy.set(Network::BlackHole);
    wire.send(rig.put("late"));
    let soon = Some(Duration::from_millis(300));
    wire.stream.set_read_timeout(soon).unwrap();
    let silence = wire.stream.read(&mut [0]).unwrap_err();
    assert_eq!(silence.kind(), ErrorKind::WouldBlock);
    drop(wire);
    let held = TcpStream::connect(rig.proxy.addr);
    assert!(held.is_ok(), "the proxy accepts");
    assert_eq!(rig.content(), "before");
    rig.proxy.set(Network::Healthy);
    eventually("the write lands", || rig.content() == "late");
}

#[test]
fn slow_and_narrow_proxies_delay_answers() {
    let rig = Rig::new();
    for network in [
        Network::Slow(Duration::from_millis(200)),
        Network::Throttled(2000),
    ] {
        rig.proxy.set(Network::Healthy);
        let mut wire = rig.connected();
        rig.proxy.set(network);
        let started = Instant::now();
        wire.send(rig.put("slow"));
        assert_eq!(wire.answer().unwrap().status, 200);
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(390), "{network:?}: {took:?}");
    }
}

#[test]
fn undelivered_request_writes_nothing() {
    let rig = Rig::new();
    let mut wire = rig.connected();
    rig.proxy.set(Network::RequestsDropped);
    wire.send(rig.put("unheard"));
    assert!(wire.is_closed());
    assert_eq!(rig.content(), "before");
}

#[test]
fn write_lands_without_its_answer() {
    for network in [Network::AnswersClosed, Network::AnswersLost] {
        let rig = Rig::new();
        rig.proxy.set(network);
        let mut wire = Wire::connect(rig.proxy.addr);
        wire.send(rig.put("heard"));
        eventually("the write lands", || rig.content() == "heard");
        assert!(wire.answer().is_none(), "{network:?}");
    }
}

#[test]
fn cut_answer_is_incomplete() {
    let rig = Rig::new();
    let mut wire = rig.connected();
    rig.proxy.set(Network::AnswersTruncated);
    wire.send(rig.put("landed"));
    let mut seen = Vec::new();
    let _ = wire.stream.read_to_end(&mut seen);
    assert!(seen.starts_with(b"HTTP/1.1 200"), "{}", seen.len());
    rig.proxy.set(Network::Healthy);
    let whole = call(
        rig.proxy.addr,
        "GET",
        &format!("/gists/{}", rig.gist),
        &[],
        "",
    );
    assert!(seen.len() < whole.body.len(), "the answer is complete");
    assert_eq!(rig.content(), "landed");
}

#[test]
fn moved_service_gets_new_connections() {
    let rig = Rig::new();
    let (elsewhere, addr, _) = start();
    rig.proxy.forward_to(addr);
    call(rig.proxy.addr, "GET", "/gists", &[], "");
    assert_eq!(elsewhere.requests().total(), 1);
    assert_eq!(rig.service.requests().total(), 0);
    rig.proxy.forward_to("127.0.0.1:1".parse().unwrap());
    assert!(Wire::connect(rig.proxy.addr).is_closed());
}
