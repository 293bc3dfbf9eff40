//! A lock in a quorum of stores, which works while a majority of them answers.

mod member;
pub mod state;
pub mod store;
