//! The API token: from a setting's value, or from a file that is read again when it changes, as
//! Kubernetes swaps a mounted secret. What to do with the token is the client's business.
//!
//! No token is ever printed, nor any part of one; not even a spoilt one in the error about it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The longest token, in bytes: GitHub's have 40 to 255 characters, those of GitHub Apps may grow
/// to about 520. Far more is some other file.
const LONGEST: usize = 4096;

/// What is sent to prove who we are.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token itself, for the one header that it belongs in.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Checks what should be a token; white space around it does not matter.
    ///
    /// # Errors
    /// What is wrong with it and what to do, to be put behind the name of the setting. It shows
    /// nothing of the token.
    pub fn check(text: &str) -> Result<(), String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("is empty; put a token there that may write gists".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!(
                "is longer than {LONGEST} bytes, so it is no token; put nothing but the token there"
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "holds blanks, control characters or others that no token has; put nothing but the token there".to_owned(),
            );
        }
        Ok(())
    }

    /// What kind it is, by how GitHub's begin.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        let known = KINDS.iter().find(|(mark, _)| self.0.starts_with(mark));
        match known {
            Some((_, kind)) => *kind,
            None if self.0.len() == 40 && self.0.bytes().all(|b| b.is_ascii_hexdigit()) => {
                TokenKind::Classic
            }
            None => TokenKind::Other,
        }
    }

    /// Takes what was found in `setting`; white space around it is dropped.
    fn new(text: &str, setting: &Setting) -> Result<Token, TokenError> {
        Token::check(text).map_err(|what| TokenError {
            setting: setting.clone(),
            what,
        })?;
        Ok(Token(text.trim().to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The kinds of GitHub's tokens.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A personal one with scopes; those of before 2021 are 40 hexadecimal digits.
    Classic,
    /// A personal one with permissions.
    FineGrained,
    /// An OAuth app's, which has scopes.
    OAuthApp,
    /// A GitHub App's, in the name of a user.
    AppUser,
    /// A GitHub App's own, such as the `GITHUB_TOKEN` of Actions: gists are closed to it.
    Installation,
    /// One that only gets other tokens.
    Refresh,
    /// None of GitHub's forms.
    Other,
}

/// What GitHub's tokens begin with.
const KINDS: [(&str, TokenKind); 6] = [
    ("ghp_", TokenKind::Classic),
    ("github_pat_", TokenKind::FineGrained),
    ("gho_", TokenKind::OAuthApp),
    ("ghu_", TokenKind::AppUser),
    ("ghs_", TokenKind::Installation),
    ("ghr_", TokenKind::Refresh),
];

/// Where the token comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// The value of `GITHUB_API_TOKEN`.
    Value(String),
    /// The file that `GITHUB_API_TOKEN_FILE` names.
    File(PathBuf),
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenSource::Value(_) => f.write_str("Value(…)"),
            TokenSource::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// The setting that an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Setting {
    Value,
    File(PathBuf),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Value => f.write_str("GITHUB_API_TOKEN"),
            Setting::File(path) => write!(f, "{path:?} (GITHUB_API_TOKEN_FILE)"),
        }
    }
}

/// There is no token where one should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenError {
    setting: Setting,
    what: String,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.setting, self.what)
    }
}

impl std::error::Error for TokenError {}

