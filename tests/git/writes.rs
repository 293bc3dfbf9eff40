//! Conditional writes.

use elector::election::lock::LockError;
use elector::lock::store::{Store as _, Version};

use crate::repository::{BRANCH, Repository, record};

#[test]
fn branch_is_created_without_parents() {
    let repository = Repository::new();
    repository.commit("refs/heads/main", &[("README", b"hello")]);
    let mut client = repository.client();
    let read = client.read().unwrap();
    assert_eq!((read.value, read.version), (None, None));
    assert!(read.server_time.is_some() && read.written_at.is_none());
    let version = client.write(None, &record("napoleon", 7, 1)).unwrap();
    let log = repository.git(&["log", "--format=%H %an <%ae> %ct %s", BRANCH], b"");
    assert_eq!(
        log,
        format!(
            "{version} elector <elector@localhost> 1795341600 lease held by napoleon, fencing token 7"
        )
    );
    let files = repository.git(&["ls-tree", "--name-only", BRANCH], b"");
    assert_eq!(files, "leader.json");
    repository.git(&["fsck", "--strict"], b"");
}

#[test]
fn update_replaces_value() {
    let repository = Repository::new();
    let mut client = repository.client();
    let mut version = client.write(None, &record("napoleon", 7, 1)).unwrap();
    for number in 2..5 {
        let value = record("napoleon", 7, number);
        version = client.write(Some(&version), &value).unwrap();
        let mut other = repository.client();
        assert_eq!(other.text(), value);
        assert_eq!(other.read().unwrap().version.as_ref(), Some(&version));
    }
    repository.git(&["fsck", "--strict"], b"");
}

#[test]
fn stale_writes_are_conflicts() {
    let repository = Repository::new();
    let (mut first, mut second) = (repository.client(), repository.client());
    let old = first.write(None, &record("napoleon", 7, 1)).unwrap();
    second.read().unwrap();
    let value = record("napoleon", 7, 2);
    first.write(Some(&old), &value).unwrap();
    let impossible = second.store.impossible_version();
    let absent = Version::from("0123456789012345678901234567890123456789");
    for expected in [Some(&old), None, Some(&impossible), Some(&absent)] {
        let result = second.write(expected, &record("cleopatra", 8, 3));
        assert_eq!(result, Err(LockError::Conflict), "{expected:?}");
    }
    let pushes = repository.requests("git-receive-pack");
    assert_eq!(second.write(Some(&absent), "x"), Err(LockError::Conflict));
    assert_eq!(repository.requests("git-receive-pack"), pushes);
    assert_eq!(second.text(), value);
}

#[test]
fn deleted_branch_is_conflict() {
    let repository = Repository::new();
    let mut client = repository.client();
    let version = client.write(None, &record("napoleon", 7, 1)).unwrap();
    repository.git(&["update-ref", "-d", BRANCH], b"");
    let result = client.write(Some(&version), &record("napoleon", 7, 2));
    assert_eq!(result, Err(LockError::Conflict));
    assert_eq!(client.read().unwrap().version, None);
    client.write(None, &record("napoleon", 8, 3)).unwrap();
    assert_eq!(repository.subjects().len(), 1);
}

#[test]
fn declined_push_is_reported_twice() {
    let repository = Repository::new();
    let mut client = repository.client();
    let version = client.write(None, &record("napoleon", 7, 1)).unwrap();
    repository.add_hook();
    let value = record("napoleon", 7, 2);
    let first = client.write(Some(&version), &value).unwrap_err();
    assert!(matches!(first, LockError::OutcomeUnknown(_)), "{first:?}");
    let second = client.write(Some(&version), &value).unwrap_err();
    assert!(
        matches!(&second, LockError::Refused(why) if why.contains("pre-receive hook declined")),
        "{second:?}"
    );
    repository.remove_hook();
    client.write(Some(&version), &value).unwrap();
    assert_eq!(client.text(), value);
}
