//! A program whose health is bad is stopped, and the lease given back.

use crate::support::eventually;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use elector::http::{Limits, ListenAddr, Response, Server, ShutdownHandle};

use crate::workload::scene::{IGNORES_TERM, Scene, WORKS, is_running};

/// Answers with a status that can be changed, and counts who asks.
struct Health {
    status: Arc<AtomicU16>,
    asked: Arc<AtomicU16>,
    url: String,
    server: ShutdownHandle,
}

impl Health {
    fn of(status: u16) -> Health {
        let server = Server::bind(&ListenAddr::loopback(0), Limits::default()).unwrap();
        let url = format!("http://{}/healthz", server.local_addr());
        let handle = server.handle();
        let status = Arc::new(AtomicU16::new(status));
        let asked = Arc::new(AtomicU16::new(0));
        let (answer, count) = (Arc::clone(&status), Arc::clone(&asked));
        std::thread::spawn(move || {
            server.serve(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                Response::text(answer.load(Ordering::SeqCst), "").into()
            })
        });
        Health {
            status,
            asked,
            url,
            server: handle,
        }
    }

    fn await_asked(&self, times: u16) {
        eventually(&format!("it is asked {times} times"), || {
            self.asked.load(Ordering::SeqCst) >= times
        });
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.server.shut_down();
    }
}

#[test]
fn a_program_that_was_healthy_and_is_not_any_more_is_stopped_and_the_lease_given_back() {
    for script in [WORKS, IGNORES_TERM] {
        let scene = Scene::new();
        let health = Health::of(200);
        let start = scene.with_script("first", script);
        let mut elector = scene.spawn(start.with("WORKLOAD_HEALTH_URL", &health.url));
        let program = scene.await_noted("works").pid;
        health.await_asked(1);
        health.status.store(500, Ordering::SeqCst);
        assert_eq!(elector.await_exit(), Some(1), "{}", elector.text());
        assert!(
            elector.said("failed 3 times in a row"),
            "{}",
            elector.text()
        );
        assert!(!is_running(program));
        assert_eq!(scene.holder(), "");
    }
}

#[test]
fn a_program_that_was_never_healthy_runs_on_and_a_standby_is_not_asked() {
    let scene = Scene::new();
    let health = Health::of(500);
    let idle = Health::of(500);
    let start = scene.with_script("first", WORKS);
    let mut elector = scene.spawn(start.with("WORKLOAD_HEALTH_URL", &health.url));
    scene.await_noted("works");
    let standby = scene.with_script("second", WORKS);
    let standby = scene.spawn(standby.with("WORKLOAD_HEALTH_URL", &idle.url));
    standby.await_said("All hail first");
    // Four failures: one more than would do.
    health.await_asked(4);
    assert!(elector.is_running());
    assert_eq!(idle.asked.load(Ordering::SeqCst), 0);
    elector.leave();
}
