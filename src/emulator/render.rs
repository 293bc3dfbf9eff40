//! Bodies as GitHub writes them: the same keys, order and types. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::fmt;

use super::files::ChangeStatus;
use super::history::{Commit, View};
use super::revision::Revision;

/// Most bytes of a file's content that are shown, as at GitHub.
const CONTENT_BYTES: usize = 1024 * 1024;

/// Most files that are shown, as at GitHub.
const SHOWN_FILES: usize = 300;

/// Name of the only user.
const LOGIN: &str = "gist-user";

/// URLs that links begin with, as the client wrote the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct BaseUrl {
    /// `http://HOST:PORT`
    pub(super) origin: String,
    /// The origin, at GitHub Enterprise followed by `/api/v3`.
    pub(super) api: String,
}

/// Returns a value as JSON. Every body here has text keys, so serialization cannot fail.
pub(super) fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

#[derive(Serialize)]
struct GistBody<'a> {
    url: String,
    forks_url: String,
    commits_url: String,
    id: &'a str,
    node_id: String,
    git_pull_url: String,
    git_push_url: String,
    html_url: String,
    files: BTreeMap<&'a str, FileBody<'a>>,
    public: bool,
    created_at: String,
    updated_at: String,
    description: &'a str,
    comments: u32,
    user: (),
    comments_url: String,
    owner: &'a User,
    /// Left out in lists, like the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    forks: Option<[(); 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Entry<'a>>>,
    truncated: bool,
}

#[derive(Serialize)]
struct FileBody<'a> {
    filename: &'a str,
    r#type: &'static str,
    language: Option<&'static str>,
    raw_url: String,
    size: usize,
    /// Left out in lists, like the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

#[derive(Serialize)]
struct Entry<'a> {
    user: &'a User,
    version: Revision,
    committed_at: String,
    change_status: ChangeStatus,
    url: String,
}

#[derive(Serialize)]
struct User {
    login: &'static str,
    id: u32,
    node_id: &'static str,
    avatar_url: String,
    gravatar_id: &'static str,
    url: String,
    html_url: String,
    followers_url: String,
    following_url: String,
    gists_url: String,
    starred_url: String,
    subscriptions_url: String,
    organizations_url: String,
    repos_url: String,
    events_url: String,
    received_events_url: String,
    r#type: &'static str,
    site_admin: bool,
}

impl User {
    fn new(base: &BaseUrl) -> Self {
        let origin = &base.origin;
        let url = format!("{}/users/{LOGIN}", base.api);
        Self {
            login: LOGIN,
            id: 1,
            node_id: "U_1",
            avatar_url: format!("{origin}/avatars/u/1?v=4"),
            gravatar_id: "",
            html_url: format!("{origin}/{LOGIN}"),
            followers_url: format!("{url}/followers"),
            following_url: format!("{url}/following{{/other_user}}"),
            gists_url: format!("{url}/gists{{/gist_id}}"),
            starred_url: format!("{url}/starred{{/owner}}{{/repo}}"),
            subscriptions_url: format!("{url}/subscriptions"),
            organizations_url: format!("{url}/orgs"),
            repos_url: format!("{url}/repos"),
            events_url: format!("{url}/events{{/privacy}}"),
            received_events_url: format!("{url}/received_events"),
            url,
            r#type: "User",
            site_admin: false,
        }
    }
}

/// Renders a gist with at most `history_cap` entries of its history.
pub(super) fn gist(view: View<'_>, base: &BaseUrl, history_cap: Option<usize>) -> Vec<u8> {
    let user = User::new(base);
    let shown = view.history().take(history_cap.unwrap_or(usize::MAX));
    let history = entries(shown, view.id, base, &user);
    to_json(&GistBody {
        forks: Some([]),
        history: Some(history),
        truncated: view.head().files().len() > SHOWN_FILES,
        ..gist_body(view, base, &user, true)
    })
}

/// Renders a list of gists, without contents and histories.
pub(super) fn list<'a>(views: impl Iterator<Item = View<'a>>, base: &BaseUrl) -> Vec<u8> {
    let user = User::new(base);
    let gists = views.map(|view| gist_body(view, base, &user, false));
    to_json(&gists.collect::<Vec<_>>())
}

