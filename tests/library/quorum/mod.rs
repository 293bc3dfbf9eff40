//! The quorum as a store, over members in memory with faults.

mod calls;
mod network;
mod races;
