//! An answer of a git server.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::git_answer::check(data));
