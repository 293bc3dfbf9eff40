//! A sequence of answers to the gist lock's protocol.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::gist_protocol::check(data));
