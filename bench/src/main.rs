//! Measures the elector beside what else a user would take.

mod figure;
mod plot;
mod requests;

use std::path::Path;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("dbg") { return requests::dbg(); }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut options = requests::Options::new(Path::new(&args[0]), Path::new(&args[1]), false);
    options.processes = args.get(2).is_none_or(|arg| arg != "fast");
    let measured = match requests::measure(&options) {
        Ok(measured) => measured,
        Err(why) => {
            eprintln!("bench: {why}");
            std::process::exit(1);
        }
    };
    for figure in &measured.figures {
        let unmet = figure.aim.as_ref().filter(|aim| !aim.is_met(&figure.spread));
        if let Some(aim) = unmet {
            println!("not met: {figure:?} {aim:?}");
        }
    }
    for table in &measured.tables {
        println!("{}\n{}", table.name, table.to_markdown());
    }
}
