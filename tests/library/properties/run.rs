//! Runs a check on many inputs, and shows the input on which it fails.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use fastrand::Rng;

use crate::properties::checks::{self, Check, settings};

/// The check of this name.
pub fn check(name: &str) -> Check {
    let found = checks::ALL.iter().find(|(known, _)| *known == name);
    found.expect("a check of this name").1
}

/// One input; `about` says where it came from.
pub fn holds_for(name: &str, about: &str, input: &[u8]) {
    let check = check(name);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(input))) {
        eprintln!(
            "{name}: {about} fails. To keep it: printf of b\"{}\" into fuzz/corpus/{name}/",
            input.escape_ascii()
        );
        resume_unwind(panic);
    }
}

/// As many inputs as that, each from a seed of its own.
pub fn holds_for_all(name: &str, cases: u64, make: impl Fn(&mut Rng) -> Vec<u8>) {
    for seed in 0..cases {
        let input = make(&mut Rng::with_seed(seed));
        holds_for(name, &format!("seed {seed}"), &input);
    }
}

/// The same for single values of settings.
pub fn holds_for_texts(cases: u64, make: impl Fn(&mut Rng) -> String) {
    for seed in 0..cases {
        let text = make(&mut Rng::with_seed(seed));
        if let Err(panic) = catch_unwind(|| settings::check_value(&text)) {
            eprintln!("seed {seed} fails: {text:?}");
            resume_unwind(panic);
        }
    }
}
