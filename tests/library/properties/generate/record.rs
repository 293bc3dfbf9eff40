//! Texts of the record's file.

use fastrand::Rng;

use super::{json, one};

/// Returns a record of any kind, or a text that is nearly a record.
pub fn text(rng: &mut Rng) -> String {
    if rng.u8(..30) == 0 {
        return json::value(rng, 3);
    }
    let mut fields = Vec::new();
    let mut put = |rng: &mut Rng, name: &str, chance: u8, value: String| {
        if rng.u8(..100) < chance {
            let odd = rng.u8(..12) == 0;
            let value = if odd { json::value(rng, 2) } else { value };
            fields.push((name.to_owned(), value));
        }
    };
    let holder = json::text(rng);
    put(rng, "holderIdentity", 90, holder);
    let number = json::number(rng);
    put(rng, "leaseDurationSeconds", 80, number);
    put(rng, "acquireTime", 50, "\"2026-11-22T10:00:00Z\"".into());
    let renewed = one(rng, &["null", "\"\"", "\"2026-11-22T10:04:08Z\""]);
    put(rng, "renewTime", 50, renewed.into());
    let token = json::number(rng);
    put(rng, "leaderTransitions", 80, token);
    let protocol = one(
        rng,
        &["1", "1", "1", "0", "2", "null", "18446744073709551615"],
    );
    put(rng, "protocol", 60, protocol.into());
    let id = format!("\"9f2c-{}\"", rng.u8(..));
    put(rng, "writeId", 60, id);
    let supersedes = revision(rng);
    put(rng, "supersedes", 60, supersedes);
    put(rng, "checkpoint", 10, "true".into());
    put(rng, "strategy", 10, "\"OldestEmulationVersion\"".into());
    for _ in 0..rng.usize(..3) {
        let name = json::text(rng);
        let value = json::value(rng, 3);
        put(rng, name.trim_matches('"'), 50, value);
    }
    json::object(rng, fields)
}

/// Returns a revision's name, or sometimes another text.
fn revision(rng: &mut Rng) -> String {
    let length = one(rng, &[&40, &40, &40, &40, &40, &40, &39, &41, &0]);
    let digits = one(
        rng,
        &["0123456789abcdef", "0123456789ABCDEF", "0123456789abcdefg"],
    );
    let digits: Vec<char> = digits.chars().collect();
    let name: String = (0..*length)
        .map(|_| digits[rng.usize(..digits.len())])
        .collect();
    format!("\"{name}\"")
}
