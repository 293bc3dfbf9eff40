//! Access tokens: from a setting's value, or from a file that is read again when it changes.
//!
//! No access token is ever printed, in whole or in part, not even an invalid one in the error about it.

use std::fmt;
use std::mem;
use std::path::PathBuf;

use super::watched_file::WatchedFile;

/// Greatest length of an access token, in bytes. GitHub's have 40 to 255 characters, and those of
/// GitHub Apps may grow to about 520. Anything far longer is some other file.
const MAX_LENGTH: usize = 4096;

/// Least length of an access token that is removed from texts, in bytes. A shorter one is made up, and
/// removing it would only garble the texts.
const SHORTEST_SECRET: usize = 8;

/// Greatest size of an access-token file, in bytes: white space may surround the token.
const MAX_FILE_SIZE: u64 = 2 * MAX_LENGTH as u64;

/// Secret that a server checks to learn on whose behalf a request is made.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// Takes `text` without the white space around it.
    ///
    /// # Errors
    /// Returns the problem and its fix if `text` cannot be an access token, without showing it.
    pub fn parse(text: &str) -> Result<AccessToken, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("empty; put an access token there".to_owned());
        }
        if text.len() > MAX_LENGTH {
            return Err(format!(
                "longer than {MAX_LENGTH} bytes, so it is not an access token; put only the token there"
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "contains white space or characters that no access token has; put only the token there"
                    .to_owned(),
            );
        }
        Ok(AccessToken(text.to_owned()))
    }

    /// Returns the secret itself. Use it only for the header that carries it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// Place of an access token.
#[derive(Clone, PartialEq, Eq)]
pub enum AccessTokenSource {
    /// The access token itself.
    Value(String),
    /// A file that contains nothing else.
    File(PathBuf),
}

impl fmt::Debug for AccessTokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessTokenSource::Value(_) => f.write_str("Value(…)"),
            AccessTokenSource::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// Current access token of a source.
///
/// A new access token in the file may be a wrong one while the one before still works. So that one is kept
/// until the server has accepted the new one for a write:
///
/// ```text
///   file changes:  token ──▶ previous,  file ──▶ token
///   refused:       token ──▶ refused,   previous ──▶ token     until the file changes again
/// ```
#[derive(Debug)]
pub struct AccessTokenReader {
    /// Access token of the next request.
    token: AccessToken,
    /// Whether the server has accepted it.
    accepted: bool,
    /// Accepted one before it.
    previous: Option<AccessToken>,
    /// The file's, if the server refused it and `token` is an earlier one.
    refused: Option<AccessToken>,
    file: Option<WatchedFile>,
}

impl AccessTokenReader {
    /// Reads the first access token. Errors name `setting`, or `setting` with `_FILE` appended for a file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if its content or the value is not an access token.
    pub fn open(source: &AccessTokenSource, setting: &str) -> Result<AccessTokenReader, String> {
        let (token, file) = match source {
            AccessTokenSource::Value(value) => {
                let token = AccessToken::parse(value);
                let token = token.map_err(|problem| format!("{setting}: {problem}"))?;
                (token, None)
            }
            AccessTokenSource::File(path) => {
                let mut file = WatchedFile::new(path, MAX_FILE_SIZE);
                let token = read(&mut file);
                let token =
                    token.map_err(|problem| format!("{setting}_FILE: {path:?} {problem}"))?;
                (token, Some(file))
            }
        };
        Ok(AccessTokenReader {
            token,
            accepted: false,
            previous: None,
            refused: None,
            file,
        })
    }

    /// Returns the current access token; reads the file again if it changed. As long as the file holds no
    /// usable token, the previous one stays.
    pub fn current(&mut self) -> &AccessToken {
        if self.file.as_ref().is_some_and(WatchedFile::has_changed) {
            // Whatever wrote the file may want a refused access token to be tried again.
            self.refused = None;
            self.read_again();
        }
        &self.token
    }

    /// Returns the access token that was last used, without checking the file.
    #[must_use]
    pub fn last(&self) -> &AccessToken {
        &self.token
    }

