//! Objects of a git repository: blobs, trees and commits. Pure.

use std::fmt;
use std::str::FromStr;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

/// Committer of an elector's commits.
pub const COMMITTER: &str = "elector <elector@localhost>";

/// Beginning of a line in the message of a renewal: the commit that the next term's claim is put on.
const BASE: &str = "Base: ";

/// Beginning of a line in the message of a claim: how the term before ended.
const PREVIOUS: &str = "Previous-term: ";

/// Name of an object: the SHA-1 of its kind, length and content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; 20]);

impl ObjectId {
    /// Git's name for no object.
    pub const ZERO: ObjectId = ObjectId([0; 20]);

    /// Well-formed name that no object has.
    pub const IMPOSSIBLE: ObjectId = ObjectId([0x11; 20]);

    /// Returns the name of an object.
    #[must_use]
    pub fn of(kind: ObjectKind, content: &[u8]) -> ObjectId {
        let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        context.update(format!("{} {}\0", kind.name(), content.len()).as_bytes());
        context.update(content);
        ObjectId::from_digest(context)
    }

    /// Returns a digest as a name.
    pub(super) fn from_digest(context: Context) -> ObjectId {
        let mut id = [0; 20];
        id.copy_from_slice(context.finish().as_ref());
        ObjectId(id)
    }

    /// Takes a name from the beginning of `bytes`.
    pub(super) fn take(bytes: &mut &[u8]) -> Option<ObjectId> {
        let (id, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(ObjectId(*id))
    }

    /// Returns the bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl FromStr for ObjectId {
    type Err = ();

    /// Reads 40 hexadecimal digits.
    fn from_str(text: &str) -> Result<ObjectId, ()> {
        if text.len() != 40 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(());
        }
        let mut id = [0; 20];
        for (at, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(drop)?;
        }
        Ok(ObjectId(id))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

/// Kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// Commit.
    Commit,
    /// Folder.
    Tree,
    /// Content of a file.
    Blob,
    /// Annotated tag.
    Tag,
}

impl ObjectKind {
    fn name(self) -> &'static str {
        match self {
            ObjectKind::Commit => "commit",
            ObjectKind::Tree => "tree",
            ObjectKind::Blob => "blob",
            ObjectKind::Tag => "tag",
        }
    }
}

/// File, folder or link in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TreeEntry {
    /// Mode, in octal digits.
    pub mode: Vec<u8>,
    /// Name.
    pub name: Vec<u8>,
    /// Object.
    pub id: ObjectId,
}

impl TreeEntry {
    /// Returns whether it is a plain file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.mode.starts_with(b"100")
    }

    /// Returns the name as git sorts it: a folder's with a slash.
    fn key(&self) -> impl Iterator<Item = u8> + '_ {
        let is_folder = self.mode.starts_with(b"4");
        let slash = is_folder.then_some(b'/');
        self.name.iter().copied().chain(slash)
    }
}

/// Folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tree {
    /// Entries, in git's order.
    pub entries: Vec<TreeEntry>,
}

impl Tree {
    /// Reads the content of a tree; `None` if it is not one.
    #[must_use]
    pub fn parse(mut bytes: &[u8]) -> Option<Tree> {
        let mut entries = Vec::new();
        while !bytes.is_empty() {
            let space = bytes.iter().position(|byte| *byte == b' ')?;
            let (mode, rest) = bytes.split_at(space);
            let rest = &rest[1..];
            let end = rest.iter().position(|byte| *byte == 0)?;
            let (name, rest) = rest.split_at(end);
            bytes = &rest[1..];
            if mode.is_empty() || name.is_empty() {
                return None;
            }
            entries.push(TreeEntry {
                mode: mode.to_vec(),
                name: name.to_vec(),
                id: ObjectId::take(&mut bytes)?,
            });
        }
        Some(Tree { entries })
    }

    /// Returns the entry with this name.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&TreeEntry> {
        let mut entries = self.entries.iter();
        entries.find(|entry| entry.name == name.as_bytes())
    }

    /// Returns the tree with this file, in place of an entry with its name.
    #[must_use]
    pub fn with_file(&self, name: &str, id: ObjectId) -> Tree {
        let entry = TreeEntry {
            mode: b"100644".to_vec(),
            name: name.as_bytes().to_vec(),
            id,
        };
        let others = self.entries.iter().filter(|other| other.name != entry.name);
        let mut entries: Vec<TreeEntry> = others.cloned().collect();
        let after = |other: &TreeEntry| other.key().gt(entry.key());
        let at = entries.iter().position(after).unwrap_or(entries.len());
        entries.insert(at, entry);
        Tree { entries }
    }

    /// Returns the content of the tree.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in &self.entries {
            bytes.extend(&entry.mode);
            bytes.push(b' ');
            bytes.extend(&entry.name);
            bytes.push(0);
            bytes.extend(entry.id.as_bytes());
        }
        bytes
    }
}

/// Commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    /// Folder.
    pub tree: ObjectId,
    /// First parent; `None` for a commit without parents.
    pub parent: Option<ObjectId>,
    /// Time, in seconds since the Unix epoch.
    pub time: i64,
    /// Whether an elector is the committer.
    pub by_elector: bool,
    /// Message.
    pub message: String,
}

impl Commit {
    /// Reads the content of a commit; `None` if it is not one.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Commit> {
        let text = String::from_utf8_lossy(bytes);
        let (head, message) = text.split_once("\n\n").unwrap_or((&text, ""));
        let mut commit = Commit {
            tree: head.strip_prefix("tree ")?.get(..40)?.parse().ok()?,
            parent: None,
            time: 0,
            by_elector: false,
            message: message.to_owned(),
        };
        for line in head.lines() {
            if let Some(id) = line.strip_prefix("parent ") {
                let id = id.parse().ok()?;
                commit.parent.get_or_insert(id);
            } else if let Some(committer) = line.strip_prefix("committer ") {
                let (name, time) = committer.rsplit_once("> ").unwrap_or((committer, ""));
                commit.by_elector = Some(name) == COMMITTER.strip_suffix('>');
                let seconds = time.split(' ').next().unwrap_or_default();
                commit.time = seconds.parse().unwrap_or(0);
            }
        }
        Some(commit)
    }

    /// Returns the content of the commit, as an elector makes it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let parent = self.parent.map(|id| format!("parent {id}\n"));
        let who = format!("{COMMITTER} {} +0000", self.time.max(0));
        format!(
            "tree {}\n{}author {who}\ncommitter {who}\n\n{}",
            self.tree,
            parent.unwrap_or_default(),
            self.message
        )
        .into_bytes()
    }

    /// Returns the commit that the next term's claim is put on, if an elector's renewal names one.
    #[must_use]
    pub fn base(&self) -> Option<ObjectId> {
        self.trailer(BASE)?.parse().ok()
    }

    /// Returns how the term before ended, and why its holder stopped leading, if an elector's claim says
    /// so: `released` and `stepped_down`. The reason may be empty.
    #[must_use]
    pub fn previous_term(&self) -> Option<(&str, &str)> {
        let previous = self.trailer(PREVIOUS)?;
        Some(previous.split_once(' ').unwrap_or((previous, "")))
    }

    fn trailer(&self, name: &str) -> Option<&str> {
        let mut lines = self.message.lines().filter(|_| self.by_elector);
        lines.find_map(|line| line.strip_prefix(name))
    }
}

/// Returns the message of a renewal.
#[must_use]
pub fn renewal_message(subject: &str, base: ObjectId) -> String {
    format!("{subject}\n\n{BASE}{base}\n")
}

