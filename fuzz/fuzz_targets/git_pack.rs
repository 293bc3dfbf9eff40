//! A pack of git objects.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::git_pack::check(data));
