//! A disk that is slow, full or broken, and what is to be read on it meanwhile.

use std::time::Instant as Monotonic;

use super::*;

/// Long enough for the slowest machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a disk is to do with the next write, step by step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Works,
    /// Blocks before it is asked whether the line is still wanted.
    SlowToWrite,
    /// Blocks after that.
    SlowToRename,
    Full,
}

#[derive(Debug, Default)]
struct FakeState {
    mood: Mood,
    /// Something is blocked.
    blocked: bool,
    line: Option<String>,
    /// Every line that was to be read, ever.
    lines: Vec<String>,
    failures: u32,
}

#[derive(Clone, Debug, Default)]
struct FakeDisk(Arc<Monitor<FakeState>>);

impl FakeDisk {
    fn set(&self, mood: Mood) {
        self.0.change(|state| state.mood = mood);
    }

    /// Blocks as long as the mood is this.
    fn block(&self, mood: Mood) {
        let mut state = self.0.wait_while(|state| {
            state.blocked = state.mood == mood;
            state.blocked
        });
        state.blocked = false;
    }

    fn await_it(&self, what: &str, is_so: impl Fn(&FakeState) -> bool) {
        let started = Monotonic::now();
        while !is_so(&self.0.lock()) {
            assert!(started.elapsed() < PATIENCE, "{what}: {:?}", self.0.lock());
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn await_token(&self, token: u64) {
        let part = format!("\"token\":{token},");
        self.await_it(&part, |state| {
            state.line.as_ref().is_some_and(|line| line.contains(&part))
        });
    }

    fn await_none(&self) {
        self.await_it("it is gone", |state| state.line.is_none());
    }

    fn tokens(&self) -> Vec<u64> {
        let state = self.0.lock();
        let token = |line: &String| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["token"].as_u64().unwrap()
        };
        state.lines.iter().map(token).collect()
    }
}

impl Disk for FakeDisk {
    fn write(&self, line: &str, is_wanted: &dyn Fn() -> bool) -> io::Result<bool> {
        self.block(Mood::SlowToWrite);
        let wanted = is_wanted();
        self.block(Mood::SlowToRename);
        let mut state = self.0.lock();
        if state.mood == Mood::Full {
            state.failures += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if wanted {
            state.line = Some(line.to_owned());
            state.lines.push(line.to_owned());
        }
        Ok(wanted)
    }

    fn remove(&self) -> io::Result<()> {
        self.0.lock().line = None;
        Ok(())
    }

    fn describe(&self) -> String {
        "the fake".to_owned()
    }
}

fn file() -> (LeaderFile, FakeDisk) {
    let disk = FakeDisk::default();
    let file = LeaderFile::start_on(disk.clone(), Line::of("me")).unwrap();
    (file, disk)
}

fn leads(token: u64, lasts: Duration) -> Transition {
    Transition::Renewed {
        token,
        until: BootClock::now() + lasts,
    }
}

const LONG: Duration = Duration::from_secs(3600);
const OVER: Transition = Transition::TermOver { token: 1 };

#[test]
fn a_line_that_was_overtaken_on_a_slow_disk_is_never_read() {
    let (file, disk) = file();
    disk.set(Mood::SlowToWrite);
    file.tell(&leads(1, LONG));
    disk.await_it("it writes", |state| state.blocked);
    // Neither waits for the disk.
    file.tell(&OVER);
    file.tell(&leads(2, LONG));
    disk.set(Mood::Works);
    disk.await_token(2);
    assert_eq!(disk.tokens(), [2]);
}

#[test]
fn a_line_of_a_lost_term_on_a_slow_disk_is_never_read() {
    let (file, disk) = file();
    disk.set(Mood::SlowToWrite);
    file.tell(&leads(1, LONG));
    disk.await_it("it writes", |state| state.blocked);
    file.tell(&OVER);
    disk.set(Mood::Works);
    disk.await_it("it is done", |state| !state.blocked);
    file.finish(PATIENCE);
    assert_eq!(disk.tokens(), [0; 0]);
}

#[test]
fn what_a_slow_disk_shows_too_late_goes_at_once() {
    let (file, disk) = file();
    disk.set(Mood::SlowToRename);
    file.tell(&leads(1, LONG));
    disk.await_it("it renames", |state| state.blocked);
    file.tell(&OVER);
    disk.set(Mood::Works);
    disk.await_it("it is shown", |state| !state.lines.is_empty());
    disk.await_none();
}

#[test]
fn of_many_renewals_on_a_slow_disk_the_last_one_counts() {
    let (file, disk) = file();
    disk.set(Mood::SlowToWrite);
    for token in 0..100 {
        file.tell(&leads(token, LONG));
    }
    disk.set(Mood::Works);
    disk.await_token(99);
    assert!(disk.tokens().len() <= 2, "{:?}", disk.tokens());
}

#[test]
fn a_line_goes_when_its_time_is_over_whatever_becomes_of_the_election() {
    let (file, disk) = file();
    file.tell(&leads(1, Duration::from_millis(200)));
    disk.await_it("it is shown", |state| !state.lines.is_empty());
    disk.await_none();
    // Renewed after all.
    file.tell(&leads(1, LONG));
    disk.await_token(1);
}

#[test]
fn what_is_over_when_it_is_told_is_not_written() {
    let (file, disk) = file();
    file.tell(&leads(1, Duration::ZERO));
    file.finish(PATIENCE);
    assert_eq!(disk.tokens(), [0; 0]);
}

#[test]
fn on_a_full_disk_the_line_before_stays_for_as_long_as_it_is_true() {
    let (file, disk) = file();
    let until = BootClock::now() + Duration::from_secs(2);
    file.tell(&Transition::StartedLeading { token: 1, until });
    disk.await_token(1);
    disk.set(Mood::Full);
    file.tell(&leads(2, LONG));
    disk.await_it("it fails", |state| state.failures > 0);
    let shown = disk.0.lock().line.clone();
    assert!(shown.is_some() || BootClock::now() >= until);
    disk.await_none();
    assert!(BootClock::now() >= until);
    disk.set(Mood::Works);
    disk.await_token(2);
    let failures = disk.0.lock().failures;
    assert!(failures < 30, "once a second: {failures}");
}

#[test]
fn the_end_waits_for_a_disk_that_hangs_but_not_for_ever() {
    let (file, disk) = file();
    disk.set(Mood::SlowToWrite);
    file.tell(&leads(1, LONG));
    disk.await_it("it writes", |state| state.blocked);
    let started = Monotonic::now();
    file.finish(Duration::from_millis(50));
    assert!(started.elapsed() < PATIENCE);
    // Nothing is taken any more, and what is under way comes to nothing.
    file.tell(&leads(2, LONG));
    disk.set(Mood::Works);
    file.finish(PATIENCE);
    assert_eq!(disk.tokens(), [0; 0]);
}

#[test]
fn until_is_cut_and_never_rounded_up() {
    let line = |nanos| {
        let until = Instant::from_boot(Duration::new(12_345, nanos));
        Line::of("me").tell(7, until)
    };
    for (nanos, shown) in [
        (0, "12345.00"),
        (9_999_999, "12345.00"),
        (10_000_000, "12345.01"),
        (678_999_999, "12345.67"),
        (999_999_999, "12345.99"),
    ] {
        let line = line(nanos);
        assert!(line.contains(&format!("\"until\":{shown},")), "{line}");
    }
}
