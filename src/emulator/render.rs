//! Bodies as GitHub writes them: same keys, same order, same types. Pure.
//!
//! Written by hand into one buffer rather than through a tree of values: a history of ten thousand
//! entries of a kilobyte each is an ordinary body here.

use std::fmt::Write as _;

use time::OffsetDateTime;

use super::files::Files;
use super::history::{Commit, View};

/// Content beyond this is cut, as at GitHub.
const CONTENT_BYTES: usize = 1024 * 1024;

/// Files beyond this many are left out, as at GitHub.
const SHOWN_FILES: usize = 300;

/// The one user there is here.
const LOGIN: &str = "gist-user";
const USER_ID: u32 = 1;

/// The addresses that a body mentions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Base {
    /// `http://HOST:PORT`
    pub(super) origin: String,
    /// Nothing, or `/api/v3`.
    pub(super) prefix: &'static str,
}

impl Base {
    fn api(&self) -> String {
        format!("{}{}", self.origin, self.prefix)
    }
}

/// A whole gist; `history_cap` cuts its history.
pub(super) fn gist(view: View<'_>, base: &Base, history_cap: Option<usize>) -> Vec<u8> {
    let user = user(base);
    let shown = history_cap.unwrap_or(usize::MAX).min(view.depth());
    let mut out = String::with_capacity(4096 + shown * (user.len() + 256));
    preamble(&mut out, view, base);
    files(&mut out, view, base, true);
    middle(&mut out, view, base);
    out.push_str(",\"owner\":");
    out.push_str(&user);
    out.push_str(",\"forks\":[],\"history\":[");
    entries(&mut out, view.history().take(shown), view.id(), base, &user);
    let _ = write!(
        out,
        "],\"truncated\":{}}}",
        view.head().files().len() > SHOWN_FILES
    );
    out.into_bytes()
}

/// The gist in a list of gists: neither contents nor history.
pub(super) fn list_item(out: &mut String, view: View<'_>, base: &Base) {
    preamble(out, view, base);
    files(out, view, base, false);
    middle(out, view, base);
    let _ = write!(out, ",\"owner\":{},\"truncated\":false}}", user(base));
}

/// A page of `/commits`.
pub(super) fn commits<'a>(
    page: impl Iterator<Item = &'a Commit>,
    id: &str,
    base: &Base,
) -> Vec<u8> {
    let mut out = String::from("[");
    entries(&mut out, page, id, base, &user(base));
    out.push(']');
    out.into_bytes()
}

fn preamble(out: &mut String, view: View<'_>, base: &Base) {
    let (api, origin, id) = (base.api(), &base.origin, view.id());
    let node_id = base64(format!("04:Gist{id}").as_bytes());
    let _ = write!(
        out,
        "{{\"url\":\"{api}/gists/{id}\",\"forks_url\":\"{api}/gists/{id}/forks\",\
         \"commits_url\":\"{api}/gists/{id}/commits\",\"id\":\"{id}\",\"node_id\":\"{node_id}\",\
         \"git_pull_url\":\"{origin}/{id}.git\",\"git_push_url\":\"{origin}/{id}.git\",\
         \"html_url\":\"{origin}/{id}\",\"files\":{{"
    );
}

fn files(out: &mut String, view: View<'_>, base: &Base, with_content: bool) {
    let files: &Files = view.head().files();
    for (n, (name, content)) in files.iter().take(SHOWN_FILES).enumerate() {
        if n > 0 {
            out.push(',');
        }
        let quoted = quote(name);
        let (mime, language) = kind(name);
        let language = language.map_or("null".to_owned(), quote);
        let blob = digest(content.as_bytes());
        let raw = format!(
            "{}/{LOGIN}/{}/raw/{blob:040x}/{}",
            base.origin,
            view.id(),
            url_encode(name)
        );
        let _ = write!(
            out,
            "{quoted}:{{\"filename\":{quoted},\"type\":\"{mime}\",\"language\":{language},\
             \"raw_url\":\"{raw}\",\"size\":{}",
            content.len()
        );
        if with_content {
            let shown = cut(content);
            let truncated = shown.len() < content.len();
            let _ = write!(
                out,
                ",\"truncated\":{truncated},\"content\":{}",
                quote(shown)
            );
        }
        out.push('}');
    }
}

fn middle(out: &mut String, view: View<'_>, base: &Base) {
    let _ = write!(
        out,
        "}},\"public\":{},\"created_at\":\"{}\",\"updated_at\":\"{}\",\"description\":{},\"comments\":0,\
         \"user\":null,\"comments_url\":\"{}/gists/{}/comments\"",
        view.public(),
        iso_time(view.created_at()),
        iso_time(view.updated_at()),
        quote(view.description()),
        base.api(),
        view.id(),
    );
}

