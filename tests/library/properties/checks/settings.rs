//! The environment: every setting, and the syntax of their values (durations, addresses, ids, names, access
//! tokens).
//!
//! Each line of the input is a variable, `NAME=value`. Byte 1 stands for a line feed in a value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::str::FromStr;
use std::time::Duration;

use elector::commands::settings::{Settings, SettingsError, all};
use elector::emulator::InitialGist;
use elector::fmt::duration::{self, DurationError};
use elector::http::ListenAddr;
use elector::lock::gist::wire::target::{ApiUrl, GistId, check_api_url, check_file_name};
use elector::lock::variables as variables_of_locks;
use elector::net::AccessToken;
use ureq::http::Uri;

use super::assert_safe_line;
use super::go_duration::{self, Meaning};

/// Suffix of every access token, which no output may contain. A fuzzer that finds it may put it into other
/// values.
const SECRET: &str = "S3cr3tS3cr3t";

/// Prefixes of GitHub's access tokens. Values with them are not shown, even in the wrong variable.
const MARKS: [&str; 6] = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"];

const TOKENS: [&str; 6] = [
    "GITHUB_API_TOKEN",
    "ELECTOR_GITHUB_API_TOKEN",
    "LOCK_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
];

pub fn check(data: &[u8]) {
    if holds(data, SECRET.as_bytes()) {
        return;
    }
    let variables = variables(data);
    check_environment(&variables);
    for value in variables.values().filter_map(|value| value.to_str()) {
        check_value(value);
    }
}

/// Checks a value in every syntax.
pub fn check_value(value: &str) {
    durations_are_gos(value);
    check_host(value);
    ids_and_names_are_plain(value);
}

fn variables(data: &[u8]) -> BTreeMap<String, OsString> {
    let lines = data.split(|byte| *byte == b'\n');
    let pairs = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b'=')?;
        let name = std::str::from_utf8(&line[..at]).ok()?.to_owned();
        let mut value = line[at + 1..].to_vec();
        for byte in &mut value {
            *byte = if *byte == 1 { b'\n' } else { *byte };
        }
        let is_token = TOKENS.contains(&name.as_str()) && !value.is_empty();
        // A path may contain the name of its access token.
        let is_path = name.ends_with("_FILE") && value.contains(&b'/');
        let is_marked = MARKS.iter().any(|mark| holds(&value, mark.as_bytes()));
        if is_token || is_marked && !is_path {
            value.extend_from_slice(SECRET.as_bytes());
        }
        Some((name, OsString::from_vec(value)))
    });
    pairs.take(64).collect()
}

fn holds(value: &[u8], mark: &[u8]) -> bool {
    value.windows(mark.len()).any(|window| window == mark)
}

fn check_environment(variables: &BTreeMap<String, OsString>) {
    let read = || Settings::read(&|name| variables.get(name).cloned(), Some("host"));
    match read() {
        Ok(settings) => {
            let again = read().expect("the same environment");
            assert_eq!(format!("{settings:?}"), format!("{again:?}"));
            check_timings(&settings);
            check_secret_is_hidden(&settings);
        }
        Err(error) => {
            assert_eq!(read().unwrap_err(), error);
            check_error_names_variable(&error);
        }
    }
}

fn check_error_names_variable(error: &SettingsError) {
    assert!(
        !error.problems().is_empty(),
        "nothing is wrong, and yet refused"
    );
    assert!(error.problems().len() <= 2 * all().count());
    for problem in error.problems() {
        assert_safe_line(problem);
        let names = all()
            .map(|setting| setting.name)
            .chain(variables_of_locks());
        let named = names.into_iter().any(|name| problem.contains(name));
        assert!(named, "no variable is named: {problem}");
    }
    let printed = format!("{error} {error:?}");
    assert!(!printed.contains(SECRET), "a token is shown: {printed}");
}

fn check_secret_is_hidden(settings: &Settings) {
    let warnings = settings.warnings().join("\n");
    settings.warnings().iter().for_each(|w| assert_safe_line(w));
    let lock = format!("{:?}", settings.lock);
    // A path is shown in messages.
    let path = settings.ca_file.as_ref().map(|path| format!("{path:?}"));
    let lock = path.map_or(lock.clone(), |path| lock.replace(&path, ""));
    let printed = format!("{warnings} {lock} {}", settings.election.identity);
    assert!(!printed.contains(SECRET), "a token is shown: {printed}");
}

