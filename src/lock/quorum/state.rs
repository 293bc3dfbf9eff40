//! State of one member of a quorum, and its text.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::lock::cas::origin::{add_check, take_check};

/// Version of the text. An elector does not act on a higher one.
const FORMAT: u64 = 1;

/// Round of a proposer. Ballots are ordered, and no two processes use the same one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// Number of the round; 0 before the first one.
    pub round: u64,
    /// Process that proposes.
    pub process: Arc<str>,
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.round, self.process)
    }
}

impl Ballot {
    fn parse(text: &str) -> Option<Ballot> {
        let (round, process) = text.split_once('/')?;
        Some(Ballot {
            round: round.parse().ok()?,
            process: process.into(),
        })
    }
}

/// What a member has promised and accepted: an acceptor of Paxos.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Acceptor {
    /// Ballot below which it accepts nothing any more.
    pub promised: Ballot,
    /// Ballot under which it accepted `value`.
    pub accepted: Ballot,
    /// Accepted value.
    pub value: Option<Arc<str>>,
}

/// Identity of a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// Identifier of the quorum.
    pub quorum: Arc<str>,
    /// Places of all members, as `elector init` was given them.
    pub members: Vec<String>,
    /// Number of this member, from 1.
    pub number: usize,
    /// Whether every member was created. Only then it votes.
    pub ready: bool,
    /// Round of its last repair; 0 if there was none.
    pub repaired: u64,
}

/// State of a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Identity of the member.
    pub membership: Arc<Membership>,
    /// What it has promised and accepted.
    pub acceptor: Acceptor,
}

impl State {
    /// Returns the text that the member stores.
    #[must_use]
    pub fn to_text(&self) -> String {
        let membership = &self.membership;
        let mut fields = Map::new();
        let phase = match membership.ready {
            true => "ready",
            false => "forming",
        };
        for (name, value) in [
            ("quorumFormat", json!(FORMAT)),
            ("quorum", json!(&*membership.quorum)),
            ("members", json!(membership.members)),
            ("member", json!(membership.number)),
            ("phase", json!(phase)),
            ("repaired", json!(membership.repaired)),
            ("promised", json!(self.acceptor.promised.to_string())),
            ("accepted", json!(self.acceptor.accepted.to_string())),
            ("value", json!(self.acceptor.value.as_deref())),
        ] {
            fields.insert(name.to_owned(), value);
        }
        add_check(&mut fields);
        Value::Object(fields).to_string()
    }

    /// Parses the text of a member.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<State, &'static str> {
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(text) else {
            return Err("holds something else");
        };
        let Some(format) = fields.get("quorumFormat").and_then(Value::as_u64) else {
            return Err("holds something else");
        };
        if format > FORMAT {
            return Err("follows a newer format; upgrade this elector");
        }
        if !take_check(&mut fields) {
            return Err("was edited by another program");
        }
        parse_fields(&fields).ok_or("is corrupt")
    }
}

fn parse_fields(fields: &Map<String, Value>) -> Option<State> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let number = |name: &str| fields.get(name).and_then(Value::as_u64);
    let members = fields.get("members")?.as_array()?.iter();
    let members = members.map(|place| place.as_str().map(str::to_owned));
    Some(State {
        membership: Arc::new(Membership {
            quorum: text("quorum")?.into(),
            members: members.collect::<Option<_>>()?,
            number: usize::try_from(number("member")?).ok()?,
            ready: text("phase")? == "ready",
            repaired: number("repaired")?,
        }),
        acceptor: Acceptor {
            promised: Ballot::parse(text("promised")?)?,
            accepted: Ballot::parse(text("accepted")?)?,
            value: match fields.get("value")? {
                Value::Null => None,
                value => Some(value.as_str()?.into()),
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            membership: Arc::new(Membership {
                quorum: "q".into(),
                members: vec!["s3://a/b".into(), "gs://c/d".into(), "lease:e".into()],
                number: 2,
                ready: true,
                repaired: 0,
            }),
            acceptor: Acceptor {
                promised: Ballot {
                    round: 8,
                    process: "p".into(),
                },
                accepted: Ballot {
                    round: 7,
                    process: "p".into(),
                },
                value: Some("{}".into()),
            },
        }
    }

    #[test]
    fn state_round_trips() {
        let state = state();
        assert_eq!(State::parse(state.to_text().as_bytes()), Ok(state.clone()));
        let empty = State {
            acceptor: Acceptor::default(),
            ..state
        };
        assert_eq!(State::parse(empty.to_text().as_bytes()), Ok(empty));
    }

    #[test]
    fn other_content_is_no_state() {
        let text = state().to_text();
        for (from, to, why) in [
            ("8/p", "9/p", "was edited by another program"),
            (
                "\"quorumFormat\":1",
                "\"quorumFormat\":2",
                "follows a newer format; upgrade this elector",
            ),
            ("quorumFormat", "format", "holds something else"),
        ] {
            assert_eq!(
                State::parse(text.replacen(from, to, 1).as_bytes()),
                Err(why)
            );
        }
        assert!(State::parse(b"").is_err());
    }

    #[test]
    fn ballots_are_ordered_by_round() {
        let ballot = |round, process: &str| Ballot {
            round,
            process: process.into(),
        };
        assert!(ballot(9, "b") < ballot(10, "a"));
        assert!(ballot(9, "a") < ballot(9, "b"));
        assert!(Ballot::default() < ballot(1, ""));
    }
}
