//! A tree or a commit of a git repository.

use elector::lock::git::object::{Commit, ObjectId, Tree};

const FILE: &str = "leader.json";

pub fn check(data: &[u8]) {
    if let Some(tree) = Tree::parse(data) {
        assert_eq!(tree.to_bytes(), data);
        keeps_other_entries(&tree);
    }
    if let Some(commit) = Commit::parse(data) {
        let again = Commit::parse(&commit.to_bytes()).expect("what we write is a commit");
        assert_eq!((again.tree, again.parent), (commit.tree, commit.parent));
        assert_eq!(again.message, commit.message);
        assert_eq!(again.time, commit.time.max(0));
        assert!(again.by_elector);
        assert!(commit.by_elector || commit.base().or(again.base()) == again.base());
    }
}

fn keeps_other_entries(tree: &Tree) {
    let with = tree.with_file(FILE, ObjectId::IMPOSSIBLE);
    assert_eq!(Tree::parse(&with.to_bytes()).as_ref(), Some(&with));
    let entry = with.entry(FILE).expect("the file is there");
    assert!(entry.is_file() && entry.id == ObjectId::IMPOSSIBLE);
    let other = |tree: &Tree| {
        let others = tree.entries.iter();
        let others = others.filter(|entry| entry.name != FILE.as_bytes());
        others.cloned().collect::<Vec<_>>()
    };
    assert_eq!(other(&with), other(tree));
    assert_eq!(with.with_file(FILE, ObjectId::IMPOSSIBLE), with);
}
