//! Leader that an effective revision names.

use std::sync::Arc;

use crate::lock::gist::stored::{PROTOCOL, Stored};
use crate::lock::stored::process_of;

/// Meaning of an effective revision for the leadership.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Leadership {
    /// Record of an elector with a holder.
    Term {
        /// The leader.
        holder: String,
        /// Fencing token of the term.
        fencing_token: u64,
        /// Name of the holder's process, which an annotation copies.
        process: Arc<str>,
    },
    /// Record of an elector without a holder: a release or a checkpoint.
    Free {
        /// Fencing token of the released term.
        fencing_token: u64,
        /// Name of the process that wrote it.
        process: Arc<str>,
    },
    /// Foreign write.
    Foreign {
        /// The holder; empty for none.
        holder: String,
        /// Fencing token.
        fencing_token: u64,
    },
    /// Record of a newer protocol.
    Newer,
    /// No readable record.
    Nothing,
}

impl Leadership {
    /// Returns the meaning of an effective revision.
    #[must_use]
    pub fn of(stored: &Stored) -> Leadership {
        let Some(stored) = stored.record() else {
            return Leadership::Nothing;
        };
        if stored.protocol > PROTOCOL {
            return Leadership::Newer;
        }
        let holder = stored.record.holder_identity.clone();
        let fencing_token = stored.record.leader_transitions;
        let Some(origin) = &stored.origin else {
            return Leadership::Foreign {
                holder,
                fencing_token,
            };
        };
        let ids = stored.term.as_ref();
        let write_id = ids.map_or(&origin.write_id, |ids| &ids.renew_id);
        let process = process_of(write_id).unwrap_or(write_id).into();
        if holder.is_empty() {
            return Leadership::Free {
                fencing_token,
                process,
            };
        }
        Leadership::Term {
            holder,
            fencing_token,
            process,
        }
    }

    /// Returns whether every revision between two with this meaning has the same meaning.
    ///
    /// That is so for writes of electors. The first write of a term has a fencing token above that of
    /// every earlier effective write of an elector. A later write has that token only if its process
    /// wrote the one that it supersedes, or if it is an annotation of that one. So no token of an elector
    /// returns once another is effective, nor does a holder that released the lease. A foreign write can
    /// return by hand, or by a late write.
    #[must_use]
    pub fn cannot_return(&self) -> bool {
        matches!(self, Leadership::Term { .. } | Leadership::Free { .. })
    }

    /// Returns the leader and its fencing token.
    #[must_use]
    pub fn leader(&self) -> Option<(&str, u64)> {
        match self {
            Leadership::Term {
                holder,
                fencing_token,
                ..
            } => Some((holder, *fencing_token)),
            Leadership::Foreign {
                holder,
                fencing_token,
            } if !holder.is_empty() => Some((holder, *fencing_token)),
            _ => None,
        }
    }

    /// Returns the name of the holder's process, or of the one that wrote a record without a holder.
    #[must_use]
    pub fn process(&self) -> Option<&str> {
        match self {
            Leadership::Term { process, .. } | Leadership::Free { process, .. } => Some(process),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::gist::wire::Text;

    fn leadership(fields: &str) -> Leadership {
        let text = format!("{{{fields}}}");
        Leadership::of(&Stored::read(&Text::Whole(text.into())))
    }

    #[test]
    fn record_means_term_release_or_foreign_write() {
        let ours = format!(
            r#""leaderTransitions":3,"writeId":"9f-2-17","supersedes":"{}""#,
            "a".repeat(40)
        );
        let term = leadership(&format!(r#""holderIdentity":"a",{ours}"#));
        assert_eq!(term.leader(), Some(("a", 3)));
        assert_eq!(term.process(), Some("9f-2"));
        assert!(term.cannot_return());
        let annotation = ours.replace("9f-2-17", "operator-1");
        let annotation =
            format!(r#""holderIdentity":"a","term":"9f-2-1","renewId":"9f-2-17",{annotation}"#);
        assert_eq!(leadership(&annotation), term);
        let free = leadership(&format!(r#""holderIdentity":"",{ours}"#));
        assert_eq!((free.leader(), free.process()), (None, Some("9f-2")));
        let foreign = leadership(r#""holderIdentity":"a","leaderTransitions":3"#);
        assert_eq!(foreign.leader(), Some(("a", 3)));
        assert!(!foreign.cannot_return() && foreign.process().is_none());
        let cleared = leadership(r#""holderIdentity":"""#);
        assert_eq!(cleared.leader(), None);
        let newer = leadership(&format!(r#""holderIdentity":"a","protocol":2,{ours}"#));
        assert_eq!(newer, Leadership::Newer);
        assert_eq!(leadership(""), Leadership::Nothing);
    }
}
