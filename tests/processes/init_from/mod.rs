//! `elector init --from`: a lock is moved while it is fought for, the command is killed at every
//! point and started again; never do two lead, and tokens rise across the move. (A world checks that
//! when it is dropped, over all that its electors said, whichever gist they use.)

mod gate;

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::process::program::Start;
use crate::support::process::{Elector, TIMES, TOKEN, World, await_one_leading};
use crate::support::{eventually, for_each};
use elector::LeaderElectionRecord;
use elector::lock::gist::stored::{Mark, to_first_text};
use gate::{Gate, Stop};
use serde_json::Value;

/// A world whose lock has seen some terms.
fn old_world() -> World {
    let record = LeaderElectionRecord {
        lease_duration_seconds: 1,
        leader_transitions: 7,
        ..LeaderElectionRecord::default()
    };
    let text = to_first_text(&record, "before-1", &Mark::Checkpoint);
    World::with_files(&[("leader.json", &text)])
}

/// The command, with the settings of this world's electors but for the gist.
fn init(world: &World, args: &[&str]) -> Start {
    let mut command = Command::new(env!("CARGO_BIN_EXE_elector"));
    command.arg("init").args(args);
    Start::of("init", command)
        .with_all(TIMES)
        .with("GITHUB_API_URL", world.service.url())
        .with("GITHUB_API_TOKEN", TOKEN)
}

/// Runs it to its end, and gives its exit code and all that it said.
fn run(world: &World, start: Start) -> (Option<i32>, String) {
    let mut init = world.spawn(start);
    (init.await_exit(), init.text())
}

/// Moves the lock of the world to its end; gives the gist where it is then.
fn move_on(world: &World, start: Start) -> String {
    let (code, said) = run(world, start);
    assert_eq!(code, Some(0), "{said}");
    set_by(&said)
}

