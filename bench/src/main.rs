//! Measures the elector beside what else a user would take.

mod figure;
mod plot;
mod requests;

use std::path::Path;
use std::process::ExitCode;

/// `bench ELECTOR RESULTS [short|long|simulated [TEXT]]`.
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (Some(elector), Some(results)) = (args.first(), args.get(1)) else {
        eprintln!("usage: bench ELECTOR RESULTS [short|long|simulated [TEXT]]");
        return ExitCode::from(2);
    };
    let size = args.get(2).map_or("short", String::as_str);
    let mut options =
        requests::Options::new(Path::new(elector), Path::new(results), size == "long");
    options.processes = size != "simulated";
    match measure(&options, args.get(3).map(Path::new)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &requests::Options, text: Option<&Path>) -> Result<(), String> {
    let measured = requests::measure(options)?;
    for figure in &measured.figures {
        let unmet = figure.aim.as_ref();
        if let Some(aim) = unmet.filter(|aim| !aim.is_met(&figure.spread)) {
            println!(
                "not met: {}, {}: median {}, most {} {}; wanted: {:?} below {} ({})",
                figure.what,
                figure.conditions,
                figure.spread.median,
                figure.spread.most,
                figure.unit,
                aim.about,
                aim.below,
                aim.why
            );
        }
    }
    for table in &measured.tables {
        println!("{}\n{}", table.name, table.to_markdown());
    }
    text.map_or(Ok(()), |text| requests::fill(&measured.tables, text))
}
