//! Log lines about who leads, one for each transition.

use log::Level;

use crate::election::action::StopReason;
use crate::runtime::Term;
use crate::runtime::election::Transition;

/// Logs that this candidate takes part.
pub(super) fn started(identity: &str, lock: &str) {
    log::info!(
        event = "started", version = env!("CARGO_PKG_VERSION");
        "elector {} stands for election as {identity}, by {lock}",
        env!("CARGO_PKG_VERSION"),
    );
}

/// Logs that this candidate leads.
pub(super) fn started_leading(identity: &str, term: &Term) {
    let fencing_token = term.fencing_token();
    log::info!(
        event = "started_leading", fencing_token;
        "I am {identity}! I will lead you to greatness! (token {fencing_token})"
    );
}

/// Logs that a term of this candidate is over and nothing works in it any more. It is a warning if the
/// term was lost.
pub(super) fn stopped_leading(identity: &str, term: &Term) {
    let reason = term.stop_reason().unwrap_or(StopReason::Cancelled);
    let level = match reason {
        StopReason::Cancelled | StopReason::SteppedDown | StopReason::WorkloadEnded => Level::Info,
        _ => Level::Warn,
    };
    let fencing_token = term.fencing_token();
    log::log!(
        level,
        event = "workload_stopped", fencing_token, reason:% = reason;
        "{identity} does not lead any more (token {fencing_token}): {reason}"
    );
}

/// Logs that another candidate leads, or none.
pub(super) fn new_leader(own_identity: &str, transition: &Transition) {
    let Transition::NewLeader {
        identity: leader,
        token,
    } = transition
    else {
        return;
    };
    match token {
        _ if leader.is_empty() => log::info!(event = "new_leader", leader; "nobody leads"),
        // Its own terms have lines of their own.
        _ if leader == own_identity => {}
        Some(fencing_token) => log::info!(
            event = "new_leader", leader, fencing_token;
            "All hail {leader} (token {fencing_token})"
        ),
        None => log::info!(event = "new_leader", leader; "All hail {leader}"),
    }
}
