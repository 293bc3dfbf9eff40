//! The gist service's state file.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::state_file::check(data));
