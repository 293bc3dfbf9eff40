//! Environments, and values of settings.

use elector::commands::settings::all;
use fastrand::Rng;

use super::one;

const VALUES: [&str; 40] = [
    "",
    "a",
    "0",
    "1",
    "true",
    "FALSE",
    "yes",
    "30s",
    "16s",
    "8s",
    "2s",
    "500ms",
    "1h",
    "1h0.001s",
    "24h",
    "25h",
    "1ns",
    "-1s",
    "10",
    "1m30s",
    "ghp_x",
    "https://api.github.com",
    "https://ghe.example/api/v3/",
    "http://ghe.example",
    "http://127.0.0.1:1",
    "https://[::1]:8443",
    "https://me:pw@ghe.example",
    "https://github.com",
    "leader.json",
    "a/b",
    "\u{202e}x",
    "\u{1}",
    "1fa0cfa3f1f0d1a4c7e7a5b2e0d3c9f8",
    "https://gist.github.com/u/1fa0cfa3f1f0d1a4c7e7a5b2e0d3c9f8",
    "info",
    "t0ken-t0ken",
    "t0ken t0ken",
    "/run/token",
    "\u{e9}\u{1b}[2J",
    "9223372036854775808ns",
];

/// Returns an environment with most of the required settings.
pub fn environment(rng: &mut Rng) -> Vec<u8> {
    let mut lines = Vec::new();
    if rng.u8(..4) > 0 {
        lines.push("GIST_ID=1fa0cfa3f1f0d1a4c7e7a5b2e0d3c9f8".to_owned());
        lines.push("GITHUB_API_TOKEN=t0ken-t0ken".to_owned());
    }
    for _ in 0..rng.usize(..8) {
        let name = all().nth(rng.usize(..all().count())).unwrap().name;
        let prefix = one(rng, &["", "", "ELECTOR_"]);
        let value = match rng.u8(..8) {
            0 => address(rng),
            1..=3 => duration(rng),
            4 => "x".repeat(rng.usize(..2000)),
            _ => VALUES[rng.usize(..VALUES.len())].to_owned(),
        };
        lines.push(format!("{prefix}{name}={value}"));
    }
    lines.join("\n").into_bytes()
}

/// Returns a duration, or sometimes a malformed one.
pub fn duration(rng: &mut Rng) -> String {
    let mut text = one(rng, &["", "", "", "", "-", "+"]).to_owned();
    for _ in 0..rng.usize(1..4) {
        let digits = one(rng, &[&1, &1, &2, &3, &10, &19, &25]);
        let number = |rng: &mut Rng, most: usize| -> String {
            (0..rng.usize(..=most)).map(|_| rng.digit(10)).collect()
        };
        text += &number(rng, *digits);
        if rng.u8(..3) == 0 {
            text += ".";
            text += &number(rng, *digits);
        }
        let units = [
            "ns", "us", "\u{b5}s", "\u{3bc}s", "ms", "s", "m", "h", "d", "", "S",
        ];
        text += one(rng, &units);
    }
    if rng.u8(..30) == 0 {
        let at = rng.usize(..=text.chars().count());
        let tail: String = text.chars().skip(at).collect();
        text = text.chars().take(at).chain([rng.char(..)]).collect();
        text += &tail;
    }
    text
}

/// Returns an address, or sometimes a malformed one.
pub fn address(rng: &mut Rng) -> String {
    let scheme = one(
        rng,
        &[
            "https://", "https://", "HTTP://", "http://", "ftp://", "//", "",
        ],
    );
    let host = one(
        rng,
        &[
            "api.github.com",
            "API.GitHub.com",
            "localhost",
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[fe80::1%25eth0]",
            "a_b",
            "-",
            ".",
            "..",
            "x.",
            "a b",
            "\u{e9}.example",
            "",
            "127.0.0.1.nip.io",
            "user@x",
            "gist.github.com",
            "a%2eb",
            "1.2.3.4.5",
            "[::1",
            "::1",
        ],
    );
    let port = one(
        rng,
        &[
            "", "", "", ":443", ":0", ":080", ":65535", ":65536", ":", ":+1", ":8 0",
        ],
    );
    let path = one(
        rng,
        &[
            "", "/", "//", "/api/v3", "/a/../b", "/%zz", "/?q", "/#x", "/a;b", "\\x", "/\u{1}",
            "/a:b@c", "/~'!$",
        ],
    );
    format!("{scheme}{host}{port}{path}")
}
