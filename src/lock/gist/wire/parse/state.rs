//! The requested part of a gist's body, and the progress in reading it.

use serde::de::Error;

use crate::lock::gist::revision::Revision;
use crate::lock::gist::wire::{GistPage, Text};

/// File names that are kept, enough for a message.
pub(super) const NAMES_KEPT: usize = 16;

/// Text of the internal error that ends the reading of a complete answer.
pub(super) const ENOUGH: &str = "nothing more is needed";

/// The requested part of a gist's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want<'a> {
    /// Name of the file; `None` for the first one listed.
    pub file: Option<&'a str>,
    /// Part of the history.
    pub history: History,
}

/// The requested part of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// No entries.
    Nothing,
    /// The newest [`USUAL_HISTORY`](super::USUAL_HISTORY) entries.
    Newest,
    /// The entries down to this one, at most [`LONGEST_HISTORY`](super::LONGEST_HISTORY).
    Until(Revision),
    /// All entries, at most [`WHOLE_HISTORY`](super::WHOLE_HISTORY).
    Shown,
}

/// Progress in reading a gist.
pub(super) struct State<'a> {
    pub(super) want: Want<'a>,
    pub(super) page: GistPage,
    pub(super) listed: usize,
    pub(super) text_read: bool,
    pub(super) files_read: bool,
    pub(super) history_read: bool,
}

impl<'a> State<'a> {
    pub(super) fn new(want: Want<'a>) -> Self {
        State {
            want,
            page: GistPage::default(),
            listed: 0,
            text_read: false,
            files_read: false,
            history_read: want.history == History::Nothing,
        }
    }

    /// Returns whether nothing more is needed. Without a named file all names are needed, because the
    /// caller checks whether the file is the only one.
    pub(super) fn is_complete(&self) -> bool {
        self.history_read && self.has_file()
    }

    pub(super) fn has_file(&self) -> bool {
        // Of a gist that holds too much, the other files are read too.
        let cut = matches!(self.page.text, Text::Cut(_));
        self.files_read || (self.text_read && self.want.file.is_some() && !cut)
    }

    /// Ends the reading with an error if nothing more is needed.
    pub(super) fn go_on<E: Error>(&self) -> Result<(), E> {
        if self.is_complete() {
            return Err(E::custom(ENOUGH));
        }
        Ok(())
    }

    pub(super) fn is_ours(&self, name: &str) -> bool {
        self.want.file.map_or(self.listed == 0, |ours| ours == name)
    }
}
