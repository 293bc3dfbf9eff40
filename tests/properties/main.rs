//! Properties
mod checks;
#[test]
fn x() {
    for (n, c) in checks::ALL {
        let mut v: Vec<_> = std::fs::read_dir(format!("fuzz/corpus/{n}"))
            .into_iter()
            .flatten()
            .map(|e| e.unwrap().path())
            .collect();
        v.sort();
        for p in v {
            let d = std::fs::read(&p).unwrap();
            let r = std::panic::catch_unwind(|| c(&d));
            if r.is_err() {
                println!("FAILED {}", p.display());
            }
        }
    }
}
