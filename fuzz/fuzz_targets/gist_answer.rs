//! An answer of the gist API: status, headers and body.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::gist_answer::check(data));
