//! Settings of a lock in a git repository.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::requests::{BRANCHES, HEAD};
use super::store::FILE;
use super::{Access, GitOptions};
use crate::lock::cas::backend::{CasBackend, read_lock};
use crate::lock::gist;
use crate::lock::gist::wire::target::{GistId, check_file_name};
use crate::lock::settings::{LOCK_TOKEN, LOCK_TOKEN_FILE, Noted, Reader, Setting};
use crate::lock::{Kind, Place, Surroundings};
use crate::net::{AccessTokenSource, Url, is_loopback};

/// Branch for a lock, if none is named.
const BRANCH: &str = "elector";

/// User name beside an access token, if none is set. GitHub ignores it.
const USER: &str = "x-access-token";

/// Greatest length of an address or a branch, in bytes.
const LONGEST: usize = 255;

/// Hosts of Azure Repos, which does not have git's protocol 2.
const AZURE: [&str; 2] = ["dev.azure.com", "visualstudio.com"];

/// Kind of lock in a git repository.
pub const KIND: Kind = Kind {
    schemes: &["git+https", "git+http"],
    forms: &["git+https://HOST/PATH[#BRANCH[:FILE]]"],
    settings: &[
        LOCK_TOKEN,
        LOCK_TOKEN_FILE,
        Setting::new(
            "LOCK_USER",
            "x-access-token (git)",
            "user name beside the access token of a git server",
        )
        .shared(),
        gist::settings::ALLOW_INSECURE_HTTP,
    ],
    variables: &[],
    read: |reader, place, surroundings| {
        read_lock(place, |place| read_git(reader, place, surroundings))
    },
};

/// Kind of lock in the repository of a gist.
pub const GIST_KIND: Kind = Kind {
    schemes: &["gist+git"],
    forms: &["gist+git:ID[/FILE]"],
    settings: &[
        gist::settings::GITHUB_API_TOKEN,
        gist::settings::GITHUB_API_TOKEN_FILE,
        gist::settings::CONFIRM_DELAY_SETTING,
    ],
    variables: &[],
    read: |reader, place, surroundings| {
        let Some(place) = place else {
            return (Err(Noted), None);
        };
        let (options, confirm_delay) = read_gist(reader, place, surroundings);
        let options = options.map(|options| Arc::new(CasBackend(Arc::new(options))) as _);
        (options, confirm_delay)
    },
};

/// Reads `LOCK=git+https://HOST/PATH[#BRANCH[:FILE]]` and its credentials.
fn read_git(
    reader: &mut Reader<'_>,
    place: &Place,
    surroundings: Surroundings<'_>,
) -> Result<GitOptions, Noted> {
    let named = named(place, reader.boolean("ALLOW_INSECURE_HTTP", false));
    let named = named.map_err(|why| place.refuse(reader, &why));
    let user = reader.public_text("LOCK_USER");
    let user = user.map(|found| found.map_or_else(|| USER.to_owned(), |found| found.value));
    let user = match user {
        Ok(user) if user.contains(':') => {
            reader.problem(
                "LOCK_USER: contains a colon, which no user name may; put only the name there"
                    .to_owned(),
            );
            Err(Noted)
        }
        user => user,
    };
    let token = reader.access_token("LOCK_TOKEN");
    let (url, branch, file) = named?;
    let user = user?;
    let token = match token? {
        None if !is_loopback(url.host()) => {
            reader.problem(
                "LOCK_TOKEN: not set, and neither is LOCK_TOKEN_FILE; give an access token that may \
                 write the repository, or a file that holds one"
                    .to_owned(),
            );
            return Err(Noted);
        }
        token => token,
    };
    Ok(GitOptions {
        url,
        reference: format!("{BRANCHES}{branch}"),
        file: Some(file),
        gist: None,
        access: token.map(|token| Access {
            user,
            token,
            setting: "LOCK_TOKEN",
        }),
        ca_file: surroundings.ca_file.map(Path::to_owned),
        confirm_delay: None,
    })
}

