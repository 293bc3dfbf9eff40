//! `elector run -- CMD` with real processes. The program runs only while its elector leads, and no two
//! programs run simultaneously, whatever happens to the electors, guards and programs.

mod endings;
mod guards;
mod health;
mod jobs;
pub(crate) mod scene;
mod self_test;
mod signals;
mod stops;
mod stuck;
mod suspension;
