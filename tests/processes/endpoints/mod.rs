//! The status endpoints of real electors: responses, access, and hostile clients.

mod documents;
mod hostile;
mod leading;
mod probes;
mod step_down;
pub(crate) mod watched;
