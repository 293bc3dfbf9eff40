//! Every state of the page in a browser.

use super::layout::assert_contrasts;
use super::still::{Still, standby, states};
use crate::page::chromium::Chromium;

/// Script that returns the smallest space between two labels of the time axis, and their number.
const LABELS: &str = "(() => {
  const boxes = [...document.querySelectorAll('.axis text')].map(e => e.getBoundingClientRect());
  boxes.sort((a, b) => a.left - b.left);
  const spaces = boxes.slice(1).map((box, n) => box.left - boxes[n].right);
  return [Math.min(boxes[0].left, ...spaces), boxes.length, Math.max(...boxes.map(box => box.right)) <= innerWidth];
})()";

/// Minimum space between two labels, in pixels.
const SPACE: f64 = 4.0;

#[test]
fn every_state_is_shown_and_fits() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    for (state, snapshot, part) in states() {
        let still = Still::show(snapshot);
        for (width, colours) in [
            (390, "light"),
            (1280, "dark"),
            (320, "dark"),
            (1280, "light"),
        ] {
            browser.prefer(colours);
            browser.resize(width, 900, 1.0);
            browser.open(&still.url());
            let what = format!("{state} {width} {colours}");
            let text = browser.text("main");
            assert!(text.contains(part), "{what}: {text}");
            assert_contrasts(&mut browser, &what);
            let wide = browser.evaluate("document.documentElement.scrollWidth");
            assert!(wide.as_u64() <= Some(width.into()), "{what}: {wide}");
        }
    }
}

#[test]
fn axis_labels_never_overlap() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    for uptime in [
        61, 79, 95, 121, 299, 601, 1_500, 7_201, 17_000, 60_000, 86_400,
    ] {
        let still = Still::show(standby(uptime));
        for width in [320, 390, 1280] {
            browser.resize(width, 900, 1.0);
            browser.open(&still.url());
            let found = browser.evaluate(LABELS);
            let what = format!("{uptime} s, {width} px: {found}");
            assert!(found[0].as_f64() >= Some(SPACE), "{what}");
            assert!(found[1].as_u64() >= Some(2), "{what}");
            assert_eq!(found[2], true, "{what}");
        }
    }
}

#[test]
fn gaps_without_leader_are_hatched() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let still = Still::show(standby(900));
    browser.open(&still.url());
    for (class, pattern) in [("nobody", "#hatch"), ("unknown", "#dots")] {
        for place in ["band", "swatch", "dot"] {
            let fill =
                format!("getComputedStyle(document.querySelector('.{place} .{class}')).fill");
            let fill = browser.evaluate(&fill);
            assert!(fill.as_str().unwrap().contains(pattern), "{place}: {fill}");
        }
        let drawn = format!("document.querySelector('pattern{pattern} .ink') !== null");
        assert_eq!(browser.evaluate(&drawn), true);
    }
}
