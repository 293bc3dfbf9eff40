//! Settings of a gist lock.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::options::{CONFIRM_DELAY, GITHUB_API_URL, GistOptions};
use super::wire::target::{ApiUrl, GistId, check_api_url, check_file_name};
use crate::lock::settings::{Found, Noted, Reader, Setting, looks_secret, shown};
use crate::net::{AccessToken, AccessTokenSource};

/// Settings of a gist lock, as `elector help settings` shows them.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "GIST_ID",
        "required",
        "gist that holds the record, by its id or web address; `elector init` creates one",
    ),
    Setting::new(
        "GIST_FILE",
        "the gist's only file",
        "file in the gist, one per lock; chosen at start, and created unless another file holds an \
         election",
    ),
    Setting::new(
        "GITHUB_API_TOKEN",
        "required, this or the next",
        "access token that may write gists",
    ),
    Setting::new(
        "GITHUB_API_TOKEN_FILE",
        "required, this or the one above",
        "file that holds the access token; read again when it changes",
    ),
    Setting::new(
        "GITHUB_API_URL",
        "https://api.github.com",
        "address of the API; for GitHub Enterprise Server: https://HOST/api/v3",
    ),
    Setting::new(
        "ALLOW_INSECURE_HTTP",
        "false",
        "allow a GITHUB_API_URL with http:// on another machine",
    ),
    Setting::new(
        "CONFIRM_DELAY",
        "2s",
        "time between a claim and the write that confirms it",
    ),
];

/// Reads the options of a gist lock, and its confirm delay, which is known even if another setting is bad.
/// `new` permits that no gist is named, because one will be created.
pub fn read(
    reader: &mut Reader<'_>,
    ca_file: Option<&Path>,
    new: bool,
) -> (Result<GistOptions, Noted>, Option<Duration>) {
    let gist_id = gist_id(reader, new);
    let file = gist_file(reader);
    let token = token(reader);
    let api_url = api_url(reader);
    let before = reader.problem_count();
    let confirm_delay = reader.duration("CONFIRM_DELAY", CONFIRM_DELAY);
    let known = (reader.problem_count() == before).then_some(confirm_delay);
    let options = || {
        Ok(GistOptions {
            gist_id: gist_id?,
            file: file?,
            access_token: token?,
            api_url: api_url?,
            ca_file: ca_file.map(Path::to_owned),
            confirm_delay,
        })
    };
    (options(), known)
}

fn gist_id(reader: &mut Reader<'_>, new: bool) -> Result<Option<GistId>, Noted> {
    let Some(found) = reader.public_text("GIST_ID")? else {
        if new {
            return Ok(None);
        }
        reader.problem(
            "GIST_ID: not set; give the id of the gist that holds the record, the last part of its \
             web address"
                .to_owned(),
        );
        return Err(Noted);
    };
    match found.value.parse() {
        Ok(id) => Ok(Some(id)),
        Err(why) => Err(refuse(reader, &found, &why)),
    }
}

fn gist_file(reader: &mut Reader<'_>) -> Result<Option<String>, Noted> {
    let Some(found) = reader.public_text("GIST_FILE")? else {
        return Ok(None);
    };
    match check_file_name(&found.value) {
        Ok(_) => Ok(Some(found.value)),
        Err(why) => Err(refuse(reader, &found, &why)),
    }
}

/// Notes what is wrong with a variable, under the name that it was found by.
fn refuse(reader: &mut Reader<'_>, found: &Found<String>, why: &str) -> Noted {
    let shown = shown(&found.value);
    reader.problem(format!("{}: {shown} is {why}", found.variable));
    Noted
}

