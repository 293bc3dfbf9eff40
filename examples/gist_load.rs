//! Load on the gist service: many clients poll one gist every 200 ms while it is written to.
//!
//! `cargo run --example gist_load [CLIENTS] [SECONDS] [REVISIONS] [WRITE_MS]` prints how long the polls
//! took and by how much the worst one was late; a client falls behind when that passes its period.

#[path = "../tests/support/wire.rs"]
mod wire;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use elector::emulator::{GistService, Options};
use wire::{Wire, request};

const PERIOD: Duration = Duration::from_millis(200);

struct Seen {
    took: Vec<Duration>,
    worst_lag: Duration,
    fresh: usize,
}

fn main() {
    let number = |n: usize, default: usize| {
        std::env::args()
            .nth(n)
            .and_then(|a| a.parse().ok())
            .unwrap_or(default)
    };
    let (clients, seconds, revisions, write_ms) = (
        number(1, 50),
        number(2, 10),
        number(3, 100),
        number(4, 1000),
    );
    let service = GistService::start(Options::default()).expect("the service starts");
    let addr: SocketAddr = service
        .url()
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    let id = service
        .create_gist(&[("leader.json", "{}")])
        .expect("a gist");
    let write = |n: usize| {
        let content = format!("{n:0300}");
        service
            .edit(&id, |files| {
                files.insert("leader.json".to_owned(), content);
            })
            .expect("a write");
    };
    (0..revisions).for_each(write);
    let end = Instant::now() + Duration::from_secs(seconds as u64);
    let path = format!("/gists/{id}");
    let pollers: Vec<_> = (0..clients)
        .map(|n| {
            let path = path.clone();
            let start = Instant::now() + PERIOD * u32::try_from(n).unwrap_or(0) / 50;
            thread::spawn(move || poll(addr, &path, n, start, end))
        })
        .collect();
    let mut writes = 0;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(write_ms as u64));
        write(revisions + writes);
        writes += 1;
    }
    let seen: Vec<Seen> = pollers
        .into_iter()
        .map(|poller| poller.join().expect("a poller"))
        .collect();
    let mut took: Vec<Duration> = seen
        .iter()
        .flat_map(|one| one.took.iter().copied())
        .collect();
    took.sort_unstable();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
    let fresh: usize = seen.iter().map(|one| one.fresh).sum();
    let lag = seen
        .iter()
        .map(|one| one.worst_lag)
        .max()
        .unwrap_or_default();
    println!(
        "{clients} clients, {} polls ({fresh} full answers), {writes} writes, {} revisions",
        took.len(),
        revisions + writes
    );
    println!(
        "poll: median {:?}, 99% {:?}, worst {:?}; latest start {lag:?} behind",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn poll(addr: SocketAddr, path: &str, n: usize, start: Instant, end: Instant) -> Seen {
    let token = format!("Bearer t{n}");
    let mut seen = Seen {
        took: Vec::new(),
        worst_lag: Duration::ZERO,
        fresh: 0,
    };
    let mut wire = Wire::connect(addr);
    let mut etag = String::new();
    let mut due = start;
    while due < end {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let begun = Instant::now();
        seen.worst_lag = seen.worst_lag.max(begun - due);
        wire.send(request(
            "GET",
            path,
            &[("Authorization", &token), ("If-None-Match", &etag)],
            "",
        ));
        let answer = wire.answer().expect("an answer");
        seen.took.push(begun.elapsed());
        if answer.status == 200 {
            seen.fresh += 1;
            answer
                .header("etag")
                .unwrap_or_default()
                .clone_into(&mut etag);
        }
        due += PERIOD;
    }
    seen
}