/// Tells one state of a file from another. A swapped symbolic link leads to another inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&std::fs::Metadata> for Stamp {
    fn from(file: &std::fs::Metadata) -> Stamp {
        Stamp {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// The present token of a source.
#[derive(Debug)]
pub struct TokenStore {
    token: Token,
    file: Option<Watched>,
}

/// The file that a token came from.
#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// What was last read, good or bad.
    stamp: Option<Stamp>,
    /// Whether it was already said that there is no good token in it.
    warned: bool,
}

impl TokenStore {
    /// Gets the first token.
    ///
    /// # Errors
    /// There is none, it cannot be read, or it cannot be a token.
    pub fn open(source: &TokenSource) -> Result<TokenStore, TokenError> {
        match source {
            TokenSource::Value(value) => Ok(TokenStore {
                token: Token::new(value, &Setting::Value)?,
                file: None,
            }),
            TokenSource::File(path) => {
                let (token, stamp) = read(path);
                Ok(TokenStore {
                    token: token?,
                    file: Some(Watched {
                        path: path.clone(),
                        stamp,
                        warned: false,
                    }),
                })
            }
        }
    }

    /// The token as it is now: a file that changed since is read again. As long as it holds no good
    /// token, the last good one stays.
    pub fn current(&mut self) -> &Token {
        if let Some(file) = &self.file {
            let stamp = std::fs::metadata(&file.path).as_ref().map(Stamp::from).ok();
            if stamp.is_none() || stamp != file.stamp {
                self.read_again();
            }
        }
        &self.token
    }

    /// The token that [`current`](Self::current) gave last, without another look at the file.
    #[must_use]
    pub fn last(&self) -> &Token {
        &self.token
    }

    /// Reads the file again, changed or not, and tells whether the token is another one now.
    pub fn read_again(&mut self) -> bool {
        let Some(file) = &mut self.file else {
            return false;
        };
        let (token, stamp) = read(&file.path);
        file.stamp = stamp;
        match token {
            Ok(token) => {
                file.warned = false;
                let differs = token != self.token;
                if differs {
                    log::info!("the API token in {:?} has changed", file.path);
                }
                self.token = token;
                differs
            }
            Err(error) => {
                if !file.warned {
                    file.warned = true;
                    log::warn!("{error}; the token that was there before stays in use");
                }
                false
            }
        }
    }
}

/// Reads a token from a file, and tells which state of the file it was.
fn read(path: &Path) -> (Result<Token, TokenError>, Option<Stamp>) {
    let setting = Setting::File(path.to_owned());
    match read_text(path) {
        Ok((text, stamp)) => (Token::new(&text, &setting), Some(stamp)),
        Err(error) => {
            let what = format!("cannot be read ({error}); check the path and its permissions");
            (Err(TokenError { setting, what }), None)
        }
    }
}

fn read_text(path: &Path) -> io::Result<(String, Stamp)> {
    // To open a pipe could wait for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let file = File::open(path)?;
    let stamp = Stamp::from(&file.metadata()?);
    let mut bytes = Vec::new();
    // White space is trimmed later, so some more than the longest token may be fine.
    file.take(2 * LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| io::Error::other("it is not text"))?;
    Ok((text, stamp))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A folder of its own for each test.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("token-{}-{number}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.path(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).unwrap();
            }
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn from_value(value: &str) -> Result<TokenStore, TokenError> {
        TokenStore::open(&TokenSource::Value(value.into()))
    }

    #[test]
    fn the_kinds_of_githubs_tokens_are_told_by_their_beginnings() {
        for (text, kind) in [
            ("ghp_x", TokenKind::Classic),
            (
                "0123456789abcdef0123456789abcdef01234567",
                TokenKind::Classic,
            ),
            ("github_pat_x", TokenKind::FineGrained),
            ("gho_x", TokenKind::OAuthApp),
            ("ghu_x", TokenKind::AppUser),
            ("ghs_x", TokenKind::Installation),
            ("ghr_x", TokenKind::Refresh),
            ("any", TokenKind::Other),
        ] {
            assert_eq!(Token(text.to_owned()).kind(), kind, "{text}");
        }
    }

    #[test]
    fn white_space_around_a_token_is_dropped() {
        let mut store = from_value(" ghp_abc\r\n").unwrap();
        assert_eq!(store.current().expose(), "ghp_abc");
        assert!(!store.read_again(), "a value does not change");
    }

    #[test]
    fn what_is_no_token_is_refused_by_the_name_of_its_setting_and_not_shown() {
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
            assert!(said.contains("GITHUB_API_TOKEN "), "{said}");
            assert!(!said.contains("cret"), "{said}");
        }
    }

    #[test]
    fn nothing_prints_a_token() {
        let source = TokenSource::Value("ghp_secret".into());
        let store = TokenStore::open(&source).unwrap();
        let said = format!("{source:?} {store:?} {:?}", store.token);
        assert!(!said.contains("secret"), "{said}");
        assert!(said.contains("Token(…)"), "{said}");
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let folder = Folder::new();
        let path = folder.write("token", "first\n");
        let mut store = TokenStore::open(&TokenSource::File(path)).unwrap();
        assert_eq!(store.current().expose(), "first");
        folder.write("token", "second, but no token");
        assert_eq!(store.current().expose(), "first");
        folder.write("token", "third-one");
        assert_eq!(store.current().expose(), "third-one");
    }

    #[test]
    fn a_secret_mount_that_is_swapped_is_followed() {
        let folder = Folder::new();
        folder.write("..2026_1/token", "first");
        folder.write("..2026_2/token", "other");
        symlink("..2026_1", folder.path("..data")).unwrap();
        symlink("..data/token", folder.path("token")).unwrap();
        let mut store = TokenStore::open(&TokenSource::File(folder.path("token"))).unwrap();
        assert_eq!(store.current().expose(), "first");
        symlink("..2026_2", folder.path("..data_tmp")).unwrap();
        std::fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
        assert_eq!(store.current().expose(), "other");
    }

    #[test]
    fn a_file_that_is_gone_or_empty_for_a_moment_leaves_the_last_token() {
        let folder = Folder::new();
        let path = folder.write("token", "first");
        let mut store = TokenStore::open(&TokenSource::File(path.clone())).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(store.current().expose(), "first");
        folder.write("token", "");
        assert_eq!(store.current().expose(), "first");
        folder.write("token", "second");
        assert_eq!(store.current().expose(), "second");
    }

    #[test]
    fn reading_again_tells_whether_the_token_changed() {
        let folder = Folder::new();
        let path = folder.write("token", "first");
        let mut store = TokenStore::open(&TokenSource::File(path)).unwrap();
        assert!(!store.read_again());
        folder.write("token", "second");
        assert!(store.read_again());
        assert_eq!(store.current().expose(), "second");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = Folder::new();
        folder.write("binary", "x");
        std::fs::write(folder.path("binary"), [0xff, 0xfe]).unwrap();
        for path in [folder.path("none"), folder.0.clone(), folder.path("binary")] {
            let error = TokenStore::open(&TokenSource::File(path)).unwrap_err();
            let said = error.to_string();
            assert!(said.contains("GITHUB_API_TOKEN_FILE"), "{said}");
        }
    }
}
