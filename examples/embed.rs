//! A program that embeds an election: it works only while it leads.
//!
//! `GIST_ID=… GITHUB_API_TOKEN_FILE=… cargo run --example embed -- NAME`. Ctrl-C releases the lease.

use std::env;
use std::error::Error;
use std::thread;
use std::time::Duration;

use elector::{
    AccessTokenSource, GistOptions, LeaderCallbacks, LeaderElection, LeaderElectionConfig, Term,
};

struct Work;

impl LeaderCallbacks for Work {
    fn on_started_leading(&self, term: &Term) {
        while !term.is_over() {
            println!("working, fencing token {}", term.fencing_token());
            thread::sleep(Duration::from_secs(1));
        }
    }

    fn on_stopped_leading(&self) {
        println!("stopped leading");
    }

    fn on_new_leader(&self, identity: &str) {
        println!("leader: {identity:?}");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let name = env::args().nth(1).ok_or("usage: embed NAME")?;
    let access_token = AccessTokenSource::File(env::var("GITHUB_API_TOKEN_FILE")?.into());
    let config = LeaderElectionConfig::new(name);
    let lock = GistOptions::new(&env::var("GIST_ID")?, access_token)?.open(&config)?;
    let election = LeaderElection::new(config, Box::new(lock), Work)?;
    let handle = election.handle();
    ctrlc::set_handler(move || handle.stop())?;
    println!("{:?}", election.run()?);
    Ok(())
}
