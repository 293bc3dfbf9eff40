//! Makes the gist or the file for a lock.

use std::time::Duration;

use super::say::{Say, named};
use super::seat::{Seat, State, free_record};
use super::{Trouble, USUAL_FILE, failed};
use crate::commands::settings::Settings;
use crate::election::lock::LockError;
use crate::fmt::one_line;
use crate::lock::gist::client::GistClient;
use crate::lock::gist::stored::{Mark, Moved, Place, to_first_text};
use crate::lock::gist::wire::{GistId, Reply, Request};
use crate::runtime::gist::{OpenError, process_name};

/// What the list of a user's gists says of it; a gist that nobody needs is recognised by it.
const DESCRIPTION: &str = "lease of an elector (multi-cluster-leader-election)";

/// How long a request may take: GitHub itself gives one up after 10 s.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A release is good for a second, as client-go has it.
pub(super) const RELEASED: Duration = Duration::from_secs(1);

/// How often others may come first.
const TRIES: u32 = 20;

/// Makes the lock, unless it is there. Says where it is.
pub(super) fn run(settings: &Settings, named_gist: bool, say: &Say) -> Result<Place, Trouble> {
    if named_gist {
        return make_file(settings, say);
    }
    let file = settings.gist.file.as_deref().unwrap_or(USUAL_FILE);
    let gist = make_gist(settings, file, 0, &Mark::Checkpoint)?;
    let place = Place {
        gist,
        file: file.into(),
    };
    say.line(format_args!(
        "made gist {}, a secret one, with file {:?}",
        place.gist,
        one_line(file)
    ));
    say.in_kubernetes(&place);
    Ok(place)
}

/// Makes a secret gist whose one file holds a record that nobody leads by.
pub(super) fn make_gist(
    settings: &Settings,
    file: &str,
    token: u64,
    mark: &Mark,
) -> Result<GistId, Trouble> {
    let process = process_name().map_err(OpenError::System)?;
    let record = free_record(token, RELEASED);
    let request = Request::Create {
        description: DESCRIPTION.to_owned(),
        content: to_first_text(&record, &format!("{process}-1"), mark),
    };
    let mut client: GistClient = settings.gist.client(&settings.election)?;
    client
        .set_file(file)
        .map_err(|error| Trouble::Usage(error.to_string()))?;
    match client.call(&request, TIMEOUT).reply {
        Ok(Reply::Created(gist)) => Ok(gist),
        Ok(_) => failed("an answer came that was not asked for"),
        Err(LockError::NotFound(why)) => failed(format!("the token may not make gists: {why}")),
        Err(LockError::OutcomeUnknown(why)) => failed(format!(
            "it is not known whether the gist was made: {why}; before you run this again, delete a \
             gist called {DESCRIPTION:?} that you do not know"
        )),
        Err(error) => Err(error.into()),
    }
}

/// Makes the file in a gist that is there.
fn make_file(settings: &Settings, say: &Say) -> Result<Place, Trouble> {
    let mut seat = Seat::new(settings, settings.gist.clone())?;
    for _ in 0..TRIES {
        let look = seat.look()?;
        let place = seat.place()?;
        match look.state {
            State::Empty => {
                if seat
                    .write(look.token, RELEASED, &Mark::Checkpoint)?
                    .is_some()
                {
                    say.line(format_args!("made {}", named(&place)));
                    say.in_kubernetes(&place);
                    return Ok(place);
                }
            }
            State::Lock { holder, .. } => {
                say.line(format_args!(
                    "nothing to do: {} holds a lock already, token {}, {}",
                    named(&place),
                    look.token,
                    held_by(&holder)
                ));
                return Ok(place);
            }
            State::Broken(why) => {
                say.line(format_args!(
                    "nothing to do: {} held a lock, and {why}; candidates wait for it and then \
                     replace it, as somebody may still lead",
                    named(&place)
                ));
                return Ok(place);
            }
            State::Moved(moved) => return failed(moved_text(&place, &moved)),
        }
    }
    failed("others wrote first again and again: run it once more")
}

fn held_by(holder: &str) -> String {
    match holder {
        "" => "nobody leads".to_owned(),
        holder => format!("held by {}", one_line(holder)),
    }
}

/// Why this place is of no use.
pub(super) fn moved_text(place: &Place, moved: &Moved) -> String {
    match moved {
        Moved::To(new) => format!(
            "the lock in {} was moved to {}: set GIST_ID={}",
            named(place),
            named(new),
            new.gist
        ),
        Moved::From(old) => format!(
            "the lock of {} is being moved to {}, which is not open yet: run `elector init --from \
             {}` to its end",
            named(old),
            named(place),
            old.gist
        ),
    }
}
