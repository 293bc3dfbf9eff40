//! JSON as text, because trees of values cannot hold repeated names, odd escapes, numbers out of range, or
//! unbounded nesting.

use fastrand::Rng;

use super::one;

/// Returns any value.
pub fn value(rng: &mut Rng, depth: u32) -> String {
    match rng.u8(..if depth == 0 { 6 } else { 9 }) {
        0 => one(rng, &["null", "true", "false"]).to_owned(),
        1 | 2 => number(rng),
        3..=5 => text(rng),
        6 => {
            let items: Vec<_> = (0..rng.usize(..4)).map(|_| value(rng, depth - 1)).collect();
            format!("[{}]", items.join(","))
        }
        7 => {
            let fields: Vec<_> = (0..rng.usize(..4))
                .map(|_| format!("{}:{}", text(rng), value(rng, depth - 1)))
                .collect();
            format!("{{{}}}", fields.join(separator(rng)))
        }
        _ => {
            let deep = rng.usize(1..200);
            format!("{}{}", "[".repeat(deep), "]".repeat(deep))
        }
    }
}

fn separator(rng: &mut Rng) -> &'static str {
    one(rng, &[",", " ,", ",\n", ",\t "])
}

pub fn number(rng: &mut Rng) -> String {
    match rng.u8(..6) {
        0 => rng.u64(..).to_string(),
        1 => rng.i64(..).to_string(),
        2 => rng.u64(..100).to_string(),
        3 => format!("{}.{}", rng.i32(..), rng.u64(..)),
        4 => format!("{}e{}", rng.f64() * 10.0, rng.i32(-330..330)),
        _ => one(
            rng,
            &[
                "-0",
                "0.0",
                "1.0",
                "1e0",
                "1e400",
                "-1",
                "01",
                "+1",
                ".5",
                "1.",
                "0x10",
                "NaN",
                "4503599627370496",
                "4503599627370497",
                "9007199254740991",
                "9007199254740992",
                "18446744073709551615",
                "18446744073709551616",
                "123456789012345678901234567890",
                "3600",
                "3601",
                "2.2250738585072011e-308",
                "0.1",
                "1E+2",
            ],
        )
        .to_owned(),
    }
}

/// Returns a string with its quotes, sometimes a malformed one.
pub fn text(rng: &mut Rng) -> String {
    let mut text = String::from("\"");
    for _ in 0..rng.usize(..8) {
        match rng.u8(..12) {
            0 => text.push_str(one(rng, &["\\n", "\\\"", "\\\\", "\\/", "\\b", "\\u0000"])),
            1 => text.push_str(&format!("\\u{:04x}", rng.u16(..))),
            2 => text.push_str("\\ud83d\\ude00"),
            3 => text.push(rng.char(..)),
            4 if rng.u8(..20) == 0 => text.push_str(one(rng, &["\n", "\u{0}", "\\x", "\\u12"])),
            _ => text.push(rng.alphanumeric()),
        }
    }
    text + "\""
}

/// Returns an object with these fields, some of them omitted, repeated or swapped.
pub fn object(rng: &mut Rng, mut fields: Vec<(String, String)>) -> String {
    if rng.u8(..4) == 0 {
        rng.shuffle(&mut fields);
    }
    if !fields.is_empty() && rng.u8(..10) == 0 {
        let gone = rng.usize(..fields.len());
        fields.remove(gone);
    }
    if !fields.is_empty() && rng.u8(..20) == 0 {
        let twice = fields[rng.usize(..fields.len())].clone();
        fields.push(twice);
    }
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", fields.join(","))
}
