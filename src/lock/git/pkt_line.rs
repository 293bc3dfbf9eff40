//! Lines of git's protocols: four hexadecimal digits of length, then the data. Pure.

use std::fmt;

/// Longest data of a line, in bytes.
pub const LONGEST_DATA: usize = 65_516;

/// End of a message.
pub const FLUSH: &[u8] = b"0000";

/// Border between the parts of a message.
pub const DELIMITER: &[u8] = b"0001";

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Data.
    Data(&'a [u8]),
    /// Border between the parts of a message.
    Delimiter,
    /// End of a message.
    Flush,
    /// End of a response.
    ResponseEnd,
}

/// The bytes are not lines of git, or the last line is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it does not consist of whole lines of git's protocol")
    }
}

impl std::error::Error for Malformed {}

/// Iterator over the lines in a message. It ends after the first malformed one.
#[derive(Clone, Debug)]
pub struct Packets<'a>(&'a [u8]);

impl<'a> Packets<'a> {
    /// Returns the lines in `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Packets<'a> {
        Packets(bytes)
    }

    fn split(&mut self) -> Option<Packet<'a>> {
        let (digits, rest) = self.0.split_first_chunk::<4>()?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let digits = std::str::from_utf8(digits).ok()?;
        let length = usize::from_str_radix(digits, 16).ok()?;
        let (packet, rest) = match length {
            0 => (Packet::Flush, rest),
            1 => (Packet::Delimiter, rest),
            2 => (Packet::ResponseEnd, rest),
            _ => {
                let (data, rest) = rest.split_at_checked(length.checked_sub(4)?)?;
                (Packet::Data(data), rest)
            }
        };
        self.0 = rest;
        Some(packet)
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let packet = self.split().ok_or(Malformed);
        if packet.is_err() {
            self.0 = &[];
        }
        Some(packet)
    }
}

/// Appends a line. Data above [`LONGEST_DATA`] is cut off.
pub fn push(out: &mut Vec<u8>, data: impl AsRef<[u8]>) {
    let data = data.as_ref();
    let data = &data[..data.len().min(LONGEST_DATA)];
    out.extend(format!("{:04x}", data.len() + 4).as_bytes());
    out.extend(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_round_trip() {
        let mut bytes = Vec::new();
        push(&mut bytes, "command=ls-refs\n");
        bytes.extend(DELIMITER);
        push(&mut bytes, "");
        bytes.extend(b"0002");
        bytes.extend(FLUSH);
        assert_eq!(bytes, b"0014command=ls-refs\n0001000400020000");
        let packets: Result<Vec<_>, _> = Packets::new(&bytes).collect();
        assert_eq!(
            packets.unwrap(),
            [
                Packet::Data(b"command=ls-refs\n"),
                Packet::Delimiter,
                Packet::Data(b""),
                Packet::ResponseEnd,
                Packet::Flush,
            ]
        );
    }

    #[test]
    fn malformed_line_ends_iteration() {
        for bytes in [
            "0003", "000", "zzzz", "+004x", "0005", "0010abc", "<html>", "0006ab0",
        ] {
            let last = Packets::new(bytes.as_bytes()).last();
            assert_eq!(last, Some(Err(Malformed)), "{bytes}");
        }
        assert_eq!(Packets::new(b"").next(), None);
    }

    #[test]
    fn long_data_is_cut() {
        let mut bytes = Vec::new();
        push(&mut bytes, vec![b'x'; LONGEST_DATA + 1]);
        assert_eq!(bytes.len(), LONGEST_DATA + 4);
        assert!(Packets::new(&bytes).all(|packet| packet.is_ok()));
    }
}
