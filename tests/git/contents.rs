//! Contents of a repository: other files, large ones, other branches.

use elector::election::lock::LockError;
use elector::lock::git::requests::HEAD;

use crate::repository::{BRANCH, Repository, record};

const LARGE: usize = 10_000_000;

/// Returns bytes that cannot be compressed.
fn noise() -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(|| rng.u8(..)).take(LARGE).collect()
}

#[test]
fn other_files_are_kept() {
    let repository = Repository::new();
    let files: &[(&str, &[u8])] = &[("leader.jsom", b"1"), ("leader.jsoo", b"2"), ("z", b"3")];
    let commit = repository.commit(BRANCH, files);
    let tree = repository.git(&["mktree"], b"");
    let list = repository.git(&["ls-tree", &commit], b"");
    let list = format!("{list}\n040000 tree {tree}\tleader.json.d\n040000 tree {tree}\tleader\n");
    let tree = repository.git(&["mktree"], list.as_bytes());
    let commit = repository.git(&["commit-tree", &tree, "-m", "x"], b"");
    repository.git(&["update-ref", BRANCH, &commit], b"");

    let mut client = repository.client();
    let read = client.read().unwrap();
    assert_eq!(read.value, None);
    assert_eq!(read.version.unwrap().to_string(), commit);
    client.replace(&record("napoleon", 7, 1)).unwrap();
    client.replace(&record("napoleon", 7, 2)).unwrap();
    let names = repository.git(&["ls-tree", "--name-only", BRANCH], b"");
    assert_eq!(
        names,
        "leader.jsom\nleader.json\nleader.json.d\nleader.jsoo\nleader\nz"
    );
    repository.git(&["fsck", "--strict"], b"");
}

#[test]
fn large_value_is_refused() {
    for (filter, part) in [("true", "not a lease record"), ("false", "too much")] {
        let repository = Repository::new();
        repository.configure("uploadpack.allowFilter", filter);
        repository.commit(BRANCH, &[("leader.json", &noise())]);
        let error = repository.client().read().unwrap_err();
        assert!(
            matches!(&error, LockError::Refused(why) if why.contains(part)),
            "{error:?}"
        );
    }
}

#[test]
fn large_zeros_are_refused_uninflated() {
    let repository = Repository::new();
    repository.commit(BRANCH, &[("leader.json", &vec![0; LARGE])]);
    let error = repository.client().read().unwrap_err();
    assert!(matches!(error, LockError::Refused(_)), "{error:?}");
}

#[test]
fn repository_of_100_mb_is_left_out() {
    let repository = Repository::new();
    repository.configure("uploadpack.allowFilter", "true");
    let text = record("napoleon", 7, 1);
    let noise = noise().repeat(10);
    let files: &[(&str, &[u8])] = &[("large", &noise), ("leader.json", text.as_bytes())];
    repository.commit(BRANCH, files);
    let mut client = repository.client();
    assert_eq!(client.text(), text);
    client.replace(&record("napoleon", 7, 2)).unwrap();
    repository.git(&["fsck", "--strict"], b"");
}

#[test]
fn folder_in_place_of_file_is_refused() {
    let repository = Repository::new();
    let tree = repository.git(&["mktree"], b"");
    let list = format!("040000 tree {tree}\tleader.json\n");
    let tree = repository.git(&["mktree"], list.as_bytes());
    let commit = repository.git(&["commit-tree", &tree, "-m", "x"], b"");
    repository.git(&["update-ref", BRANCH, &commit], b"");
    let error = repository.client().read().unwrap_err();
    assert!(matches!(error, LockError::Refused(_)), "{error:?}");
}

#[test]
fn first_branch_and_only_file_are_found() {
    let repository = Repository::with(&["--initial-branch=trunk"]);
    let mut client = repository.client_at(HEAD, None, 1_000);
    let error = client.read().unwrap_err();
    assert!(matches!(error, LockError::NotFound(_)), "{error:?}");
    let text = record("napoleon", 7, 1);
    repository.commit("refs/heads/trunk", &[("lock", text.as_bytes())]);
    assert_eq!(client.text(), text);
    client.replace(&record("cleopatra", 8, 2)).unwrap();
    assert_eq!(
        repository.git(&["show", "trunk:lock"], b""),
        record("cleopatra", 8, 2)
    );

    for (files, found) in [
        (&[("a", &b"1"[..]), ("leader.json", b"2")][..], Some("2")),
        (&[("a", b"1"), ("b", b"2")], None),
    ] {
        repository.commit("refs/heads/trunk", files);
        let mut client = repository.client_at(HEAD, None, 1_000);
        match (client.read(), found) {
            (Ok(read), Some(found)) => assert_eq!(read.value.as_deref(), Some(found.as_bytes())),
            (Err(LockError::Refused(why)), None) => assert!(why.contains("several"), "{why}"),
            (read, _) => panic!("{read:?}"),
        }
    }
}

#[test]
fn sha256_repository_is_refused() {
    let repository = Repository::with(&["--object-format=sha256"]);
    let error = repository.client().read().unwrap_err();
    assert!(
        matches!(&error, LockError::Refused(why) if why.contains("SHA-256")),
        "{error:?}"
    );
}
