//! The place of the record in a gist: which file holds it, and why one cannot.

use std::fmt::Write;

use super::wire::target::check_file_name;
use super::wire::{GistPage, Text};
use crate::election::lock::LockError;
use crate::fmt::one_line;

/// Returns the gist's only file.
///
/// # Errors
/// [`LockError::Refused`] if there is another number of files, or its name cannot be used.
pub(super) fn only_file(files: &[String]) -> Result<String, LockError> {
    match files {
        [file] => match check_file_name(file) {
            Ok(_) => Ok(file.clone()),
            Err(_) => Err(LockError::Refused(format!(
                "GIST_FILE: the gist's only file, {}, has a name that cannot be used; name another file, it \
                 will be created",
                one_line(file)
            ))),
        },
        [] => Err(LockError::Refused(
            "GIST_FILE: the gist has no file; name one, which elector creates".into(),
        )),
        files => Err(LockError::Refused(format!(
            "GIST_FILE: the gist has several files ({}); name the one that holds the record",
            one_line(&files.join(", "))
        ))),
    }
}

/// Returns whether the gist does not have this file.
pub(super) fn is_missing(page: &GistPage, file: &str) -> bool {
    page.text == Text::Missing && !page.files.iter().any(|listed| listed == file)
}

/// Refuses a file that the gist does not have while others of its files hold election records: the name is
/// probably wrong, and another election would start unnoticed.
///
/// # Errors
/// [`LockError::Refused`].
pub(super) fn check_exists(page: &GistPage, file: &str) -> Result<(), LockError> {
    if page.elections.is_empty() || !is_missing(page, file) {
        return Ok(());
    }
    Err(LockError::Refused(format!(
        "GIST_FILE: {} has no file {}; its elections are in {}; create another one with `elector init`",
        name(page),
        one_line(file),
        one_line(&page.elections.join(", "))
    )))
}

/// Returns the error of a command that reads a file that does not exist yet.
pub(super) fn not_created(page: &GistPage, file: &str) -> LockError {
    LockError::NotFound(format!(
        "GIST_FILE: {} has no file {}; the first leader creates it, and none has led yet",
        name(page),
        one_line(file)
    ))
}

fn name(page: &GistPage) -> String {
    match &page.id {
        Some(id) => format!("gist {}", one_line(id)),
        None => "the gist".to_owned(),
    }
}

/// Returns advice on what to delete from a gist that is too large. `largest` are its largest other files with their
/// sizes in bytes.
pub(super) fn what_to_delete(largest: &[(String, u64)]) -> String {
    let mut text =
        "the gist is too large, so GitHub truncates the record's file; delete ".to_owned();
    if largest.is_empty() {
        text += "what the gist does not need";
    }
    for (index, (name, size)) in largest.iter().enumerate() {
        let and = if index == 0 { "" } else { ", " };
        // Writing to a text cannot fail.
        let _ = write!(text, "{and}{} ({} kB)", one_line(name), size.div_ceil(1000));
    }
    text + ", or create another gist with `elector init`"
}

/// Returns the error of a gist whose record is cut in every answer.
pub(super) fn holds_too_much(what_to_delete: &str) -> LockError {
    LockError::Refused(format!("GIST_ID: {what_to_delete}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(files: &[&str], elections: &[&str]) -> GistPage {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        GistPage {
            files: owned(files),
            elections: owned(elections),
            id: Some("abc123".into()),
            ..GistPage::default()
        }
    }

    #[test]
    fn missing_file_beside_elections_is_refused() {
        let files = ["a.json", "leader.json", "notes"];
        let error = check_exists(&page(&files, &["a.json", "leader.json"]), "leader.jsn");
        assert_eq!(
            error.unwrap_err().to_string(),
            "GIST_FILE: gist abc123 has no file leader.jsn; its elections are in a.json, leader.json; \
             create another one with `elector init`"
        );
        for (files, elections, file) in [
            (&files[..], &[][..], "leader.jsn"),
            (&files, &["a.json"], "leader.json"),
            (&[], &[], "leader.json"),
        ] {
            assert_eq!(
                check_exists(&page(files, elections), file),
                Ok(()),
                "{file}"
            );
        }
    }

    #[test]
    fn largest_files_are_named() {
        let text = what_to_delete(&[("big.bin".into(), 12_000_001), ("b".into(), 7)]);
        assert!(
            text.contains("delete big.bin (12001 kB), b (1 kB), or"),
            "{text}"
        );
        assert!(what_to_delete(&[]).contains("delete what the gist does not need, or"));
    }
}
