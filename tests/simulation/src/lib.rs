//! Whole elections in virtual time: the real elector, the real decisions of the gist lock and the
//! pure gist store, with every fault, checked at every step.

pub mod clock;
pub mod faults;
pub mod ledger;
pub mod many;
pub mod node;
pub mod run;
pub mod scenario;
pub mod service;
pub mod surroundings;
pub mod tally;
pub mod workload;
