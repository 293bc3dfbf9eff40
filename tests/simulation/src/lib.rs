//! Whole elections in virtual time: the real elector, the real decisions of the locks, a pure gist store
//! and a cell with a conditional write, with every fault, checked at every step.

#[path = "../../support/cell.rs"]
pub mod cell;
pub mod cell_service;
pub mod clock;
pub mod faults;
pub mod ledger;
pub mod lock;
pub mod many;
pub mod node;
pub mod run;
pub mod scenario;
pub mod service;
#[path = "../../support/state_file.rs"]
pub mod state_file;
pub mod surroundings;
pub mod tally;
pub mod workload;
