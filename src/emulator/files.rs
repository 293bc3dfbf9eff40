//! Files of one revision, edits to them, and the number of lines that an edit changes. Pure.
//!
//! Revisions share contents and names, so that tens of thousands of revisions fit in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::WriteError;

/// Most files of a gist. GitHub shows 300 and documents no maximum.
const MOST_FILES: usize = 1000;

/// All files of one revision, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files(Arc<[(Arc<str>, Arc<str>)]>);

/// Files by name: the new content, or `None` for a deleted file.
pub type FileChanges = BTreeMap<String, Option<String>>;

impl Files {
    /// Returns the content of a file.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        let at = self.0.binary_search_by(|(key, _)| (**key).cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Returns names and contents, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        self.0.iter().map(|(name, content)| (&**name, content))
    }

    /// Returns the number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no files.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what differs from `old`.
    pub(super) fn changes_since(&self, old: &Files) -> FileChanges {
        let deleted = old.iter().filter(|(name, _)| self.get(name).is_none());
        let deleted = deleted.map(|(name, _)| (name.to_owned(), None));
        let changed = self
            .iter()
            .filter(|(name, content)| old.get(name) != Some(content));
        deleted
            .chain(changed.map(|(name, content)| (name.to_owned(), Some(content.to_string()))))
            .collect()
    }

    /// Returns these files with `changes` applied.
    pub(super) fn changed(&self, changes: FileChanges) -> Files {
        let mut all = self.to_map();
        for (name, content) in changes {
            match content {
                Some(content) => all.insert(name.into(), content.into()),
                None => all.remove(&*name),
            };
        }
        all.into_iter().collect()
    }

    /// Returns these files after an edit.
    ///
    /// # Errors
    /// Returns an error if the edit does not fit these files. Blank content is ignored or refused.
    pub(super) fn edited(&self, edit: &Edit, ignore_blank: bool) -> Result<Files, WriteError> {
        let mut new = self.to_map();
        let mut put: Vec<(&str, Arc<str>)> = Vec::new();
        for (name, change) in &edit.files {
            let missing = || WriteError::Invalid(format!("there is no file `{name}`"));
            let Some(change) = change else {
                new.remove(&**name).ok_or_else(missing)?;
                continue;
            };
            let content = change.content.as_deref();
            if !ignore_blank && content.is_some_and(is_blank) {
                return Err(WriteError::blank());
            }
            let content = content.filter(|content| !is_blank(content)).map(Arc::from);
            match &change.filename {
                Some(to) => {
                    let old = new.remove(&**name);
                    put.push((to, content.or(old).ok_or_else(missing)?));
                }
                None => put.extend(content.map(|content| (&**name, content))),
            }
        }
        let mut written = BTreeSet::new();
        for (name, content) in put {
            check_name(name)?;
            let onto_another = new.contains_key(name) && !edit.files.contains_key(name);
            if !written.insert(name) || onto_another {
                let why = format!("two files would be named `{name}`");
                return Err(WriteError::Invalid(why));
            }
            new.insert(name.into(), content);
        }
        Files(new.into_iter().collect()).counted()
    }

    /// Returns these files if a gist can be created from them.
    ///
    /// # Errors
    /// Returns an error if there are no files or too many, or if a name or content is invalid.
    pub(super) fn checked(self) -> Result<Files, WriteError> {
        for (name, content) in self.iter() {
            check_name(name)?;
            if is_blank(content) {
                return Err(WriteError::blank());
            }
        }
        self.counted()
    }

    fn counted(self) -> Result<Files, WriteError> {
        match self.len() {
            0 => Err(WriteError::no_files()),
            1..=MOST_FILES => Ok(self),
            _ => Err(WriteError::Invalid(format!(
                "a gist has at most {MOST_FILES} files"
            ))),
        }
    }

    fn to_map(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        self.0.iter().cloned().collect()
    }
}

impl<N: Into<Arc<str>>, C: Into<Arc<str>>> FromIterator<(N, C)> for Files {
    fn from_iter<I: IntoIterator<Item = (N, C)>>(iter: I) -> Self {
        let sorted: BTreeMap<Arc<str>, Arc<str>> = iter
            .into_iter()
            .map(|(name, content)| (name.into(), content.into()))
            .collect();
        Self(sorted.into_iter().collect())
    }
}

/// Body of a PATCH: an edit of a gist. Files that it does not name stay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// New description.
    pub description: Option<String>,
    /// Edits of files by name; `None` deletes the file.
    #[serde(default)]
    pub files: BTreeMap<String, Option<FileEdit>>,
}

/// Edit of one file. A name or content that is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEdit {
    /// New name.
    pub filename: Option<String>,
    /// New content.
    pub content: Option<String>,
}

impl Edit {
    /// Creates an edit that writes one file.
    pub fn put(name: impl Into<String>, content: impl Into<String>) -> Self {
        let file = FileEdit {
            filename: None,
            content: Some(content.into()),
        };
        Self {
            description: None,
            files: [(name.into(), Some(file))].into(),
        }
    }
}

fn is_blank(content: &str) -> bool {
    content.trim().is_empty()
}

