//! What keeps an election safe, each by a name, so that a simulation or a model can leave one out and
//! show that it would notice.
//!
//! Without the feature `switchable-safeguards`, which only these turn on, [`holds`] is always true and
//! costs nothing: nobody can run a program without them.

/// A rule whose absence makes an election unsafe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safeguard {
    /// The lease counts from before the request was sent, not from its answer.
    LeaseFromBeforeRequest,
    /// A write of ours takes effect only on what it supersedes.
    Supersedes,
    /// A claim leads only when a second write confirmed it.
    ConfirmedClaim,
    /// What confirms a claim is a write, not a look.
    ConfirmedByWrite,
    /// The lease counts from the last confirmed write, not from the last acknowledged one.
    LeaseFromConfirmed,
    /// A token is above every one seen, not only above the one in effect.
    TokenAboveAllSeen,
    /// Only the holder's own release frees the lease at once, not a person's empty holder.
    OwnReleaseOnly,
    /// Our write is found by its id, not by its place.
    WriteFoundById,
    /// What may have overwritten a lease is waited for as long as the longest of them.
    OverwrittenWait,
    /// The cold-start rule is for records of ours; others carry any date.
    AgeOfOursOnly,
    /// Nothing is claimed or given back while the workload still runs.
    WorkloadGone,
    /// Another process of the same name is another candidate.
    ProcessNotName,
    /// A record that is gone or spoilt does not let the token begin anew.
    TokenOutlivesRecord,
    /// A term begins only with enough of the lease left.
    EnoughLeft,
}

impl Safeguard {
    /// All of them.
    pub const ALL: [Safeguard; 14] = [
        Safeguard::LeaseFromBeforeRequest,
        Safeguard::Supersedes,
        Safeguard::ConfirmedClaim,
        Safeguard::ConfirmedByWrite,
        Safeguard::LeaseFromConfirmed,
        Safeguard::TokenAboveAllSeen,
        Safeguard::OwnReleaseOnly,
        Safeguard::WriteFoundById,
        Safeguard::OverwrittenWait,
        Safeguard::AgeOfOursOnly,
        Safeguard::WorkloadGone,
        Safeguard::ProcessNotName,
        Safeguard::TokenOutlivesRecord,
        Safeguard::EnoughLeft,
    ];
}

/// Whether the rule holds; always, in a program.
#[cfg(not(feature = "switchable-safeguards"))]
#[must_use]
#[inline(always)]
pub const fn holds(_safeguard: Safeguard) -> bool {
    true
}

#[cfg(feature = "switchable-safeguards")]
mod switch {
    use std::cell::Cell;

    use super::Safeguard;

    thread_local! {
        static LEFT_OUT: Cell<Option<Safeguard>> = const { Cell::new(None) };
    }

    /// Whether the rule holds, on this thread.
    #[must_use]
    pub fn holds(safeguard: Safeguard) -> bool {
        LEFT_OUT.get() != Some(safeguard)
    }

    /// Leaves a rule out on this thread, until the next call.
    pub fn leave_out(safeguard: Option<Safeguard>) {
        LEFT_OUT.set(safeguard);
    }
}

#[cfg(feature = "switchable-safeguards")]
pub use switch::{holds, leave_out};
