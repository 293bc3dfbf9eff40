//! What the record in effect says of the lease: who leads, or why nobody does. Pure.
//!
//! This is for people and scripts. A candidate decides by what it saw itself, and by its own clock;
//! here one look has to do, and the server's two dates: the answer's, and the revision's.

use std::sync::Arc;
use std::time::Duration;

use crate::fmt::{one_line, span};
use crate::lock::gist::look::Looked;
use crate::lock::gist::stored::{Moved, PROTOCOL, Stored, StoredRecord};

/// How it is with the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Somebody holds it, and it has not run out.
    Alive,
    /// Somebody held it, and did not renew it.
    RunOut,
    /// It was given back.
    Released,
    /// What stands there was written past the elections.
    Overwritten,
    /// A record that `elector init` made, and nobody has taken yet.
    Prepared,
    /// The record cannot be read.
    Spoilt,
    /// There was a record.
    Gone,
    /// There never was one.
    Absent,
    /// The file holds other people's text.
    Foreign,
    /// The record goes by a rule that is not known here.
    NewerProtocol,
    /// The lock is, or is being, moved to another gist.
    Moved,
    /// Somebody holds it, but the answers have no dates.
    Undated,
}

impl State {
    /// Its name for scripts.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Alive => "alive",
            State::RunOut => "runOut",
            State::Released => "released",
            State::Overwritten => "overwritten",
            State::Prepared => "prepared",
            State::Spoilt => "spoilt",
            State::Gone => "gone",
            State::Absent => "absent",
            State::Foreign => "foreign",
            State::NewerProtocol => "newerProtocol",
            State::Moved => "moved",
            State::Undated => "undated",
        }
    }
}

/// What the record in effect says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) state: State,
    /// Whom the record names; empty for nobody.
    pub(super) holder: String,
    pub(super) token: Option<u64>,
    /// How long ago it was written, by the server's clock, to whole seconds.
    pub(super) age: Option<Duration>,
    /// The lease that the record is good for.
    pub(super) lease: Option<Duration>,
    /// The longest lease that candidates may have to wait for.
    pub(super) longest_lease: Duration,
    /// Since when the holder leads, as it says itself; empty where it does not.
    pub(super) since: String,
    /// It was written past the elections.
    plain: bool,
    /// What is wrong with a file that holds no record, which rule the record goes by, or where the lock
    /// is instead.
    why: Arc<str>,
}

impl Standing {
    pub(super) fn of(looked: &Looked) -> Standing {
        let effect = &looked.effect;
        let age = age(looked.date, effect.commit.committed_at);
        let record = effect.stored.record();
        let why = match &*effect.stored {
            Stored::Unrelated(why) | Stored::Corrupt { why, .. } => Arc::clone(why),
            _ => "".into(),
        };
        Standing {
            state: state(looked, age),
            holder: record.map_or_else(String::new, |stored| stored.record.holder_identity.clone()),
            token: effect.stored.token(),
            age,
            lease: record.map(|stored| stored.record.lease_duration()),
            longest_lease: effect.longest_lease.unwrap_or_default(),
            since: record.map_or_else(String::new, |stored| stored.record.acquire_time.clone()),
            plain: effect.stored.origin().is_none(),
            why: match (moved(looked), effect.newer_protocol) {
                (Some(moved), _) => moved.into(),
                (None, Some(protocol)) => protocol.to_string().into(),
                (None, None) => why,
            },
        }
    }

    /// Who leads; empty for nobody that is known to.
    pub(super) fn leader(&self) -> &str {
        match self.state {
            State::Alive => &self.holder,
            _ => "",
        }
    }

    /// Whom the record names, fit to be shown.
    pub(super) fn shown_holder(&self) -> String {
        one_line(&self.holder)
    }

    /// How long the lease of a leader lasts unless it is renewed.
    pub(super) fn left(&self) -> Option<Duration> {
        match self.state {
            State::Alive => Some(self.lease?.saturating_sub(self.age?)),
            _ => None,
        }
    }

    /// How long candidates with this lease setting still wait, if they saw this record when it was
    /// written; `None` where they wait for nothing of the kind.
    pub(super) fn waits(&self, own_lease: Duration) -> Option<Duration> {
        match self.state {
            State::Overwritten | State::Prepared | State::Spoilt | State::Gone if self.plain => {
                let left = self.longest_lease.max(own_lease).checked_sub(self.age?)?;
                (!left.is_zero()).then_some(left)
            }
            _ => None,
        }
    }

