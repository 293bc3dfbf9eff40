//! The status endpoints of real electors: responses, access, and hostile clients.

mod hostile;
mod leading;
mod probes;
mod shown;
mod step_down;
pub(crate) mod watched;
