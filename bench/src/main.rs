//! Measures the elector beside what else a user would take.

mod figure;
mod requests;

fn main() {
    let _ = figure::Spread::single(0.0);
    let args: Vec<String> = std::env::args().skip(1).collect();
    requests::curve(&args);
}