    /// `4s ago`.
    pub(super) fn ago(&self) -> String {
        match self.age {
            Some(age) => format!("{} ago", span(age)),
            None => "at a time that is not known".to_owned(),
        }
    }

    /// Who leads, or why nobody does, in a clause.
    pub(super) fn clause(&self) -> String {
        let (holder, ago, why) = (self.shown_holder(), self.ago(), &self.why);
        match self.state {
            State::Alive => holder,
            State::RunOut => {
                let age = self.age.unwrap_or_default();
                let past = age.saturating_sub(self.lease.unwrap_or_default());
                format!("nobody: the lease of {holder} ran out {} ago", span(past))
            }
            State::Released => format!("nobody: the lease was given back {ago}"),
            State::Overwritten if holder.is_empty() => format!(
                "nobody: the holder was cleared {ago}, past the elections (elector depose, or by hand)"
            ),
            State::Overwritten => format!(
                "not known: {holder} was written into the record {ago}, past the elections (by hand, or \
                 by a client-go candidate, which leads then)"
            ),
            State::Prepared => format!("nobody yet: elector init made the record {ago}"),
            State::Spoilt => format!("nobody: the record cannot be read, {why} (written {ago})"),
            State::Gone => format!("nobody: the record was blanked or deleted {ago}"),
            State::Absent => "nobody yet: there never was a record".to_owned(),
            State::Foreign => format!("nobody: the file holds something else, {why}"),
            State::NewerProtocol => format!(
                "not known: the record goes by protocol {why}, this elector by {PROTOCOL}: it is used by \
                 newer electors"
            ),
            State::Moved => format!("nobody leads by this lock: {why}"),
            State::Undated => {
                format!(
                    "not known: {holder}, unless its lease has run out (the answer has no date)"
                )
            }
        }
    }
}

