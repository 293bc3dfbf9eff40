//! The page for operators: one template, filled in from a snapshot.
//!
//! The page is complete without its script, which only keeps it up to date: it fetches the page again
//! and replaces the changed parts. So only this code formats values, and escapes foreign text.

mod candidate;
mod format;
mod gaps;
mod leader;
mod next;
mod problems;
mod terms;
mod timeline;

use super::snapshot::Snapshot;
use format::{escaped, name, shortened, span, time};

/// The page with its style, its script and placeholders.
const TEMPLATE: &str = include_str!("page.html");

/// Content security policy of the page: it may load its own style and script, by their hashes, and itself
/// from this server.
pub(super) const SECURITY_POLICY: &str = "default-src 'none'; \
    script-src 'sha256-e2UdTJShVpY3q1Vqnak5M6LtloMpo8j9p1IxtTNqoOw='; \
    style-src 'sha256-sb2XcYajorUmm6L3LIcX5hSz4pM6nUgNS90+CZTQ/kc='; \
    img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the page.
pub(super) fn html(snapshot: &Snapshot) -> String {
    let section = leader::section(snapshot);
    let info = &snapshot.candidate;
    let lock = escaped(&info.lock);
    fill(
        TEMPLATE,
        &[
            ("headline", escaped(&section.title)),
            ("name", name(&info.name)),
            (
                "title",
                escaped(&format!("{} · {}", section.title, shortened(&info.name))),
            ),
            ("now", time(snapshot.wall, snapshot.wall)),
            ("hue", section.hue.to_owned()),
            ("leader", section.html),
            ("candidate", candidate::section(snapshot)),
            ("terms", terms::section(snapshot)),
            (
                "lock",
                match &info.lock_page {
                    Some(page) => format!(
                        "<a href=\"{}\" rel=\"noreferrer\">{lock}</a>",
                        escaped(page)
                    ),
                    None => lock,
                },
            ),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("uptime", span(snapshot.ago(snapshot.journal.started))),
        ],
    )
}

/// Fills the placeholders of a template; placeholders in the values stay.
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
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use serde_json::Value;

    use super::*;
    use crate::election::lock::Content;
    use crate::observe::snapshot::tests::record;

    /// Returns a record with the fencing token 7 and one field of operators.
    pub(super) fn annotated(holder: &str, field: &str, value: &Value) -> Content {
        let mut record = record(holder, 7).record().unwrap().clone();
        record.other.insert(field.into(), value.clone());
        Content::Record(record.into())
    }

    /// Returns the hash of the text between two tags, as in a security policy.
    fn hash_of(open: &str, close: &str) -> String {
        let (_, rest) = TEMPLATE.split_once(open).unwrap();
        let (text, _) = rest.split_once(close).unwrap();
        let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        format!("'sha256-{}'", BASE64_STANDARD.encode(hash))
    }

    #[test]
    fn security_policy_has_current_hashes() {
        for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
            let hash = hash_of(open, close);
            assert!(SECURITY_POLICY.contains(&hash), "{open} is {hash}");
        }
    }

    /// Returns the hue in degrees, and the saturation from 0 to 1, of a colour like `#1b7a53`.
    fn hue_and_saturation(colour: &str) -> (f64, f64) {
        let part = |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap());
        let (r, g, b) = (part(1), part(3), part(5));
        let (max, min) = (r.max(g).max(b), r.min(g).min(b));
        let hue = match max {
            max if max == r => (g - b) / (max - min),
            max if max == g => 2.0 + (b - r) / (max - min),
            _ => 4.0 + (r - g) / (max - min),
        };
        ((hue * 60.0).rem_euclid(360.0), (max - min) / max)
    }

    /// Returns the colours of a property in the light and the dark style.
    fn colours(of: &str) -> Vec<&'static str> {
        let places = TEMPLATE.split(of).skip(1);
        places.filter_map(|rest| rest.get(..7)).collect()
    }

    #[test]
    fn name_colours_are_no_status_colours() {
        // Blue to magenta, without green, amber and red.
        let names = 185.0..=325.0;
        for class in timeline::HUES {
            let found = colours(&format!(".{class}{{--c:"));
            assert_eq!(found.len(), 2, "{class}");
            for colour in found {
                let (hue, _) = hue_and_saturation(colour);
                assert!(names.contains(&hue), "{class} {colour}: {hue}");
            }
        }
        for status in ["--good:", "--warn:", "--bad:"] {
            for colour in colours(status) {
                let (hue, saturation) = hue_and_saturation(colour);
                assert!(saturation > 0.3 && !names.contains(&hue), "{colour}: {hue}");
            }
        }
    }

    #[test]
    fn template_is_small_and_self_contained() {
        assert!(TEMPLATE.len() < 20_000, "{}", TEMPLATE.len());
        let external = TEMPLATE.replace("http://www.w3.org/2000/svg", "");
        // A pattern of the page itself.
        let external = external.replace("url(#", "");
        for part in ["http:", "https:", "src=", "url(", "@import", "style="] {
            assert!(!external.contains(part), "{part}");
        }
    }

    #[test]
    fn filled_value_is_not_filled_again() {
        let values = [("a", "{{b}}".to_owned()), ("b", "x".to_owned())];
        assert_eq!(fill("1{{a}}2{{b}}3{{c}}4", &values), "1{{b}}2x34");
        assert_eq!(fill("1{{a", &values), "1{{b}}");
    }
}
