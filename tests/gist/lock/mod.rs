//! The gist lock over real sockets, with the embedded gist service and its faults.
//!
//! One file per kind of fault. `support.rs` builds the locks; `rule.rs` is a second implementation of the
//! rule.
mod annotations;
mod answers;
mod conformance;
mod contents;
mod files;
mod long;
mod races;
mod revisions;
mod rule;
mod storm;
mod support;
mod withheld;
