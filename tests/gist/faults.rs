//! Faults of the gist service, over real sockets.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::eventually;
use crate::support::wire::{Answer, Wire, exchange, request, start};
use elector::emulator::GistService;

struct Fixture {
    service: GistService,
    addr: SocketAddr,
    id: String,
}

fn with(faults: &str) -> Fixture {
    let (service, addr, id) = start();
    let fixture = Fixture { service, addr, id };
    fixture.set(faults);
    fixture
}

impl Fixture {
    fn set(&self, faults: &str) {
        let answer = exchange(self.addr, request("PUT", "/_faults", &[], faults)).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn path(&self) -> String {
        format!("/gists/{}", self.id)
    }

    fn get_with(&self, headers: &[(&str, &str)]) -> Option<Answer> {
        exchange(self.addr, request("GET", &self.path(), headers, ""))
    }

    fn get(&self) -> Option<Answer> {
        self.get_with(&[])
    }

    fn put(&self, content: &str) -> Option<Answer> {
        put(self.addr, &self.id, content)
    }

    /// Returns the contents of all revisions, newest first.
    fn contents(&self) -> Vec<String> {
        self.service
            .history(&self.id)
            .into_iter()
            .map(|seen| seen.files["leader.json"].clone())
            .collect()
    }
}

fn put(addr: SocketAddr, id: &str, content: &str) -> Option<Answer> {
    let body = serde_json::json!({"files": {"leader.json": {"content": content}}}).to_string();
    exchange(addr, request("PATCH", &format!("/gists/{id}"), &[], &body))
}

fn status(answer: Option<Answer>) -> u16 {
    answer.map_or(0, |answer| answer.status)
}

/// Sends two writes, the second within the first one's window.
fn racing(mode: &str) -> (Fixture, [Option<Answer>; 2]) {
    racing_under(&format!(r#"{{"race":"{mode}","race_window_ms":1000}}"#))
}

fn racing_under(faults: &str) -> (Fixture, [Option<Answer>; 2]) {
    let fixture = with(faults);
    let (addr, id) = (fixture.addr, fixture.id.clone());
    let first = thread::spawn(move || put(addr, &id, "first"));
    let second = fixture.put("second");
    let first = first.join().unwrap();
    (fixture, [first, second])
}

#[test]
fn faults_can_change_while_running() {
    let fixture = with(r#"{"read_ms":1,"error_status":503}"#);
    let ask = |method: &str, body: &str| {
        exchange(fixture.addr, request(method, "/_faults", &[], body)).unwrap()
    };
    let shown = ask("GET", "").json();
    assert_eq!(
        (&shown["read_ms"], &shown["error_status"], &shown["drop"]),
        (&1.into(), &503.into(), &0.0.into())
    );
    let changed = ask("PATCH", r#"{"error_status":null,"write_ms":[1,2]}"#).json();
    assert_eq!(
        (
            &changed["error_status"],
            &changed["write_ms"][1],
            &changed["read_ms"]
        ),
        (&502.into(), &2.into(), &1.into())
    );
    let deep = format!("{{\"drop\":{}{}}}", "[".repeat(120), "]".repeat(120));
    for wrong in ["", "[]", r#"{"dorp":1}"#, r#"{"drop":2}"#, &deep] {
        let answer = ask("PATCH", wrong);
        assert_eq!(answer.status, 422, "{wrong}");
        assert!(!answer.message().is_empty());
    }
    assert_eq!(ask("GET", "").json(), changed);
    assert_eq!(ask("PUT", "{}").json()["write_ms"], 0);
}

#[test]
fn race_loser_is_refused() {
    let (fixture, answers) = racing("conflict");
    let mut statuses = answers.clone().map(status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let loser = answers
        .into_iter()
        .flatten()
        .find(|answer| answer.status == 409)
        .unwrap();
    assert_eq!(loser.message(), "Gist cannot be updated.");
    assert_eq!(fixture.contents().len(), 2);
}

#[test]
fn stacked_racing_writes_both_stay() {
    let (fixture, answers) = racing("stack");
    assert_eq!(answers.map(status), [200, 200]);
    assert_eq!(fixture.contents().len(), 3);
}

#[test]
fn losing_race_acknowledges_both_writes() {
    let (fixture, answers) = racing("lose");
    let versions = answers.map(|answer| {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200);
        answer.json()["history"][0]["version"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    assert_ne!(versions[0], versions[1]);
    assert_eq!(fixture.contents().len(), 2);
    let read = |version: &str| {
        status(exchange(
            fixture.addr,
            request("GET", &format!("{}/{version}", fixture.path()), &[], ""),
        ))
    };
    let mut found = [read(&versions[0]), read(&versions[1])];
    found.sort_unstable();
    assert_eq!(found, [200, 404]);
    fixture.set(r#"{"lost_readable":true}"#);
    assert_eq!([read(&versions[0]), read(&versions[1])], [200, 200]);
}

#[test]
fn race_limit_prevents_lost_write() {
    let (fixture, answers) =
        racing_under(r#"{"race":"lose","race_window_ms":1000,"race_limit_ms":1}"#);
    let mut statuses = answers.map(status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(fixture.contents().len(), 2);
}

#[test]
fn serial_writes_never_race() {
    let (fixture, answers) = racing("serial");
    assert_eq!(answers.map(status), [200, 200]);
    assert_eq!(fixture.contents().len(), 3);
}

#[test]
fn dropped_request_does_nothing() {
    let fixture = with(r#"{"drop":1}"#);
    assert!(fixture.put("x").is_none());
    assert!(fixture.get().is_none());
    assert_eq!(fixture.contents(), ["{}"]);
    assert_eq!(fixture.service.requests().of("", "", "dropped"), 2);
}

#[test]
fn outage_drops_api_requests_only() {
    let fixture = with(r#"{"outage":true}"#);
    assert!(fixture.get().is_none());
    fixture.set("{}");
    assert_eq!(status(fixture.get()), 200);
}

#[test]
fn write_lands_despite_lost_answer() {
    let fixture = with(r#"{"lost_answers":true}"#);
    assert!(fixture.put("landed").is_none());
    assert_eq!(fixture.contents(), ["landed", "{}"]);
    assert_eq!(status(fixture.get()), 200);
    assert_eq!(fixture.service.requests().of("PATCH", "", "lost"), 1);
}

#[test]
fn write_lands_despite_truncated_answer() {
    let fixture = with(r#"{"truncated_answers":1}"#);
    assert!(fixture.put("landed").is_none());
    assert!(fixture.get().is_none());
    assert_eq!(fixture.contents(), ["landed", "{}"]);
}

#[test]
fn late_write_lands_on_later_head() {
    let fixture = with(r#"{"late_writes":1,"late_ms":1500}"#);
    let started = Instant::now();
    assert!(fixture.put("late").is_none());
    assert!(started.elapsed() < Duration::from_millis(1200));
    fixture.set("{}");
    assert_eq!(status(fixture.put("in time")), 200);
    eventually("the late write lands", || {
        fixture.contents() == ["late", "in time", "{}"]
    });
}

#[test]
fn duplicate_write_makes_two_revisions() {
    let fixture = with(r#"{"duplicate_writes":1}"#);
    assert_eq!(status(fixture.put("twice")), 200);
    assert_eq!(fixture.contents(), ["twice", "twice", "{}"]);
    fixture.set(r#"{"duplicate_writes":1,"duplicate_ms":1500}"#);
    assert_eq!(status(fixture.put("again")), 200);
    fixture.set("{}");
    assert_eq!(status(fixture.put("between")), 200);
    eventually("the second time", || {
        fixture.contents()[..3] == ["again", "between", "again"]
    });
}

#[test]
fn hung_request_ends_with_its_client() {
    let fixture = with(r#"{"hang_writes":1,"hang_reads":0}"#);
    assert_eq!(status(fixture.get()), 200);
    let body = r#"{"files":{"leader.json":{"content":"x"}}}"#;
    let mut wire = Wire::connect(fixture.addr);
    wire.send(request("PATCH", &fixture.path(), &[], body));
    eventually("it hangs", || {
        fixture.service.requests().of("PATCH", "", "hung") == 1
    });
    fixture.set(r#"{"hang_writes":1,"hang_ms":50}"#);
    assert!(
        fixture.put("y").is_none(),
        "hangs no longer than configured"
    );
    drop(wire);
    assert_eq!(fixture.contents(), ["{}"]);
    // `stop` waits for handlers that are still running.
    let started = Instant::now();
    fixture.service.stop();
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn latency_delays_reads_and_writes() {
    let fixture = with(r#"{"read_ms":60,"write_ms":[120,130]}"#);
    let timed = |act: &dyn Fn() -> Option<Answer>| {
        let started = Instant::now();
        assert_eq!(status(act()), 200);
        started.elapsed()
    };
    assert!(timed(&|| fixture.get()) >= Duration::from_millis(60));
    assert!(timed(&|| fixture.put("slow")) >= Duration::from_millis(120));
}

#[test]
fn stale_read_shows_earlier_gist() {
    let fixture = with("{}");
    let before = fixture.get().unwrap();
    let etag = before.header("etag").unwrap().to_owned();
    fixture.put("new").unwrap();
    fixture.set(r#"{"stale_reads":1,"stale_age_ms":60000}"#);
    assert_eq!(fixture.get().unwrap().text(), before.text());
    assert_eq!(status(fixture.get_with(&[("If-None-Match", &etag)])), 304);
    assert_eq!(
        fixture.put("newer").unwrap().json()["history"]
            .as_array()
            .unwrap()
            .len(),
        3,
        "writes are fresh"
    );
    fixture.set(r#"{"stale_reads":1,"stale_age_ms":0}"#);
    assert_eq!(
        fixture.get().unwrap().json()["files"]["leader.json"]["content"],
        "newer"
    );
}

#[test]
fn server_error_may_hide_landed_write() {
    let fixture = with(r#"{"error_5xx":1,"error_status":503}"#);
    assert_eq!(
        (status(fixture.get()), status(fixture.put("not"))),
        (503, 503)
    );
    assert_eq!(fixture.contents(), ["{}"]);
    fixture.set(r#"{"error_5xx":1,"error_write_landed":1}"#);
    assert_eq!(
        (status(fixture.get()), status(fixture.put("landed"))),
        (502, 502)
    );
    assert_eq!(fixture.contents(), ["landed", "{}"]);
}

#[test]
fn permissions_can_be_removed() {
    let fixture = with(r#"{"unauthorized":1}"#);
    let answer = fixture.get().unwrap();
    assert_eq!(
        (answer.status, answer.message().as_str()),
        (401, "Bad credentials")
    );
    fixture.set(r#"{"forbidden_writes":true}"#);
    let answer = fixture.put("x").unwrap();
    assert_eq!(
        (answer.status, answer.message().as_str()),
        (403, "Resource not accessible by integration")
    );
    fixture.set(r#"{"not_found_writes":true}"#);
    assert_eq!(
        (status(fixture.put("x")), status(fixture.get())),
        (404, 200)
    );
    assert_eq!(fixture.contents(), ["{}"]);
}

#[test]
fn primary_limit_ignores_authorized_304s() {
    let fixture = with(r#"{"primary_limit":3,"primary_window_s":1000}"#);
    let first = fixture.get().unwrap();
    let etag = first.header("etag").unwrap().to_owned();
    let left = |answer: &Answer| answer.header("x-ratelimit-remaining").unwrap().to_owned();
    assert_eq!(
        (left(&first).as_str(), first.header("x-ratelimit-limit")),
        ("2", Some("3"))
    );
    assert_eq!(
        (
            first.header("x-ratelimit-used"),
            first.header("x-ratelimit-resource")
        ),
        (Some("1"), Some("core"))
    );
    for _ in 0..5 {
        let same = fixture.get_with(&[("If-None-Match", &etag)]).unwrap();
        assert_eq!((same.status, left(&same).as_str()), (304, "2"));
    }
    fixture.put("x").unwrap();
    assert_eq!(
        left(
            &fixture
                .get_with(&[("Authorization", "Bearer another")])
                .unwrap()
        ),
        "0"
    );
    let over = fixture.get().unwrap();
    assert_eq!((over.status, left(&over).as_str()), (403, "0"));
    assert!(
        over.message()
            .starts_with("API rate limit exceeded for user ID ")
    );
    assert!(
        over.header("x-ratelimit-reset")
            .unwrap()
            .parse::<i64>()
            .unwrap()
            > 1_700_000_000
    );
    assert_eq!(over.header("retry-after"), None);
    let rate = exchange(fixture.addr, request("GET", "/rate_limit", &[], ""))
        .unwrap()
        .json();
    assert_eq!(
        (
            &rate["rate"]["remaining"],
            &rate["resources"]["core"]["limit"]
        ),
        (&0.into(), &3.into())
    );
    fixture.set(r#"{"primary_limit":3,"primary_status":429,"primary_per_token":true}"#);
    assert_eq!(
        left(
            &fixture
                .get_with(&[("Authorization", "Bearer fresh")])
                .unwrap()
        ),
        "2"
    );
    fixture.set("{}");
    assert_eq!(status(fixture.get()), 200);
    assert_eq!(
        status(exchange(
            fixture.addr,
            request("GET", "/rate_limit", &[], "")
        )),
        404
    );
}

#[test]
fn secondary_limit_refuses_writes() {
    let fixture = with(r#"{"secondary_per_minute":1,"secondary_status":429,"retry_after_s":7}"#);
    assert_eq!(status(fixture.put("one")), 200);
    let over = fixture.put("two").unwrap();
    assert_eq!((over.status, over.header("retry-after")), (429, Some("7")));
    assert!(
        over.message()
            .starts_with("You have exceeded a secondary rate limit.")
    );
    assert_eq!(status(fixture.get()), 200);
    fixture.set(r#"{"secondary_per_hour":1}"#);
    let over = fixture.put("three").unwrap();
    assert_eq!((over.status, over.header("retry-after")), (403, None));
    assert_eq!(fixture.contents(), ["one", "{}"]);
}

#[test]
fn histories_and_pages_can_be_capped() {
    let fixture = with(r#"{"history_cap":2,"per_page_cap":3}"#);
    for n in 0..5 {
        fixture.put(&n.to_string()).unwrap();
    }
    assert_eq!(
        fixture.get().unwrap().json()["history"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let page = |query: &str| {
        let path = format!("{}/commits{query}", fixture.path());
        exchange(fixture.addr, request("GET", &path, &[], ""))
            .unwrap()
            .json()
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(
        (
            page(""),
            page("?per_page=100&page=2"),
            page("?per_page=2&page=3")
        ),
        (3, 3, 2)
    );
    fixture.set(r#"{"history_cap":0}"#);
    assert_eq!(
        fixture.get().unwrap().json()["history"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn headers_and_clock_can_be_wrong() {
    let fixture = with("{}");
    let etag = fixture.get().unwrap().header("etag").unwrap().to_owned();
    fixture.set(r#"{"no_etag":true,"no_date":true}"#);
    let bare = fixture.get_with(&[("If-None-Match", &etag)]).unwrap();
    assert_eq!(
        (bare.status, bare.header("etag"), bare.header("date")),
        (200, None, None)
    );
    fixture.set(r#"{"clock_offset_s":86400}"#);
    let real = fixture.service.history(&fixture.id)[0].committed_at;
    let ahead = fixture.put("x").unwrap();
    let stamped = fixture.service.history(&fixture.id)[0].committed_at;
    assert!(
        (86_400..90_000).contains(&(stamped - real)),
        "{stamped} {real}"
    );
    let day = ahead.header("date").unwrap()[5..7].parse::<u8>().unwrap();
    let committed = ahead.json()["history"][0]["committed_at"].as_str().unwrap()[8..10]
        .parse::<u8>()
        .unwrap();
    assert!(
        day == committed || committed + 1 == day || day == 1,
        "both come from the same wrong clock"
    );
}

#[test]
fn blank_and_identical_writes_are_configurable() {
    let fixture = with(r#"{"swallow_blank":true}"#);
    assert_eq!(status(fixture.put("")), 200);
    assert_eq!(status(fixture.put("{}")), 200);
    assert_eq!(fixture.contents(), ["{}"]);
    fixture.set(r#"{"identical_makes_revision":true}"#);
    assert_eq!(status(fixture.put("{}")), 200);
    assert_eq!(fixture.contents(), ["{}", "{}"]);
    assert_eq!(status(fixture.put("")), 422);
}

#[test]
fn only_new_seed_restarts_draws() {
    let fixture = with("{}");
    let course = || (0..24).map(|_| fixture.get().is_some()).collect::<Vec<_>>();
    fixture.set(r#"{"seed":7,"drop":0.5}"#);
    let whole = course();
    fixture.set(r#"{"seed":7,"drop":0.5}"#);
    assert_eq!(course(), whole);
    fixture.set(r#"{"seed":7,"drop":0.5}"#);
    let first: Vec<bool> = (0..12).map(|_| fixture.get().is_some()).collect();
    let change = request("PATCH", "/_faults", &[], r#"{"no_date":true}"#);
    assert_eq!(status(exchange(fixture.addr, change)), 200);
    let rest: Vec<bool> = (0..12).map(|_| fixture.get().is_some()).collect();
    assert_eq!([first, rest].concat(), whole);
}
