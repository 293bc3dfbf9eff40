//! With a safeguard left out, the simulation notices within so many worlds: by one of its checks, and,
//! where such worlds are not too rare, by a promise that is broken.

use multi_cluster_leader_election::election::safeguard::Safeguard;
use simulation::many::{Draw, first_violation};
use simulation::missing::{Missing, Rule, leave_out};
use simulation::scenario::Scenario;
use simulation::world::{Checks, run};

use Missing::{Rule as R, Safeguard as S};

/// A promise that is broken without it.
#[derive(Clone, Copy)]
enum Promise {
    /// In one of the first so many drawn worlds.
    Drawn(u64),
    /// In one of the first so many in which writes race.
    Racing(u64),
    /// Too rare for a test, or kept by another rule as well; the reason is said.
    Rare(&'static str),
}

use Promise::{Drawn, Racing, Rare};

/// What is left out, within how many drawn worlds any check notices, and what becomes of the promises.
const NET: &[(Missing, u64, Promise)] = &[
    (S(Safeguard::LeaseFromBeforeRequest), 5, Drawn(200)),
    (S(Safeguard::Supersedes), 5, Drawn(10)),
    (S(Safeguard::ConfirmedClaim), 5, Drawn(20)),
    (S(Safeguard::ConfirmedByWrite), 5, Racing(60)),
    (S(Safeguard::LeaseFromConfirmed), 5, Racing(10)),
    (S(Safeguard::ConfirmedUndisturbed), 5, Racing(300)),
    (S(Safeguard::TokenAboveAllSeen), 10, Drawn(10)),
    (S(Safeguard::OwnReleaseOnly), 10, Drawn(30)),
    (S(Safeguard::WriteFoundById), 10, Drawn(30)),
    (S(Safeguard::OverwrittenWait), 10, Drawn(10)),
    (S(Safeguard::AgeOfOursOnly), 10, Drawn(400)),
    (S(Safeguard::WorkloadGone), 10, Drawn(30)),
    (S(Safeguard::ProcessNotName), 10, Drawn(10)),
    (S(Safeguard::TokenOutlivesRecord), 10, Drawn(10)),
    (
        S(Safeguard::EnoughLeft),
        10,
        Rare("the guard starts nothing whose time is over"),
    ),
    (S(Safeguard::LookAfterLostWrite), 200, Drawn(200)),
    (
        S(Safeguard::SeenFromAnswer),
        120,
        Rare("the margin and the delay before a claim leads cover most of a request's time"),
    ),
    (S(Safeguard::RecordsOwnLease), 20, Drawn(20)),
    (S(Safeguard::UsableLease), 5, Racing(220)),
    (S(Safeguard::LimitEndsTerm), 5, Racing(50)),
    (S(Safeguard::StaleAnswersRefused), 40, Drawn(40)),
    (S(Safeguard::LookBack), 10, Drawn(30)),
    (S(Safeguard::ConfirmDelay), 5, Racing(10)),
    (S(Safeguard::LostWritesForgotten), 20, Racing(80)),
    (
        S(Safeguard::EqualContentPassedOver),
        10,
        Rare("readers disagree, but only where another file was written"),
    ),
    (S(Safeguard::OverdueGuardKilled), 5, Drawn(5)),
    (S(Safeguard::ClearedBeforeGone), 5, Drawn(5)),
    (R(Rule::NotWallClock), 20, Drawn(20)),
    (R(Rule::TimeRunsOnInSuspend), 10, Drawn(10)),
    (R(Rule::GuardHoldsDeadline), 10, Drawn(10)),
    (R(Rule::GuardSeesElectorsEnd), 5, Drawn(150)),
    (
        R(Rule::LooksPutOff),
        200,
        Rare("a leader is lost without it, and no second one made"),
    ),
];

/// Not in the net: what is promised holds without it. A test of its own shows what it is good for.
const BEYOND_THE_PROMISES: Missing = S(Safeguard::RewoundPause);

#[track_caller]
fn is_missed(missing: Missing, draw: Draw, worlds: u64, checks: Checks) {
    let noticed = first_violation(draw, 0..worlds, checks, Some(missing));
    let name = missing.name();
    assert!(
        noticed.is_some(),
        "{name} was not missed in {worlds} worlds"
    );
}

#[test]
fn every_safeguard_has_its_place() {
    for missing in Missing::all() {
        let entries = NET.iter().filter(|(entry, ..)| *entry == missing).count();
        let beyond = usize::from(missing == BEYOND_THE_PROMISES);
        assert_eq!(entries + beyond, 1, "{}", missing.name());
    }
}

#[test]
fn without_any_one_of_them_some_check_fails() {
    for (missing, worlds, _) in NET {
        is_missed(*missing, Scenario::draw, *worlds, Checks::All);
    }
}

#[test]
fn without_any_one_of_them_a_promise_is_broken() {
    for (missing, _, promise) in NET {
        match promise {
            Drawn(worlds) => is_missed(*missing, Scenario::draw, *worlds, Checks::Promises),
            Racing(worlds) => is_missed(*missing, Scenario::racing, *worlds, Checks::Promises),
            Rare(why) => println!("{}: {why}", missing.name()),
        }
    }
}

/// Where the gist's history is rewritten nothing is promised; the pause makes it less bad.
#[test]
fn the_pause_after_a_rewind_makes_a_rewritten_history_less_bad() {
    let broken = |missing| {
        leave_out(missing);
        let worlds = (0..150).map(Scenario::rewritten);
        let broken = worlds.filter(|world| run(world, Checks::Promises).is_err());
        let broken = broken.count();
        leave_out(None);
        broken
    };
    let (with, without) = (broken(None), broken(Some(BEYOND_THE_PROMISES)));
    assert!(with < without, "{with} worlds with it, {without} without");
}
