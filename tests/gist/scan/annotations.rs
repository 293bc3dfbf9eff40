//! Annotations: writes of operators that copy the holder's record.

use elector::lock::gist::wire::Text;
use elector::lock::term_history::{Gap, TermEnd as End};

use super::ends::{Builder, begun, gaps, led};
use super::history::EPOCH;

/// Returns whether each term was confirmed.
fn confirmed(builder: &Builder) -> Vec<bool> {
    let report = builder.report();
    report.terms().map(|term| term.confirmed).collect()
}

#[test]
fn annotation_does_not_renew() {
    let alive = begun().annotate(60);
    assert_eq!(alive.terms(), [led("a", 0, 10, None, End::Alive)]);
    let over = alive.annotate(65).annotate(75);
    assert_eq!(over.terms(), [led("a", 0, 10, 70, End::Expired)]);
    let renewed = over.report().terms().next().unwrap().renewed;
    assert_eq!(renewed, Some(EPOCH + 40));
    let gap = Gap {
        from: EPOCH + 70,
        to: None,
    };
    assert_eq!(gaps(&over), [gap]);
}

#[test]
fn annotation_does_not_confirm_claim() {
    let claim = Builder::new().write("p", "a", 0, 10).annotate(11);
    assert_eq!(confirmed(&claim), [false]);
    assert_eq!(confirmed(&claim.write("p", "a", 0, 12)), [true]);
    // The scan may know only one of two renewals.
    assert_eq!(confirmed(&begun().annotate(45)), [true]);
}

#[test]
fn term_continues_over_annotation() {
    let builder = begun().annotate(45).write("p", "a", 0, 50).annotate(55);
    let builder = builder.write("p", "a", 0, 60).write("p", "", 0, 65);
    assert_eq!(builder.terms(), [led("a", 0, 10, 65, End::Released)]);
    // A takeover after an annotation follows the expiry.
    let builder = begun().annotate(50).write("q", "b", 1, 71);
    assert_eq!(builder.terms()[0], led("a", 0, 10, 70, End::Expired));
}

#[test]
fn annotated_release_adds_nothing() {
    let released = begun().write("p", "", 0, 45);
    let last = released.gist.len() - 1;
    let Text::Whole(text) = released.gist.text(last) else {
        panic!("no record");
    };
    let text = text.replacen('{', r#"{"stopReason":"paused","releasedBy":"a","#, 1);
    let mut annotated = begun().put(Text::Whole(text.into()), 45);
    annotated = annotated.annotate(50).annotate(52);
    let open = Gap {
        from: EPOCH + 45,
        to: None,
    };
    assert_eq!(gaps(&annotated), [open]);
    let annotated = annotated.write("q", "b", 1, 55);
    let expected = [
        led("a", 0, 10, 45, End::Released),
        led("b", 1, 55, None, End::Alive),
    ];
    assert_eq!(annotated.terms(), expected);
    let closed = Gap {
        to: Some(EPOCH + 55),
        ..open
    };
    assert_eq!(gaps(&annotated), [closed]);
    let report = annotated.report();
    let reasons: Vec<_> = report
        .terms()
        .map(|term| term.stop_reason.clone())
        .collect();
    assert_eq!(reasons, [Some("paused".to_owned()), None]);
}
