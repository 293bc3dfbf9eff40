//! Credentials that a cloud's servers give.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::cloud_credentials::check(data));
