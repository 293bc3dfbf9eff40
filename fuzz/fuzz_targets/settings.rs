//! The environment, and the languages its values are written in.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::settings::check(data));