fn entries<'a>(
    out: &mut String,
    commits: impl Iterator<Item = &'a Commit>,
    id: &str,
    base: &Base,
    user: &str,
) {
    let api = base.api();
    for (n, commit) in commits.enumerate() {
        let revision = commit.revision();
        let change = commit.change();
        let comma = if n > 0 { "," } else { "" };
        let _ = write!(
            out,
            "{comma}{{\"user\":{user},\"version\":\"{revision}\",\"committed_at\":\"{}\",\
             \"change_status\":{{\"total\":{},\"additions\":{},\"deletions\":{}}},\
             \"url\":\"{api}/gists/{id}/{revision}\"}}",
            iso_time(commit.committed_at()),
            change.total(),
            change.additions,
            change.deletions,
        );
    }
}

fn user(base: &Base) -> String {
    let (api, origin) = (base.api(), &base.origin);
    let me = format!("{api}/users/{LOGIN}");
    format!(
        "{{\"login\":\"{LOGIN}\",\"id\":{USER_ID},\"node_id\":\"{}\",\
         \"avatar_url\":\"{origin}/avatars/u/{USER_ID}?v=4\",\"gravatar_id\":\"\",\"url\":\"{me}\",\
         \"html_url\":\"{origin}/{LOGIN}\",\"followers_url\":\"{me}/followers\",\
         \"following_url\":\"{me}/following{{/other_user}}\",\"gists_url\":\"{me}/gists{{/gist_id}}\",\
         \"starred_url\":\"{me}/starred{{/owner}}{{/repo}}\",\"subscriptions_url\":\"{me}/subscriptions\",\
         \"organizations_url\":\"{me}/orgs\",\"repos_url\":\"{me}/repos\",\
         \"events_url\":\"{me}/events{{/privacy}}\",\"received_events_url\":\"{me}/received_events\",\
         \"type\":\"User\",\"site_admin\":false}}",
        base64(format!("04:User{USER_ID}").as_bytes())
    )
}

fn kind(name: &str) -> (&'static str, Option<&'static str>) {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("json") => ("application/json", Some("JSON")),
        Some("md") => ("text/markdown", Some("Markdown")),
        Some("txt") => ("text/plain", Some("Text")),
        Some("yaml" | "yml") => ("text/x-yaml", Some("YAML")),
        Some("sh") => ("application/x-sh", Some("Shell")),
        _ => ("text/plain", None),
    }
}

fn cut(content: &str) -> &str {
    if content.len() <= CONTENT_BYTES {
        return content;
    }
    let mut end = CONTENT_BYTES;
    while !content.is_char_boundary(end) {
        end -= 1;
    }
    &content[..end]
}

/// A JSON string with its quotes.
pub(super) fn quote(text: &str) -> String {
    // A string has no way to fail.
    serde_json::to_string(text).unwrap_or_default()
}

fn url_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// Not git's blob name, but different for different contents; the same in every process.
pub(super) fn digest(bytes: &[u8]) -> u128 {
    use std::hash::Hasher;
    let mut whole: u128 = 0;
    for salt in 0..2u8 {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(bytes);
        whole = whole << 64 | u128::from(hasher.finish());
    }
    whole
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let byte = |n: usize| u32::from(group.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for n in 0..4u32 {
            let digit = DIGITS[(bits >> (18 - 6 * n) & 63) as usize];
            out.push(if n as usize > group.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    out
}

fn date(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// `2026-11-22T10:00:00Z`
pub(super) fn iso_time(seconds: i64) -> String {
    let d = date(seconds);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        d.year(),
        u8::from(d.month()),
        d.day(),
        d.hour(),
        d.minute(),
        d.second()
    )
}

/// `Sun, 22 Nov 2026 10:00:00 GMT`
pub(super) fn http_time(seconds: i64) -> String {
    let d = date(seconds);
    let weekday = &d.weekday().to_string()[..3];
    let month = &d.month().to_string()[..3];
    format!(
        "{weekday}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT",
        d.day(),
        d.year(),
        d.hour(),
        d.minute(),
        d.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_github_writes_them() {
        assert_eq!(iso_time(1_588_008_246), "2020-04-27T17:24:06Z");
        assert_eq!(http_time(1_588_008_246), "Mon, 27 Apr 2020 17:24:06 GMT");
    }

    #[test]
    fn node_ids_are_written_as_github_writes_them() {
        for (plain, encoded) in [
            ("", ""),
            ("a", "YQ=="),
            ("ab", "YWI="),
            ("abc", "YWJj"),
            ("04:User1", "MDQ6VXNlcjE="),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn content_is_cut_between_characters() {
        let long = format!("a{}", "é".repeat(CONTENT_BYTES / 2));
        let shown = cut(&long);
        assert_eq!(shown.len(), CONTENT_BYTES - 1);
        assert!(long.starts_with(shown));
        assert_eq!(cut("short"), "short");
    }
}
