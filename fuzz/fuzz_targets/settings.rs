//! The environment, and the languages of its values.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::settings::check(data));