    /// Reads the file again, changed or not. Returns whether the access token differs from the last one.
    pub fn read_again(&mut self) -> bool {
        let Some(file) = &mut self.file else {
            return false;
        };
        let token = match read(file) {
            Ok(token) => token,
            Err(problem) => {
                log::warn!(
                    event = "access_token_unusable", path:% = file.path().display(), error = problem;
                    "cannot use access token file, keeping the previous access token"
                );
                return false;
            }
        };
        if token == self.token || self.refused.as_ref() == Some(&token) {
            return false;
        }
        log::info!(event = "access_token_changed", path:% = file.path().display(); "read changed access token");
        self.refused = None;
        let last = mem::replace(&mut self.token, token);
        if self.accepted {
            self.previous = Some(last);
        }
        self.accepted = false;
        true
    }

    /// Records that the server accepted the current access token, perhaps `for_write`.
    pub fn accept(&mut self, for_write: bool) {
        self.accepted = true;
        if for_write {
            self.previous = None;
        }
    }

    /// Returns whether the current access token is a new one that the server has not accepted yet, while
    /// the one before may still work.
    #[must_use]
    pub fn is_on_trial(&self) -> bool {
        self.previous.is_some() && !self.accepted
    }

    /// Returns to the access token before the current one, which the server refused. Returns false if there
    /// is none.
    pub fn fall_back(&mut self) -> bool {
        let Some(previous) = self.previous.take() else {
            return false;
        };
        self.refused = Some(mem::replace(&mut self.token, previous));
        self.accepted = true;
        true
    }

    /// Gives the access token before the file's up, because the server refuses it as well.
    pub fn give_up_previous(&mut self) {
        if let Some(refused) = self.refused.take() {
            self.token = refused;
            self.accepted = false;
        }
    }

    /// Returns the known access tokens that texts must not show.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let known = self.known().map(AccessToken::expose);
        known.filter(|token| token.len() >= SHORTEST_SECRET)
    }

    fn known(&self) -> impl Iterator<Item = &AccessToken> {
        let others = [&self.previous, &self.refused];
        std::iter::once(&self.token).chain(others.into_iter().flatten())
    }
}