/// Returns the source of the access token. A variable with the prefix outranks one without.
fn token(reader: &mut Reader<'_>) -> Result<AccessTokenSource, Noted> {
    let value = reader.text("GITHUB_API_TOKEN")?;
    let file = reader.raw("GITHUB_API_TOKEN_FILE");
    match (value, file) {
        (None, None) => {
            reader.problem(
                "GITHUB_API_TOKEN: not set, and neither is GITHUB_API_TOKEN_FILE; give an access token \
                 that may write gists, or a file that holds one"
                    .to_owned(),
            );
            Err(Noted)
        }
        (Some(value), None) => token_value(reader, &value),
        (None, Some(file)) => token_file(reader, file),
        (Some(value), Some(file)) if value.prefixed == file.prefixed => {
            reader.problem(format!(
                "{}: set, and so is {}; unset one of them (the file is read again when it changes)",
                value.variable, file.variable
            ));
            Err(Noted)
        }
        (Some(value), Some(file)) if value.prefixed => {
            reader.warning(ignored(&file.variable, &value.variable));
            token_value(reader, &value)
        }
        (Some(value), Some(file)) => {
            reader.warning(ignored(&value.variable, &file.variable));
            token_file(reader, file)
        }
    }
}

/// Returns the file. Why an access token is refused: a path is shown in messages.
fn token_file(reader: &mut Reader<'_>, found: Found<OsString>) -> Result<AccessTokenSource, Noted> {
    let path = found.value.to_string_lossy();
    if looks_secret(&path) && !path.contains('/') {
        reader.problem(format!(
            "{}: looks like an access token (not shown); give the path of a file, or put the access \
             token in GITHUB_API_TOKEN",
            found.variable
        ));
        return Err(Noted);
    }
    Ok(AccessTokenSource::File(PathBuf::from(found.value)))
}

fn ignored(variable: &str, by: &str) -> String {
    format!("{variable}: not used, because {by} is set too; unset one of them")
}

fn token_value(reader: &mut Reader<'_>, found: &Found<String>) -> Result<AccessTokenSource, Noted> {
    match AccessToken::parse(&found.value) {
        Ok(_) => Ok(AccessTokenSource::Value(found.value.clone())),
        Err(flaw) => {
            reader.problem(format!("{}: {flaw}", found.variable));
            Err(Noted)
        }
    }
}

