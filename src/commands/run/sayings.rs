//! What `elector run` says of who leads, in the spirit of the house: one line for each transition, with
//! identity, token and reason. A term that was lost is a warning; everything else is as it should be.

use log::Level;

use crate::election::action::StopReason;
use crate::runtime::Term;
use crate::runtime::election::Transition;

/// This candidate leads.
pub(super) fn leads(identity: &str, term: &Term) {
    let token = term.fencing_token();
    log::info!("I am {identity}! I will lead you to greatness! (token {token})");
}

/// It does not any more, and nothing works in that term.
pub(super) fn led(identity: &str, term: &Term) {
    let reason = term.stop_reason().unwrap_or(StopReason::Cancelled);
    let level = match reason {
        StopReason::Cancelled | StopReason::SteppedDown | StopReason::WorkloadEnded => Level::Info,
        _ => Level::Warn,
    };
    let token = term.fencing_token();
    log::log!(
        level,
        "{identity} does not lead any more (token {token}): {reason}"
    );
}

/// Another one leads, or nobody.
pub(super) fn hail(own_identity: &str, transition: &Transition) {
    let Transition::NewLeader { identity, token } = transition else {
        return;
    };
    match token {
        _ if identity.is_empty() => log::info!("nobody leads"),
        // A term of our own has a line of its own.
        _ if identity == own_identity => {}
        Some(token) => log::info!("All hail {identity} (token {token})"),
        None => log::info!("All hail {identity}"),
    }
}
