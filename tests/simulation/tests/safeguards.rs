//! With a safeguard left out, the simulation notices within so many worlds: by one of its checks, and,
//! where such worlds are not too rare, by a promise that is broken.

use multi_cluster_leader_election::election::safeguard::Safeguard;
use simulation::many::{Draw, first_violation};
use simulation::missing::{Missing, Rule, leave_out};
use simulation::scenario::Scenario;
use simulation::world::{Checks, run};

use Missing::{Rule as R, Safeguard as S};

/// In which worlds it is noticed that something is missing.
#[derive(Clone, Copy)]
enum Within {
    /// In one of the first so many drawn worlds.
    Drawn(u64),
    /// In one of the first so many in which writes race.
    Racing(u64),
    /// In one of the first so many in which requests are scarce.
    Scarce(u64),
    /// Too rare for a test, or kept by another rule as well; the reason is said.
    Rare(&'static str),
}

use Within::{Drawn, Racing, Rare, Scarce};

/// What is left out, where any check notices, and where a promise is broken.
const NET: &[(Missing, Within, Within)] = &[
    (S(Safeguard::LeaseFromBeforeRequest), Drawn(5), Racing(60)),
    (S(Safeguard::Supersedes), Drawn(5), Drawn(10)),
    (S(Safeguard::ConfirmedClaim), Drawn(5), Racing(5)),
    (S(Safeguard::ConfirmedByWrite), Drawn(5), Racing(40)),
    (S(Safeguard::LeaseFromConfirmed), Drawn(5), Racing(10)),
    (S(Safeguard::ConfirmedUndisturbed), Drawn(5), Racing(240)),
    (S(Safeguard::TokenAboveAllSeen), Drawn(10), Drawn(10)),
    (S(Safeguard::OwnReleaseOnly), Drawn(10), Drawn(50)),
    (S(Safeguard::WriteFoundById), Drawn(10), Racing(5)),
    (S(Safeguard::OverwrittenWait), Drawn(10), Drawn(40)),
    (S(Safeguard::AgeOfOursOnly), Drawn(10), Drawn(120)),
    (S(Safeguard::WorkloadGone), Drawn(10), Drawn(10)),
    (S(Safeguard::ProcessNotName), Drawn(10), Drawn(10)),
    (S(Safeguard::TokenOutlivesRecord), Drawn(10), Drawn(10)),
    (
        S(Safeguard::EnoughLeft),
        Drawn(10),
        Rare("the guard starts nothing whose time is over"),
    ),
    (S(Safeguard::LookAfterLostWrite), Drawn(10), Drawn(10)),
    (
        S(Safeguard::SeenFromAnswer),
        Drawn(45),
        Rare("the margin and the delay before a claim leads cover most of a request's time"),
    ),
    (S(Safeguard::RecordsOwnLease), Drawn(10), Racing(10)),
    (S(Safeguard::UsableLease), Drawn(5), Racing(100)),
    (S(Safeguard::LimitEndsTerm), Drawn(5), Racing(160)),
    (S(Safeguard::StaleAnswersRefused), Racing(5), Racing(5)),
    (S(Safeguard::LookBack), Drawn(10), Drawn(20)),
    (S(Safeguard::ConfirmDelay), Drawn(5), Racing(50)),
    (S(Safeguard::LostWritesForgotten), Drawn(20), Racing(390)),
    (
        S(Safeguard::EqualContentPassedOver),
        Drawn(10),
        Rare("readers disagree, but only where another file was written"),
    ),
    (S(Safeguard::OverdueGuardKilled), Drawn(5), Drawn(5)),
    (S(Safeguard::ClearedBeforeGone), Drawn(5), Drawn(5)),
    (R(Rule::NotWallClock), Drawn(10), Drawn(10)),
    (R(Rule::TimeRunsOnInSuspend), Drawn(10), Drawn(10)),
    (R(Rule::GuardHoldsDeadline), Drawn(10), Drawn(20)),
    (R(Rule::GuardSeesElectorsEnd), Drawn(5), Racing(115)),
    (
        R(Rule::LooksPutOff),
        Scarce(10),
        Rare("a leader is lost without it, and no second one made"),
    ),
];

/// Not in the net: what is promised holds without it. A test of its own shows what it is good for.
const BEYOND_THE_PROMISES: Missing = S(Safeguard::RewoundPause);

#[track_caller]
fn is_missed(missing: Missing, within: Within, checks: Checks) {
    let name = missing.name();
    let (draw, worlds): (Draw, _) = match within {
        Drawn(worlds) => (Scenario::draw, worlds),
        Racing(worlds) => (Scenario::racing, worlds),
        Scarce(worlds) => (Scenario::scarce, worlds),
        Rare(why) => return println!("{name}: {why}"),
    };
    let noticed = first_violation(draw, 0..worlds, checks, Some(missing));
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
    for (missing, within, _) in NET {
        is_missed(*missing, *within, Checks::All);
    }
}

#[test]
fn without_any_one_of_them_a_promise_is_broken() {
    for (missing, _, within) in NET {
        is_missed(*missing, *within, Checks::Promises);
    }
}

/// Where the gist's history is rewritten nothing is promised; the pause makes it less bad.
#[test]
fn the_pause_after_a_rewind_makes_a_rewritten_history_less_bad() {
    let broken = |missing| {
        leave_out(missing);
        let worlds = (0..500).map(Scenario::rewritten);
        let broken = worlds.filter(|world| run(world, Checks::Promises).is_err());
        let broken = broken.count();
        leave_out(None);
        broken
    };
    let (with, without) = (broken(None), broken(Some(BEYOND_THE_PROMISES)));
    assert!(with < without, "{with} worlds with it, {without} without");
}
