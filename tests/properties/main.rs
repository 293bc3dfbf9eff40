//! Properties
mod checks;
#[test]
fn x() {
    for (n, c) in checks::ALL {
        c(b"");
        c(b"abc");
        println!("{n}");
    }
}
