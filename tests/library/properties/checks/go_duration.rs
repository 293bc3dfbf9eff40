//! A second implementation of Go's `ParseDuration`, in exact arithmetic.

/// Meaning of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nanoseconds. Implementations may differ by up to `slack`, because they keep different numbers of
    /// fractional digits.
    Nanos {
        nanos: u128,
        slack: u128,
    },
    Negative,
    TooLong,
    Unknown,
}

/// Number of fractional digits that every implementation keeps.
const FOLLOWED: usize = 18;

/// Largest part, far beyond 292 years. Larger ones count as too long.
const ENDLESS: u128 = 1 << 100;

pub fn read(text: &str) -> Meaning {
    let (sign, rest) = match text.chars().next() {
        Some(sign @ ('+' | '-')) => (sign, &text[1..]),
        _ => ('+', text),
    };
    if rest == "0" {
        return Meaning::Nanos { nanos: 0, slack: 0 };
    }
    let Some((nanos, slack)) = sum(rest) else {
        return Meaning::Unknown;
    };
    match sign {
        _ if nanos > i64::MAX as u128 => Meaning::TooLong,
        '-' if nanos > 0 => Meaning::Negative,
        _ => Meaning::Nanos { nanos, slack },
    }
}

/// Returns the nanoseconds of all parts, or `None` if a part is malformed or there is none.
fn sum(text: &str) -> Option<(u128, u128)> {
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut nanos, mut slack) = (0, 0_u128, 0);
    while at < chars.len() || at == 0 {
        let number = run(&chars, at, |c| c.is_ascii_digit() || c == '.');
        let unit = run(&chars, number, |c| !c.is_ascii_digit() && c != '.');
        let digits: String = chars[at..number].iter().collect();
        let name: String = chars[number..unit].iter().collect();
        let (part, inexact) = part(&digits, unit_nanos(&name)?)?;
        nanos = nanos.saturating_add(part).min(ENDLESS);
        slack += u128::from(inexact);
        at = unit;
    }
    Some((nanos, slack))
}

fn run(chars: &[char], from: usize, fits: impl Fn(char) -> bool) -> usize {
    (from..chars.len())
        .find(|at| !fits(chars[*at]))
        .unwrap_or(chars.len())
}

fn unit_nanos(name: &str) -> Option<u128> {
    Some(match name {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// Parses a number with at least one digit and at most one point. Also returns whether its end was cut off.
fn part(digits: &str, unit: u128) -> Option<(u128, bool)> {
    let mut halves = digits.split('.');
    let (whole, fraction) = (halves.next()?, halves.next().unwrap_or(""));
    if halves.next().is_some() || whole.len() + fraction.len() == 0 {
        return None;
    }
    let cut = fraction.len() > FOLLOWED;
    let followed = &fraction[..fraction.len().min(FOLLOWED)];
    let whole = whole.bytes().fold(0_u128, |value, digit| {
        (value * 10 + u128::from(digit - b'0')).min(ENDLESS)
    });
    let (mut value, mut scale) = (0_u128, 1_u128);
    for digit in followed.bytes() {
        value = value * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    Some((
        whole.saturating_mul(unit).min(ENDLESS) + value * unit / scale,
        cut,
    ))
}
