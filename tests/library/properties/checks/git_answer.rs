//! An answer of a git server. The first byte of the input is the request: abilities, a branch, objects or
//! a push.

use elector::election::lock::LockError;
use elector::lock::git::pkt_line::{LONGEST_DATA, Packet, Packets};
use elector::lock::git::requests::{Fetched, HEAD, Remote, Report};
use elector::lock::store::Response;

use super::assert_safe_error;

const BRANCH: &str = "refs/heads/elector";

pub fn check(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else {
        return;
    };
    lines_are_the_whole_input(body);
    let remote = Remote {
        path: "/r".to_owned(),
        place: "the place".to_owned(),
    };
    let response = |kind: &str| Response {
        status: 200,
        headers: vec![(
            "content-type".to_owned(),
            format!("application/x-git-{kind}"),
        )],
        body: body.to_vec(),
        cut: false,
    };
    let read = response("upload-pack-result");
    match kind {
        b'a' => fails_safe(remote.abilities(&response("upload-pack-advertisement"))),
        b'h' => {
            for reference in [HEAD, BRANCH] {
                let head = remote.head(&read, reference);
                if let Ok(Some(head)) = &head {
                    let id = head.commit.to_string();
                    let body = body.to_ascii_lowercase();
                    assert!(body.windows(40).any(|found| found == id.as_bytes()));
                }
                fails_safe(head);
            }
        }
        b'o' => match remote.objects(&read) {
            Ok(Fetched::Pack(pack)) => assert!(pack.len() < body.len()),
            Ok(Fetched::Refused(why)) => super::assert_safe_line(&why),
            Err(error) => assert_safe_error(&error),
        },
        b'r' => match remote.report(&response("receive-pack-result"), BRANCH) {
            Ok(Report::Done) => assert!(body.windows(3).any(|found| found == b"ok ")),
            Ok(Report::Refused(why)) => super::assert_safe_line(&why),
            Err(error) => {
                assert!(matches!(error, LockError::OutcomeUnknown(_)), "{error:?}");
                assert_safe_error(&error);
            }
        },
        _ => {}
    }
}

fn fails_safe<T>(result: Result<T, LockError>) {
    if let Err(error) = result {
        assert_safe_error(&error);
    }
}

/// Checks that well-formed lines account for every byte.
fn lines_are_the_whole_input(body: &[u8]) {
    let lines: Result<Vec<_>, _> = Packets::new(body).collect();
    let Ok(lines) = lines else {
        return;
    };
    let lengths = lines.iter().map(|line| match line {
        Packet::Data(data) => {
            assert!(data.len() <= LONGEST_DATA + 15);
            data.len() + 4
        }
        _ => 4,
    });
    assert_eq!(lengths.sum::<usize>(), body.len());
}
