//! `elector depose`: the override by hand done right. The leader finds its record overwritten at its
//! next renewal and stops; the next one leads a lease later.
//!
//! ```text
//!   look ─ nobody leads? ─▶ done
//!     │
//!   ask ─▶ look again ─ another one leads? ─▶ given up
//!     │
//!   write a plain record without a holder ─▶ wait ─▶ look: is it in effect?
//! ```
//!
//! A write can vanish in a race with another, also after it was answered. So it counts only once it is
//! seen in effect a while later.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lexopt::prelude::*;

use super::gist::{self, Gist, complain, failed};
use super::help;
use super::settings::Settings;
use super::standing::{Standing, State};
use super::usage::{self, USAGE, UsageError};
use crate::election::lock::LockError;
use crate::election::record::LeaderElectionRecord;
use crate::fmt::{round_up, span, utc};
use crate::lock::gist::look::Looked;
use crate::lock::gist::stored::Stored;
use crate::lock::gist::wire::Text;
use crate::system::clock;

/// What is to be known of it, for the help.
pub(super) const DETAILS: &str = "\
Shows who holds the lease, asks, and writes a record without a holder over it. The
leader notices at its next renewal, stops its workload, and becomes a candidate; the
next one, maybe the same, leads a lease later, with a higher token. To hand the lease
over without that wait, use `elector step-down` beside the leader. What is no record
is not touched, and nothing is written where nobody holds the lease.

Options:
  --yes   do not ask; needed where standard input is no terminal

Exit codes: 0 deposed, or nobody to be deposed; 1 not deposed, or not known whether;
2 wrong usage or settings.";

const NAME: &str = "depose";

/// How often it is looked whether the write is in effect: an answer may be some seconds old.
const MOST_LOOKS: u32 = 4;

/// The shortest while after which that is looked at.
const SHORTEST_WHILE: Duration = Duration::from_millis(500);

/// Runs it; `args` is what follows the subcommand's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let yes = match parse(args) {
        Ok(Some(yes)) => yes,
        Ok(None) => return gist::print(NAME, &help::text(help::topic(NAME)), ExitCode::SUCCESS),
        Err(error) => return usage::refuse(NAME, &error),
    };
    if !yes && !io::stdin().is_terminal() {
        let why = "standard input is no terminal, so that nobody can be asked: add --yes";
        complain(NAME, &why);
        return ExitCode::from(USAGE);
    }
    let settings = match gist::settings(NAME) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let mut gist = match Gist::open(&settings) {
        Ok(gist) => gist,
        Err(error) => return gist::wrong_settings(NAME, &error),
    };
    match depose(&mut gist, &settings, yes) {
        Ok(text) => gist::print(NAME, &text, ExitCode::SUCCESS),
        Err(why) => failed(NAME, &why),
    }
}

/// Whether not to ask; `None` is a wish for help.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<bool>, UsageError> {
    let mut yes = false;
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Short('y') | Long("yes") => yes = true,
            arg => return Err(usage::unexpected(&arg, &["--yes", "--help"])),
        }
    }
    Ok(Some(yes))
}

/// What became of it, for people, or why it did not come to it.
fn depose(gist: &mut Gist, settings: &Settings, yes: bool) -> Result<String, String> {
    let nothing = |error: LockError| format!("{error}; nothing was written");
    let first = gist.look().map_err(nothing)?;
    let shown = Standing::of(&first);
    if let Some(text) = nobody_to_depose(&shown)? {
        return Ok(text);
    }
    let target = match yes {
        true => first,
        false => {
            if !asked(&question(&shown, &gist.describe())) {
                return Err("nothing was written".to_owned());
            }
            let second = gist.look().map_err(nothing)?;
            same_holder(&first, &second)?;
            second
        }
    };
    let record = target.effect.stored.record();
    let record = record.ok_or("there is no record any more; nothing was written")?;
    let content = deposing(&record.record, clock::utc_timestamp()).to_json();
    let written = gist.overwrite(content.clone(), target.effect.commit.revision);
    let unknown = match written {
        Ok(()) => None,
        Err(LockError::OutcomeUnknown(why)) => Some(why),
        Err(error) => return Err(nothing(error)),
    };
    let pause = settings.gist.confirm_delay.max(SHORTEST_WHILE);
    let after = await_effect(gist, &content, pause, unknown.as_deref())?;
    Ok(told(&Deposed {
        holder: shown.shown_holder(),
        token: shown.token.unwrap_or_default(),
        foreign: record.origin.is_none(),
        retry_period: settings.election.retry_period,
        wait: after
            .longest_lease
            .max(settings.election.lease_duration)
            .max(shown.longest_lease),
        begins: settings.election.poll_period
            + settings.election.takeover_stagger
            + settings.gist.confirm_delay,
        settled: after.settled && target.effect.settled,
        written_at: after.written_at,
    }))
}

