//! Properties of every input from outside: the record, GitHub's answers, requests to the servers, settings,
//! files. The checks in `checks/` must hold for any input. These tests run them on the fuzzer's corpus, on
//! damaged entries of it, and on generated inputs that are nearly well-formed. All seeds are fixed.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test may fail where it stands; the checks are public for the fuzz targets"
)]

mod bounds;
mod checks;
mod corpus;
mod exact;
mod generate;
mod run;

use fastrand::Rng;
use run::holds_for_all;

#[test]
fn generated_records_hold() {
    holds_for_all("record", 25_000, |rng| generate::record::text(rng).into());
}

#[test]
fn generated_answers_hold() {
    holds_for_all("gist_answer", 3_000, |rng| {
        generate::answer::text(rng).into()
    });
}

#[test]
fn generated_sequences_of_answers_hold() {
    holds_for_all("gist_protocol", 3_000, |rng| bytes(rng, 600));
}

#[test]
fn generated_connections_hold() {
    holds_for_all("http_request", 1_000, |rng| {
        let (mut stream, _) = generate::http::requests(rng);
        generate::damage(rng, &mut stream, b"");
        stream
    });
}

#[test]
fn generated_environments_hold() {
    holds_for_all("settings", 4_000, generate::settings::environment);
}

#[test]
fn generated_values_match_reference_parsers() {
    run::holds_for_texts(20_000, |rng| match rng.bool() {
        true => generate::settings::duration(rng),
        false => generate::settings::address(rng),
    });
}

#[test]
fn generated_requests_to_emulator_hold() {
    holds_for_all("gist_server_request", 600, |rng| {
        generate::service::requests(rng).into()
    });
}

#[test]
fn generated_state_files_hold() {
    holds_for_all("state_file", 600, generate::service::state_file);
}

fn bytes(rng: &mut Rng, most: usize) -> Vec<u8> {
    // Low bytes select common cases, high bytes usually rare ones.
    let odd = rng.u8(1..);
    (0..rng.usize(..most))
        .map(|_| {
            if rng.u8(..) < odd {
                rng.u8(..)
            } else {
                rng.u8(..64)
            }
        })
        .collect()
}
