//! All bytes of one connection to the HTTP server.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::http_request::check(data));
