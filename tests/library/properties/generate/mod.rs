//! Inputs from seeds: well-formed ones, nearly well-formed ones, and damaged ones.

pub mod answer;
pub mod http;
pub mod json;
pub mod record;
pub mod service;
pub mod settings;

use fastrand::Rng;

/// Texts that have a meaning in the parsed languages, for damage.
const WORDS: [&[u8]; 40] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"null",
    b"true",
    b"1e999",
    b"-0",
    b"18446744073709551616",
    b"9007199254740993",
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\xff",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"holderIdentity",
    b"writeId",
    b"supersedes",
    b"\"checkpoint\":true",
    b"\"files\":{}",
    b"\"history\":[]",
    b"GIST_ID=",
    b"ghp_",
    b"://",
    b"@",
    b"%00",
    b"1h",
    b"\n---\n",
];

/// Damages a few places: flipped bits, cuts, pieces that are repeated, moved or taken from another input, and
/// words in the wrong place.
pub fn damage(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..rng.usize(1..=4) {
        let at = rng.usize(..=bytes.len());
        let end = (at + rng.usize(..40)).min(bytes.len());
        match rng.u8(..9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            1 if at < bytes.len() => bytes[at] = rng.u8(..),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                let to = rng.usize(..=bytes.len());
                bytes.splice(to..to, piece);
            }
            5 if !other.is_empty() => {
                let from = rng.usize(..other.len());
                let until = (from + rng.usize(..80)).min(other.len());
                bytes.splice(at..end, other[from..until].iter().copied());
            }
            6 => {
                let many = WORDS[rng.usize(..7)].repeat(rng.usize(1..300));
                bytes.splice(at..at, many);
            }
            _ => {
                let word = WORDS[rng.usize(..WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
}

/// Returns one of these.
pub fn one<'a, T: ?Sized>(rng: &mut Rng, of: &[&'a T]) -> &'a T {
    of[rng.usize(..of.len())]
}
