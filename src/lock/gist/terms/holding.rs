//! What one revision in effect means for who leads, and which two of them can only belong together.

use std::sync::Arc;

use crate::lock::gist::stored::{PROTOCOL, Stored};

/// What is in effect, as far as it says who leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holding {
    /// An elector's term.
    Term {
        /// Who leads.
        holder: String,
        /// The term's token.
        token: u64,
        /// Names the process that wrote it.
        process: Arc<str>,
    },
    /// An elector's record without a holder: the lease was given back, or the lock made.
    Free {
        /// The token of the term that was given back.
        token: u64,
        /// Names the process that wrote it.
        process: Arc<str>,
    },
    /// A record that came past the elections, from a person or from client-go.
    Plain {
        /// Who leads, by that record; empty for nobody.
        holder: String,
        /// Its token.
        token: u64,
    },
    /// A record of a newer protocol.
    Newer,
    /// No record that can be read.
    Nothing,
}

impl Holding {
    /// What a revision in effect means.
    #[must_use]
    pub fn of(stored: &Stored) -> Holding {
        let Some(seen) = stored.record() else {
            return Holding::Nothing;
        };
        if seen.protocol > PROTOCOL {
            return Holding::Newer;
        }
        let holder = seen.record.holder_identity.clone();
        let token = seen.record.leader_transitions;
        let Some(origin) = &seen.origin else {
            return Holding::Plain { holder, token };
        };
        let process = process_of(&origin.write_id);
        if holder.is_empty() {
            return Holding::Free { token, process };
        }
        Holding::Term {
            holder,
            token,
            process,
        }
    }

    /// Whether whatever stands between two revisions in effect that both mean this means it as well.
    ///
    /// So it is for what electors wrote. The first write of a term has a token above that of every
    /// earlier one of ours that took effect, and its process writes on with that token only as long as
    /// its own write is in effect; so no token of ours ever comes back once another is in effect, nor a
    /// holder who gave the lease back. A record that came past the elections can come back by hand, or
    /// by a write that was late, whatever was in effect in between.
    #[must_use]
    pub fn cannot_return(&self) -> bool {
        matches!(self, Holding::Term { .. } | Holding::Free { .. })
    }

    /// Who leads by it, with which token.
    #[must_use]
    pub fn leader(&self) -> Option<(&str, u64)> {
        match self {
            Holding::Term { holder, token, .. } => Some((holder, *token)),
            Holding::Plain { holder, token } if !holder.is_empty() => Some((holder, *token)),
            _ => None,
        }
    }

    /// The process that wrote it, for one of ours.
    #[must_use]
    pub fn process(&self) -> Option<&str> {
        match self {
            Holding::Term { process, .. } | Holding::Free { process, .. } => Some(process),
            _ => None,
        }
    }
}

/// Up to the last `-`, a write's id names its process.
fn process_of(write_id: &Arc<str>) -> Arc<str> {
    match write_id.rsplit_once('-') {
        Some((process, _)) => process.into(),
        None => Arc::clone(write_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::gist::wire::Text;

    fn holding(fields: &str) -> Holding {
        let text = format!("{{{fields}}}");
        Holding::of(&Stored::read(&Text::Whole(text.into())))
    }

    #[test]
    fn records_are_told_apart_by_who_wrote_them() {
        let ours = format!(
            r#""leaderTransitions":3,"writeId":"9f-2-17","supersedes":"{}""#,
            "a".repeat(40)
        );
        let term = holding(&format!(r#""holderIdentity":"a",{ours}"#));
        assert_eq!(term.leader(), Some(("a", 3)));
        assert_eq!(term.process(), Some("9f-2"));
        assert!(term.cannot_return());
        let free = holding(&format!(r#""holderIdentity":"",{ours}"#));
        assert_eq!((free.leader(), free.process()), (None, Some("9f-2")));
        let plain = holding(r#""holderIdentity":"a","leaderTransitions":3"#);
        assert_eq!(plain.leader(), Some(("a", 3)));
        assert!(!plain.cannot_return() && plain.process().is_none());
        let cleared = holding(r#""holderIdentity":"""#);
        assert_eq!(cleared.leader(), None);
        let newer = holding(&format!(r#""holderIdentity":"a","protocol":2,{ours}"#));
        assert_eq!(newer, Holding::Newer);
        assert_eq!(holding(""), Holding::Nothing);
    }
}
