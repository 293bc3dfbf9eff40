//! With a safeguard left out, the simulation notices within so many worlds: by one of its checks, and,
//! where such worlds are not too rare, by a promise that is broken.

use std::time::Duration;

use elector::election::safeguard::Safeguard;
use simulation::faults::Faults;
use simulation::many::{Draw, first_violation};
use simulation::missing::{Missing, Rule, leave_out};
use simulation::scenario::Scenario;
use simulation::tally::Tally;
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
    (
        S(Safeguard::LookAfterLostWrite),
        Rare("writes are sent in vain, which a test of its own counts"),
        Rare("what is sent in vain takes no effect"),
    ),
    (
        S(Safeguard::SeenFromAnswer),
        Drawn(45),
        Rare("the margin and the delay before a claim leads cover most of a request's time"),
    ),
    (S(Safeguard::RecordsOwnLease), Drawn(10), Racing(10)),
    (S(Safeguard::UsableLease), Drawn(5), Racing(100)),
    (
        S(Safeguard::LimitEndsTerm),
        Drawn(5),
        Rare("the guard ends the workload at the limit that it was told"),
    ),
    (
        S(Safeguard::StaleAnswersRefused),
        Rare("takeovers come later, which a test of its own counts"),
        Rare("what an old answer hides is waited for"),
    ),
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

/// Nobody leads twice without it, as a write that lost its place takes no effect. But it is sent in vain.
#[test]
fn a_look_after_a_lost_answer_spares_writes() {
    let revisions = |missing| {
        leave_out(missing);
        let tallies = (0..100).map(|seed| run(&Scenario::draw(seed), Checks::Promises));
        let writes: u64 = tallies.flatten().map(|tally| tally.writes).sum();
        leave_out(None);
        writes
    };
    let (with, without) = (
        revisions(None),
        revisions(Some(S(Safeguard::LookAfterLostWrite))),
    );
    assert!(
        with < without,
        "{with} revisions with it, {without} without"
    );
}

/// An old answer would count as a history that was rewritten, after which nothing is claimed for a lease.
#[test]
fn refusing_old_answers_makes_takeovers_sooner() {
    let late = |missing| {
        leave_out(missing);
        let mut all = Tally::default();
        for seed in 0..10 {
            let mut world = Scenario::steady(seed, 3);
            world.suffices = false;
            world.faults = Faults {
                stale_reads: 0.3,
                stale_by: Duration::from_secs(9),
                crashes: 40.0,
                ..Faults::none()
            };
            all.add(&run(&world, Checks::Promises).unwrap_or_else(|broken| panic!("{broken}")));
        }
        leave_out(None);
        assert!(all.takeovers > 200);
        all.takeover_sum / all.takeovers as u32
    };
    let (with, without) = (late(None), late(Some(S(Safeguard::StaleAnswersRefused))));
    assert!(
        with < without * 3 / 4,
        "{with:?} with it, {without:?} without"
    );
}
