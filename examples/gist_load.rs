//! Load on the gist service: many clients poll one gist every 200 ms while it is written to.
//!
//! `cargo run --example gist_load [CLIENTS] [SECONDS] [REVISIONS] [WRITE_MS]` prints the duration of the polls
//! and the greatest delay of one. A client falls behind if that exceeds its period.

use std::thread;
use std::time::{Duration, Instant};

use elector::emulator::{GistService, Options};

/// Time from one poll of a client to its next.
const PERIOD: Duration = Duration::from_millis(200);

/// Polls of one client.
struct Polls {
    durations: Vec<Duration>,
    /// Greatest delay of a poll's start.
    max_delay: Duration,
    /// Number of full answers.
    full: usize,
}

fn main() {
    let number = |n: usize, default: usize| {
        let argument = std::env::args().nth(n);
        argument.and_then(|a| a.parse().ok()).unwrap_or(default)
    };
    let (clients, seconds) = (number(1, 50), number(2, 10));
    let (revisions, write_ms) = (number(3, 100), number(4, 1000));
    let service = GistService::start(Options::default()).expect("the service starts");
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
    let url = format!("{}/gists/{id}", service.url());
    let pollers: Vec<_> = (0..clients)
        .map(|n| {
            let url = url.clone();
            let start = Instant::now() + PERIOD * u32::try_from(n).unwrap_or(0) / 50;
            thread::spawn(move || poll(&url, n, start, end))
        })
        .collect();
    let mut writes = 0;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(write_ms as u64));
        write(revisions + writes);
        writes += 1;
    }
    let (mut durations, mut delay, mut full) = (Vec::new(), Duration::ZERO, 0);
    for poller in pollers {
        let polls = poller.join().expect("a poller");
        durations.extend(polls.durations);
        delay = delay.max(polls.max_delay);
        full += polls.full;
    }
    durations.sort_unstable();
    let at = |part: f64| durations[((durations.len() - 1) as f64 * part) as usize];
    println!(
        "{clients} clients, {} polls ({full} full answers), {writes} writes, {} revisions",
        durations.len(),
        revisions + writes
    );
    println!(
        "poll: median {:?}, 99% {:?}, longest {:?}; greatest delay {delay:?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn poll(url: &str, n: usize, start: Instant, end: Instant) -> Polls {
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    let mut polls = Polls {
        durations: Vec::new(),
        max_delay: Duration::ZERO,
        full: 0,
    };
    let mut etag = String::new();
    let mut due = start;
    while due < end {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let started = Instant::now();
        polls.max_delay = polls.max_delay.max(started - due);
        let request = agent
            .get(url)
            .header("authorization", format!("Bearer t{n}"))
            .header("if-none-match", &etag);
        let mut answer = request.call().expect("an answer");
        answer.body_mut().read_to_string().expect("a body");
        polls.durations.push(started.elapsed());
        if answer.status() == 200 {
            polls.full += 1;
            let header = answer.headers().get("etag");
            etag = header.map_or("", |etag| etag.to_str().unwrap_or("")).into();
        }
        due += PERIOD;
    }
    polls
}
