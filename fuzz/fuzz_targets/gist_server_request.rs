//! A sequence of requests to the gist service.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::gist_server_request::check(data));
