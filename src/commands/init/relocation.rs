//! `elector init --from`: moves an election to another lock.
//!
//! ```text
//!   can the new place be used? ─▶ mark the present record ─▶ wait until nobody leads
//!     ─▶ read the highest fencing token ─▶ write a record above it in the new place
//! ```
//!
//! Each step finds out whether it is done, so that the command can be repeated after each.

use crate::commands::command::CommandError;
use crate::commands::settings::Settings;
use crate::commands::steering::Operator;
use crate::election::annotation::MOVED_TO;
use crate::election::lock::LockError;
use crate::fmt::one_line;
use crate::lock::admin::{Admin, Initialized};
use crate::lock::inspection::LeaseState;
use crate::lock::steering::Request;

/// Moves the election in the lock `from` to the lock of the settings.
pub(super) fn run(from: &str, report: &mut dyn FnMut(&str)) -> Result<Initialized, CommandError> {
    let (new, old) = Settings::for_move(from)?;
    let (to, from) = (new.lock.backend().lock(), old.lock.backend().lock());
    let mut admin = new.lock.backend().admin(&new.election)?;
    let mut present = old.lock.backend().admin(&old.election)?;
    check(&mut *present, &mut *admin, &from, &to)?;
    let mut operator = Operator::open(&old.lock, &old.election)?;
    report(&format!(
        "marking {from} as moved; waiting until nobody leads there"
    ));
    let request = Request::Pause {
        field: MOVED_TO,
        value: to.as_str().into(),
    };
    operator.request(request, "until nobody leads in the present lock", |_| {})?;
    let observed = &operator.observed;
    let record = observed.content.record();
    let token = record.map(|record| record.leader_transitions);
    let highest = observed
        .highest_fencing_token
        .max(token)
        .unwrap_or_default();
    admin.init(highest + 1, report).map_err(CommandError::from)
}

/// Checks, before anything is written, that the present lock has not moved elsewhere, and that the new place
/// can get a record above its fencing token.
fn check(
    present_admin: &mut dyn Admin,
    new_admin: &mut dyn Admin,
    from: &str,
    to: &str,
) -> Result<(), CommandError> {
    let nothing = |error: LockError| CommandError::failed(format!("{error}; nothing was written"));
    let present = present_admin.inspect().map_err(nothing)?;
    let Some(record) = present.record().filter(|_| present.refusal.is_none()) else {
        let why = present.summary();
        return Err(CommandError::failed(format!(
            "{from} has no election to move ({why}); nothing was written"
        )));
    };
    let moved_to = record
        .annotation(MOVED_TO)
        .map(|lock| lock.as_str().unwrap_or_default());
    let marked = moved_to.is_some();
    if let Some(other) = moved_to.filter(|lock| *lock != to) {
        return Err(CommandError::failed(format!(
            "{from} moved to {} already; nothing was written",
            one_line(other)
        )));
    }
    if present.foreign {
        return Err(CommandError::failed(format!(
            "{from} holds a record that was written by hand or by another program; let an elector lead there \
             first, or end that program's election; nothing was written"
        )));
    }
    new_admin.permit_new_election();
    let new = new_admin.inspect().map_err(nothing)?;
    // One place may have two spellings, and two places may have one description.
    let same_name = new_admin.describe() == present_admin.describe();
    if same_name && new.version == present.version {
        return Err(CommandError::settings(format!(
            "--from: {from} is the lock of the settings too; set LOCK to another place"
        )));
    }
    let usable = match new.state() {
        LeaseState::NeverWritten | LeaseState::Checkpoint | LeaseState::Deleted => true,
        LeaseState::NotARecord | LeaseState::NewerProtocol => false,
        _ => {
            let left = new.record().is_some_and(|new| {
                new.holder_identity.is_empty() && new.annotation(MOVED_TO).is_some()
            });
            // Only an interrupted move has created this record already.
            left || marked && new.fencing_token > present.fencing_token
        }
    };
    if usable {
        return Ok(());
    }
    Err(CommandError::failed(format!(
        "{to} holds something else already ({}); nothing was written, name another place",
        new.summary()
    )))
}
