//! Unhealthy programs are stopped and the lease is released.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use elector::http::{Limits, ListenAddr, Response, Server, ShutdownHandle};

use crate::endpoints::watched::spawn;
use crate::support::eventually;
use crate::workload::scene::{IGNORES_TERM, Scene, WORKS, is_running};

/// A server that answers health checks with a variable status, and counts them.
struct Health {
    status: Arc<AtomicU16>,
    checks: Arc<AtomicU16>,
    url: String,
    server: ShutdownHandle,
}

impl Health {
    fn of(status: u16) -> Health {
        let server = Server::bind(&ListenAddr::loopback(0), Limits::default()).unwrap();
        let url = format!("http://{}/healthz", server.local_addr());
        let handle = server.handle();
        let status = Arc::new(AtomicU16::new(status));
        let checks = Arc::new(AtomicU16::new(0));
        let (answer, count) = (Arc::clone(&status), Arc::clone(&checks));
        std::thread::spawn(move || {
            server.serve(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                Response::text(answer.load(Ordering::SeqCst), "").into()
            })
        });
        Health {
            status,
            checks,
            url,
            server: handle,
        }
    }

    fn await_checks(&self, times: u16) {
        eventually(&format!("{times} health checks"), || {
            self.checks.load(Ordering::SeqCst) >= times
        });
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.server.shut_down();
    }
}

#[test]
fn leader_is_ready_once_program_answers() {
    let scene = Scene::new();
    let health = Health::of(500);
    let start = scene.with_script("first", WORKS);
    let start = start.with_all([
        ("READY_WHEN", "leader"),
        ("ELECTOR_HTTP_ADDR", "127.0.0.1:0"),
        ("WORKLOAD_HEALTH_URL", &health.url),
    ]);
    let first = spawn(&scene, start);
    scene.await_noted("works");
    health.await_checks(1);
    assert_eq!(first.get("/leader").status, 200);
    let refused = first.get("/readyz");
    assert_eq!(refused.status, 503);
    let printed = refused.text();
    assert!(
        printed.contains("has not answered WORKLOAD_HEALTH_URL yet"),
        "{printed}"
    );
    assert_eq!(first.status()["workload"]["health"], "starting");
    health.status.store(200, Ordering::SeqCst);
    eventually("it is ready", || first.get("/readyz").status == 200);
    assert_eq!(first.metric("elector_workload_healthy"), Some(1.0));
}

#[test]
fn program_is_ready_without_health_url() {
    let scene = Scene::new();
    let start = scene.with_script("first", WORKS);
    let start = start.with_all([
        ("READY_WHEN", "leader"),
        ("ELECTOR_HTTP_ADDR", "127.0.0.1:0"),
    ]);
    let first = spawn(&scene, start);
    let program = scene.await_noted("works").pid;
    eventually("it is ready", || first.get("/readyz").status == 200);
    assert_eq!(first.metric("elector_workload_healthy"), None);
    assert_eq!(first.ask("POST", "/step-down", &[]).status, 202);
    eventually("it is not ready", || first.get("/readyz").status == 503);
    eventually("the program has ended", || !is_running(program));
}

#[test]
fn unhealthy_program_is_stopped_lease_released() {
    for script in [WORKS, IGNORES_TERM] {
        let scene = Scene::new();
        let health = Health::of(200);
        let start = scene.with_script("first", script);
        let mut elector = scene.spawn(start.with("WORKLOAD_HEALTH_URL", &health.url));
        let program = scene.await_noted("works").pid;
        health.await_checks(1);
        health.status.store(500, Ordering::SeqCst);
        assert_eq!(elector.await_exit(), Some(1), "{}", elector.text());
        assert!(
            elector.has_text("failed 3 times in a row"),
            "{}",
            elector.text()
        );
        assert!(!is_running(program));
        let stopped = elector.last_logged("stopped_leading");
        assert_eq!(stopped.text("reason"), "unhealthy");
        assert_eq!(scene.holder(), "");
    }
}

#[test]
fn never_healthy_program_keeps_running() {
    let scene = Scene::new();
    let health = Health::of(500);
    let idle = Health::of(500);
    let start = scene.with_script("first", WORKS);
    let mut elector = scene.spawn(start.with("WORKLOAD_HEALTH_URL", &health.url));
    scene.await_noted("works");
    let standby = scene.with_script("second", WORKS);
    let standby = scene.spawn(standby.with("WORKLOAD_HEALTH_URL", &idle.url));
    standby.await_observed("first");
    // Four failures, one more than the threshold.
    health.await_checks(4);
    assert!(elector.is_running());
    assert_eq!(idle.checks.load(Ordering::SeqCst), 0);
    elector.leave();
}
