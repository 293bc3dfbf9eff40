//! The gist service's state file, read back from a disk.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::{env, fs};

use elector::emulator::{GistRevision, GistService, Options, StartError};
use elector::lock::gist::wire::parse::{History, Want, read_gist};

use super::exchange::{answers, exchange};
use super::{assert_no_server_panicked, watch_server_threads};

/// First line of every state file.
pub const HEADER: &[u8] = b"{\"elector-gist-server\":1}\n";

/// Number of gists that one page lists.
const LISTED: usize = 100;

pub fn check(data: &[u8]) {
    watch_server_threads();
    // In memory if possible, because a fuzzer writes thousands of files per second.
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() {
        memory.to_owned()
    } else {
        env::temp_dir()
    };
    let folder = tempfile::tempdir_in(parent).unwrap();
    let path = &folder.path().join("state");
    fs::write(path, data).unwrap();
    match start(path) {
        Ok(service) => goes_on(service, path, data),
        Err(StartError::Foreign(_)) => {
            assert!(
                !data.starts_with(HEADER),
                "a file of ours is not known again"
            );
            assert_eq!(fs::read(path).unwrap(), data);
        }
        Err(StartError::Corrupt(_, line, _)) => {
            assert!(line > 1 && data.starts_with(HEADER), "line {line}");
            assert_eq!(fs::read(path).unwrap(), data);
        }
        Err(other) => panic!("{other}"),
    }
    assert_no_server_panicked();
}

fn start(path: &Path) -> Result<GistService, StartError> {
    GistService::start(Options {
        state: Some(path.to_owned()),
        // Another seed than the corpus's, because new ids must not collide with those in the file.
        seed: 7,
        ..Options::default()
    })
}

/// Checks that an accepted file loses nothing but a torn last line, and that new writes are kept.
fn goes_on(service: GistService, path: &Path, data: &[u8]) {
    let kept = fs::read(path).unwrap();
    let whole_lines = data
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    match whole_lines {
        0 => assert_eq!(kept, HEADER),
        _ => assert_eq!(kept, &data[..whole_lines]),
    }
    let before = histories(&service);
    for (id, history) in &before {
        is_shown(&service, id, history);
    }
    let changed = before.keys().next().cloned();
    if let Some(id) = &changed {
        let edit = |files: &mut BTreeMap<String, String>| {
            files.insert("leader.json".into(), "written after the restart".into());
        };
        service
            .edit(id, edit)
            .expect("an edit of a gist that is there");
    }
    let written = histories(&service);
    drop(service);
    assert!(fs::read(path).unwrap().starts_with(&kept));
    let again = start(path).expect("what we wrote can be read back");
    assert_eq!(histories(&again), written);
    for (id, history) in &before {
        let now = &written[id];
        let grown = usize::from(Some(id) == changed.as_ref() && now.len() > history.len());
        assert_eq!(now[grown..], *history, "the past of {id:?} has changed");
    }
}

type Histories = BTreeMap<String, Vec<GistRevision>>;

fn histories(service: &GistService) -> Histories {
    let list = get(service, &format!("/gists?per_page={LISTED}"));
    let list: serde_json::Value = serde_json::from_slice(&list).expect("a list of gists");
    let ids = list.as_array().unwrap().iter();
    let ids = ids.map(|gist| gist["id"].as_str().unwrap().to_owned());
    ids.map(|id| (id.clone(), service.history(&id))).collect()
}

/// The gist client must be able to read it.
fn is_shown(service: &GistService, id: &str, history: &[GistRevision]) {
    let body = get(service, &format!("/gists/{id}"));
    let newest = History::Newest;
    let want = Want {
        file: None,
        history: newest,
    };
    let gist = read_gist(&*body, want).unwrap_or_else(|e| panic!("{id:?}: {e}"));
    assert_eq!(gist.history[0].revision, history[0].revision);
}

fn get(service: &GistService, path: &str) -> Vec<u8> {
    let addr: SocketAddr = service.url()["http://".len()..].parse().unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nUser-Agent: t\r\nAuthorization: Bearer t\r\nConnection: close\r\n\r\n"
    );
    let answered = exchange(addr, std::iter::once(request.as_bytes()));
    let answer = answers(&answered, |_, _| false).pop().expect("an answer");
    assert_eq!(answer.status, 200, "{path:?}");
    answer.body
}
