//! A tree or a commit of a git repository.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::checks::git_object::check(data));
