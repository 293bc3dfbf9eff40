//! Runs a check on many inputs, and shows the input on which it fails.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use fastrand::Rng;

use crate::properties::checks::{self, Check, settings};

/// Returns the check of this name.
pub fn check(name: &str) -> Check {
    let found = checks::ALL.iter().find(|(known, _)| *known == name);
    found.expect("a check of this name").1
}

/// Checks one input. `about` tells its origin.
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

/// Checks this number of inputs, each from a different seed.
pub fn holds_for_all(name: &str, cases: u64, make: impl Fn(&mut Rng) -> Vec<u8>) {
    for seed in 0..cases {
        let input = make(&mut Rng::with_seed(seed));
        holds_for(name, &format!("seed {seed}"), &input);
    }
}

/// Checks values of settings in the same way.
pub fn holds_for_texts(cases: u64, make: impl Fn(&mut Rng) -> String) {
    for seed in 0..cases {
        let text = make(&mut Rng::with_seed(seed));
        if let Err(panic) = catch_unwind(|| settings::check_value(&text)) {
            eprintln!("seed {seed} fails: {text:?}");
            resume_unwind(panic);
        }
    }
}
