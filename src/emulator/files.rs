//! The files of one revision, edits to them, and how much an edit changes. Pure.
//!
//! Contents and names are shared between revisions, so that tens of thousands of them fit in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::write::WriteError;

/// More files than this no gist may have here. GitHub shows 300 and says no more.
const MOST_FILES: usize = 1000;

/// The whole set of files of one revision, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files(Arc<[(Arc<str>, Arc<str>)]>);

impl Files {
    /// The content of this file.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        let at = self.0.binary_search_by(|(key, _)| (**key).cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Names and contents, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        self.0.iter().map(|(name, content)| (&**name, content))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn to_map(&self) -> Map {
        self.0.iter().cloned().collect()
    }
}

impl<N: Into<Arc<str>>, C: Into<Arc<str>>> FromIterator<(N, C)> for Files {
    fn from_iter<I: IntoIterator<Item = (N, C)>>(iter: I) -> Self {
        let sorted: Map = iter
            .into_iter()
            .map(|(name, content)| (name.into(), content.into()))
            .collect();
        Self(sorted.into_iter().collect())
    }
}

type Map = BTreeMap<Arc<str>, Arc<str>>;

/// What a PATCH does to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileEdit {
    /// New content; makes the file if it is not there.
    Put(Arc<str>),
    /// `null`.
    Delete,
    /// Another name, and perhaps new content.
    Rename {
        /// The new name.
        to: Arc<str>,
        /// The new content; `None` keeps the old one.
        content: Option<Arc<str>>,
    },
}

/// What a PATCH does to a gist. Files it does not name stay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edit {
    /// A new description.
    pub description: Option<String>,
    /// The files it names.
    pub files: Vec<(Arc<str>, FileEdit)>,
}

impl Edit {
    /// The most common edit: new content for one file.
    pub fn put(name: impl Into<Arc<str>>, content: impl Into<Arc<str>>) -> Self {
        Self {
            description: None,
            files: vec![(name.into(), FileEdit::Put(content.into()))],
        }
    }
}

/// The files after the edit.
pub(super) fn apply(files: &Files, edit: &Edit, swallow_blank: bool) -> Result<Files, WriteError> {
    let old = files.to_map();
    let mut new = old.clone();
    let mut put: Vec<(Arc<str>, Arc<str>)> = Vec::new();
    for (name, change) in &edit.files {
        let missing = || WriteError::Invalid(format!("there is no file `{name}`"));
        match change {
            FileEdit::Put(content) => {
                if !is_swallowed(content, swallow_blank)? {
                    put.push((Arc::clone(name), Arc::clone(content)));
                }
            }
            FileEdit::Delete => {
                new.remove(name).ok_or_else(missing)?;
            }
            FileEdit::Rename { to, content } => {
                let was = new.remove(name);
                let content = match content {
                    Some(content) if !is_swallowed(content, swallow_blank)? => Arc::clone(content),
                    _ => was.ok_or_else(missing)?,
                };
                put.push((Arc::clone(to), content));
            }
        }
    }
    let mut taken: Vec<&Arc<str>> = Vec::new();
    for (name, content) in &put {
        let renamed_onto =
            new.contains_key(name) && !edit.files.iter().any(|(named, _)| named == name);
        if taken.contains(&name) || renamed_onto {
            return Err(WriteError::Invalid(format!(
                "two files would be named `{name}`"
            )));
        }
        taken.push(name);
        check_name(name)?;
        new.insert(Arc::clone(name), Arc::clone(content));
    }
    match new.len() {
        0 => Err(WriteError::Invalid(
            "a gist needs at least one file".to_owned(),
        )),
        n if n > MOST_FILES => Err(WriteError::Invalid(format!(
            "a gist has at most {MOST_FILES} files"
        ))),
        _ => Ok(Files(new.into_iter().collect())),
    }
}

/// Blank content is refused, or (as has been heard of) swallowed: nothing happens to that file.
fn is_swallowed(content: &str, swallow_blank: bool) -> Result<bool, WriteError> {
    match content.trim().is_empty() {
        false => Ok(false),
        true if swallow_blank => Ok(true),
        true => Err(WriteError::Invalid("contents can't be blank".to_owned())),
    }
}

fn check_name(name: &str) -> Result<(), WriteError> {
    if name.is_empty() || name.len() > 255 || name.chars().any(|c| c == '/' || c.is_control()) {
        return Err(WriteError::Invalid(
            "a file name has 1 to 255 characters and no `/`".to_owned(),
        ));
    }
    Ok(())
}

/// How many lines a revision adds and removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChangeStatus {
    /// Lines that are new.
    pub additions: u32,
    /// Lines that are gone.
    pub deletions: u32,
}