/// Returns the message of a claim. `previous` is how the term before ended.
#[must_use]
pub fn claim_message(subject: &str, previous: Option<&str>) -> String {
    match previous {
        Some(previous) => format!("{subject}\n\n{PREVIOUS}{previous}\n"),
        None => format!("{subject}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tree, and commits on it, as git 2.39 names them.
    const TREE: &str = "8d0a10e33cb45ddb0362e668d6363818a5a95b6c";
    const COMMIT: &str = "76cb9e92d7a4ab8ebd743d02419f8227ee262b88";
    const RENEWAL: &str = "c2c5d0137ae6f3c7aed22eeb81d7fb4dcf2032b6";

    fn id(text: &str) -> ObjectId {
        text.parse().unwrap()
    }

    fn tree() -> Tree {
        let entries = [
            (
                "100644",
                "Makefile",
                "d905d9da82c97264ab6f4920e20242e088850ce9",
            ),
            (
                "100644",
                "leader-x",
                "f2ad6c76f0115a6ba5b00456a849810e7ec0af20",
            ),
            (
                "40000",
                "leader.d",
                "de3cfdfa749a945f64c3e2b166089a1d55c3151f",
            ),
            (
                "40000",
                "leader",
                "8748a00aa34eacc083824b8ae08ba912f315bf7f",
            ),
            (
                "100644",
                "zebra",
                "4bcfe98e640c8284511312660fb8709b0afa888e",
            ),
        ];
        let entries = entries.map(|(mode, name, object)| TreeEntry {
            mode: mode.into(),
            name: name.into(),
            id: id(object),
        });
        Tree {
            entries: entries.to_vec(),
        }
    }

    fn commit() -> Commit {
        Commit {
            tree: id(TREE),
            parent: None,
            time: 1_795_341_600,
            by_elector: true,
            message: claim_message("lease free, fencing token 7", None),
        }
    }

    #[test]
    fn names_are_those_of_git() {
        let blob = ObjectId::of(ObjectKind::Blob, b"{}");
        assert_eq!(blob, id("9e26dfeeb6e641a33dae4961196235bdb965b21b"));
        let tree = tree().with_file("leader.json", blob);
        let names: Vec<_> = tree.entries.iter().map(|entry| &*entry.name).collect();
        assert_eq!(names[2..5], [&b"leader.d"[..], b"leader.json", b"leader"]);
        assert_eq!(ObjectId::of(ObjectKind::Tree, &tree.to_bytes()), id(TREE));
        let claim = ObjectId::of(ObjectKind::Commit, &commit().to_bytes());
        assert_eq!(claim, id(COMMIT));
        let renewal = Commit {
            parent: Some(claim),
            message: renewal_message("lease held by napoleon, fencing token 7", claim),
            ..commit()
        };
        let renewal = ObjectId::of(ObjectKind::Commit, &renewal.to_bytes());
        assert_eq!(renewal, id(RENEWAL));
    }

    #[test]
    fn tree_keeps_other_entries() {
        let blob = ObjectId::of(ObjectKind::Blob, b"{}");
        let with = tree().with_file("leader.json", ObjectId::ZERO);
        let again = with.with_file("leader.json", blob);
        assert_eq!(again.entry("leader.json").map(|entry| entry.id), Some(blob));
        assert_eq!(Tree::parse(&again.to_bytes()), Some(again.clone()));
        let others = again.entries.iter().filter(|entry| entry.id != blob);
        assert!(others.eq(&tree().entries));
        assert!(!again.entry("leader").unwrap().is_file());
        for bytes in ["100644", "100644 a\0", "100644 a\0short", " a\0", "x \0"] {
            assert_eq!(Tree::parse(bytes.as_bytes()), None, "{bytes:?}");
        }
    }

    #[test]
    fn only_electors_commits_have_base() {
        let renewal = Commit {
            parent: Some(id(COMMIT)),
            message: renewal_message("lease free, fencing token 7", id(COMMIT)),
            ..commit()
        };
        let bytes = renewal.to_bytes();
        assert_eq!(Commit::parse(&bytes), Some(renewal.clone()));
        assert_eq!(renewal.base(), Some(id(COMMIT)));
        let text = String::from_utf8(bytes).unwrap();
        let amended = text.replace("committer elector <", "committer me <");
        let amended = Commit::parse(amended.as_bytes()).unwrap();
        assert_eq!((amended.base(), amended.parent), (None, renewal.parent));
        let claim = Commit {
            message: claim_message("x", Some("released stepped_down")),
            ..commit()
        };
        assert_eq!(
            (claim.base(), claim.previous_term()),
            (None, Some(("released", "stepped_down")))
        );
    }

    #[test]
    fn malformed_commit_is_rejected() {
        for text in [
            "",
            "tree ",
            "tree 12\n",
            "parent x",
            &format!("tree {TREE}\nparent x"),
        ] {
            assert_eq!(Commit::parse(text.as_bytes()), None, "{text}");
        }
        let merge = format!(
            "tree {TREE}\nparent {COMMIT}\nparent {RENEWAL}\ncommitter a <b> x +0000\n\nmerge"
        );
        let merge = Commit::parse(merge.as_bytes()).unwrap();
        assert_eq!((merge.parent, merge.time), (Some(id(COMMIT)), 0));
        for text in [&TREE[1..], &format!("{TREE}0"), &TREE.replace('8', "+")] {
            assert_eq!(text.parse::<ObjectId>(), Err(()), "{text}");
        }
    }
}
