//! Inspections, compared with the rule applied to the whole history.

#[path = "../library/properties/checks/gist_model.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "a helper, of which every test uses another part"
)]
mod gist_model;

use elector::election::lock::LockError;
use elector::election::time::Instant;
use elector::lock::gist::inspect::{InspectStep, Inspected, Inspector};
use elector::lock::gist::revision::Revision;
use elector::lock::gist::wire::{Answer, GistPage, Reply, Request, Text};
use fastrand::Rng;
use gist_model::{EPOCH, FILE, GistModel};

const HISTORIES: u64 = 5_000;

/// The server's clock, long after every revision.
const NOW: i64 = EPOCH + 1_000_000;

fn ours(writer: usize, supersedes: Revision) -> Text {
    Text::Whole(
        format!(
            r#"{{"holderIdentity":"{writer}","leaseDurationSeconds":30,"writeId":"w-{writer}","supersedes":"{supersedes}"}}"#
        )
        .into(),
    )
}

fn foreign(writer: usize) -> Text {
    Text::Whole(format!(r#"{{"holderIdentity":"p{writer}","leaseDurationSeconds":9}}"#).into())
}

/// Inspects once, and counts the requests.
fn inspect(inspector: &mut Inspector, gist: &GistModel) -> (Result<Inspected, LockError>, u32) {
    let mut requests = 0;
    let mut step = inspector.start();
    loop {
        let request = match step {
            InspectStep::Done(inspected) => return (inspected, requests),
            InspectStep::Ask(request) => request,
        };
        requests += 1;
        assert!(requests < 200, "it does not end");
        let answer = Answer {
            date: Some(NOW),
            rate: None,
            reply: Ok(reply(gist, &request)),
        };
        step = inspector.handle_answer(Instant::BOOT, answer);
    }
}

fn reply(gist: &GistModel, request: &Request) -> Reply {
    match request {
        Request::Gist { etag, .. } if etag.is_some() && *etag == gist.page().etag => {
            Reply::NotModified
        }
        Request::Gist { .. } => Reply::Gist(gist.page()),
        Request::Revision(revision) => Reply::Revision(gist.text_of(*revision).unwrap()),
        Request::Commits { page, per_page } => Reply::Commits(gist.commits(*page, *per_page)),
        other => panic!("an inspection asks for {other:?}"),
    }
}

/// One more revision, of a kind drawn at random: honest, late and repeated writes, reverts, other
/// files' revisions, edits by hand.
fn push(gist: &mut GistModel, rng: &mut Rng, number: usize) {
    let text = match rng.u8(..10) {
        0 => gist.head_text(),
        1..4 => foreign(number),
        4 => {
            let old = gist.once_effective(rng.usize(..100));
            gist.text_of(old).unwrap()
        }
        5 => Text::Missing,
        6 => ours(number, gist.once_effective(rng.usize(..100))),
        _ => ours(number, gist.effective()),
    };
    gist.push(text);
}

#[test]
fn inspection_agrees_with_full_rule() {
    for seed in 0..HISTORIES {
        let mut rng = Rng::with_seed(seed);
        let mut gist = GistModel::new(foreign(0), 30, 100);
        let mut inspector = Inspector::new(Some(FILE.to_owned()));
        for number in 1..rng.usize(2..25) {
            push(&mut gist, &mut rng, number);
            if rng.bool() {
                let (inspected, _) = inspect(&mut inspector, &gist);
                let effect = inspected.unwrap().effective;
                assert_eq!(effect.commit.revision, gist.effective(), "seed {seed}");
                assert!(effect.settled, "seed {seed}");
            }
        }
    }
}

#[test]
fn split_inspection_agrees_with_full_rule() {
    let mut cut_short = 0;
    for seed in 0..500 {
        let mut rng = Rng::with_seed(seed);
        let mut gist = GistModel::new(Text::Missing, 30, 100);
        // Many foreign writes, so that the overwritten record lies far back.
        for number in 1..rng.usize(30..90) {
            match rng.u8(..30) {
                0 => push(&mut gist, &mut rng, number),
                1..5 => {
                    gist.push(gist.head_text());
                }
                _ => {
                    gist.push(foreign(number));
                }
            }
        }
        let (inspected, _) = inspect(&mut Inspector::new(None), &gist);
        let effect = inspected.unwrap().effective;
        assert_eq!(effect.commit.revision, gist.effective(), "seed {seed}");
        cut_short += u32::from(!effect.settled);
    }
    assert!(cut_short > 100, "{cut_short}");
}

#[test]
fn usual_inspection_takes_one_request() {
    let mut gist = GistModel::new(foreign(0), 30, 100);
    for number in 1..500 {
        gist.push(ours(number, gist.head()));
    }
    let mut inspector = Inspector::new(None);
    for _ in 0..2 {
        let (inspected, requests) = inspect(&mut inspector, &gist);
        assert_eq!(requests, 1);
        let inspected = inspected.unwrap();
        assert_eq!(inspected.file, FILE);
        assert_eq!(inspected.date, Some(NOW));
        assert_eq!(inspected.effective.commit.revision, gist.head());
        gist.push(ours(1_000, gist.head()));
    }
}

#[test]
fn foreign_write_shows_despite_long_history() {
    let mut gist = GistModel::new(foreign(0), 30, 100);
    for number in 1..500 {
        gist.push(foreign(number));
    }
    // Another file was written since.
    let newest = gist.head();
    gist.push(gist.head_text());
    let mut inspector = Inspector::new(None);
    let (inspected, requests) = inspect(&mut inspector, &gist);
    let inspected = inspected.unwrap();
    assert_eq!(inspected.effective.commit.revision, newest);
    assert!(!inspected.effective.settled);
    assert!(requests <= 22, "{requests}");
}

#[test]
fn unfinished_history_is_not_guessed() {
    let mut gist = GistModel::new(foreign(0), 30, 100);
    let late = ours(1, gist_model::name(777));
    for _ in 0..500 {
        // Another file's revisions over a write that may have come too late.
        gist.push(late.clone());
    }
    let mut inspector = Inspector::new(None);
    let (inspected, requests) = inspect(&mut inspector, &gist);
    assert!(
        matches!(inspected, Err(LockError::Unfinished(_))),
        "{inspected:?}"
    );
    assert!((50..=110).contains(&requests), "{requests}");
    let holder = inspector.newest().unwrap().record().unwrap();
    assert_eq!(holder.record.holder_identity, "1");
}

#[test]
fn several_files_need_a_name() {
    let gist = GistModel::new(foreign(0), 30, 100);
    let mut inspector = Inspector::new(None);
    inspector.start();
    let page = GistPage {
        files: vec!["a".to_owned(), "b".to_owned()],
        ..gist.page()
    };
    let step = inspector.handle_answer(
        Instant::BOOT,
        Answer {
            date: None,
            rate: None,
            reply: Ok(Reply::Gist(page)),
        },
    );
    assert!(
        matches!(step, InspectStep::Done(Err(LockError::Refused(_)))),
        "{step:?}"
    );
    assert_eq!(inspector.files(), ["a", "b"]);
}

#[test]
fn hidden_revision_is_not_missing_gist() {
    let mut gist = GistModel::new(foreign(0), 30, 100);
    gist.push(foreign(1));
    let mut inspector = Inspector::new(None);
    inspector.start();
    let page = Answer {
        date: None,
        rate: None,
        reply: Ok(Reply::Gist(gist.page())),
    };
    let step = inspector.handle_answer(Instant::BOOT, page);
    assert!(
        matches!(step, InspectStep::Ask(Request::Revision(_))),
        "{step:?}"
    );
    let gone = Answer {
        date: None,
        rate: None,
        reply: Err(LockError::NotFound("no".into())),
    };
    let step = inspector.handle_answer(Instant::BOOT, gone);
    assert!(
        matches!(step, InspectStep::Done(Err(LockError::Unavailable(_)))),
        "{step:?}"
    );
}
