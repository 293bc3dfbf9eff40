//! Packs with deltas as git makes them.

use elector::lock::git::object::{Commit, ObjectKind, Tree};
use elector::lock::git::pack::{self, Limits};

use crate::repository::{BRANCH, Repository};

const LIMITS: Limits = Limits {
    objects: 1_000,
    object: 1_000_000,
    total: 10_000_000,
};

#[test]
fn deltas_of_git_are_resolved() {
    let repository = Repository::new();
    let mut rng = fastrand::Rng::with_seed(2);
    let mut text: Vec<u8> = std::iter::repeat_with(|| rng.alphanumeric() as u8)
        .take(70_000)
        .collect();
    for _ in 0..20 {
        let at = rng.usize(..text.len());
        text.splice(at..at, *b"something else");
        repository.commit(BRANCH, &[("leader.json", &text), ("other", b"x")]);
    }
    let objects = repository.git(&["rev-list", "--objects", "--no-object-names", BRANCH], b"");
    for offset in ["--delta-base-offset", "--no-reuse-delta"] {
        let arguments = ["pack-objects", "--stdout", "--depth=50", offset];
        let pack = repository.git_bytes(&arguments, objects.as_bytes());
        assert!(pack.len() < 200_000, "no deltas: {} bytes", pack.len());
        let read = pack::read(&pack, LIMITS).unwrap();
        assert_eq!(read.len(), objects.lines().count());
        let (mut commits, mut blobs) = (0, 0);
        for id in objects.lines() {
            let id = id.parse().unwrap();
            if let Some(commit) = read.get(ObjectKind::Commit, id) {
                let commit = Commit::parse(commit).unwrap();
                let tree = read.get(ObjectKind::Tree, commit.tree).unwrap();
                let tree = Tree::parse(tree).unwrap();
                let file = tree.entry("leader.json").unwrap();
                blobs += usize::from(read.get(ObjectKind::Blob, file.id).is_some());
                commits += 1;
            }
        }
        assert_eq!((commits, blobs), (20, 20));
    }
}
