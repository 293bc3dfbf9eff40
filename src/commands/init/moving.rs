//! Moves a lock to another gist, so that never two lead.
//!
//! ```text
//!                OLD                                  NEW
//!   1  somebody leads, or may            a record that says "from OLD": nobody may lead yet;
//!                                        written twice, unless the gist was made for it
//!   2  "moved to NEW": nobody claims      "
//!      a lease of waiting: whoever led by what stood there before has stopped
//!   3  "moved to NEW", written again:     "
//!      so that the first one stays
//!   4   "                                 a floor with OLD's highest token: the first may claim
//! ```
//!
//! Every write stands on top of what was seen, and has no effect otherwise. Each step leaves behind by
//! what it is found done, so that this can be killed at any point and started again: NEW is named by
//! OLD from step 2 on. Before that, a gist that was made for it is left over.
//!
//! GitHub has been seen to lose one of two writes that race. Hence step 3: a second write, on top of
//! what had been the newest revision for the confirm delay, shows that the first one stays
//! ([`Seat::confirm`]). Should it be lost, the next look shows it, and step 2 is done again.

use std::time::Duration;

use super::fresh::{RELEASED, make_gist, moved_text};
use super::say::{Say, named, wait_until};
use super::seat::{Look, Seat, State, Stays, crowded};
use super::{Trouble, failed, options_for};
use crate::commands::settings::Settings;
use crate::fmt::one_line;
use crate::lock::gist::stored::{Mark, Moved, Place};
use crate::lock::gist::wire::GistId;
use crate::system::clock::BootClock;

/// How often others may come first, or disturb.
const TRIES: u32 = 30;

/// Moves the lock of `old` to the gist of the settings, or to a new one if they name none. Says where
/// it is then.
pub(super) fn run(
    settings: &Settings,
    named_gist: bool,
    old: &GistId,
    old_file: Option<&str>,
    say: &Say,
) -> Result<Place, Trouble> {
    let file = settings.gist.file.as_deref();
    let target = named_gist.then_some(&settings.gist.gist_id);
    let old_file = old_file.or(file);
    if target == Some(old) && (file == old_file || file.is_none()) {
        return Err(Trouble::Usage(
            "GIST_ID is the gist that is to be moved: unset it to move to a new gist, or set it to \
             another one"
                .to_owned(),
        ));
    }
    let mut seat = Seat::new(settings, options_for(settings, old, old_file))?;
    let look = seat.look()?;
    let mut moving = Moving {
        from: seat.place()?,
        old: seat,
        settings,
        say,
    };
    if let State::Moved(Moved::To(to)) = &look.state {
        if let Some(mut new) = moving.resume(to, target)? {
            moving.finish(to, &mut new)?;
        }
        return Ok(to.clone());
    }
    let (to, mut new) = moving.begin(&look.state, look.token, target)?;
    moving.finish(&to, &mut new)?;
    Ok(to)
}

/// A lock on its way.
struct Moving<'a> {
    settings: &'a Settings,
    say: &'a Say,
    from: Place,
    old: Seat,
}

