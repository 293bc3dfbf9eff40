//! Electors and candidates of the real client-go on the same Lease.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::election::{TIMES, check, elector};
use crate::kubernetes::{self, NAMESPACE};
use crate::place::Place;
use crate::support::process::program::{Elector, Output, Start};
use crate::support::tools;

/// Lease of [`TIMES`].
const LEASE: Duration = Duration::from_secs(6);

/// Time within which the other side leads after a kill: the lease, and up to two retry periods of client-go,
/// each of which it lengthens by up to 1.2 of it.
const SOON: Duration = Duration::from_secs(11);

/// Builds the candidate. Returns `None` if Go is missing.
fn program() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = PROGRAM.get_or_init(|| {
        let folders = [PathBuf::from("/usr/local/go/bin")];
        let compiler = tools::find_also_in(&folders, &["go"], "client-go is NOT tested")?;
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let program = root.join("target/stores/client-go");
        let status = Command::new(compiler)
            .current_dir(root.join("tests/stores/client-go"))
            .env("CGO_ENABLED", "0")
            .args(["build", "-trimpath", "-o"])
            .arg(&program)
            .arg(".")
            .status();
        assert!(status.unwrap().success(), "the candidate cannot be built");
        Some(program)
    });
    built.clone()
}

/// An elector and a candidate of client-go, one Lease.
struct Pair {
    place: Place,
    program: PathBuf,
    name: &'static str,
    outputs: Vec<Arc<Output>>,
}

impl Pair {
    fn new(name: &'static str) -> Option<Pair> {
        let place = kubernetes::place(name)?;
        Some(Pair {
            place,
            program: program()?,
            name,
            outputs: Vec::new(),
        })
    }

    fn keep(&mut self, start: Start) -> Elector {
        let process = start.spawn();
        self.outputs.push(process.output());
        process
    }

    fn elector(&mut self) -> Elector {
        let start = elector(&self.place, "elector");
        self.keep(start)
    }

    fn client_go(&mut self) -> Elector {
        let ca_file = self.place.ca_file.clone().unwrap();
        let start = Start::of("client-go", Command::new(&self.program))
            .with_all(TIMES)
            .with("LEADER_NAME", "client-go")
            .with("API_SERVER", format!("https://{}", self.place.server()))
            .with("API_TOKEN", self.place.setting("LOCK_TOKEN"))
            .with("API_CA_FILE", ca_file)
            .with("NAMESPACE", NAMESPACE)
            .with("NAME", self.name);
        self.keep(start)
    }
}

/// Waits until this one leads, which must be between the lease and a little later.
fn await_takeover(process: &Elector, since: Instant, earliest: Duration) {
    process.await_leading();
    let took = since.elapsed();
    println!("took over after {} s", took.as_secs_f32());
    assert!(
        took >= earliest && took <= SOON,
        "{took:?}\n{}",
        process.text()
    );
}

/// Part of the lease that is left at least when its holder is killed.
const REST: Duration = Duration::from_millis(4000);

#[test]
fn client_go_replaces_killed_elector() {
    let Some(mut pair) = Pair::new("to-client-go") else {
        return;
    };
    let mut elector = pair.elector();
    elector.await_leading();
    let mut client_go = pair.client_go();
    std::thread::sleep(LEASE / 2);
    assert_eq!(client_go.leads(), None);
    elector.kill();
    await_takeover(&client_go, Instant::now(), REST);
    // And back: client-go is killed.
    let elector = pair.elector();
    elector.await_observed("client-go");
    client_go.kill();
    await_takeover(&elector, Instant::now(), REST);
    check(&pair.outputs);
}

#[test]
fn elector_awaits_lease_of_client_go() {
    let Some(mut pair) = Pair::new("to-elector") else {
        return;
    };
    let mut client_go = pair.client_go();
    client_go.await_leading();
    let elector = pair.elector();
    elector.await_observed("client-go");
    // A release by client-go is a foreign write.
    client_go.signal(Signal::SIGTERM);
    assert_eq!(client_go.await_exit(), Some(0));
    await_takeover(&elector, Instant::now(), LEASE - Duration::from_millis(500));
    check(&pair.outputs);
}

#[test]
fn client_go_acquires_released_lease() {
    let Some(mut pair) = Pair::new("released") else {
        return;
    };
    let mut elector = pair.elector();
    elector.await_leading();
    let client_go = pair.client_go();
    std::thread::sleep(LEASE / 2);
    elector.leave();
    let left = Instant::now();
    client_go.await_leading();
    assert!(left.elapsed() < LEASE, "{:?}", left.elapsed());
    check(&pair.outputs);
}

#[test]
fn frozen_client_go_is_waited_for() {
    let Some(mut pair) = Pair::new("frozen") else {
        return;
    };
    let client_go = pair.client_go();
    client_go.await_leading();
    let elector = pair.elector();
    elector.await_observed("client-go");
    client_go.freeze();
    await_takeover(&elector, Instant::now(), REST);
    // Its late renewal is refused, because the Lease has another version.
    client_go.signal(Signal::SIGCONT);
    std::thread::sleep(LEASE / 2);
    assert!(elector.leads().is_some(), "{}", elector.text());
    check(&pair.outputs);
}