/// Why there is nobody to be deposed, if there is nobody.
///
/// # Errors
/// What stands there is not to be touched.
fn nobody_to_depose(standing: &Standing) -> Result<Option<String>, String> {
    let clause = standing.clause();
    match standing.state {
        State::Foreign => Err(format!(
            "{clause}; it is left alone, name another with GIST_FILE"
        )),
        State::NewerProtocol => Err(format!("{clause}; it is left alone, upgrade this elector")),
        State::Moved => Err(format!("{clause}; it is left alone")),
        State::Alive | State::Undated => Ok(None),
        State::Overwritten if !standing.holder.is_empty() => Ok(None),
        _ => Ok(Some(format!("{clause}\nNothing was written.\n"))),
    }
}

/// Whether whoever was asked about still holds the lease.
fn same_holder(shown: &Looked, now: &Looked) -> Result<(), String> {
    let held = |looked: &Looked| {
        let standing = Standing::of(looked);
        let leads = matches!(nobody_to_depose(&standing), Ok(None));
        leads.then_some((standing.holder, standing.token))
    };
    if held(shown) == held(now) {
        return Ok(());
    }
    let clause = Standing::of(now).clause();
    Err(format!(
        "the lease has changed hands meanwhile ({clause}); nothing was written, ask again"
    ))
}

fn question(standing: &Standing, place: &str) -> String {
    let token = standing.token.unwrap_or_default();
    let lease = standing.lease.map(span).unwrap_or_default();
    format!(
        "{} holds the lease: token {token}, renewed {}, good for {lease}\n({place})\n\
         Depose it? Its workload is stopped, and nobody leads for about a lease. [y/N] ",
        standing.shown_holder(),
        standing.ago()
    )
}

/// Asks on the terminal. Anything but a yes is a no.
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

/// The record that deposes the holder of `record`: without a holder, and with nothing that would make
/// it a write of an elector's; the token, the lease and what else stands there are kept.
fn deposing(record: &LeaderElectionRecord, wall: String) -> LeaderElectionRecord {
    LeaderElectionRecord {
        holder_identity: String::new(),
        acquire_time: wall.clone(),
        renew_time: wall,
        ..record.clone()
    }
}

/// The record as it is in effect after the write.
struct After {
    longest_lease: Duration,
    settled: bool,
    written_at: Option<i64>,
}

/// Waits until `content` is in effect, for a while. `unknown` says why it is not known whether it was
/// written, if it is not.
fn await_effect(
    gist: &mut Gist,
    content: &str,
    pause: Duration,
    unknown: Option<&str>,
) -> Result<After, String> {
    let written = Stored::read(&Text::Whole(Arc::from(content)));
    let mut seen = String::new();
    for _ in 0..MOST_LOOKS {
        thread::sleep(pause);
        match gist.look() {
            Ok(looked) if *looked.effect.stored == written => {
                return Ok(After {
                    longest_lease: looked.effect.longest_lease.unwrap_or_default(),
                    settled: looked.effect.settled,
                    written_at: looked.effect.commit.committed_at,
                });
            }
            Ok(looked) => seen = Standing::of(&looked).clause(),
            Err(LockError::RateLimited { retry_after, why }) => {
                seen = format!("{why}, for {}", span(retry_after));
                break;
            }
            Err(error) => seen = error.to_string(),
        }
    }
    Err(match unknown {
        Some(why) => format!(
            "it is not known whether the write landed, or lands yet: {why}. The record now: {seen}. Look \
             again with elector status before you repeat it"
        ),
        None => format!(
            "the write was accepted, but is not in effect: another one came in between, or it vanished \
             in a race. The record now: {seen}. Look with elector status, and repeat it if need be"
        ),
    })
}

/// What is said when it is done.
struct Deposed {
    holder: String,
    token: u64,
    /// The record was not an elector's.
    foreign: bool,
    retry_period: Duration,
    /// How long candidates wait from when they see it.
    wait: Duration,
    /// How long it takes a candidate to see it, and to lead when it may.
    begins: Duration,
    /// All that was overwritten is known.
    settled: bool,
    written_at: Option<i64>,
}