/// Reads `LOCK=gist+git:ID[/FILE]` and its credentials.
fn read_gist(
    reader: &mut Reader<'_>,
    place: &Place,
    surroundings: Surroundings<'_>,
) -> (Result<GitOptions, Noted>, Option<Duration>) {
    let (id, file) = gist::settings::named(reader, place);
    let token = gist::settings::token(reader);
    let (confirm_delay, known) = gist::settings::confirm_delay(reader);
    let options = || {
        let id = id?.ok_or(Noted)?;
        let file = file?;
        let token: AccessTokenSource = token?;
        let url = gist_url(&id).map_err(|why| place.refuse(reader, &why))?;
        Ok(GitOptions {
            url,
            reference: HEAD.to_owned(),
            file,
            gist: Some(id),
            access: Some(Access {
                user: USER.to_owned(),
                token,
                setting: "GITHUB_API_TOKEN",
            }),
            ca_file: surroundings.ca_file.map(Path::to_owned),
            confirm_delay: Some(confirm_delay),
        })
    };
    (options(), known)
}

/// Returns the address of a gist's repository.
fn gist_url(id: &GistId) -> Result<Url, String> {
    let url = format!("https://gist.github.com/{id}.git");
    url.parse().map_err(|error| format!("{error}"))
}

/// Returns the repository, the branch and the file of `LOCK`.
fn named(place: &Place, allow_insecure: bool) -> Result<(Url, String, String), String> {
    let (rest, fragment) = place.rest.split_once('#').unwrap_or((&place.rest, ""));
    let scheme = place.scheme.trim_start_matches("git+");
    let text = format!("{scheme}:{}", rest.trim_end_matches('/'));
    let form = || "use git+https://HOST/PATH[#BRANCH[:FILE]]".to_owned();
    let url: Url = text.parse().map_err(|_| form())?;
    let path = url.uri().path();
    if text.len() > LONGEST || path.len() < 2 || url.uri().query().is_some() {
        return Err(form());
    }
    if !url.is_https() && !is_loopback(url.host()) && !allow_insecure {
        return Err(
            "use git+https://, or set ALLOW_INSECURE_HTTP=true to send the access token \
                    unencrypted"
                .to_owned(),
        );
    }
    let host = url.host().to_ascii_lowercase();
    let is_azure = |azure: &str| host == *azure || host.ends_with(&format!(".{azure}"));
    if AZURE.iter().any(|azure| is_azure(azure)) {
        return Err(
            "Azure Repos does not have git's protocol 2; use a repository at another \
                    server"
                .to_owned(),
        );
    }
    let (branch, file) = match fragment.split_once(':') {
        Some((branch, file)) => (branch, file),
        None => (fragment, FILE),
    };
    let branch = if branch.is_empty() { BRANCH } else { branch };
    if !is_branch(branch) {
        return Err("give a branch name as git permits it".to_owned());
    }
    check_file_name(file)
        .map_err(|_| "give a plain file name; the file is not in a folder".to_owned())?;
    if [".", "..", ".git"].contains(&file.to_ascii_lowercase().as_str()) {
        return Err("give a file name that git permits".to_owned());
    }
    Ok((url, branch.to_owned(), file.to_owned()))
}

