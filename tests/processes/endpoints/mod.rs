//! The status endpoints of real electors: what they answer, to whom, and what nobody can do by them.

mod hostile;
mod leading;
mod probes;
mod shown;
mod step_down;
pub(crate) mod watched;
