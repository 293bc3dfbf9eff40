//! Layout and contrast of the page, as far as a program can check them.

use serde_json::Value;

use crate::endpoints::watched::{Watched, spawn, watch};
use crate::page::chromium::Chromium;
use crate::support::process::Fixture;

/// Asserts that every text on the page has enough contrast.
pub(super) fn assert_contrasts(browser: &mut Chromium, what: &str) {
    let found = browser.evaluate(CONTRASTS);
    let found = found.as_array().unwrap();
    assert!(found.len() > 10, "{what}: {found:?}");
    for text in found {
        assert!(text[1].as_f64() >= Some(CONTRAST), "{what}: {text}");
    }
}

/// A long name without natural line breaks.
pub(super) const LONG: &str = "the-very-longest-name-that-anybody-in-their-right-mind-would-give-to-a-pod/namespace-with-a-name/elector-7d4f9c6b5-x2x9z-and-so-on-and-on-without-an-end";

/// A name with markup and a placeholder.
const HOSTILE: &str =
    "</title></h2><script>window.taken=1</script><img src=x onerror=window.taken=2>\"'&amp;{{now}}";

/// Minimum contrast of text by WCAG, level AA.
const CONTRAST: f64 = 4.5;

/// Script that returns every text with its contrast to its background.
const CONTRASTS: &str = r"(() => {
  const rgba = c => { const n = c.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const light = ([r, g, b]) => { const f = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
  const below = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3]) return c; } return [255, 255, 255, 1]; };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement, text = walk.currentNode.data.trim();
    if (!text || e.closest('script,noscript,.sr,title')) continue;
    const svg = e.closest('svg');
    const front = rgba(svg ? getComputedStyle(e).fill : getComputedStyle(e).color);
    const shape = e.closest('.band') ? e.previousElementSibling : e.closest('.badge:not(.ring)')?.querySelector('circle');
    const back = shape ? rgba(getComputedStyle(shape).fill) : below(svg ?? e);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    found.push([text, (a + .05) / (b + .05)]);
  }
  return found;
})()";

fn leader_and_standby(fixture: &Fixture) -> (Watched, Watched) {
    let first = watch(fixture, "first");
    first.await_leading();
    let second = watch(fixture, "second");
    second.await_observed("first");
    (first, second)
}

#[test]
fn texts_have_contrast_in_both_schemes() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let fixture = Fixture::new();
    let (first, second) = leader_and_standby(&fixture);
    let mut grounds = Vec::new();
    for colours in ["light", "dark"] {
        browser.prefer(colours);
        for elector in [&first, &second] {
            browser.open(&elector.url());
            assert_contrasts(&mut browser, colours);
        }
        grounds.push(browser.evaluate("getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(grounds[0], grounds[1], "dark is as light");
}

#[test]
fn name_colours_have_contrast() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let fixture = Fixture::new();
    let (first, _second) = leader_and_standby(&fixture);
    for colours in ["light", "dark"] {
        browser.prefer(colours);
        browser.open(&first.url());
        for hue in ["h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7", "none"] {
            // Lasts until the page's next update.
            let paint = format!("document.querySelector('section').className = 'card {hue}'");
            browser.evaluate(&paint);
            assert_contrasts(&mut browser, &format!("{colours} {hue}"));
        }
    }
}

#[test]
fn page_fits_phones_with_any_name() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    for name in ["first", LONG, HOSTILE] {
        let fixture = Fixture::new();
        let leader = spawn(&fixture, fixture.elector("x").with("LEADER_NAME", name));
        leader.await_leading();
        for width in [320, 360, 768] {
            browser.resize(width, 800, 2.0);
            browser.open(&leader.url());
            let wide = browser.evaluate("document.documentElement.scrollWidth");
            assert!(
                wide.as_u64() <= Some(width.into()),
                "{wide} of {width} for {name}"
            );
        }
    }
}

#[test]
fn hostile_name_is_only_text() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let fixture = Fixture::new();
    let leader = spawn(&fixture, fixture.elector("x").with("LEADER_NAME", HOSTILE));
    leader.await_leading();
    browser.open(&leader.url());
    browser.await_text("#live", "live");
    assert_eq!(browser.text("h2.name"), HOSTILE);
    assert_eq!(browser.text(".holder"), HOSTILE);
    assert_eq!(
        browser.evaluate("document.title"),
        format!("{HOSTILE} leads · {}", fixture.gist)
    );
    assert_eq!(browser.evaluate("document.images.length"), 0);
    assert_eq!(browser.evaluate("document.scripts.length"), 1);
    assert_eq!(browser.evaluate("window.taken ?? null"), Value::Null);
}

#[test]
fn page_is_accessible() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let fixture = Fixture::new();
    let (_first, second) = leader_and_standby(&fixture);
    browser.open(&second.url());
    for (what, expression) in [
        ("a language", "document.documentElement.lang === 'en'"),
        (
            "one first heading",
            "document.querySelectorAll('h1').length === 1",
        ),
        (
            "landmarks",
            "['header', 'main', 'footer'].every(s => document.querySelectorAll(s).length === 1)",
        ),
        (
            "named sections",
            "[...document.querySelectorAll('section')].every(s => s.ariaLabel)",
        ),
        (
            "a named bar",
            "document.querySelector('progress').ariaLabel !== null",
        ),
        (
            "pictures that are named or passed over",
            "[...document.querySelectorAll('svg')].every(s => s.ariaLabel || s.ariaHidden === 'true')",
        ),
        (
            "changes are announced",
            "document.querySelector('[role=status]') !== null",
        ),
        (
            "no small print",
            "[...document.querySelectorAll('main *')].every(e => parseFloat(getComputedStyle(e).fontSize) >= 12)",
        ),
    ] {
        assert_eq!(browser.evaluate(expression), true, "{what}");
    }
}
