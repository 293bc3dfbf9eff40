//! Places where the lease record is kept, behind one interface.
//!
//! A new kind of lock needs a separate folder and one line in `KINDS`.

pub mod admin;
pub mod backend;
pub mod cas;
mod clocks;
pub mod credentials;
pub mod exchange;
pub mod gist;
pub mod git;
#[expect(clippy::disallowed_methods, reason = "waits between requests")]
mod init;
pub mod inspection;
pub mod kubernetes;
pub mod object;
pub mod quorum;
pub mod settings;
pub mod stats;
pub mod steering;
pub mod store;
pub mod stored;
pub mod term_history;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::backend::Backend;
use self::settings::{Found, Noted, Reader, Setting, shown};

/// Every kind of lock. The first one counts if `LOCK` is not set.
const KINDS: &[&Kind] = &[
    &gist::settings::KIND,
    &git::settings::KIND,
    &git::settings::GIST_KIND,
    &kubernetes::settings::KIND,
    &object::s3::KIND,
    &object::azure::KIND,
    &object::google::KIND,
];

/// Kind of lock, as its settings choose it.
#[derive(Debug)]
pub struct Kind {
    /// What precedes the first `:` of `LOCK`.
    pub schemes: &'static [&'static str],
    /// Forms of `LOCK`, for messages.
    pub forms: &'static [&'static str],
    /// Settings that only this kind has, or that it shares with some kinds.
    pub settings: &'static [Setting],
    /// Variables of the store's own tools that this kind reads, also with the prefix.
    pub variables: &'static [&'static str],
    /// Reads the settings. Returns the confirm delay beside the lock, because the times are checked
    /// against it even if another setting is missing or bad.
    pub read: fn(&mut Reader<'_>, Option<&Place>, Surroundings<'_>) -> ReadLock,
}

/// Lock that the settings describe, and its confirm delay.
pub type ReadLock = (Result<Arc<dyn Backend>, Noted>, Option<Duration>);

/// Value of `LOCK`: `SCHEME:REST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Variable that it was found in.
    pub variable: String,
    /// Whole value.
    pub value: String,
    /// What precedes the first `:`.
    pub scheme: String,
    /// What follows it.
    pub rest: String,
}

impl Place {
    /// Notes what is wrong with it.
    pub fn refuse(&self, reader: &mut Reader<'_>, why: &str) -> Noted {
        reader.problem(format!(
            "{}: {} is not valid; {why}",
            self.variable,
            shown(&self.value)
        ));
        Noted
    }
}

/// Settings that every kind of lock needs.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// PEM file with certificates to trust in place of the built-in ones.
    pub ca_file: Option<&'a Path>,
    /// Whether the place may not exist yet.
    pub new: bool,
}

/// Purpose for which settings are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The lock is used.
    Use,
    /// Its place may not exist yet.
    Create,
    /// It is moved. The settings may be those of another kind of lock too.
    Move,
}

/// Lock that the settings describe.
#[derive(Clone, Debug)]
pub struct LockSpec(Arc<dyn Backend>);

impl LockSpec {
    /// Reads the settings of the lock. `ca_file` is a PEM file with certificates to trust.
    ///
    /// Returns the confirm delay beside the lock, because the times are checked against it even if another
    /// setting of the lock is missing or bad. Such settings are noted.
    pub fn read(
        reader: &mut Reader<'_>,
        ca_file: Option<&Path>,
        purpose: Purpose,
    ) -> (Result<LockSpec, Noted>, Option<Duration>) {
        let (kind, place) = match chosen(reader) {
            Ok(chosen) => chosen,
            Err(noted) => return (Err(noted), None),
        };
        if purpose != Purpose::Move {
            refuse_other_settings(reader, kind, place.as_ref());
        }
        let new = purpose == Purpose::Create;
        let (lock, confirm_delay) =
            (kind.read)(reader, place.as_ref(), Surroundings { ca_file, new });
        (lock.map(LockSpec), confirm_delay)
    }

    /// Returns the interface of the lock's kind.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        &*self.0
    }
}

/// Returns the kind that `LOCK` names, or the first one.
fn chosen(reader: &mut Reader<'_>) -> Result<(&'static Kind, Option<Place>), Noted> {
    let Some(found) = reader.public_text("LOCK")? else {
        return Ok((KINDS[0], None));
    };
    let Found {
        variable, value, ..
    } = found;
    let (scheme, rest) = value.split_once(':').unwrap_or((&value, ""));
    let kind = KINDS.iter().find(|kind| kind.schemes.contains(&scheme));
    let place = Place {
        scheme: scheme.to_owned(),
        rest: rest.to_owned(),
        variable,
        value: value.clone(),
    };
    match kind {
        // The value may contain a password.
        _ if value.contains('@') => {
            reader.problem(format!(
                "{}: contains a user name or password (not shown); remove it, and give the access token \
                 in LOCK_TOKEN_FILE",
                place.variable
            ));
            Err(Noted)
        }
        Some(kind) => Ok((kind, Some(place))),
        None => {
            let forms = KINDS.iter().flat_map(|kind| kind.forms).copied();
            let forms: Vec<&str> = forms.collect();
            Err(place.refuse(reader, &format!("use one of {}", forms.join(", "))))
        }
    }
}

/// Notes settings of the place or its credentials that only other kinds of locks have.
fn refuse_other_settings(reader: &mut Reader<'_>, kind: &Kind, place: Option<&Place>) {
    for setting in settings() {
        let name = setting.name;
        let places = ["LOCK_", "GIST_"];
        let is_own = kind.settings.iter().any(|own| own.name == name);
        if is_own || !places.iter().any(|start| name.starts_with(start)) {
            continue;
        }
        if let Some(found) = reader.raw(name) {
            reader.problem(match place {
                Some(place) => format!(
                    "{}: set, but a lock of the kind {} has no such setting; unset it",
                    found.variable, place.scheme
                ),
                None => format!(
                    "{}: set, but LOCK is not; set LOCK, or unset this",
                    found.variable
                ),
            });
        }
    }
}

/// Returns the variables of other tools that kinds of locks read.
pub fn variables() -> impl Iterator<Item = &'static str> {
    KINDS.iter().flat_map(|kind| kind.variables).copied()
}

/// Returns the settings of all kinds of locks, as `elector help settings` shows them.
pub fn settings() -> impl Iterator<Item = Setting> {
    let mut known: Vec<&str> = Vec::new();
    let kinds = KINDS.iter().flat_map(|kind| kind.settings).copied();
    let mut settings = vec![settings::LOCK];
    for setting in kinds {
        if !known.contains(&setting.name) {
            known.push(setting.name);
            settings.push(setting);
        }
    }
    settings.into_iter()
}