/// Renders a page of `/commits`.
pub(super) fn commits<'a>(
    page: impl Iterator<Item = &'a Commit>,
    id: &str,
    base: &BaseUrl,
) -> Vec<u8> {
    to_json(&entries(page, id, base, &User::new(base)))
}

fn gist_body<'a>(
    view: View<'a>,
    base: &BaseUrl,
    owner: &'a User,
    with_content: bool,
) -> GistBody<'a> {
    let (origin, id) = (&base.origin, view.id);
    let url = format!("{}/gists/{id}", base.api);
    let files = view.head().files().iter().take(SHOWN_FILES);
    let files = files.map(|(name, content)| {
        let file = file_body(view, base, name, content, with_content);
        (name, file)
    });
    GistBody {
        forks_url: format!("{url}/forks"),
        commits_url: format!("{url}/commits"),
        comments_url: format!("{url}/comments"),
        url,
        id,
        node_id: format!("G_{id}"),
        git_pull_url: format!("{origin}/{id}.git"),
        git_push_url: format!("{origin}/{id}.git"),
        html_url: format!("{origin}/{id}"),
        files: files.collect(),
        public: view.gist.public,
        created_at: iso_date(view.gist.created_at),
        updated_at: iso_date(view.updated_at),
        description: &view.gist.description,
        comments: 0,
        user: (),
        owner,
        forks: None,
        history: None,
        truncated: false,
    }
}

fn file_body<'a>(
    view: View<'_>,
    base: &BaseUrl,
    name: &'a str,
    content: &'a str,
    with_content: bool,
) -> FileBody<'a> {
    let (origin, id) = (&base.origin, view.id);
    let (r#type, language) = kind(name);
    let blob = digest(content.as_bytes());
    let shown = with_content.then(|| cut(content));
    FileBody {
        filename: name,
        r#type,
        language,
        raw_url: format!("{origin}/{LOGIN}/{id}/raw/{blob:040x}/{name}"),
        size: content.len(),
        truncated: shown.map(|shown| shown.len() < content.len()),
        content: shown,
    }
}

fn entries<'a, 'u>(
    commits: impl Iterator<Item = &'a Commit>,
    id: &str,
    base: &BaseUrl,
    user: &'u User,
) -> Vec<Entry<'u>> {
    let api = &base.api;
    let entry = |commit: &Commit| Entry {
        user,
        version: commit.revision(),
        committed_at: iso_date(commit.committed_at()),
        change_status: commit.change,
        url: format!("{api}/gists/{id}/{}", commit.revision()),
    };
    commits.map(entry).collect()
}

fn kind(name: &str) -> (&'static str, Option<&'static str>) {
    match name.ends_with(".json") {
        true => ("application/json", Some("JSON")),
        false => ("text/plain", None),
    }
}

fn cut(content: &str) -> &str {
    let mut ends = (0..=content.len().min(CONTENT_BYTES)).rev();
    let end = ends.find(|end| content.is_char_boundary(*end));
    &content[..end.unwrap_or_default()]
}

/// Returns a digest that is the same in every process. It is not git's name of the blob.
pub(super) fn digest(bytes: &[u8]) -> u128 {
    use std::hash::Hasher;
    let half = |salt| {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(bytes);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// Formats seconds since the Unix epoch: `2026-11-22T10:00:00Z`. A year that RFC 3339 cannot express
/// becomes 1970.
fn iso_date(seconds: i64) -> String {
    fmt::utc(seconds).unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

/// Formats seconds since the Unix epoch for a header: `Sun, 22 Nov 2026 10:00:00 GMT`. A year that RFC
/// 2822 cannot express becomes 1970.
pub(super) fn http_date(seconds: i64) -> String {
    let date = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = date.and_then(|date| date.format(&Rfc2822).ok());
    let text = text.map(|text| text.replace("+0000", "GMT"));
    text.unwrap_or_else(|| "Thu, 01 Jan 1970 00:00:00 GMT".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_github_formats() {
        assert_eq!(iso_date(1_588_008_246), "2020-04-27T17:24:06Z");
        assert_eq!(http_date(1_588_008_246), "Mon, 27 Apr 2020 17:24:06 GMT");
        assert_eq!(iso_date(i64::MIN), iso_date(0));
        assert_eq!(http_date(i64::MIN), http_date(0));
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
