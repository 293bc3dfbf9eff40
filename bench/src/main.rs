//! Measures the elector beside what else a user would take.

mod figure;
mod footprint;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let exists = |path: &str| Some(PathBuf::from(path)).filter(|path| path.exists());
    let shared = PathBuf::from("target/release/elector");
    let contenders = footprint::Contenders {
        elector: exists("target/static/elector").unwrap_or_else(|| shared.clone()),
        shared_elector: shared,
        client_go: exists("target/bench/client-go"),
        image: "g1g1/multi-cluster-leader-election:0.1.0".to_owned(),
    };
    let measured = match args.first().map(String::as_str) {
        Some("standing") => footprint::Standing::start(&contenders).and_then(|s| s.finish()),
        _ => footprint::measure(&contenders),
    };
    match measured {
        Ok(figures) => {
            for figure in figures {
                println!(
                    "{:10} {:45} {:28} {:>10.3} [{:.3} .. {:.3}] {} {}",
                    figure.contender,
                    figure.what,
                    figure.conditions,
                    figure.spread.median,
                    figure.spread.least,
                    figure.spread.most,
                    figure.unit,
                    figure.aim.map_or("", |aim| if aim.is_met(&figure.spread) {
                        "met"
                    } else {
                        "MISSED"
                    }),
                );
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
