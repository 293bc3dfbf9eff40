//! Changes of a store: rules and writes under way, and the changes that a state file keeps. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::files::{Edit, FileChanges, Files};
use super::revision::{Revision, Timestamp};

/// Behaviour of GitHub that is unknown or that a test chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Blank content is ignored instead of refused.
    pub swallow_blank: bool,
    /// A write that changes nothing makes a revision.
    pub identical_makes_revision: bool,
    /// Milliseconds by which the clock that dates commits is ahead.
    pub clock_offset_ms: i64,
}

/// Outcome of a write whose base is no longer the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Race {
    /// The write is refused with 409.
    #[default]
    Conflict,
    /// The write goes on top of the present head.
    Stack,
    /// The write keeps its base and replaces the head. The revisions in between are lost.
    Lose,
    /// As for `Conflict`, but the service handles one write after the other.
    Serial,
}

/// Body of a POST: a new gist.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGist {
    /// Description; empty by default.
    pub description: Option<String>,
    /// Whether the gist is listed for anonymous callers.
    #[serde(default)]
    pub public: bool,
    /// Files, at least one.
    #[serde(deserialize_with = "contents")]
    pub files: Files,
}

fn contents<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Files, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NewFile {
        content: String,
    }
    let files = BTreeMap::<String, NewFile>::deserialize(deserializer)?;
    Ok(files.into_iter().map(|(k, v)| (k, v.content)).collect())
}

/// Write that has read the head and not moved it yet.
#[derive(Debug, Clone)]
pub struct PendingWrite {
    pub(super) id: String,
    pub(super) edit: Edit,
    pub(super) base: Revision,
    pub(super) forced: bool,
}

impl PendingWrite {
    /// Makes the write add a revision even if it changes nothing, as a repeated request does.
    #[must_use]
    pub fn forced(self) -> Self {
        Self {
            forced: true,
            ..self
        }
    }

    /// Returns the head that the write has read.
    #[must_use]
    pub fn base(&self) -> Revision {
        self.base
    }
}

/// Change of one gist, as a line of the state file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GistChange {
    /// Id of the gist.
    pub gist: String,
    /// The change.
    #[serde(flatten)]
    pub change: Change,
}

/// Kind of change. All changes in their order build the same store again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Change {
    /// A gist was created, still without a revision.
    Created {
        /// Description.
        description: String,
        /// Whether the gist is listed for anonymous callers.
        public: bool,
        /// Time in seconds by the service's clock.
        at: i64,
    },
    /// A revision was made and became the head.
    Committed {
        /// Name of the revision.
        revision: Revision,
        /// Revision below it.
        parent: Option<Revision>,
        /// Date in seconds by the service's clock.
        committed_at: i64,
        /// Time at which the head moved.
        #[serde(rename = "at_ms")]
        at: Timestamp,
        /// Files that differ from the parent's.
        files: FileChanges,
    },
    /// The head moved to an older revision.
    HeadMoved {
        /// The new head.
        revision: Revision,
        /// Time at which the head moved.
        #[serde(rename = "at_ms")]
        at: Timestamp,
    },
    /// The description changed.
    Described {
        /// New description.
        description: String,
        /// Time in seconds by the service's clock.
        at: i64,
    },
    /// The gist was deleted.
    Deleted,
}