fn api_url(reader: &mut Reader<'_>) -> Result<ApiUrl, Noted> {
    let allow_insecure = reader.boolean("ALLOW_INSECURE_HTTP", false);
    let found = reader.public_text("GITHUB_API_URL")?;
    let found = found.unwrap_or_else(|| Found {
        variable: "GITHUB_API_URL".to_owned(),
        value: GITHUB_API_URL.to_owned(),
        prefixed: false,
    });
    check_api_url(&found.value, allow_insecure).map_err(|why| {
        reader.problem(format!("{}: {why}", found.variable));
        Noted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::config::LeaderElectionConfig;
    use crate::lock::backend::Backend;

    /// Settings without a default.
    const MINIMUM: &[(&str, &str)] = &[("GIST_ID", "923dcb52"), ("GITHUB_API_TOKEN", "ghp_abc123")];

    /// Reads the variables, the last one of each name. Returns the options and the warnings, or the
    /// problems.
    fn read_only(variables: &[(&str, &str)]) -> Result<(GistOptions, Vec<String>), Vec<String>> {
        let lookup = |name: &str| {
            let found = variables.iter().rev().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let mut reader = Reader::new(&lookup);
        match super::read(&mut reader, None, false) {
            (Ok(options), _) if reader.problem_count() == 0 => {
                Ok((options, reader.into_warnings()))
            }
            _ => Err(reader.into_problems()),
        }
    }

    /// Reads the minimum, overridden by `variables`.
    fn read(variables: &[(&str, &str)]) -> Result<(GistOptions, Vec<String>), Vec<String>> {
        read_only(&[MINIMUM, variables].concat())
    }

    /// Asserts that exactly one problem is reported, and that it contains all `parts`.
    fn assert_problem(variables: &[(&str, &str)], parts: &[&str]) {
        let problems = read(variables).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        for part in parts {
            assert!(problems[0].contains(part), "{part} in {}", problems[0]);
        }
    }

    #[test]
    fn gist_id_accepts_web_address() {
        let (options, _) = read(&[("GIST_ID", "https://gist.github.com/me/923dcb53")]).unwrap();
        assert_eq!(options.gist_id.as_ref().unwrap().as_str(), "923dcb53");
        for bad in ["a b", "../x", "é"] {
            assert_problem(&[("GIST_ID", bad)], &["GIST_ID", bad, "last part"]);
        }
        assert_problem(&[("GIST_ID", &"a".repeat(101))], &["GIST_ID"]);
    }

    #[test]
    fn bad_file_name_is_refused() {
        for bad in ["/", "a/b", "a\nb", "\u{7f}", &"é".repeat(128)] {
            assert_problem(&[("GIST_FILE", bad)], &["GIST_FILE: `"]);
        }
        let longest = "é".repeat(127) + "x";
        let (options, _) = read(&[("GIST_FILE", &longest)]).unwrap();
        assert_eq!(options.file.as_deref(), Some(&*longest));
    }

    #[test]
    fn access_token_and_its_file_conflict() {
        let file = ("GITHUB_API_TOKEN_FILE", "/t");
        assert_problem(
            &[file],
            &[
                "GITHUB_API_TOKEN: set, and so is GITHUB_API_TOKEN_FILE",
                "unset",
            ],
        );
        let both_long = [
            ("ELECTOR_GITHUB_API_TOKEN", "x"),
            ("ELECTOR_GITHUB_API_TOKEN_FILE", "/t"),
        ];
        assert_problem(&both_long, &["ELECTOR_GITHUB_API_TOKEN: set"]);
    }

    #[test]
    fn access_token_as_path_is_not_shown() {
        for (variable, rest) in [
            ("GITHUB_API_TOKEN_FILE", None),
            (
                "ELECTOR_GITHUB_API_TOKEN_FILE",
                Some(("GITHUB_API_TOKEN", "x")),
            ),
        ] {
            let given = [("GIST_ID", "923dcb52"), (variable, "ghp_abc123")];
            let given: Vec<_> = given.into_iter().chain(rest).collect();
            let problems = read_only(&given).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with(variable), "{problems:?}");
            assert!(!problems[0].contains("abc123"), "{problems:?}");
        }
        let path = ("GITHUB_API_TOKEN_FILE", "/run/secrets/ghp_token");
        assert!(read_only(&[("GIST_ID", "923dcb52"), path]).is_ok());
    }

    #[test]
    fn prefixed_access_token_wins_with_warning() {
        let (options, warnings) = read(&[("ELECTOR_GITHUB_API_TOKEN_FILE", "/t")]).unwrap();
        assert!(matches!(&options.access_token, AccessTokenSource::File(_)));
        assert!(warnings[0].starts_with("GITHUB_API_TOKEN: not used"));
        let (options, warnings) = read(&[
            ("ELECTOR_GITHUB_API_TOKEN", "x"),
            ("GITHUB_API_TOKEN_FILE", "/t"),
        ])
        .unwrap();
        assert!(matches!(&options.access_token, AccessTokenSource::Value(_)));
        assert!(warnings[0].starts_with("GITHUB_API_TOKEN_FILE: not used"));
    }

    #[test]
    fn access_token_is_trimmed() {
        let (options, _) = read(&[("GITHUB_API_TOKEN", " ghp_x\n")]).unwrap();
        assert!(
            matches!(&options.access_token, AccessTokenSource::Value(token) if token.trim() == "ghp_x")
        );
        for bad in ["\n", "a b", "a\r\nX-Evil: 1", "tökén", &"a".repeat(5000)] {
            assert_problem(&[("GITHUB_API_TOKEN", bad)], &["GITHUB_API_TOKEN: "]);
        }
    }

    #[test]
    fn insecure_address_needs_permission_and_warns() {
        let plain = ("GITHUB_API_URL", "http://ghe.example.org");
        assert_problem(
            &[plain],
            &["`http://ghe.example.org`", "ALLOW_INSECURE_HTTP=true"],
        );
        let election = LeaderElectionConfig::new("a");
        let (options, _) = read(&[plain, ("ALLOW_INSECURE_HTTP", "true")]).unwrap();
        assert!(options.warnings(&election)[0].contains("unencrypted"));
        let (local, _) = read(&[("GITHUB_API_URL", "http://127.0.0.1:8080/")]).unwrap();
        assert_eq!(local.api_url.as_str(), "http://127.0.0.1:8080");
        assert_eq!(local.warnings(&election), [] as [&str; 0]);
    }
}
