//! `elector depose`: ends the leader's term by a foreign write without a holder. The leader observes it
//! at its next renewal and stops; a candidate leads a lease later.
//!
//! ```text
//!   read ─ no holder? ─▶ done
//!     │
//!   ask ─▶ read again ─ another holder? ─▶ give up
//!     │
//!   write a record without a holder ─▶ wait ─▶ read: is it effective?
//! ```
//!
//! Some stores lose acknowledged writes that race with others. So the write counts only once a later
//! read shows it.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use super::command::{
    Arguments, Command, CommandError, CommandOption, CommandResult, Operands, UsageError, print,
};
use super::settings::Settings;
use crate::election::config::LeaderElectionConfig;
use crate::election::lock::{Content, LockError};
use crate::election::record::LeaderElectionRecord;
use crate::fmt::{round_up, span};
use crate::lock::admin::Admin;
use crate::lock::inspection::{InspectedRecord, LeaseState};
use crate::system::clock;

/// The command.
pub const COMMAND: Command = Command {
    name: "depose",
    summary: "end the term of the leader, safely",
    details: "\
Shows the holder of the lease, asks, and writes a record without a holder in its
place. The leader observes it at its next renewal, stops its workload, and becomes a
candidate. After a lease, a candidate, maybe the same one, leads with a higher fencing
token. To hand over without that wait, use `elector step-down` beside the leader.
Content that is not a lease record is left unchanged, and nothing is written if there
is no holder.",
    options: &[CommandOption {
        short: Some('y'),
        ..CommandOption::flag(
            YES,
            "do not ask; required if standard input is not a terminal",
        )
    }],
    operands: Operands::None,
    notes: "\
Exit codes: 0 deposed, or there is no holder; 1 not deposed, or unknown; 2 wrong
usage or settings.",
    run,
};

const YES: &str = "--yes";

/// Reads after the write. Why more than one: an answer may be some seconds old.
const READS: u32 = 4;

/// Shortest pause before each of these reads.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

