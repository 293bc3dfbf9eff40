//! Packs of git objects: written uncompressed, read with their deltas. Pure, and bounded.

use std::collections::HashMap;
use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use super::object::{ObjectId, ObjectKind};

/// Beginning of a pack, before the number of its objects.
const HEADER: &[u8] = b"PACK\0\0\0\x02";

/// Length of the checksum at the end.
const CHECKSUM: usize = 20;

/// Longest block of a zlib stream that is not compressed.
const LONGEST_BLOCK: usize = 0xffff;

/// Delta whose base is named by its distance in the pack, and by its id.
const OFFSET_DELTA: u8 = 6;
const REFERENCE_DELTA: u8 = 7;

/// Bounds of a pack that is read.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Greatest number of objects.
    pub objects: usize,
    /// Greatest size of an object, in bytes.
    pub object: usize,
    /// Greatest size of all objects and deltas, in bytes.
    pub total: usize,
}

/// Reason why a pack cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackError {
    /// It is not a pack, is damaged, or needs objects that are not in it.
    Damaged,
    /// It exceeds the limits.
    TooLarge,
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PackError::Damaged => "the pack is damaged",
            PackError::TooLarge => "the pack is too large",
        })
    }
}

impl std::error::Error for PackError {}

/// Objects of a pack, by their names. Why no checksum is compared: an object is found only by the digest of
/// its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects(HashMap<ObjectId, (ObjectKind, Vec<u8>)>);

impl Objects {
    /// Returns an object of this kind.
    #[must_use]
    pub fn get(&self, kind: ObjectKind, id: ObjectId) -> Option<&[u8]> {
        let (found, content) = self.0.get(&id)?;
        (*found == kind).then_some(content)
    }