/// What the command says is to be set.
fn set_by(said: &str) -> String {
    let mut lines = said.lines();
    let line = lines.find_map(|line| line.strip_prefix("export GIST_ID="));
    line.unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// The record that stands in a gist.
fn record(world: &World, gist: &str) -> Value {
    let history = world.service.history(gist);
    let text = history
        .first()
        .and_then(|head| head.files.get("leader.json"));
    text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

/// Where the record of the old gist says that the lock went.
fn moved_to(world: &World) -> Option<String> {
    world.record()["movedTo"].as_str().map(str::to_owned)
}

fn start_on(world: &World, gist: &str, name: &str) -> Elector {
    world.spawn(world.elector(name).with("GIST_ID", gist))
}

/// Two that fight for the old gist; the first of them leads.
fn old_electors(world: &World) -> [Elector; 2] {
    let first = world.start_leader("napoleon");
    let second = world.start("cleopatra");
    second.await_said("All hail napoleon");
    [first, second]
}

/// The lock has arrived: electors there lead, those of the old gist do not and say where it went.
fn has_arrived(world: &World, gist: &str, old: &[Elector]) {
    assert_eq!(moved_to(world).as_deref(), Some(gist));
    let there = [
        start_on(world, gist, "caesar"),
        start_on(world, gist, "augustus"),
    ];
    await_one_leading(&there.each_ref());
    for elector in old {
        elector.await_not_leading();
        elector.await_said(&format!("the lock was moved to GIST_ID={gist}"));
    }
    let late = record(world, gist)["leaderTransitions"].as_u64();
    assert!(late > world.record()["leaderTransitions"].as_u64());
}

#[test]
fn a_lock_that_is_fought_for_is_moved_to_a_new_gist() {
    let world = old_world();
    let old = old_electors(&world);
    let gist = move_on(&world, init(&world, &["--from", &world.gist]));
    assert_ne!(gist, world.gist);
    has_arrived(&world, &gist, &old);
    // Who comes to the old one by mistake is told at once.
    let mut late = world.start("stalin");
    assert_eq!(late.await_exit(), Some(1));
    assert!(late.said(&format!("GIST_ID={gist}")), "{}", late.text());
}

/// The points: each of the writes, before it is done or after. These are the preparation of the new
/// gist, of one that was named also its confirmation, then the closing, its confirmation, and the
/// opening.
fn points() -> Vec<(Stop, bool)> {
    let mut points = Vec::new();
    for (named, writes) in [(false, 4), (true, 5)] {
        for write in 1..=writes {
            points.extend([false, true].map(|done| (Stop { write, done }, named)));
        }
    }
    points
}

#[test]
fn killed_at_any_point_it_goes_on_where_it_ended() {
    for_each(&points(), |(stop, named)| {
        let world = old_world();
        let old = old_electors(&world);
        let target = match named {
            true => world.service.create_gist(&[("leader.json", "{}")]).unwrap(),
            false => String::new(),
        };
        let gate = Gate::new(&world.service.url(), *stop);
        let start = init(&world, &["--from", &world.gist])
            .with("GIST_ID", &target)
            .with("GITHUB_API_URL", gate.url());
        let mut first = world.spawn(start);
        gate.await_stop();
        first.kill();

        // Whoever hears of the new gist too early does not lead there.
        let early = moved_to(&world).map(|gist| start_on(&world, &gist, "brutus"));
        let named_later = moved_to(&world);
        let again = || init(&world, &["--from", &world.gist]).with("GIST_ID", &target);
        let gist = move_on(&world, again());
        if let Some(gone_to) = named_later {
            assert_eq!(gist, gone_to, "{stop:?}: it went elsewhere");
        }
        if *named {
            assert_eq!(gist, target);
        }
        drop(early);
        has_arrived(&world, &gist, &old);

        // Once more: there is nothing left to do, and it says so.
        let revisions = || world.service.history(&world.gist).len();
        let before = revisions();
        let (code, said) = run(&world, again());
        assert_eq!((code, set_by(&said)), (Some(0), gist), "{said}");
        assert!(said.contains("nothing to do"), "{said}");
        assert_eq!(revisions(), before);
    });
}

#[test]
fn killed_again_and_again_it_comes_to_its_end() {
    let seeds: Vec<u64> = (0..3).collect();
    for_each(&seeds, |seed| {
        let mut rng = fastrand::Rng::with_seed(*seed);
        let world = old_world();
        let old = old_electors(&world);
        let mut tries = 0;
        let gist = loop {
            tries += 1;
            let mut init = world.spawn(init(&world, &["--from", &world.gist]));
            // Sooner or later it gets the time that it needs.
            let end = Instant::now() + Duration::from_millis(rng.u64(0..2_000 * tries));
            while init.is_running() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            match init.status() {
                Some(status) => {
                    assert!(status.success(), "{}", init.text());
                    init.await_exit();
                    break set_by(&init.text());
                }
                None => init.kill(),
            }
        };
        has_arrived(&world, &gist, &old);
    });
}

#[test]
fn answers_that_are_lost_and_writes_that_vanish_do_not_make_two_leaders() {
    // Moving the head takes less than the confirm delay of 100 ms.
    let cases = [
        r#"{"lost_answers":0.4,"seed":1}"#,
        r#"{"lost_answers":0.4,"race":"vanish","race_window_ms":[0,50],"race_limit_ms":80,"seed":2}"#,
        r#"{"race":"vanish","race_window_ms":[20,70],"race_limit_ms":80,"seed":3}"#,
        r#"{"drop":0.2,"error_5xx":0.1,"error_write_landed":0.5,"seed":4}"#,
    ];
    for_each(&cases, |faults| {
        let world = old_world();
        // A claim that came too late has a higher token than the renewal that came before it.
        world.passed_over.set(true);
        let target = world.service.create_gist(&[("leader.json", "{}")]).unwrap();
        let old = old_electors(&world);
        world.set_faults(faults);
        // It gives up at times, and says why; run again, it goes on.
        let mut said = String::new();
        eventually("it is moved", || {
            let again = init(&world, &["--from", &world.gist]).with("GIST_ID", &target);
            let (code, text) = run(&world, again);
            said = text;
            assert!(matches!(code, Some(0 | 1)), "{said}");
            code == Some(0)
        });
        world.set_faults("{}");
        assert_eq!(set_by(&said), target);
        has_arrived(&world, &target, &old);
    });
}

/// How many revisions of the old gist there are from the closing record on.
fn since_closing(world: &World) -> usize {
    let history = world.service.history(&world.gist);
    let closing = history.iter().position(|seen| {
        let text = seen.files.get("leader.json");
        text.is_some_and(|text| text.contains("movedTo"))
    });
    closing.unwrap() + 1
}

#[test]
fn a_closing_record_that_vanishes_is_written_again() {
    let world = old_world();
    world.passed_over.set(true);
    let old = old_electors(&world);
    let mut init = world.spawn(init(&world, &["--from", &world.gist]));
    init.await_said("closed gist");
    world
        .service
        .remove_newest(&world.gist, since_closing(&world))
        .unwrap();
    init.await_said("once more");
    assert_eq!(init.await_exit(), Some(0), "{}", init.text());
    has_arrived(&world, &set_by(&init.text()), &old);
}

#[test]
fn a_preparation_that_vanishes_behind_a_claim_leaves_both_gists_as_they_are() {
    let world = old_world();
    world.several_locks.set(true);
    let old = old_electors(&world);
    let target = world.service.create_gist(&[("leader.json", "{}")]).unwrap();
    let gate = Gate::new(
        &world.service.url(),
        Stop {
            write: 2,
            done: false,
        },
    );
    let start = init(&world, &["--from", &world.gist])
        .with("GIST_ID", &target)
        .with("GITHUB_API_URL", gate.url());
    let mut init = world.spawn(start);
    gate.await_stop();
    world.service.remove_newest(&target, 1).unwrap();
    let there = start_on(&world, &target, "caesar");
    there.await_leading();
    gate.open();
    assert_eq!(init.await_exit(), Some(1), "{}", init.text());
    assert!(init.said("holds a lock of its own"), "{}", init.text());
    assert_eq!(moved_to(&world), None);
    assert!(there.leads().is_some() && old[0].leads().is_some());
}

#[test]
fn while_somebody_writes_past_the_closing_record_nothing_is_opened() {
    let world = old_world();
    let old = old_electors(&world);
    let mut first = world.spawn(init(&world, &["--from", &world.gist]));
    first.await_said("closed gist");
    let gist = moved_to(&world).unwrap();
    world.put(r#"{"holderIdentity":"legacy","leaseDurationSeconds":5,"leaderTransitions":9}"#);
    assert_eq!(first.await_exit(), Some(1), "{}", first.text());
    assert!(first.said("written past the elections"), "{}", first.text());
    let mut early = start_on(&world, &gist, "brutus");
    assert_eq!(early.await_exit(), Some(1));
    assert!(
        early.said("nobody may lead by this one yet"),
        "{}",
        early.text()
    );
    let again = init(&world, &["--from", &world.gist]).with("GIST_ID", &gist);
    assert_eq!(move_on(&world, again), gist);
    has_arrived(&world, &gist, &old);
}

#[test]
fn two_who_move_the_same_lock_move_it_to_one_place() {
    let world = old_world();
    let old = old_electors(&world);
    let start = || init(&world, &["--from", &world.gist]);
    let mut both = [world.spawn(start()), world.spawn(start())];
    let codes: Vec<_> = both.iter_mut().map(Elector::await_exit).collect();
    assert!(codes.contains(&Some(0)), "{}", world.everything_said());
    for (init, code) in both.iter().zip(codes) {
        assert!(
            code == Some(0) || init.said("is of no use"),
            "{}",
            init.text()
        );
    }
    let gist = moved_to(&world).unwrap();
    has_arrived(&world, &gist, &old);
}

#[test]
fn a_gist_that_was_made_and_not_used_can_take_the_lock() {
    let world = old_world();
    let old = old_electors(&world);
    let target = world.service.create_gist(&[("leader.json", "{}")]).unwrap();
    let (code, said) = run(&world, init(&world, &[]).with("GIST_ID", &target));
    assert_eq!(code, Some(0), "{said}");
    let start = init(&world, &["--from", &world.gist]).with("GIST_ID", &target);
    assert_eq!(move_on(&world, start), target);
    has_arrived(&world, &target, &old);
}

#[test]
fn a_lock_can_be_moved_back() {
    let world = old_world();
    let mut first = world.start_leader("napoleon");
    first.leave();
    let gist = move_on(&world, init(&world, &["--from", &world.gist]));
    let there = start_on(&world, &gist, "caesar");
    there.await_leading();
    let back = init(&world, &["--from", &gist]).with("GIST_ID", &world.gist);
    assert_eq!(move_on(&world, back), world.gist);
    there.await_not_leading();
    world.start_leader("cleopatra");
}

#[test]
fn a_lock_can_be_moved_to_another_file_of_its_gist() {
    let world = old_world();
    let old = world.start_leader("napoleon");
    let to_itself = || {
        init(&world, &["--from", &world.gist])
            .with("GIST_ID", &world.gist)
            .with("GIST_FILE", "leader.json")
    };
    let (code, said) = run(&world, to_itself());
    assert_eq!(code, Some(2), "{said}");
    let args = ["--from", &world.gist, "--from-file", "leader.json"];
    let start = init(&world, &args)
        .with("GIST_ID", &world.gist)
        .with("GIST_FILE", "other.json");
    assert_eq!(move_on(&world, start), world.gist);
    old.await_not_leading();
    let there = world.elector("caesar").with("GIST_FILE", "other.json");
    assert!(world.spawn(there).await_leading() > 0);
}
