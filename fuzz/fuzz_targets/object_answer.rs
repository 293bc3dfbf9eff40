//! An answer of object storage.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::object_answer::check(data));
