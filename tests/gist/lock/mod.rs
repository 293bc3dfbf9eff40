//! The gist lock over real sockets, against the embedded gist service and all that it can get wrong.
//!
//! One file for each kind of trouble; `support.rs` builds the locks, `rule.rs` is the rule of the
//! revision in effect once more, written apart from the lock's own.
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