fn told(deposed: &Deposed) -> String {
    let Deposed { holder, token, .. } = deposed;
    let mut text = format!(
        "{holder} is deposed (token {token}). It stops at its next renewal, within {}.\n",
        span(round_up(deposed.retry_period))
    );
    let from = round_up(deposed.wait);
    let until = round_up(deposed.wait + deposed.begins) + Duration::from_secs(1);
    let more = if deposed.settled { "" } else { " or more" };
    let times = match deposed.written_at {
        Some(at) => format!(": between {} and {}", later(at, from), later(at, until)),
        None => String::new(),
    };
    text.push_str(&format!(
        "The next one leads about {} to {}{more} after the write, with a higher token{times}.\n",
        span(from),
        span(until)
    ));
    if deposed.foreign {
        text.push_str(
            "The record was not an elector's: a client-go candidate may take it again at once.\n",
        );
    }
    text
}

fn later(unix: i64, time: Duration) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    utc(unix.saturating_add(seconds)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::standing::tests::{looked, ours};
    use super::*;

    fn standing(text: &str, age: i64) -> Standing {
        Standing::of(&looked(text, age))
    }

    #[test]
    fn what_deposes_is_a_plain_record_with_the_token_and_the_fields_it_does_not_know() {
        let text = ours(
            "napoleon",
            r#","strategy":"x","checkpoint":true,"protocol":1,"y":[1.5]"#,
        );
        let looked = looked(&text, 4);
        let record = looked.effect.stored.record().unwrap();
        let written = deposing(&record.record, "2026-11-23T10:00:00Z".to_owned()).to_json();
        let stored = Stored::read(&Text::Whole(written.as_str().into()));
        let stored = stored.record().unwrap();
        assert_eq!(stored.origin, None);
        assert_eq!((stored.protocol, stored.checkpoint), (0, false));
        assert_eq!(stored.record.holder_identity, "");
        assert_eq!(stored.record.leader_transitions, 3);
        assert_eq!(stored.record.lease_duration(), Duration::from_secs(30));
        assert_eq!(stored.record.other["strategy"], "x");
        assert_eq!(stored.record.other["y"], serde_json::json!([1.5]));
        for own in ["writeId", "supersedes", "protocol", "checkpoint"] {
            assert!(!written.contains(own), "{own} in {written}");
        }
    }

    #[test]
    fn only_a_holder_is_deposed_and_only_a_record_is_overwritten() {
        let held = |text: &str, age| nobody_to_depose(&standing(text, age));
        assert_eq!(held(&ours("napoleon", ""), 4), Ok(None));
        assert_eq!(held(r#"{"holderIdentity":"me"}"#, 4), Ok(None));
        for (text, age) in [
            (ours("napoleon", "").as_str(), 31),
            (&ours("", ""), 4),
            (r#"{"holderIdentity":""}"#, 4),
            (r#"{"leaderTransitions":"x"}"#, 4),
            ("{}", 4),
        ] {
            let text = held(text, age).unwrap().unwrap();
            assert!(text.starts_with("nobody"), "{text}");
        }
        assert!(held("dear diary", 4).is_err());
        assert!(held(&ours("napoleon", r#","protocol":2"#), 4).is_err());
    }

    #[test]
    fn who_was_not_asked_about_is_not_deposed() {
        let before = looked(&ours("napoleon", ""), 4);
        assert_eq!(
            same_holder(&before, &looked(&ours("napoleon", ""), 0)),
            Ok(())
        );
        let later_term = ours("napoleon", "").replace(":3", ":4");
        for now in [ours("stalin", ""), later_term, ours("", "")] {
            let error = same_holder(&before, &looked(&now, 0)).unwrap_err();
            assert!(error.contains("nothing was written"), "{error}");
        }
    }

    #[test]
    fn the_question_names_the_holder_and_its_token() {
        let question = question(&standing(&ours("napoleon", ""), 4), "gist aa5a");
        assert!(question.starts_with("napoleon holds the lease: token 3, renewed 4s ago"));
        assert!(question.ends_with("[y/N] "));
    }

    #[test]
    fn it_is_told_when_the_next_one_can_lead() {
        let mut deposed = Deposed {
            holder: "napoleon".to_owned(),
            token: 3,
            foreign: false,
            retry_period: Duration::from_secs(8),
            wait: Duration::from_secs(30),
            begins: Duration::from_millis(4_200),
            settled: true,
            written_at: Some(1_588_008_246),
        };
        assert_eq!(
            told(&deposed),
            "\
napoleon is deposed (token 3). It stops at its next renewal, within 8s.
The next one leads about 30s to 36s after the write, with a higher token: between 2020-04-27T17:24:36Z \
and 2020-04-27T17:24:42Z.
"
        );
        deposed.foreign = true;
        deposed.settled = false;
        let text = told(&deposed);
        assert!(
            text.contains("client-go") && text.contains("36s or more"),
            "{text}"
        );
    }
}