/// Checks the relations between the timings, in exact arithmetic.
fn check_timings(settings: &Settings) {
    let times = &settings.election;
    let nanos = |time: Duration| time.as_nanos();
    let lease = nanos(times.lease_duration);
    let needed = nanos(times.renew_deadline)
        + nanos(times.retry_period)
        + nanos(times.termination_grace)
        + lease / 30;
    assert!(
        times.lease_duration <= Duration::from_secs(3600),
        "{times:?}"
    );
    assert!(needed <= lease, "{times:?}");
    let (renew, retry) = (nanos(times.renew_deadline), nanos(times.retry_period));
    assert!(10 * renew > 12 * retry, "{times:?}");
    assert!(
        2 * nanos(settings.lock.backend().confirm_delay().unwrap_or_default()) <= retry,
        "{times:?}"
    );
    assert!(!times.poll_period.is_zero() && times.takeover_stagger <= times.lease_duration);
    let identity = &times.identity;
    assert!(
        !identity.is_empty() && identity.len() <= 64 * 1024,
        "{} bytes",
        identity.len()
    );
}

fn durations_are_gos(text: &str) {
    let ours = duration::parse(text);
    match (&ours, go_duration::read(text)) {
        (Ok(ours), Meaning::Nanos { nanos, slack }) => {
            assert!(
                ours.as_nanos().abs_diff(nanos) <= slack,
                "{text} is {ours:?}"
            );
            let written = format!("{ours:?}");
            assert_eq!(
                duration::parse(&written),
                Ok(*ours),
                "{text} became {written}"
            );
            assert!(written.len() <= 32, "{written}");
        }
        (Err(DurationError::Unknown(_)), Meaning::Unknown) => {}
        (Err(DurationError::Negative(_)), Meaning::Negative) => {}
        (Err(DurationError::TooLong(_)), Meaning::TooLong) => {}
        (ours, gos) => panic!("{text:?} is {ours:?} here and {gos:?} in Go"),
    }
    if let Err(error) = ours {
        assert_safe_line(&error.to_string());
    }
}

/// The host of the API must be the host to which the HTTP client sends the access token.
fn check_host(text: &str) {
    match (check_api_url(text, true), check_api_url(text, false)) {
        (Ok(url), strict) => {
            assert_eq!(check_api_url(url.as_str(), true).as_ref(), Ok(&url));
            client_agrees(&url);
            if let Ok(strict) = strict {
                assert_eq!(strict, url);
                let loopback = url.host() == "localhost"
                    || url.host() == "::1"
                    || url.host().starts_with("127.")
                    || url.host().starts_with("::ffff:127.");
                assert!(url.is_https() || loopback, "{url} would leak the token");
            }
        }
        (Err(_), Ok(url)) => panic!("{url} is accepted only where it must be safe"),
        (Err(error), Err(_)) => {
            assert_safe_line(&error.to_string());
            let whole = text.trim();
            let password = whole.contains('@') && whole.len() > 4;
            assert!(!password || !error.to_string().contains(whole), "{error}");
        }
    }
    if let Ok(addr) = text.parse::<ListenAddr>() {
        assert_eq!(addr.to_string().parse(), Ok(addr));
    }
}

fn client_agrees(url: &ApiUrl) {
    let whole = format!("{url}/gists/aa5a?per_page=100");
    let uri = Uri::from_str(&whole).unwrap_or_else(|e| panic!("{whole:?}: {e}"));
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    assert_eq!(bare.to_ascii_lowercase(), url.host(), "{whole}");
    let port = match url.is_https() {
        true => 443,
        false => 80,
    };
    assert_eq!(uri.port_u16().unwrap_or(port), url.port(), "{whole}");
    assert_eq!(uri.scheme_str() == Some("https"), url.is_https());
    assert!(uri.path().ends_with("/gists/aa5a"), "{whole}");
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    assert!(!authority.contains('@'), "{whole} holds a password");
    assert_eq!(url.is_github_com(), bare == "api.github.com");
}

fn ids_and_names_are_plain(text: &str) {
    let is_plain = |id: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=64).contains(&id.len()) && id.bytes().all(fits)
    };
    match text.parse::<GistId>() {
        Ok(id) => {
            assert!(
                is_plain(id.as_str()) && text.contains(id.as_str()),
                "{id:?}"
            );
            assert_eq!(id.as_str().parse(), Ok(id));
        }
        Err(error) => assert_safe_line(&error.to_string()),
    }
    match check_file_name(text) {
        Ok(name) => assert!((1..=255).contains(&name.len()) && !name.contains(['/', '\n'])),
        Err(error) => assert_safe_line(&error.to_string()),
    }
    if let Ok(gist) = text.parse::<InitialGist>() {
        assert!(is_plain(&gist.id) && !gist.file.is_empty() && !gist.content.trim().is_empty());
    }
    if let Err(what) = AccessToken::parse(text) {
        assert_safe_line(&what);
        assert!(text.trim().len() < 8 || !what.contains(text.trim()));
    }
    let _ = text.parse::<elector::emulator::AccessToken>();
}
