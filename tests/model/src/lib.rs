//! Small worlds, every state of which is visited.
//!
//! - [`lock`]: processes that use one gist as a compare-and-swap, while answers are lost, writes land
//!   late or twice, reads are stale and people edit the gist. The decisions are those of the real
//!   [`GistProtocol`](elector::lock::gist::protocol::GistProtocol); they are held
//!   against the rule of the revision in effect, applied to the whole history ([`gist`]).
//! - [`lease`]: two candidates and their clocks, on a store whose compare-and-swap is taken for
//!   granted. The decisions are those of the real
//!   [`LeaderElector`](elector::election::elector::LeaderElector).
//!
//! [`explore`] runs them. A model is finite because every process has so many calls and every fault
//! happens so often; within these bounds nothing is left to chance.

pub mod explore;
pub mod gist;
pub mod lease;
pub mod lock;

/// A world that is explored, and how many states it has at least: one that shrinks shows less.
pub struct World<B> {
    pub name: &'static str,
    pub bounds: B,
    pub states: usize,
}
