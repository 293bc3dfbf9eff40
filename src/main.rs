//! Temporary: only `gist-server`, until the real command line is here.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(name) if name == "gist-server" => {
            multi_cluster_leader_election::commands::gist_server::run(args)
        }
        _ => ExitCode::from(2),
    }
}
