//! The lease record: any text in its file.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::record::check(data));
