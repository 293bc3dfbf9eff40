//! Each weather does what its name says, to a real client and a real service.

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

    /// A connection on which a request was answered.
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
    rig.proxy.set(Weather::Refusing);
    assert!(wire.is_closed());
    eventually("it listens no more", || !rig.proxy.is_listening());
    let refused = TcpStream::connect(rig.proxy.addr).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    rig.proxy.set(Weather::Clear);
    eventually("it listens", || rig.proxy.is_listening());
    rig.connected();
}

#[test]
fn resetting_proxy_resets_on_first_data() {
    let rig = Rig::new();
    let mut wire = rig.connected();
    rig.proxy.set(Weather::Resetting);
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
    rig.proxy.set(Weather::BlackHole);
    wire.send(rig.put("late"));
    let soon = Some(Duration::from_millis(300));
    wire.stream.set_read_timeout(soon).unwrap();
    let silence = wire.stream.read(&mut [0]).unwrap_err();
    assert_eq!(silence.kind(), ErrorKind::WouldBlock);
    drop(wire);
    let held = TcpStream::connect(rig.proxy.addr);
    assert!(held.is_ok(), "it accepts");
    assert_eq!(rig.content(), "before");
    rig.proxy.set(Weather::Clear);
    eventually("the write lands", || rig.content() == "late");
}

#[test]
fn slow_and_narrow_proxies_delay_answers() {
    let rig = Rig::new();
    for weather in [
        Weather::Slow(Duration::from_millis(200)),
        Weather::Narrow(2000),
    ] {
        rig.proxy.set(Weather::Clear);
        let mut wire = rig.connected();
        rig.proxy.set(weather);
        let started = Instant::now();
        wire.send(rig.put("slow"));
        assert_eq!(wire.answer().unwrap().status, 200);
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(390), "{weather:?}: {took:?}");
    }
}

#[test]
fn undelivered_request_writes_nothing() {
    let rig = Rig::new();
    let mut wire = rig.connected();
    rig.proxy.set(Weather::DeafToRequests);
    wire.send(rig.put("unheard"));
    assert!(wire.is_closed());
    assert_eq!(rig.content(), "before");
}

#[test]
fn write_lands_without_its_answer() {
    for weather in [Weather::DeafToAnswers, Weather::LosingAnswers] {
        let rig = Rig::new();
        rig.proxy.set(weather);
        let mut wire = Wire::connect(rig.proxy.addr);
        wire.send(rig.put("heard"));
        eventually("the write lands", || rig.content() == "heard");
        assert!(wire.answer().is_none(), "{weather:?}");
    }
}

#[test]
fn cut_answer_is_incomplete() {
    let rig = Rig::new();
    let mut wire = rig.connected();
    rig.proxy.set(Weather::CuttingAnswers);
    wire.send(rig.put("landed"));
    let mut seen = Vec::new();
    let _ = wire.stream.read_to_end(&mut seen);
    assert!(seen.starts_with(b"HTTP/1.1 200"), "{}", seen.len());
    rig.proxy.set(Weather::Clear);
    let whole = call(
        rig.proxy.addr,
        "GET",
        &format!("/gists/{}", rig.gist),
        &[],
        "",
    );
    assert!(seen.len() < whole.body.len(), "it is whole");
    assert_eq!(rig.content(), "landed");
}

#[test]
fn moved_service_gets_new_connections() {
    let rig = Rig::new();
    let (elsewhere, addr, _) = start();
    rig.proxy.lead_to(addr);
    call(rig.proxy.addr, "GET", "/gists", &[], "");
    assert_eq!(elsewhere.requests().total(), 1);
    assert_eq!(rig.service.requests().total(), 0);
    rig.proxy.lead_to("127.0.0.1:1".parse().unwrap());
    assert!(Wire::connect(rig.proxy.addr).is_closed());
}
