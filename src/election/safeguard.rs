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
    /// A write confirms what lies below it only if the state right below it was known for long
    /// enough, not already if some write of ours below it was.
    ConfirmedUndisturbed,
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
    /// A write whose answer was lost is looked for before the next one is made.
    LookAfterLostWrite,
    /// A candidate waits from the answer that first showed a record, not from its request.
    SeenFromAnswer,
    /// A candidate waits for the lease that the record says, not for its own setting.
    RecordsOwnLease,
    /// The lease ends for its holder earlier than for others, by the grace and the margin.
    UsableLease,
    /// The term ends when the lease runs out, whether the elector hears from the store or not.
    LimitEndsTerm,
    /// Nothing is claimed for a lease after what was seen in effect is gone.
    RewoundPause,
    /// An answer that lacks what was seen a moment ago is an old one.
    StaleAnswersRefused,
    /// Under a plain overwrite the newest of ours that took effect is looked for.
    LookBack,
    /// The write that confirms comes a while after what it confirms was known.
    ConfirmDelay,
    /// What was acknowledged and is not there any more is not confirmed by what comes later.
    LostWritesForgotten,
    /// A revision whose content equals that of the one right below is another file's.
    EqualContentPassedOver,
    /// A guard that does not say in time that nothing is left is killed.
    OverdueGuardKilled,
    /// What a lost guard leaves is killed before the workload counts as gone.
    ClearedBeforeGone,
}

impl Safeguard {
    /// All of them.
    pub const ALL: [Safeguard; 28] = [
        Safeguard::LeaseFromBeforeRequest,
        Safeguard::Supersedes,
        Safeguard::ConfirmedClaim,
        Safeguard::ConfirmedByWrite,
        Safeguard::LeaseFromConfirmed,
        Safeguard::ConfirmedUndisturbed,
        Safeguard::TokenAboveAllSeen,
        Safeguard::OwnReleaseOnly,
        Safeguard::WriteFoundById,
        Safeguard::OverwrittenWait,
        Safeguard::AgeOfOursOnly,
        Safeguard::WorkloadGone,
        Safeguard::ProcessNotName,
        Safeguard::TokenOutlivesRecord,
        Safeguard::EnoughLeft,
        Safeguard::LookAfterLostWrite,
        Safeguard::SeenFromAnswer,
        Safeguard::RecordsOwnLease,
        Safeguard::UsableLease,
        Safeguard::LimitEndsTerm,
        Safeguard::RewoundPause,
        Safeguard::StaleAnswersRefused,
        Safeguard::LookBack,
        Safeguard::ConfirmDelay,
        Safeguard::LostWritesForgotten,
        Safeguard::EqualContentPassedOver,
        Safeguard::OverdueGuardKilled,
        Safeguard::ClearedBeforeGone,
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
