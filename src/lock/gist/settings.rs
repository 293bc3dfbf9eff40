//! Settings of a gist lock.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::options::{CONFIRM_DELAY, GITHUB_API_URL, GistOptions};
use super::wire::target::{ApiUrl, GistId, check_api_url, check_file_name};
use crate::lock::settings::{Found, Noted, Reader, Setting, shown};
use crate::lock::{Kind, Place, Surroundings};
use crate::net::AccessTokenSource;

/// Access token for gists.
pub const GITHUB_API_TOKEN: Setting = Setting::new(
    "GITHUB_API_TOKEN",
    "required, this or the next",
    "access token that may write gists",
);

/// File with that access token.
pub const GITHUB_API_TOKEN_FILE: Setting = Setting::new(
    "GITHUB_API_TOKEN_FILE",
    "required, this or the one above",
    "file that holds the access token; read again when it changes",
);

/// Permission for addresses without TLS.
pub const ALLOW_INSECURE_HTTP: Setting = Setting::new(
    "ALLOW_INSECURE_HTTP",
    "false",
    "allow a GITHUB_API_URL with http:// on another machine",
);

/// Time between a claim and the write that confirms it.
pub const CONFIRM_DELAY_SETTING: Setting = Setting::new(
    "CONFIRM_DELAY",
    "2s",
    "time between a claim and the write that confirms it",
);

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
    GITHUB_API_TOKEN,
    GITHUB_API_TOKEN_FILE,
    Setting::new(
        "GITHUB_API_URL",
        "https://api.github.com",
        "address of the API; for GitHub Enterprise Server: https://HOST/api/v3",
    ),
    ALLOW_INSECURE_HTTP,
    CONFIRM_DELAY_SETTING,
];

/// Kind of lock.
pub const KIND: Kind = Kind {
    schemes: &["gist"],
    forms: &["gist:ID[/FILE]"],
    settings: SETTINGS,
    variables: &[],
    read: |reader, place, surroundings| {
        let (options, confirm_delay) = read(reader, place, surroundings);
        (options.map(|options| Arc::new(options) as _), confirm_delay)
    },
};

/// Reads the options of a gist lock, and its confirm delay, which is known even if another setting is bad.
/// `new` permits that no gist is named, because one will be created.
pub fn read(
    reader: &mut Reader<'_>,
    place: Option<&Place>,
    surroundings: Surroundings<'_>,
) -> (Result<GistOptions, Noted>, Option<Duration>) {
    let (gist_id, file) = match place {
        Some(place) => named(reader, place),
        None => (gist_id(reader, surroundings.new), gist_file(reader)),
    };
    let token = token(reader);
    let api_url = api_url(reader);
    let (confirm_delay, known) = confirm_delay(reader);
    let options = || {
        Ok(GistOptions {
            gist_id: gist_id?,
            file: file?,
            access_token: token?,
            api_url: api_url?,
            ca_file: surroundings.ca_file.map(Path::to_owned),
            confirm_delay,
        })
    };
    (options(), known)
}

/// Returns `CONFIRM_DELAY` or its default, and the same if it was not set to a bad value.
pub fn confirm_delay(reader: &mut Reader<'_>) -> (Duration, Option<Duration>) {
    let before = reader.problem_count();
    let delay = reader.duration("CONFIRM_DELAY", CONFIRM_DELAY);
    (delay, (reader.problem_count() == before).then_some(delay))
}

/// Reads `LOCK=gist:ID[/FILE]`.
pub fn named(
    reader: &mut Reader<'_>,
    place: &Place,
) -> (Result<Option<GistId>, Noted>, Result<Option<String>, Noted>) {
    let (id, file) = match place.rest.split_once('/') {
        Some((id, file)) => (id, Some(file)),
        None => (place.rest.as_str(), None),
    };
    let id = id
        .parse()
        .map_err(|why: String| place.refuse(reader, &format!("the id is {why}")));
    let file = file.map(|file| match check_file_name(file) {
        Ok(_) => Ok(file.to_owned()),
        Err(why) => Err(place.refuse(reader, &format!("the file is {why}"))),
    });
    (id.map(Some), file.transpose())
}

fn gist_id(reader: &mut Reader<'_>, new: bool) -> Result<Option<GistId>, Noted> {
    let Some(found) = reader.public_text("GIST_ID")? else {
        if new {
            return Ok(None);
        }
        reader.problem(
            "GIST_ID: not set, and neither is LOCK; give the id of the gist that holds the record, the \
             last part of its web address, or another place in LOCK"
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

/// Returns the source of the access token for gists.
pub fn token(reader: &mut Reader<'_>) -> Result<AccessTokenSource, Noted> {
    if let Some(source) = reader.access_token("GITHUB_API_TOKEN")? {
        return Ok(source);
    }
    reader.problem(
        "GITHUB_API_TOKEN: not set, and neither is GITHUB_API_TOKEN_FILE; give an access token that may \
         write gists, or a file that holds one"
            .to_owned(),
    );
    Err(Noted)
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
    use std::ffi::OsString;

    use super::*;
    use crate::election::config::LeaderElectionConfig;
    use crate::lock::backend::Backend;

    const ALONE: Surroundings<'_> = Surroundings {
        ca_file: None,
        new: false,
    };

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
        match super::read(&mut reader, None, ALONE) {
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
