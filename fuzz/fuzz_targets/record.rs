//! The lease record: any text in the file that holds it.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::record::check(data));