impl Moving<'_> {
    // ---- step 1 ----

    /// The lock is still at home: finds or makes a new one.
    fn begin(
        &self,
        state: &State,
        token: u64,
        target: Option<&GistId>,
    ) -> Result<(Place, Seat), Trouble> {
        let from = named(&self.from);
        match state {
            State::Empty => {
                return failed(format!(
                    "there is nothing to move: {from} never held a lock; name its file with \
                     --from-file, or make a new one with `elector init`"
                ));
            }
            State::Moved(moved) => return failed(moved_text(&self.from, moved)),
            State::Lock { holder, plain, .. } => {
                let leads = match holder.as_str() {
                    "" => "nobody leads".to_owned(),
                    holder => format!("held by {}", one_line(holder)),
                };
                self.say.line(format_args!(
                    "moves the lock in {from}: token {token}, {leads}"
                ));
                if *plain {
                    self.say.line(
                        "its record came past the elections: if client-go candidates use it, stop \
                         them now, they would not heed that it was moved",
                    );
                }
            }
            State::Broken(why) => {
                self.say.line(format_args!(
                    "moves the lock in {from}: token {token}, {why}"
                ));
            }
        }
        match target {
            Some(gist) => self.prepare(gist),
            None => self.make(token),
        }
    }

    fn file(&self) -> &str {
        let file = self.settings.gist.file.as_deref();
        file.unwrap_or(&self.from.file)
    }

    fn make(&self, token: u64) -> Result<(Place, Seat), Trouble> {
        let mark = Mark::Moved(Moved::From(self.from.clone()));
        let gist = make_gist(self.settings, self.file(), token, &mark)?;
        let to = Place {
            gist,
            file: self.file().into(),
        };
        self.say.line(format_args!(
            "made gist {0} for it, not open yet (should this end here: delete that gist, or run this \
             again with GIST_ID={0})",
            to.gist
        ));
        let new = self.seat(&to)?;
        Ok((to, new))
    }

    /// Has the gist that was named say that the lock comes there.
    fn prepare(&self, gist: &GistId) -> Result<(Place, Seat), Trouble> {
        let to = Place {
            gist: gist.clone(),
            file: self.file().into(),
        };
        let moved = Moved::From(self.from.clone());
        let mut new = self.seat(&to)?;
        for _ in 0..TRIES {
            let look = new.look()?;
            match &look.state {
                State::Moved(state) if *state == moved => {
                    let delay = self.settings.gist.confirm_delay;
                    if let Stays::Yes { .. } = new.confirm(&moved, delay)? {
                        self.say
                            .line(format_args!("gist {} is to hold it, not open yet", to.gist));
                        return Ok((to, new));
                    }
                    continue;
                }
                // The lock is on its way back.
                State::Moved(Moved::To(back)) if *back == self.from => {}
                // There nobody leads, and nobody will over what is written now.
                State::Empty | State::Lock { unused: true, .. } => {}
                State::Moved(moved) => return failed(moved_text(&to, moved)),
                State::Lock { .. } | State::Broken(_) => {
                    return failed(format!(
                        "{} holds a lock of its own, token {}: name another gist or file, or unset \
                         GIST_ID to have one made",
                        named(&to),
                        look.token
                    ));
                }
            }
            // The next look shows whether it is there.
            let _ = new.write(look.token, RELEASED, &Mark::Moved(moved.clone()))?;
        }
        failed(crowded(&to))
    }

    fn seat(&self, place: &Place) -> Result<Seat, Trouble> {
        let options = options_for(self.settings, &place.gist, Some(&place.file));
        Seat::new(self.settings, options)
    }

    /// The lock has left its old place. `None`: it has arrived.
    fn resume(&self, to: &Place, target: Option<&GistId>) -> Result<Option<Seat>, Trouble> {
        if target.is_some_and(|gist| *gist != to.gist) {
            return failed(format!(
                "{}; or unset it, to go on with that",
                moved_text(&self.from, &Moved::To(to.clone()))
            ));
        }
        let mut new = self.seat(to)?;
        match new.look()?.state {
            State::Moved(Moved::From(from)) if from == self.from => {
                self.say.line(format_args!(
                    "goes on: gist {} is closed, gist {} is not open yet",
                    self.from.gist, to.gist
                ));
                Ok(Some(new))
            }
            State::Lock { .. } => {
                self.say.line(format_args!(
                    "nothing to do: the lock of {} was moved to {}",
                    named(&self.from),
                    named(to)
                ));
                Ok(None)
            }
            State::Moved(moved) => failed(moved_text(to, &moved)),
            State::Empty | State::Broken(_) => failed(format!(
                "{} was changed by hand since the lock was moved there: put back what it held \
                 before, and run this again",
                named(to)
            )),
        }
    }

    // ---- steps 2 to 4 ----

    fn finish(&mut self, to: &Place, new: &mut Seat) -> Result<(), Trouble> {
        let moved = Moved::To(to.clone());
        for _ in 0..TRIES {
            let wait = self.close(to)?;
            self.say
                .count_down(wait, "until whoever led by it is gone for certain")?;
            let delay = self.settings.gist.confirm_delay;
            match self.old.confirm(&moved, delay)? {
                Stays::Yes { token } => return self.open(to, new, token),
                Stays::No(look) => self.reopened(&look, to)?,
            }
        }
        failed(crowded(&self.from))
    }

    /// The closing record did not stay: ends this, unless the gist just lost it.
    fn reopened(&self, look: &Look, to: &Place) -> Result<(), Trouble> {
        if let State::Lock { plain: true, .. } | State::Broken(_) = look.state {
            return failed(format!(
                "{} was written past the elections while it was closed: stop whoever did that \
                 (client-go candidates do not heed it), and run this again",
                named(&self.from)
            ));
        }
        self.is_closed(look, to)?;
        self.say.line(
            "the old gist lost what was written to it, as GitHub does at times: closing it once more",
        );
        Ok(())
    }

    /// Has the old place say where the lock went. Returns how long from now somebody may lead by what
    /// stood there before.
    fn close(&mut self, to: &Place) -> Result<Duration, Trouble> {
        let mut longest = Duration::ZERO;
        for _ in 0..TRIES {
            let look = self.old.look()?;
            if self.is_closed(&look, to)? {
                self.say.line(format_args!(
                    "closed gist {}: its candidates claim nothing any more, and say where the lock \
                     went",
                    self.from.gist
                ));
                return Ok(longest.max(look.lease));
            }
            // What was seen once counts, whatever came in its place meanwhile.
            longest = longest.max(look.lease);
            if look.record_lost {
                // What is gone may come back, and lead for as long.
                longest += look.lease;
            }
            let mark = Mark::Moved(Moved::To(to.clone()));
            // The next look shows whether it took effect; it carries the wait for whoever goes on.
            let _ = self.old.write(look.token, longest, &mark)?;
        }
        failed(crowded(&self.from))
    }

    /// Whether the old place says so; that it says something else ends this.
    fn is_closed(&self, look: &Look, to: &Place) -> Result<bool, Trouble> {
        match &look.state {
            State::Moved(Moved::To(place)) if place == to => Ok(true),
            State::Moved(moved) => failed(format!(
                "{}; {} is of no use",
                moved_text(&self.from, moved),
                named(to)
            )),
            _ => Ok(false),
        }
    }

    fn open(&mut self, to: &Place, new: &mut Seat, token: u64) -> Result<(), Trouble> {
        for _ in 0..TRIES {
            let look = new.look()?;
            match &look.state {
                State::Lock { .. } => {
                    self.say.line(format_args!(
                        "opened gist {}: the next term has a token above {token}",
                        to.gist
                    ));
                    self.say.in_kubernetes(to);
                    return Ok(());
                }
                State::Moved(Moved::From(from)) if *from == self.from => {}
                State::Moved(moved) => return failed(moved_text(to, moved)),
                State::Empty | State::Broken(_) => {
                    return failed(format!(
                        "{} was changed by hand: put back what it held before, and run this again",
                        named(to)
                    ));
                }
            }
            let written = new.write(look.token.max(token), RELEASED, &Mark::Checkpoint)?;
            if written.is_some() {
                // Should it be lost after all, the next look shows that.
                wait_until(BootClock::now() + self.settings.gist.confirm_delay)?;
            }
        }
        failed(crowded(to))
    }
}
