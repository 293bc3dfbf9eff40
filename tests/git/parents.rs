//! Which commits a branch keeps.

use crate::repository::{BRANCH, Repository, record};

#[test]
fn branch_keeps_one_commit_per_term() {
    let repository = Repository::new();
    for term in 1..4 {
        let mut client = repository.client();
        for number in 0..3 {
            client.replace(&record("napoleon", term, number)).unwrap();
        }
        client.replace(&record("", term, 3)).unwrap();
    }
    assert_eq!(
        repository.subjects(),
        [
            "lease free, fencing token 3",
            "lease held by napoleon, fencing token 3",
            "lease held by napoleon, fencing token 3",
            "lease held by napoleon, fencing token 3",
            "lease held by napoleon, fencing token 2",
            "lease held by napoleon, fencing token 1",
        ]
    );
    repository.git(&["fsck", "--strict"], b"");
}

#[test]
fn long_term_is_cut() {
    let repository = Repository::new();
    let mut client = repository.client_keeping(3);
    client.replace(&record("napoleon", 1, 0)).unwrap();
    client.replace(&record("napoleon", 2, 0)).unwrap();
    let mut kept = Vec::new();
    for number in 1..10 {
        client.replace(&record("napoleon", 2, number)).unwrap();
        kept.push(repository.subjects().len());
    }
    assert_eq!(kept, [3, 4, 5, 3, 4, 5, 3, 4, 5]);
    assert_eq!(repository.client().text(), record("napoleon", 2, 9));
}

#[test]
fn denied_cuts_are_not_repeated() {
    let repository = Repository::new();
    repository.configure("receive.denyNonFastForwards", "true");
    let mut client = repository.client_keeping(3);
    client.replace(&record("napoleon", 1, 0)).unwrap();
    client.replace(&record("napoleon", 1, 1)).unwrap();
    let pushes = || repository.requests("git-receive-pack");
    let before = pushes();
    client.replace(&record("napoleon", 2, 0)).unwrap();
    assert_eq!((pushes() - before, repository.subjects().len()), (2, 3));
    let before = pushes();
    client.replace(&record("napoleon", 2, 1)).unwrap();
    client.replace(&record("napoleon", 3, 0)).unwrap();
    assert_eq!((pushes() - before, repository.subjects().len()), (2, 5));
    assert_eq!(repository.client().text(), record("napoleon", 3, 0));
}

#[test]
fn foreign_commits_are_kept() {
    let repository = Repository::new();
    let mut client = repository.client_keeping(2);
    for number in 0..3 {
        client.replace(&record("napoleon", 1, number)).unwrap();
    }
    let text = record("napoleon", 1, 2);
    let files: &[(&str, &[u8])] = &[("README", b"hello"), ("leader.json", text.as_bytes())];
    let foreign = repository.commit(BRANCH, files);
    for number in 3..6 {
        client.replace(&record("napoleon", 1, number)).unwrap();
    }
    client.replace(&record("cleopatra", 2, 6)).unwrap();
    client.replace(&record("cleopatra", 2, 7)).unwrap();
    client.replace(&record("napoleon", 3, 8)).unwrap();
    let log = repository.git(&["log", "--format=%H", BRANCH], b"");
    assert!(log.contains(&foreign), "{log}");
    assert_eq!(log.lines().count(), 6);
    assert_eq!(
        repository.git(&["show", &format!("{BRANCH}:README")], b""),
        "hello"
    );
}
