//! Models of which every state is visited.
//!
//! - [`lock`]: processes that use one gist as a compare-and-swap, while answers are lost, writes
//!   land late or twice, reads are stale and operators edit the gist. The real
//!   [`GistProtocol`](elector::lock::gist::protocol::GistProtocol) decides. Its results are
//!   compared with the rule of the effective revision, applied to the whole history ([`gist`]).
//! - [`cas`]: processes that use a store with a conditional write, while requests and answers are lost,
//!   writes land late or twice, and the version changes without a write. The real
//!   [`CasProtocol`](elector::lock::cas::protocol::CasProtocol) decides. Its results are compared with
//!   what landed.
//! - [`lease`]: two candidates and their clocks, with a store that has a true compare-and-swap. The
//!   real [`LeaderElector`](elector::election::elector::LeaderElector) decides.
//!
//! [`explore`] runs them. A model is finite because the number of calls and of faults is bounded;
//! within these bounds every order is visited.

pub mod calls;
pub mod cas;
#[path = "../../support/cell.rs"]
pub mod cell;
pub mod explore;
pub mod gist;
pub mod lease;
pub mod lock;
pub mod quorum;
#[path = "../../support/state_file.rs"]
pub mod state_file;

/// A scenario to explore, and its minimum number of states. Why a minimum: a scenario that shrinks
/// proves less.
pub struct Scenario<B> {
    pub name: &'static str,
    pub bounds: B,
    pub states: usize,
}