    /// Returns the number of objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns a pack of these objects.
#[must_use]
pub fn write(objects: &[(ObjectKind, &[u8])]) -> Vec<u8> {
    let mut pack = HEADER.to_vec();
    pack.extend(
        u32::try_from(objects.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    for (kind, content) in objects {
        let kind = match kind {
            ObjectKind::Commit => 1,
            ObjectKind::Tree => 2,
            ObjectKind::Blob => 3,
            ObjectKind::Tag => 4_u8,
        };
        let mut byte = kind << 4 | low_bits(content.len(), 4);
        let mut size = content.len() >> 4;
        while size > 0 {
            pack.push(byte | 0x80);
            byte = low_bits(size, 7);
            size >>= 7;
        }
        pack.push(byte);
        push_stored(&mut pack, content);
    }
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(&pack);
    pack.extend(ObjectId::from_digest(context).as_bytes());
    pack
}

fn low_bits(number: usize, bits: u32) -> u8 {
    u8::try_from(number & ((1 << bits) - 1)).unwrap_or(0)
}

/// Appends a zlib stream of blocks that are not compressed.
fn push_stored(out: &mut Vec<u8>, content: &[u8]) {
    out.extend([0x78, 0x01]);
    let mut rest = content;
    loop {
        let (block, after) = rest.split_at(rest.len().min(LONGEST_BLOCK));
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(after.is_empty()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    out.extend(adler32(content).to_be_bytes());
}

fn adler32(content: &[u8]) -> u32 {
    let (low, high) = content.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    high << 16 | low
}

/// Reads a pack.
///
/// # Errors
/// [`PackError`].
pub fn read(pack: &[u8], limits: Limits) -> Result<Objects, PackError> {
    let damaged = || PackError::Damaged;
    let body = pack.len().checked_sub(CHECKSUM).ok_or_else(damaged)?;
    let rest = pack[..body].strip_prefix(HEADER).ok_or_else(damaged)?;
    let (count, mut rest) = rest.split_first_chunk().ok_or_else(damaged)?;
    let count = u32::from_be_bytes(*count);
    let count = usize::try_from(count).map_err(|_| PackError::TooLarge)?;
    if count > limits.objects {
        return Err(PackError::TooLarge);
    }
    let mut reader = Reader {
        limits,
        total: 0,
        objects: Objects::default(),
        places: HashMap::new(),
    };
    let mut deltas = Vec::new();
    for _ in 0..count {
        let place = body - rest.len();
        let (kind, base, content) = reader.entry(&mut rest, place)?;
        match kind {
            Some(kind) => reader.add(place, kind, content),
            None => deltas.push((place, base, content)),
        }
    }
    if !rest.is_empty() {
        return Err(PackError::Damaged);
    }
    reader.resolve(deltas)?;
    Ok(reader.objects)
}

/// Base of a delta.
#[derive(Clone, Copy, Debug)]
enum Base {
    Place(usize),
    Id(ObjectId),
}

struct Reader {
    limits: Limits,
    /// Bytes so far.
    total: usize,
    objects: Objects,
    /// Names of the objects by their places in the pack.
    places: HashMap<usize, ObjectId>,
}

impl Reader {
    /// Reads an entry: an object, or a delta with its base.
    fn entry(
        &mut self,
        rest: &mut &[u8],
        place: usize,
    ) -> Result<(Option<ObjectKind>, Base, Vec<u8>), PackError> {
        let first = *rest.split_off_first().ok_or(PackError::Damaged)?;
        let mut size = usize::from(first & 15);
        if first & 0x80 != 0 {
            let more = number(rest).ok_or(PackError::Damaged)?;
            size |= more.checked_mul(16).ok_or(PackError::TooLarge)?;
        }
        let mut base = Base::Id(ObjectId::ZERO);
        let kind = match first >> 4 & 7 {
            1 => Some(ObjectKind::Commit),
            2 => Some(ObjectKind::Tree),
            3 => Some(ObjectKind::Blob),
            4 => Some(ObjectKind::Tag),
            OFFSET_DELTA => {
                let back = distance(rest).ok_or(PackError::Damaged)?;
                base = Base::Place(place.checked_sub(back).ok_or(PackError::Damaged)?);
                None
            }
            REFERENCE_DELTA => {
                base = Base::Id(ObjectId::take(rest).ok_or(PackError::Damaged)?);
                None
            }
            _ => return Err(PackError::Damaged),
        };
        self.count(size)?;
        Ok((kind, base, inflate(rest, size)?))
    }

    /// Counts bytes, before they are allocated.
    fn count(&mut self, size: usize) -> Result<(), PackError> {
        self.total = self.total.saturating_add(size);
        if size > self.limits.object || self.total > self.limits.total {
            return Err(PackError::TooLarge);
        }
        Ok(())
    }

    fn add(&mut self, place: usize, kind: ObjectKind, content: Vec<u8>) {
        let id = ObjectId::of(kind, &content);
        self.places.insert(place, id);
        self.objects.0.insert(id, (kind, content));
    }

    /// Applies the deltas, each as soon as its base is known.
    fn resolve(&mut self, mut deltas: Vec<(usize, Base, Vec<u8>)>) -> Result<(), PackError> {
        while !deltas.is_empty() {
            let before = deltas.len();
            let mut waiting = Vec::new();
            for (place, base, delta) in deltas {
                let id = match base {
                    Base::Id(id) => Some(id),
                    Base::Place(place) => self.places.get(&place).copied(),
                };
                let found = id.and_then(|id| self.objects.0.get(&id));
                let Some((kind, content)) = found else {
                    waiting.push((place, base, delta));
                    continue;
                };
                let kind = *kind;
                let parsed = Delta::parse(&delta).filter(|delta| delta.base == content.len());
                let parsed = parsed.ok_or(PackError::Damaged)?;
                let limits = self.limits;
                let total = self.total.saturating_add(parsed.result);
                if parsed.result > limits.object || total > limits.total {
                    return Err(PackError::TooLarge);
                }
                let content = parsed.apply(content).ok_or(PackError::Damaged)?;
                self.total = total;
                self.add(place, kind, content);
            }
            if waiting.len() == before {
                return Err(PackError::Damaged);
            }
            deltas = waiting;
        }
        Ok(())
    }
}

/// Pieces of a base and new bytes, which make an object.
#[derive(Clone, Copy, Debug)]
struct Delta<'a> {
    /// Size of the base.
    base: usize,
    /// Size of the object.
    result: usize,
    instructions: &'a [u8],
}

impl<'a> Delta<'a> {
    fn parse(mut delta: &'a [u8]) -> Option<Delta<'a>> {
        Some(Delta {
            base: number(&mut delta)?,
            result: number(&mut delta)?,
            instructions: delta,
        })
    }

    fn apply(self, base: &[u8]) -> Option<Vec<u8>> {
        let mut rest = self.instructions;
        let mut out = Vec::with_capacity(self.result);
        while let Some(&instruction) = rest.split_off_first() {
            let piece = match instruction {
                0 => return None,
                1..0x80 => rest.split_off(..usize::from(instruction))?,
                _ => {
                    let mut operand = |bits: std::ops::Range<u32>| {
                        let mut value = 0_usize;
                        for (at, bit) in bits.enumerate() {
                            if instruction & 1 << bit != 0 {
                                value |= usize::from(*rest.split_off_first()?) << (8 * at);
                            }
                        }
                        Some(value)
                    };
                    let offset = operand(0..4)?;
                    let length = match operand(4..7)? {
                        0 => 0x10000,
                        length => length,
                    };
                    base.get(offset..offset.checked_add(length)?)?
                }
            };
            if out.len() + piece.len() > self.result {
                return None;
            }
            out.extend(piece);
        }
        (out.len() == self.result).then_some(out)
    }
}

/// Reads a number of seven bits a byte, the lowest first.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    for shift in (0..28).step_by(7) {
        let byte = *rest.split_off_first()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Reads the distance to the base of a delta: seven bits a byte, the highest first, without redundancy.
fn distance(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    for _ in 0..4 {
        let byte = *rest.split_off_first()?;
        value |= usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(value);
        }
        value = (value + 1) << 7;
    }
    None
}

/// Decompresses an object of this size from the beginning of `rest`.
fn inflate(rest: &mut &[u8], size: usize) -> Result<Vec<u8>, PackError> {
    // One byte more, so that the end of the stream is reached.
    let mut content = Vec::with_capacity(size + 1);
    let mut inflater = Decompress::new(true);
    let status = inflater.decompress_vec(rest, &mut content, FlushDecompress::Finish);
    let used = usize::try_from(inflater.total_in()).unwrap_or(usize::MAX);
    if !matches!(status, Ok(Status::StreamEnd)) || content.len() != size || used > rest.len() {
        return Err(PackError::Damaged);
    }
    *rest = &rest[used..];
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        objects: 10,
        object: 200_000,
        total: 400_000,
    };

    fn find(objects: &Objects, kind: ObjectKind, content: &[u8]) -> bool {
        objects.get(kind, ObjectId::of(kind, content)) == Some(content)
    }

    /// Returns a pack of raw entries: first byte, base, content.
    fn raw(entries: &[(u8, &[u8], &[u8])]) -> Vec<u8> {
        let mut pack = HEADER.to_vec();
        pack.extend(u32::try_from(entries.len()).unwrap().to_be_bytes());
        for (kind, base, content) in entries {
            assert!(content.len() < 16);
            pack.push(kind << 4 | low_bits(content.len(), 4));
            pack.extend(*base);
            push_stored(&mut pack, content);
        }
        pack.extend([0; CHECKSUM]);
        pack
    }

    #[test]
    fn pack_round_trips() {
        let long = vec![7; 150_000];
        let pack = write(&[
            (ObjectKind::Commit, b"c"),
            (ObjectKind::Tree, b""),
            (ObjectKind::Blob, &long),
            (ObjectKind::Tag, &[9; 16]),
        ]);
        let objects = read(&pack, LIMITS).unwrap();
        assert_eq!((objects.len(), objects.is_empty()), (4, false));
        assert!(find(&objects, ObjectKind::Commit, b"c"));
        assert!(find(&objects, ObjectKind::Tree, b""));
        assert!(find(&objects, ObjectKind::Blob, &long));
        assert!(find(&objects, ObjectKind::Tag, &[9; 16]));
        assert_eq!(
            objects.get(ObjectKind::Blob, ObjectId::of(ObjectKind::Commit, b"c")),
            None
        );
    }

    #[test]
    fn deltas_build_on_earlier_and_later_objects() {
        let base = ObjectId::of(ObjectKind::Blob, b"hello world");
        // Copies 6 bytes, inserts one, copies 5 from offset 6.
        let delta = [11, 12, 0x90, 6, 1, b'X', 0x91, 6, 5];
        let made = b"hello Xworld";
        let by_name = raw(&[(7, base.as_bytes(), &delta), (3, b"", b"hello world")]);
        let objects = read(&by_name, LIMITS).unwrap();
        assert!(find(&objects, ObjectKind::Blob, made));
        // The first entry has 1 byte of head, 2 + 5 + 11 + 4 of zlib.
        let by_place = raw(&[(3, b"", b"hello world"), (6, &[23], &delta)]);
        let objects = read(&by_place, LIMITS).unwrap();
        assert!(find(&objects, ObjectKind::Blob, made));
    }

    #[test]
    fn wrong_delta_is_damaged() {
        let base = ObjectId::of(ObjectKind::Blob, b"abc");
        for delta in [
            &[][..],
            &[3],
            &[4, 3, 0x90, 3],
            &[3, 3],
            &[3, 3, 0],
            &[3, 3, 0x90, 4],
            &[3, 3, 0x91, 1, 3],
            &[3, 3, 0x90, 3, 1, b'x'],
            &[3, 3, 3, b'x'],
            &[3, 3, 0x9f, 1],
        ] {
            let pack = raw(&[(3, b"", b"abc"), (7, base.as_bytes(), delta)]);
            assert_eq!(read(&pack, LIMITS), Err(PackError::Damaged), "{delta:?}");
        }
        for (kind, name) in [
            (7, &[1; 20][..]),
            (6, &[12]),
            (6, &[0x7f]),
            (6, &[0]),
            (5, b""),
        ] {
            let pack = raw(&[(3, b"", b"abc"), (kind, name, &[3, 3, 0x90, 3])]);
            assert_eq!(read(&pack, LIMITS), Err(PackError::Damaged), "{kind}");
        }
    }

    #[test]
    fn large_packs_are_refused_before_inflation() {
        let blob = |content: &[u8]| read(&write(&[(ObjectKind::Blob, content)]), LIMITS);
        assert!(blob(&vec![0; LIMITS.object]).is_ok());
        assert_eq!(blob(&vec![0; LIMITS.object + 1]), Err(PackError::TooLarge));
        let many = [(ObjectKind::Blob, &b"x"[..]); 11];
        assert_eq!(read(&write(&many), LIMITS), Err(PackError::TooLarge));
        let large = vec![0; 150_000];
        let three = [(ObjectKind::Blob, large.as_slice()); 3];
        assert_eq!(read(&write(&three), LIMITS), Err(PackError::TooLarge));
        // A small delta that claims a large result.
        let base = ObjectId::of(ObjectKind::Blob, b"abc");
        let delta = [3, 0xff, 0xff, 0xff, 0x0f, 0x90, 3];
        let pack = raw(&[(3, b"", b"abc"), (7, base.as_bytes(), &delta)]);
        assert_eq!(read(&pack, LIMITS), Err(PackError::TooLarge));
    }

    #[test]
    fn damaged_pack_is_refused_or_misses_objects() {
        let pack = write(&[(ObjectKind::Blob, b"hello"), (ObjectKind::Tree, b"")]);
        for end in 0..pack.len() {
            assert_eq!(read(&pack[..end], LIMITS), Err(PackError::Damaged), "{end}");
        }
        for at in 0..pack.len() - CHECKSUM {
            let mut damaged = pack.clone();
            damaged[at] ^= 1;
            let found = read(&damaged, LIMITS);
            let whole = found.is_ok_and(|objects| {
                find(&objects, ObjectKind::Blob, b"hello") && find(&objects, ObjectKind::Tree, b"")
            });
            assert!(!whole, "{at}");
        }
        let mut longer = pack.clone();
        longer.extend([0; 4]);
        assert_eq!(read(&longer, LIMITS), Err(PackError::Damaged));
    }
}
