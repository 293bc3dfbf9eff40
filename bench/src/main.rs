//! Measures the elector beside what else a user would take.

mod figure;
mod plot;

fn main() {
    let _ = figure::Spread::single(0.0);
}