impl ChangeStatus {
    /// Both together.
    #[must_use]
    pub const fn total(self) -> u32 {
        self.additions.saturating_add(self.deletions)
    }

    /// As git counts it for small edits: a mere rename changes nothing; of a changed file, what is
    /// between its first and its last changed line counts as replaced.
    pub(super) fn between(old: &Files, new: &Files) -> Self {
        let mut status = Self::default();
        let mut gone: Vec<&Arc<str>> = Vec::new();
        for (name, was) in old.iter() {
            match new.get(name) {
                Some(is) => status.add_changed(was, is),
                None => gone.push(was),
            }
        }
        for (_, is) in new.iter().filter(|(name, _)| old.get(name).is_none()) {
            match gone.iter().position(|was| *was == is) {
                Some(renamed) => {
                    gone.swap_remove(renamed);
                }
                None => status.additions = status.additions.saturating_add(count(is.lines())),
            }
        }
        for was in gone {
            status.deletions = status.deletions.saturating_add(count(was.lines()));
        }
        status
    }

    fn add_changed(&mut self, was: &Arc<str>, is: &Arc<str>) {
        if Arc::ptr_eq(was, is) || was == is {
            return;
        }
        let same_before = was
            .lines()
            .zip(is.lines())
            .take_while(|(a, b)| a == b)
            .count();
        let was: Vec<&str> = was.lines().skip(same_before).collect();
        let is: Vec<&str> = is.lines().skip(same_before).collect();
        let same_after = was
            .iter()
            .rev()
            .zip(is.iter().rev())
            .take_while(|(a, b)| a == b)
            .count();
        self.deletions = self
            .deletions
            .saturating_add(count(was[..was.len() - same_after].iter()));
        self.additions = self
            .additions
            .saturating_add(count(is[..is.len() - same_after].iter()));
    }
}

fn count<T>(lines: impl Iterator<Item = T>) -> u32 {
    u32::try_from(lines.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs.iter().copied().collect()
    }

    fn put(content: &str) -> FileEdit {
        FileEdit::Put(content.into())
    }

    fn rename(to: &str, content: Option<&str>) -> FileEdit {
        FileEdit::Rename {
            to: to.into(),
            content: content.map(Into::into),
        }
    }

    fn edit(pairs: &[(&str, FileEdit)]) -> Edit {
        let files = pairs
            .iter()
            .map(|(name, change)| (Arc::from(*name), change.clone()))
            .collect();
        Edit {
            description: None,
            files,
        }
    }

    #[test]
    fn an_edit_changes_only_what_it_names() {
        let old = files(&[
            ("abc", "abc"),
            ("def", "def"),
            ("ghi", "ghi"),
            ("jkl", "jkl"),
        ]);
        let change = edit(&[
            ("abc", rename("ab", None)),
            ("def", FileEdit::Delete),
            ("ghi", put("gh")),
            ("jkl", rename("klm", Some("nop"))),
        ]);
        let new = apply(&old, &change, false).unwrap();
        assert_eq!(new, files(&[("ab", "abc"), ("ghi", "gh"), ("klm", "nop")]));
        // The same edit at GitHub counted 2 and 3.
        assert_eq!(
            ChangeStatus::between(&old, &new),
            ChangeStatus {
                additions: 2,
                deletions: 3
            }
        );
    }

    #[test]
    fn edits_that_make_no_sense_are_refused() {
        let old = files(&[("a", "1"), ("b", "2")]);
        for wrong in [
            edit(&[("a", FileEdit::Delete), ("b", FileEdit::Delete)]),
            edit(&[("c", FileEdit::Delete)]),
            edit(&[("c", rename("d", None))]),
            edit(&[("a", rename("b", None))]),
            edit(&[("a", put(" \n"))]),
            edit(&[("a/b", put("x"))]),
            edit(&[("", put("x"))]),
            edit(&[("a", rename("c", None)), ("b", rename("c", None))]),
        ] {
            assert!(
                matches!(apply(&old, &wrong, false), Err(WriteError::Invalid(_))),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn swallowed_blank_content_leaves_the_file_as_it_is() {
        let old = files(&[("a", "1")]);
        assert_eq!(apply(&old, &edit(&[("a", put(""))]), true), Ok(old));
    }

    #[test]
    fn only_the_lines_between_the_first_and_the_last_change_count() {
        let old = files(&[("a", "1\n2\n3\n4")]);
        let new = files(&[("a", "1\n2b\n2c\n4")]);
        assert_eq!(
            ChangeStatus::between(&old, &new),
            ChangeStatus {
                additions: 2,
                deletions: 2
            }
        );
        assert_eq!(ChangeStatus::between(&old, &old).total(), 0);
    }
}