fn check_name(name: &str) -> Result<(), WriteError> {
    if name.is_empty() || name.len() > 255 || name.chars().any(|c| c == '/' || c.is_control()) {
        let why = "a file name has 1 to 255 characters and no `/`";
        return Err(WriteError::Invalid(why.to_owned()));
    }
    Ok(())
}

/// Lines that a revision adds and deletes, as `change_status` shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct ChangeStatus {
    /// Sum of the two.
    total: usize,
    /// New lines.
    additions: usize,
    /// Deleted lines.
    deletions: usize,
}

impl ChangeStatus {
    /// Counts as git does for small edits. A mere rename changes nothing. In a changed file, everything
    /// between the first and the last changed line counts as replaced.
    pub(super) fn between(old: &Files, new: &Files) -> Self {
        let mut status = Self::default();
        let mut deleted: Vec<&Arc<str>> = Vec::new();
        for (name, before) in old.iter() {
            match new.get(name) {
                Some(after) => status.add(before, after),
                None => deleted.push(before),
            }
        }
        for (_, content) in new.iter().filter(|(name, _)| old.get(name).is_none()) {
            match deleted.iter().position(|before| *before == content) {
                Some(renamed) => drop(deleted.swap_remove(renamed)),
                None => status.add("", content),
            }
        }
        for content in deleted {
            status.add(content, "");
        }
        status.total = status.additions + status.deletions;
        status
    }

    fn add(&mut self, before: &str, after: &str) {
        let before: Vec<&str> = before.lines().collect();
        let after: Vec<&str> = after.lines().collect();
        let pairs = before.iter().zip(&after);
        let first = pairs.take_while(|(a, b)| a == b).count();
        let (before, after) = (&before[first..], &after[first..]);
        let pairs = before.iter().rev().zip(after.iter().rev());
        let last = pairs.take_while(|(a, b)| a == b).count();
        self.deletions += before.len() - last;
        self.additions += after.len() - last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs.iter().copied().collect()
    }

    fn put(content: &str) -> Option<FileEdit> {
        Some(FileEdit {
            filename: None,
            content: Some(content.into()),
        })
    }

    fn rename(to: &str, content: Option<&str>) -> Option<FileEdit> {
        Some(FileEdit {
            filename: Some(to.into()),
            content: content.map(Into::into),
        })
    }

    const DELETE: Option<FileEdit> = None;

    fn edit<const N: usize>(files: [(&str, Option<FileEdit>); N]) -> Edit {
        let files = files.map(|(name, change)| (name.to_owned(), change));
        Edit {
            description: None,
            files: files.into(),
        }
    }

    #[test]
    fn edit_changes_only_named_files() {
        let old = files(&[
            ("abc", "abc"),
            ("def", "def"),
            ("ghi", "ghi"),
            ("jkl", "jkl"),
        ]);
        let change = edit([
            ("abc", rename("ab", None)),
            ("def", DELETE),
            ("ghi", put("gh")),
            ("jkl", rename("klm", Some("nop"))),
        ]);
        let new = old.edited(&change, false).unwrap();
        assert_eq!(new, files(&[("ab", "abc"), ("ghi", "gh"), ("klm", "nop")]));
        // The same edit at GitHub counted 2 and 3.
        assert_eq!(
            ChangeStatus::between(&old, &new),
            ChangeStatus {
                total: 5,
                additions: 2,
                deletions: 3
            }
        );
    }

    #[test]
    fn impossible_edits_are_refused() {
        let old = files(&[("a", "1"), ("b", "2")]);
        for wrong in [
            edit([("a", DELETE), ("b", DELETE)]),
            edit([("c", DELETE)]),
            edit([("c", rename("d", None))]),
            edit([("a", rename("b", None))]),
            edit([("a", put(" \n"))]),
            edit([("a/b", put("x"))]),
            edit([("", put("x"))]),
            edit([("a", rename("c", None)), ("b", rename("c", None))]),
        ] {
            assert!(
                matches!(old.edited(&wrong, false), Err(WriteError::Invalid(_))),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn ignored_blank_content_changes_nothing() {
        let old = files(&[("a", "1")]);
        assert_eq!(old.edited(&edit([("a", put(""))]), true), Ok(old));
    }

    #[test]
    fn only_lines_between_changes_count() {
        let old = files(&[("a", "1\n2\n3\n4")]);
        let new = files(&[("a", "1\n2b\n2c\n4")]);
        assert_eq!(
            ChangeStatus::between(&old, &new),
            ChangeStatus {
                total: 4,
                additions: 2,
                deletions: 2
            }
        );
        assert_eq!(ChangeStatus::between(&old, &old).total, 0);
    }

    #[test]
    fn changes_turn_old_files_into_new() {
        let (old, new) = (
            files(&[("a", "1"), ("b", "2"), ("c", "3")]),
            files(&[("a", "1"), ("b", "x"), ("d", "4")]),
        );
        let changes = new.changes_since(&old);
        assert_eq!(changes.len(), 3);
        assert_eq!(old.changed(changes), new);
    }
}