/// How long ago that was, both by the server's clocks, which may be a second apart.
fn age(date: Option<i64>, committed_at: Option<i64>) -> Option<Duration> {
    let seconds = date?.checked_sub(committed_at?)?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Where the lock is, if the record says that it is moved.
fn moved(looked: &Looked) -> Option<String> {
    let effect = &looked.effect;
    effect.newer_protocol?;
    Some(match effect.stored.record()?.moved.as_ref()? {
        Moved::To(place) => format!("it was moved to {place}"),
        Moved::From(place) => format!(
            "it is being moved here from {place}, have `elector init --from {}` come to its end",
            place.gist
        ),
    })
}

fn state(looked: &Looked, age: Option<Duration>) -> State {
    let effect = &looked.effect;
    if effect.newer_protocol.is_some() {
        return match moved(looked) {
            Some(_) => State::Moved,
            None => State::NewerProtocol,
        };
    }
    match &*effect.stored {
        Stored::Record(stored) => state_of_record(stored, age),
        Stored::Unrelated(_) => State::Foreign,
        Stored::Corrupt { .. } => State::Spoilt,
        // How far back there is none is not known unless it was read.
        Stored::Blank | Stored::Empty(_) if effect.settled && effect.longest_lease.is_none() => {
            State::Absent
        }
        Stored::Blank | Stored::Empty(_) => State::Gone,
    }
}

fn state_of_record(stored: &StoredRecord, age: Option<Duration>) -> State {
    let free = stored.record.holder_identity.is_empty();
    match (&stored.origin, age) {
        _ if stored.checkpoint && free => State::Prepared,
        (None, _) => State::Overwritten,
        (Some(_), _) if free => State::Released,
        (Some(_), None) => State::Undated,
        (Some(_), Some(age)) if age < stored.record.lease_duration() => State::Alive,
        (Some(_), Some(_)) => State::RunOut,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::lock::gist::revision::Revision;
    use crate::lock::gist::rule::EffectiveRevision;
    use crate::lock::gist::wire::{Commit, Text};

    /// What a look shows where `text` was written `age` seconds ago.
    pub(in crate::commands) fn looked(text: &str, age: i64) -> Looked {
        let stored = Arc::new(Stored::read(&Text::Whole(text.into())));
        let newer = stored.record().map(|stored| stored.protocol);
        Looked {
            file: "leader.json".to_owned(),
            effect: EffectiveRevision {
                commit: Commit {
                    revision: Revision::from_bytes([9; 20]),
                    committed_at: Some(1_588_008_246 - age),
                },
                settled: true,
                longest_lease: stored.lease(),
                newer_protocol: newer.filter(|protocol| *protocol > PROTOCOL),
                stored,
            },
            date: Some(1_588_008_246),
        }
    }

    /// A record of ours, with these further fields.
    pub(in crate::commands) fn ours(holder: &str, more: &str) -> String {
        let supersedes = "7".repeat(40);
        format!(
            r#"{{"holderIdentity":"{holder}","leaseDurationSeconds":30,"acquireTime":"2020-04-27T17:00:00Z","leaderTransitions":3,"writeId":"a-1","supersedes":"{supersedes}"{more}}}"#
        )
    }

    fn standing(text: &str, age: i64) -> Standing {
        Standing::of(&looked(text, age))
    }

    #[test]
    fn every_record_has_its_state_and_only_a_lease_alive_has_a_leader() {
        let plain = r#"{"holderIdentity":"me","leaderTransitions":3}"#;
        let floor = r#"{"holderIdentity":"","checkpoint":true}"#;
        for (text, age, state, leader) in [
            (ours("napoleon", "").as_str(), 29, State::Alive, "napoleon"),
            (&ours("napoleon", ""), -1, State::Alive, "napoleon"),
            (&ours("napoleon", ""), 30, State::RunOut, ""),
            (&ours("", ""), 1, State::Released, ""),
            (&ours("x", r#","protocol":2"#), 1, State::NewerProtocol, ""),
            (
                &ours("", r#","protocol":2,"movedTo":"aa","movedToFile":"b""#),
                1,
                State::Moved,
                "",
            ),
            (plain, 1, State::Overwritten, ""),
            (floor, 1, State::Prepared, ""),
            (&ours("", r#","checkpoint":true"#), 1, State::Prepared, ""),
            (r#"{"leaderTransitions":"x"}"#, 1, State::Spoilt, ""),
            ("{}", 1, State::Absent, ""),
            ("", 1, State::Absent, ""),
            ("dear diary", 1, State::Foreign, ""),
        ] {
            let standing = standing(text, age);
            assert_eq!(
                (standing.state, standing.leader()),
                (state, leader),
                "{text}"
            );
        }
    }

    #[test]
    fn what_was_blanked_after_a_record_or_after_nobody_knows_what_is_gone() {
        let mut after_record = looked("{}", 5);
        after_record.effect.longest_lease = Some(Duration::from_secs(30));
        let mut unread = looked("{}", 5);
        unread.effect.settled = false;
        for looked in [after_record, unread] {
            assert_eq!(Standing::of(&looked).state, State::Gone);
        }
    }

    #[test]
    fn without_dates_nobody_is_said_to_lead() {
        let mut undated = looked(&ours("napoleon", ""), 1);
        undated.date = None;
        let standing = Standing::of(&undated);
        assert_eq!((standing.state, standing.leader()), (State::Undated, ""));
        assert!(standing.clause().contains("napoleon"));
    }

    #[test]
    fn clauses_say_who_leads_or_why_nobody_does() {
        let clause = |text: &str, age| standing(text, age).clause();
        assert_eq!(clause(&ours("napoleon", ""), 4), "napoleon");
        assert_eq!(
            clause(&ours("napoleon", ""), 282),
            "nobody: the lease of napoleon ran out 4m 12s ago"
        );
        assert_eq!(
            clause(&ours("", ""), 4),
            "nobody: the lease was given back 4s ago"
        );
        let twisted = r"nap\n\u001b[31moleon";
        assert_eq!(clause(&ours(twisted, ""), 4), "nap [31moleon");
        let newer = clause(&ours("x", r#","protocol":2"#), 4);
        assert!(newer.contains("protocol 2, this elector by 1"), "{newer}");
    }

    #[test]
    fn what_is_overwritten_is_waited_for_by_the_longest_lease() {
        let mut looked = looked(r#"{"holderIdentity":""}"#, 10);
        looked.effect.longest_lease = Some(Duration::from_secs(60));
        let standing = Standing::of(&looked);
        let wait = |own| standing.waits(Duration::from_secs(own));
        assert_eq!(wait(30), Some(Duration::from_secs(50)));
        assert_eq!(wait(90), Some(Duration::from_secs(80)));
        looked.effect.commit.committed_at = Some(0);
        assert_eq!(Standing::of(&looked).waits(Duration::from_secs(30)), None);
        let made = Standing::of(&self::looked(&ours("", r#","checkpoint":true"#), 4));
        assert_eq!(made.waits(Duration::from_secs(30)), None);
        let held = Standing::of(&self::looked(&ours("napoleon", ""), 4));
        assert_eq!(held.waits(Duration::from_secs(30)), None);
        assert_eq!(held.left(), Some(Duration::from_secs(26)));
    }
}