/// Returns whether git permits the name of a branch.
fn is_branch(name: &str) -> bool {
    let bad = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    name.len() <= LONGEST
        && !name.contains(bad)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.starts_with('-')
        && !name.ends_with('.')
        && name != "@"
        && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::lock::LockSpec;

    /// Reads `LOCK` and the variables. Returns the options, or the problems.
    fn read(lock: &str, variables: &[(&str, &str)]) -> Result<String, Vec<String>> {
        let lock = ("LOCK", lock);
        let lookup = |name: &str| {
            let mut all = variables.iter().chain([&lock]);
            let found = all.find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let mut reader = Reader::new(&lookup);
        match LockSpec::read(&mut reader, None, crate::lock::Purpose::Use) {
            (Ok(spec), _) if reader.problem_count() == 0 => Ok(spec.backend().lease_name()),
            _ => Err(reader.into_problems()),
        }
    }

    const TOKEN: (&str, &str) = ("LOCK_TOKEN", "abc123");
    const GIST_TOKEN: (&str, &str) = ("GITHUB_API_TOKEN", "ghp_abc123");

    #[test]
    fn kinds_have_their_own_rows() {
        let names = |kind: &Kind| kind.settings.iter().map(|row| row.name).collect::<Vec<_>>();
        assert_eq!(
            names(&KIND),
            [
                "LOCK_TOKEN",
                "LOCK_TOKEN_FILE",
                "LOCK_USER",
                "ALLOW_INSECURE_HTTP"
            ]
        );
        assert_eq!(
            names(&GIST_KIND),
            ["GITHUB_API_TOKEN", "GITHUB_API_TOKEN_FILE", "CONFIRM_DELAY"]
        );
    }

    #[test]
    fn branch_and_file_have_defaults() {
        for (lock, name) in [
            (
                "git+https://h.example/me/r",
                "h.example/me/r#elector:leader.json",
            ),
            (
                "git+https://h.example/me/r.git/#a/b",
                "h.example/me/r.git#a/b:leader.json",
            ),
            (
                "git+https://h.example:8443/r#:x",
                "h.example:8443/r#elector:x",
            ),
            ("git+http://127.0.0.1:80/r#b:x", "127.0.0.1:80/r#b:x"),
        ] {
            assert_eq!(read(lock, &[TOKEN]).as_deref(), Ok(name), "{lock}");
        }
        for (lock, name) in [
            ("gist+git:aa5a", "aa5a"),
            ("gist+git:aa5a/x.json", "aa5a/x.json"),
        ] {
            assert_eq!(read(lock, &[GIST_TOKEN]).as_deref(), Ok(name), "{lock}");
        }
    }

    #[test]
    fn bad_place_is_refused() {
        let token: &[_] = &[TOKEN];
        for (lock, variables, part) in [
            ("git+https://h.example", token, "HOST/PATH"),
            ("git+https:h.example/r", token, "HOST/PATH"),
            ("git+https://h.example/r?x=y", token, "HOST/PATH"),
            ("git+https://me:pw@h.example/r", token, "password"),
            ("git+https://h.example/r#a..b", token, "branch"),
            ("git+https://h.example/r#-a", token, "branch"),
            ("git+https://h.example/r#a.lock", token, "branch"),
            ("git+https://h.example/r#a:b/c", token, "plain file name"),
            ("git+https://h.example/r#a:.GIT", token, "file name"),
            ("git+https://dev.azure.com/o/p/_git/r", token, "Azure"),
            ("git+https://o.visualstudio.com/p/_git/r", token, "Azure"),
            ("git+http://h.example/r", token, "ALLOW_INSECURE_HTTP"),
            ("git+https://h.example/r", &[], "LOCK_TOKEN_FILE"),
            ("gist+git:a b", &[GIST_TOKEN], "gist's id"),
            ("gist+git:aa5a", &[], "GITHUB_API_TOKEN"),
            ("gist+git:aa5a", &[GIST_TOKEN, TOKEN], "LOCK_TOKEN: set"),
        ] {
            let problems = read(lock, variables).unwrap_err();
            assert_eq!(problems.len(), 1, "{lock}: {problems:?}");
            assert!(problems[0].contains(part), "{problems:?}");
            assert!(!problems[0].contains("pw"), "{problems:?}");
        }
        let insecure = ("ALLOW_INSECURE_HTTP", "true");
        assert!(read("git+http://h.example/r", &[TOKEN, insecure]).is_ok());
        assert!(read("git+http://localhost/r", &[]).is_ok());
    }
}
