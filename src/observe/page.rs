//! The page for people: one template, filled in with what is known.
//!
//! The page is whole without its script, which only keeps it up to date: it fetches the page again and
//! puts the new parts in the place of the old ones, so that there is one way to draw them. Whatever
//! comes from outside (names above all) is escaped here.

mod candidate;
mod hero;
mod timeline;
mod words;

use super::view::View;
use words::{escaped, span, time};

/// The page with places for what is known, its style and its script.
const TEMPLATE: &str = include_str!("page.html");

/// What the page may load and run: its own style and script, by their hashes, and nothing else. It may
/// ask this server for itself.
pub(super) const SECURITY_POLICY: &str = "default-src 'none'; \
    script-src 'sha256-CxO6ifSs0CH7AzZGKJaWr6jvWS4BG1g88oiHJcB8uxg='; \
    style-src 'sha256-C3bJuBKLPivQPcsp3SdLDKSznAXh7ZhbY5KtSKtexIw='; \
    img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page as it is now.
pub(super) fn html(view: &View) -> String {
    let hero = hero::hero(view);
    fill(
        TEMPLATE,
        &[
            ("title", escaped(&hero.title)),
            ("now", time(view.wall, view.wall)),
            ("hue", hero.hue.to_owned()),
            ("hero", hero.html),
            ("self", candidate::candidate(view)),
            ("terms", timeline::terms(view)),
            ("lock", escaped(&view.about.lock)),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("uptime", span(view.ago(view.journal.started))),
        ],
    )
}

/// The template with its places filled; what is filled in is not looked at again.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut html = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        html.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        let value = values.iter().find(|(known, _)| *known == name);
        html.push_str(value.map_or("", |(_, value)| value));
        rest = after;
    }
    html.push_str(rest);
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of what stands between two tags, as a security policy names it.
    fn hash_of(open: &str, close: &str) -> String {
        let (_, rest) = TEMPLATE.split_once(open).unwrap();
        let (text, _) = rest.split_once(close).unwrap();
        let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let hash = suite.tls13().unwrap().common.hash_provider;
        format!("'sha256-{}'", base64(hash.hash(text.as_bytes()).as_ref()))
    }

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let mut group = [0; 3];
            group[..chunk.len()].copy_from_slice(chunk);
            let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            for n in 0..4 {
                let digit = usize::try_from(bits >> (18 - 6 * n) & 63).unwrap();
                let shown = n <= chunk.len();
                text.push(if shown { DIGITS[digit].into() } else { '=' });
            }
        }
        text
    }

    #[test]
    fn base64_is_as_everywhere() {
        assert_eq!(base64(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
        assert_eq!(base64(b"any carnal plea"), "YW55IGNhcm5hbCBwbGVh");
        assert_eq!(base64(b"any carnal pl"), "YW55IGNhcm5hbCBwbA==");
    }

    #[test]
    fn the_security_policy_names_the_style_and_the_script_that_there_are() {
        for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
            let hash = hash_of(open, close);
            assert!(SECURITY_POLICY.contains(&hash), "{open} is {hash}");
        }
    }

    #[test]
    fn the_template_is_small_and_names_nothing_elsewhere() {
        assert!(TEMPLATE.len() < 20_000, "{}", TEMPLATE.len());
        let elsewhere = TEMPLATE.replace("http://www.w3.org/2000/svg", "");
        for part in ["http:", "https:", "src=", "url(", "@import", "style="] {
            assert!(!elsewhere.contains(part), "{part}");
        }
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let values = [("a", "{{b}}".to_owned()), ("b", "x".to_owned())];
        assert_eq!(fill("1{{a}}2{{b}}3{{c}}4", &values), "1{{b}}2x34");
        assert_eq!(fill("1{{a", &values), "1{{b}}");
    }
}
