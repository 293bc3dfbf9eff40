//! Measures the elector beside what else a user would take.

mod figure;

fn main() {
    let _ = figure::Spread::single(0.0);
}
