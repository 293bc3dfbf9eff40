//! A sequence of answers into the gist lock's protocol.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::gist_protocol::check(data));