fn read(file: &mut WatchedFile) -> Result<AccessToken, String> {
    let content = String::from_utf8(file.read()?)
        .map_err(|_| "is not text; put only the token there".to_owned())?;
    AccessToken::parse(content.trim_start_matches('\u{feff}'))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const SETTING: &str = "GITHUB_API_TOKEN";

    /// Temporary folder.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Folder {
            Folder(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    fn from_value(value: &str) -> Result<AccessTokenReader, String> {
        AccessTokenReader::open(&AccessTokenSource::Value(value.into()), SETTING)
    }

    #[test]
    fn surrounding_white_space_is_dropped() {
        let mut store = from_value(" ghp_abc\r\n").unwrap();
        assert_eq!(store.current().expose(), "ghp_abc");
        assert!(!store.read_again(), "a value does not change");
    }

    #[test]
    fn invalid_token_error_names_setting_only() {
        let long = "secret".repeat(1000);
        for value in [
            "",
            " \n",
            "secret one",
            "secret\u{0}",
            "secret\u{1b}[0m",
            "sécret",
            &long,
        ] {
            let error = from_value(value).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(said.contains("GITHUB_API_TOKEN:"), "{said}");
            assert!(!said.contains("cret"), "{said}");
        }
    }

    #[test]
    fn debug_output_hides_token() {
        let source = AccessTokenSource::Value("ghp_secret".into());
        let store = AccessTokenReader::open(&source, SETTING).unwrap();
        let said = format!("{source:?} {store:?} {:?}", store.token);
        assert!(!said.contains("secret"), "{said}");
        assert!(said.contains("AccessToken(…)"), "{said}");
    }

    #[test]
    fn changed_file_is_read_again() {
        let folder = Folder::new();
        let path = folder.write("token", "first\n");
        let mut store = AccessTokenReader::open(&AccessTokenSource::File(path), SETTING).unwrap();
        assert_eq!(store.current().expose(), "first");
        folder.write("token", "second, but no token");
        assert_eq!(store.current().expose(), "first");
        folder.write("token", "third-one");
        assert_eq!(store.current().expose(), "third-one");
    }

    #[test]
    fn swapped_secret_mount_is_followed() {
        let folder = Folder::new();
        folder.write("..2026_1/token", "first");
        folder.write("..2026_2/token", "other");
        symlink("..2026_1", folder.path("..data")).unwrap();
        symlink("..data/token", folder.path("token")).unwrap();
        let mut store =
            AccessTokenReader::open(&AccessTokenSource::File(folder.path("token")), SETTING)
                .unwrap();
        assert_eq!(store.current().expose(), "first");
        symlink("..2026_2", folder.path("..data_tmp")).unwrap();
        std::fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
        assert_eq!(store.current().expose(), "other");
    }

    #[test]
    fn missing_or_empty_file_keeps_token() {
        let folder = Folder::new();
        let path = folder.write("token", "first");
        let mut store =
            AccessTokenReader::open(&AccessTokenSource::File(path.clone()), SETTING).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(store.current().expose(), "first");
        folder.write("token", "");
        assert_eq!(store.current().expose(), "first");
        folder.write("token", "second");
        assert_eq!(store.current().expose(), "second");
    }

    #[test]
    fn read_again_reports_changed_token() {
        let folder = Folder::new();
        let path = folder.write("token", "first");
        let mut store = AccessTokenReader::open(&AccessTokenSource::File(path), SETTING).unwrap();
        assert!(!store.read_again());
        folder.write("token", "second");
        assert!(store.read_again());
        assert_eq!(store.current().expose(), "second");
    }

    /// Returns a reader whose first access token was accepted, and its folder.
    fn rotating() -> (Folder, AccessTokenReader) {
        let folder = Folder::new();
        let path = folder.write("token", "first");
        let mut reader = AccessTokenReader::open(&AccessTokenSource::File(path), SETTING).unwrap();
        reader.accept(true);
        (folder, reader)
    }

    #[test]
    fn refused_token_waits_for_changed_file() {
        let (folder, mut reader) = rotating();
        folder.write("token", "\u{feff}second");
        assert_eq!(reader.current().expose(), "second");
        assert!(reader.is_on_trial() && reader.fall_back());
        assert!(!reader.read_again() && !reader.is_on_trial());
        assert_eq!(reader.current().expose(), "first");
        folder.write("token", "the-third");
        assert_eq!(reader.current().expose(), "the-third");
        assert!(reader.is_on_trial() && reader.fall_back());
        folder.write("token", "first\n");
        assert_eq!(reader.current().expose(), "first");
        assert!(!reader.is_on_trial() && !reader.fall_back());
    }

    #[test]
    fn previous_token_is_kept_until_write() {
        let (folder, mut reader) = rotating();
        folder.write("token", "second");
        assert_eq!(reader.current().expose(), "second");
        reader.accept(false);
        assert!(!reader.is_on_trial());
        assert!(reader.known().any(|token| token.expose() == "first"));
        reader.accept(true);
        assert!(!reader.fall_back());
        assert_eq!(reader.known().count(), 1);
    }

    #[test]
    fn both_refused_returns_to_file() {
        let (folder, mut reader) = rotating();
        folder.write("token", "second");
        assert_eq!(reader.current().expose(), "second");
        assert!(reader.fall_back());
        reader.give_up_previous();
        assert_eq!(reader.current().expose(), "second");
        assert!(!reader.is_on_trial() && !reader.fall_back());
    }

    #[test]
    fn unaccepted_token_is_not_kept() {
        let folder = Folder::new();
        let path = folder.write("token", "wrong");
        let mut reader = AccessTokenReader::open(&AccessTokenSource::File(path), SETTING).unwrap();
        folder.write("token", "second");
        assert_eq!(reader.current().expose(), "second");
        assert!(!reader.is_on_trial() && !reader.fall_back());
    }

    #[test]
    fn unreadable_file_error_names_setting() {
        let folder = Folder::new();
        folder.write("binary", "x");
        std::fs::write(folder.path("binary"), [0xff, 0xfe]).unwrap();
        for path in [folder.path("none"), folder.path(""), folder.path("binary")] {
            let error =
                AccessTokenReader::open(&AccessTokenSource::File(path), SETTING).unwrap_err();
            let said = error.to_string();
            assert!(said.contains("GITHUB_API_TOKEN_FILE"), "{said}");
        }
    }
}