fn run(args: &Arguments) -> CommandResult {
    let yes = args.has(YES);
    if !yes && !io::stdin().is_terminal() {
        let why = "standard input is not a terminal; add --yes";
        return Err(UsageError::new(why).into());
    }
    let settings = Settings::from_environment(false)?;
    let backend = settings.lock.backend();
    let mut admin = backend.admin(&settings.election)?;
    let delay = backend.confirm_delay();
    let result = depose(&mut *admin, &settings.election, delay, yes);
    print(&result.map_err(CommandError::failed)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Deposes the holder of a lock, after asking unless `yes`. Candidates with the times of `election` are
/// assumed. Returns the result for display.
///
/// # Errors
/// Returns the reason if the holder was not deposed.
pub fn depose(
    admin: &mut dyn Admin,
    election: &LeaderElectionConfig,
    confirm_delay: Option<Duration>,
    yes: bool,
) -> Result<String, String> {
    let confirm_delay = confirm_delay.unwrap_or_default();
    let nothing = |error: LockError| format!("{error}; nothing was written");
    let first = admin.inspect().map_err(nothing)?;
    if let Some(text) = nothing_to_depose(&first)? {
        return Ok(text);
    }
    let target = match yes {
        true => first,
        false => {
            if !asked(&question(&first, &admin.describe())) {
                return Err("nothing was written".to_owned());
            }
            let second = admin.inspect().map_err(nothing)?;
            require_same_holder(&first, &second)?;
            second
        }
    };
    let record = target
        .record()
        .ok_or("there is no record; nothing was written")?;
    let record = without_holder(record, clock::utc_timestamp());
    let unknown = match admin.replace(&target, &record) {
        Ok(()) => None,
        Err(LockError::OutcomeUnknown(why)) => Some(why),
        Err(error) => return Err(nothing(error)),
    };
    let pause = confirm_delay.max(SHORTEST_PAUSE);
    let after = await_effect(admin, record, pause, unknown.as_deref())?;
    Ok(result(&target, &after, election, confirm_delay))
}

/// Reads until `record` is effective, after a `pause` before each read. `unknown` is the reason why the
/// write may not have landed, if there is one.
fn await_effect(
    admin: &mut dyn Admin,
    record: LeaderElectionRecord,
    pause: Duration,
    unknown: Option<&str>,
) -> Result<InspectedRecord, String> {
    let written = Content::Record(record.into());
    let mut observed = String::new();
    for _ in 0..READS {
        thread::sleep(pause);
        match admin.inspect() {
            Ok(record) if record.foreign && record.content == written => return Ok(record),
            Ok(record) => observed = record.summary(),
            Err(LockError::RateLimited { retry_after, why }) => {
                observed = format!("{why}, for {}", span(retry_after));
                break;
            }
            Err(error) => observed = error.to_string(),
        }
    }
    Err(match unknown {
        Some(why) => format!(
            "the write may have landed, or may still land: {why}. The record now: {observed}. Check \
             with elector status before you repeat it"
        ),
        None => format!(
            "the write was accepted but is not effective: another write came between, or the store \
             lost it. The record now: {observed}. Check with elector status, and repeat it if needed"
        ),
    })
}

/// Returns why there is nothing to depose, or `None` if there is a holder.
///
/// # Errors
/// If the content must not be replaced.
fn nothing_to_depose(record: &InspectedRecord) -> Result<Option<String>, String> {
    let summary = record.summary();
    match record.state() {
        LeaseState::NotARecord => Err(format!("{summary}; left unchanged, name another place")),
        LeaseState::NewerProtocol => {
            Err(format!("{summary}; left unchanged, upgrade this elector"))
        }
        LeaseState::Held | LeaseState::Undated => Ok(None),
        LeaseState::ForeignWrite if !record.content.holder().is_empty() => Ok(None),
        _ => Ok(Some(format!("{summary}\nNothing was written.\n"))),
    }
}

/// Checks that the holder in `before` still holds the lease.
fn require_same_holder(before: &InspectedRecord, now: &InspectedRecord) -> Result<(), String> {
    let held = |record: &InspectedRecord| {
        let deposable = matches!(nothing_to_depose(record), Ok(None));
        deposable.then_some((record.content.holder().to_owned(), record.fencing_token))
    };
    if held(before) == held(now) {
        return Ok(());
    }
    Err(format!(
        "the lease has changed hands ({}); nothing was written, run this again",
        now.summary()
    ))
}

fn question(record: &InspectedRecord, place: &str) -> String {
    format!(
        "{} holds the lease: fencing token {}, renewed {}, lease {}\n({place})\n\
         Depose it? Its workload stops, and nobody leads for about a lease. [y/N] ",
        record.shown_holder(),
        record.fencing_token.unwrap_or_default(),
        record.ago(),
        record.lease_duration().map(span).unwrap_or_default(),
    )
}

/// Asks on the terminal. Every answer but yes means no.
fn asked(question: &str) -> bool {
    let mut err = io::stderr();
    if write!(err, "{question}")
        .and_then(|()| err.flush())
        .is_err()
    {
        return false;
    }
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    let answer = line.trim().to_ascii_lowercase();
    read.is_ok() && (answer == "y" || answer == "yes")
}

/// Returns the record that deposes the holder of `record`. It keeps the fencing token, the lease and
/// fields of other programs.
fn without_holder(record: &LeaderElectionRecord, now: String) -> LeaderElectionRecord {
    LeaderElectionRecord {
        holder_identity: String::new(),
        acquire_time: now.clone(),
        renew_time: now,
        ..record.clone()
    }
}

/// Returns the result for display. `target` is the record that was replaced, and `after` its effective
/// replacement.
fn result(
    target: &InspectedRecord,
    after: &InspectedRecord,
    election: &LeaderElectionConfig,
    confirm_delay: Duration,
) -> String {
    let longest = after.longest_lease.max(target.longest_lease);
    let wait = longest.max(election.lease_duration);
    let takeover = election.poll_period + election.takeover_stagger + confirm_delay;
    let until = round_up(wait + takeover) + Duration::from_secs(1);
    let more = match after.complete && target.complete {
        true => "",
        false => " or more",
    };
    let mut text = format!(
        "{} is deposed (fencing token {}). It stops at its next renewal, within {}.\n\
         A candidate leads about {} to {}{more} after the write, with a higher fencing token.\n",
        target.shown_holder(),
        target.fencing_token.unwrap_or_default(),
        span(round_up(election.retry_period)),
        span(round_up(wait)),
        span(until),
    );
    if target.foreign {
        text.push_str(
            "The record was a foreign write: a client-go candidate may acquire it immediately.\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::inspection::Refusal;
    use crate::lock::inspection::tests::{NEWER, content, foreign, inspected, refused};

    #[test]
    fn written_record_keeps_all_but_holder() {
        let mut record = inspected("napoleon", 4).record().unwrap().clone();
        record.other.insert("strategy".into(), "x".into());
        record.other.insert("y".into(), serde_json::json!([1.5]));
        let written = without_holder(&record, "2026-11-23T10:00:00Z".to_owned());
        assert_eq!(written.holder_identity, "");
        assert_eq!(written.leader_transitions, 3);
        assert_eq!(written.lease_duration(), Duration::from_secs(30));
        assert_eq!(written.other, record.other);
    }

    #[test]
    fn only_holder_of_record_is_deposed() {
        assert_eq!(nothing_to_depose(&inspected("napoleon", 4)), Ok(None));
        assert_eq!(nothing_to_depose(&foreign("me", 4)), Ok(None));
        for record in [
            inspected("napoleon", 31),
            inspected("", 4),
            foreign("", 4),
            content(Content::Corrupt("x".into())),
            content(Content::NeverWritten),
        ] {
            let text = nothing_to_depose(&record).unwrap().unwrap();
            assert!(text.starts_with("nobody"), "{text}");
        }
        assert!(nothing_to_depose(&refused(Refusal::NotARecord)).is_err());
        assert!(nothing_to_depose(&refused(NEWER)).is_err());
    }

    #[test]
    fn other_holder_is_not_deposed() {
        let before = inspected("napoleon", 4);
        assert_eq!(
            require_same_holder(&before, &inspected("napoleon", 0)),
            Ok(())
        );
        let mut later_term = inspected("napoleon", 0);
        later_term.fencing_token = Some(4);
        for now in [inspected("hannibal", 0), later_term, inspected("", 0)] {
            let error = require_same_holder(&before, &now).unwrap_err();
            assert!(error.contains("nothing was written"), "{error}");
        }
    }

    #[test]
    fn question_names_holder_and_token() {
        let question = question(&inspected("napoleon", 4), "gist aa5a");
        let start = "napoleon holds the lease: fencing token 3, renewed 4s ago";
        assert!(question.starts_with(start), "{question}");
        assert!(question.ends_with("[y/N] "));
    }

    #[test]
    fn result_tells_when_candidate_leads() {
        let election = LeaderElectionConfig::new("a");
        let result = |target: &InspectedRecord| {
            let after = inspected("", 0);
            result(target, &after, &election, Duration::from_secs(2))
        };
        assert_eq!(
            result(&inspected("napoleon", 4)),
            "\
napoleon is deposed (fencing token 3). It stops at its next renewal, within 8s.
A candidate leads about 30s to 36s after the write, with a higher fencing token.
"
        );
        let mut target = foreign("napoleon", 4);
        target.complete = false;
        let text = result(&target);
        assert!(
            text.contains("client-go") && text.contains("36s or more"),
            "{text}"
        );
    }
}
