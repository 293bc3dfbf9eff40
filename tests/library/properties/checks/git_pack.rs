//! A pack of git objects.

use elector::lock::git::object::{ObjectId, ObjectKind};
use elector::lock::git::pack::{self, Limits};

const LIMITS: Limits = Limits {
    objects: 50,
    object: 64 * 1024,
    total: 256 * 1024,
};

pub fn check(data: &[u8]) {
    if let Ok(objects) = pack::read(data, LIMITS) {
        assert!(objects.len() <= LIMITS.objects);
        assert_eq!(pack::read(data, LIMITS).as_ref(), Ok(&objects));
    }
    // Whatever is written is read back.
    let kinds = [ObjectKind::Blob, ObjectKind::Tree, ObjectKind::Commit];
    let pieces = data.chunks(7_000).zip(kinds.iter().cycle());
    let pieces: Vec<_> = pieces
        .map(|(piece, kind)| (*kind, piece))
        .take(20)
        .collect();
    let objects = pack::read(&pack::write(&pieces), LIMITS).unwrap();
    for (kind, piece) in pieces {
        assert_eq!(objects.get(kind, ObjectId::of(kind, piece)), Some(piece));
    }
}
