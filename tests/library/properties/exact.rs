//! Well-formed inputs with their exact results.

use std::sync::Arc;
use std::time::Duration;

use elector::LeaderElectionRecord;
use elector::fmt::duration;
use elector::lock::gist::revision::Revision;
use elector::lock::gist::stored::{Origin, Stored, to_text};
use elector::lock::gist::wire::Text;
use elector::lock::gist::wire::head::Head;
use fastrand::Rng;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::properties::checks::http_request::{BODY_BYTES, HEAD_BYTES, HEADERS, heard};
use crate::properties::generate;

#[test]
fn split_requests_are_read_unchanged() {
    for seed in 0..1_000 {
        let mut rng = Rng::with_seed(seed);
        let (stream, requests) = generate::http::requests(&mut rng);
        let understood = heard(stream.chunks(rng.usize(1..=stream.len())));
        assert_eq!(understood.refused, None, "{}", stream.escape_ascii());
        assert_eq!(understood.requests, requests, "{}", stream.escape_ascii());
    }
}

#[test]
fn request_beyond_limit_is_refused() {
    let status = |stream: String| {
        let heard = heard(std::iter::once(stream.as_bytes()));
        heard.refused.map_or(200, |(status, _)| status)
    };
    let sized = |body: usize| {
        let body = "x".repeat(body);
        format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let lead = "GET / HTTP/1.1\r\nHost: h\r\n";
    let head = |bytes: usize| {
        let rest = bytes - lead.len() - "X: \r\n\r\n".len();
        format!("{lead}X: {}\r\n\r\n", "x".repeat(rest))
    };
    let headers = |count: usize| format!("{lead}{}\r\n", "X: y\r\n".repeat(count - 1));
    assert_eq!(status(sized(BODY_BYTES)), 200);
    assert_eq!(status(sized(BODY_BYTES + 1)), 413);
    assert_eq!(status(head(HEAD_BYTES)), 200);
    assert_eq!(status(head(HEAD_BYTES + 1)), 431);
    assert_eq!(status(headers(HEADERS)), 200);
    assert_eq!(status(headers(HEADERS + 1)), 431);
}

#[test]
fn written_record_reads_back() {
    for seed in 0..5_000 {
        let mut rng = Rng::with_seed(seed);
        let text =
            |rng: &mut Rng| -> String { (0..rng.usize(..12)).map(|_| rng.char(..)).collect() };
        let mut record = LeaderElectionRecord {
            holder_identity: text(&mut rng),
            lease_duration_seconds: rng.u64(..),
            acquire_time: text(&mut rng),
            renew_time: text(&mut rng),
            leader_transitions: rng.u64(..1 << 53),
            ..LeaderElectionRecord::default()
        };
        let bits = f64::from_bits(rng.u64(..));
        record.other.insert(text(&mut rng) + "x", bits.into());
        let origin = Origin {
            write_id: text(&mut rng).into(),
            supersedes: Revision::from_bytes([rng.u8(..); 20]),
        };
        let stored = Stored::read(&Text::Whole(to_text(&record, None, &origin, false).into()));
        let stored = stored.record().expect("a record");
        assert_eq!(stored.origin, Some(origin));
        assert_eq!(stored.record, Arc::new(record));
    }
}

#[test]
fn durations_round_trip_at_unit_ends() {
    let mut rng = Rng::with_seed(1);
    for unit in [
        1_u64,
        1_000,
        1_000_000,
        1_000_000_000,
        60_000_000_000,
        3_600_000_000_000,
    ] {
        for step in 0..1_000 {
            let around = unit.saturating_mul(step % 100) + rng.u64(..3);
            let duration = Duration::from_nanos(around.saturating_sub(1));
            let text = format!("{duration:?}");
            assert_eq!(duration::parse(&text), Ok(duration), "{text}");
        }
    }
    let longest = Duration::from_nanos(i64::MAX as u64);
    assert_eq!(duration::parse(&format!("{longest:?}")), Ok(longest));
}

#[test]
fn every_http_date_is_parsed() {
    let mut rng = Rng::with_seed(2);
    // From 1970 to the end of the year 9999.
    for seconds in (0..5_000).map(|_| rng.i64(0..253_402_300_800)) {
        let date = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let text = date.format(&Rfc2822).unwrap().replace("+0000", "GMT");
        let head = Head::new(200, |name| (name == "date").then_some(text.as_str()));
        assert_eq!(head.date, Some(seconds), "{text}");
    }
}
