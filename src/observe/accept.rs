//! Choice between the page and JSON by a client's `Accept` header.

/// Preference for a media type, in thousandths; 0 if the client does not accept it.
type Weight = u16;

/// Returns whether an `Accept` header prefers HTML to JSON, as browsers do. Without a preference the
/// answer is JSON, because the leader-elector sidecar's clients send none.
pub(super) fn prefers_html(accept: Option<&str>) -> bool {
    let Some(accept) = accept else { return false };
    weight(accept, "text", "html") > weight(accept, "application", "json")
}

/// Returns the header's weight of a type, from the most specific matching range.
fn weight(accept: &str, kind: &str, subtype: &str) -> Weight {
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let (range_kind, range_subtype) = parts.next()?.split_once('/')?;
        let specific = match (range_kind, range_subtype) {
            ("*", "*") => 0,
            (k, "*") if k.eq_ignore_ascii_case(kind) => 1,
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => 2,
            _ => return None,
        };
        Some((specific, parts.find_map(quality).unwrap_or(1000)))
    });
    ranges.max().map_or(0, |(_, weight)| weight)
}

/// Parses a `q` parameter; `None` for any other parameter.
fn quality(parameter: &str) -> Option<Weight> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value = value.trim();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if whole.bytes().any(|digit| digit != b'0') {
        return Some(1000);
    }
    // Not parsed as a float: nothing else uses std's parser, which adds 14 kB to the binary.
    format!("{fraction:0<3.3}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_prefer_html_programs_json() {
        for browser in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html, application/xhtml+xml, image/jxr, */*;q=0.5",
            "text/html",
            "Text/HTML;q=0.4",
            "text/*",
            "application/json;q=0.1, text/html;q=0.2",
        ] {
            assert!(prefers_html(Some(browser)), "{browser}");
        }
        for program in [
            "*/*",
            "",
            "application/json",
            "application/json, text/html",
            "application/json, text/html;q=0.9, */*;q=0.1",
            "text/html;q=0",
            "text/plain",
            "text/html;q=nonsense;q=0, */*",
            "image/*",
            "nonsense",
            ",,;;=/",
        ] {
            assert!(!prefers_html(Some(program)), "{program}");
        }
        assert!(!prefers_html(None));
    }

    #[test]
    fn random_header_never_panics() {
        let mut dice = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let parts = [
                "text", "/", "*", "html", ";", "q", "=", "0.5", ",", " ", "é", "-1", "1e99",
            ];
            let header: String = (0..dice.usize(..12))
                .map(|_| *dice.choice(&parts).unwrap())
                .collect();
            let _ = prefers_html(Some(&header));
        }
    }

    #[test]
    fn most_specific_range_counts() {
        assert_eq!(weight("*/*;q=0.1, text/html;q=0.7", "text", "html"), 700);
        assert_eq!(weight("text/html;q=0, text/*;q=0.5", "text", "html"), 0);
        assert_eq!(weight("text/html;q=7", "text", "html"), 1000);
        assert_eq!(weight("text/html;q=-1", "text", "html"), 1000);
        assert_eq!(weight("text/html;q=nan", "text", "html"), 1000);
        assert_eq!(weight("text/html;q=1.", "text", "html"), 1000);
        assert_eq!(weight("text/html;q=0.05", "text", "html"), 50);
        assert_eq!(weight("text/html;q=0.1239", "text", "html"), 123);
        assert_eq!(weight("text/html;q=0.+1", "text", "html"), 1000);
    }
}
