//! Properties of everything that strangers feed us: the record, GitHub's answers, requests to our
//! servers, settings, files. Each has a check in `checks/`, which holds for any input whatever; here
//! it is held against the corpus of the fuzzer, against what becomes of that when it is damaged, and
//! against inputs that are made to be nearly right. All from fixed seeds.

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
fn any_text_in_the_file_is_a_record_or_not() {
    holds_for_all("record", 25_000, |rng| generate::record::text(rng).into());
}

#[test]
fn any_answer_is_read_within_its_bounds_or_refused() {
    holds_for_all("gist_answer", 3_000, |rng| {
        generate::answer::text(rng).into()
    });
}

#[test]
fn any_sequence_of_answers_leaves_the_protocol_sound() {
    holds_for_all("gist_protocol", 3_000, |rng| bytes(rng, 600));
}

#[test]
fn any_bytes_on_a_connection_are_understood_or_refused() {
    holds_for_all("http_request", 1_000, |rng| {
        let (mut stream, _) = generate::http::requests(rng);
        generate::damage(rng, &mut stream, b"");
        stream
    });
}

#[test]
fn any_environment_is_taken_or_refused_without_a_word_of_the_token() {
    holds_for_all("settings", 4_000, generate::settings::environment);
}

#[test]
fn any_value_means_what_it_means_elsewhere() {
    run::holds_for_texts(20_000, |rng| match rng.bool() {
        true => generate::settings::duration(rng),
        false => generate::settings::address(rng),
    });
}

#[test]
fn any_requests_leave_the_gist_service_sound() {
    holds_for_all("gist_server_request", 600, |rng| {
        generate::service::requests(rng).into()
    });
}

#[test]
fn any_state_file_is_taken_or_refused_and_left_alone() {
    holds_for_all("state_file", 600, generate::service::state_file);
}

fn bytes(rng: &mut Rng, most: usize) -> Vec<u8> {
    // Low bytes lead on, high ones mostly to what is rare.
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
