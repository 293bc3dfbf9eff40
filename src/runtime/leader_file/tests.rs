//! Lines on a disk that is slow, full or broken.

use std::time::Instant as Monotonic;

use super::*;

/// Long enough for the slowest machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Behaviour of the disk at the next write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum DiskMode {
    #[default]
    Works,
    /// Blocks before it asks whether the line is still wanted.
    SlowToWrite,
    /// Blocks after that.
    SlowToRename,
    Full,
}

#[derive(Debug, Default)]
struct FakeState {
    mode: DiskMode,
    /// Whether a write is blocked.
    blocked: bool,
    line: Option<String>,
    /// Every line that was ever readable.
    lines: Vec<String>,
    failures: u32,
}

#[derive(Clone, Debug, Default)]
struct FakeDisk(Arc<Monitor<FakeState>>);

impl FakeDisk {
    fn set(&self, mode: DiskMode) {
        self.0.change(|state| state.mode = mode);
    }

    /// Blocks while the disk has this mode.
    fn block(&self, mode: DiskMode) {
        let mut state = self.0.wait_while(|state| {
            state.blocked = state.mode == mode;
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
        let part = format!("\"fencingToken\":{token},");
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
            line["fencingToken"].as_u64().unwrap()
        };
        state.lines.iter().map(token).collect()
    }
}

impl Disk for FakeDisk {
    fn write(&self, line: &str, is_wanted: &dyn Fn() -> bool) -> io::Result<bool> {
        self.block(DiskMode::SlowToWrite);
        let wanted = is_wanted();
        self.block(DiskMode::SlowToRename);
        let mut state = self.0.lock();
        if state.mode == DiskMode::Full {
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
}

fn file() -> (LeaderFile, FakeDisk) {
    let disk = FakeDisk::default();
    let file = LeaderFile::start_on(disk.clone(), Line::new("me")).unwrap();
    (file, disk)
}

fn leads(token: u64, lasts: Duration) -> Transition {
    Transition::Renewed {
        fencing_token: token,
        valid_until: BootClock::now() + lasts,
    }
}

const LONG: Duration = Duration::from_secs(3600);
const OVER: Transition = Transition::TermOver { fencing_token: 1 };

#[test]
fn slow_disk_never_shows_superseded_line() {
    let (file, disk) = file();
    disk.set(DiskMode::SlowToWrite);
    file.transition(&leads(1, LONG));
    disk.await_it("it writes", |state| state.blocked);
    // Neither call waits for the disk.
    file.transition(&OVER);
    file.transition(&leads(2, LONG));
    disk.set(DiskMode::Works);
    disk.await_token(2);
    assert_eq!(disk.tokens(), [2]);
}

#[test]
fn slow_disk_never_shows_lost_term() {
    let (file, disk) = file();
    disk.set(DiskMode::SlowToWrite);
    file.transition(&leads(1, LONG));
    disk.await_it("it writes", |state| state.blocked);
    file.transition(&OVER);
    disk.set(DiskMode::Works);
    disk.await_it("it is done", |state| !state.blocked);
    file.finish(PATIENCE);
    assert_eq!(disk.tokens(), [0; 0]);
}

#[test]
fn line_shown_too_late_is_removed() {
    let (file, disk) = file();
    disk.set(DiskMode::SlowToRename);
    file.transition(&leads(1, LONG));
    disk.await_it("it renames", |state| state.blocked);
    file.transition(&OVER);
    disk.set(DiskMode::Works);
    disk.await_it("it is shown", |state| !state.lines.is_empty());
    disk.await_none();
}

#[test]
fn slow_disk_shows_latest_renewal() {
    let (file, disk) = file();
    disk.set(DiskMode::SlowToWrite);
    for token in 0..100 {
        file.transition(&leads(token, LONG));
    }
    disk.set(DiskMode::Works);
    disk.await_token(99);
    assert!(disk.tokens().len() <= 2, "{:?}", disk.tokens());
}

#[test]
fn expired_line_is_removed_without_transition() {
    let (file, disk) = file();
    file.transition(&leads(1, Duration::from_millis(200)));
    disk.await_it("it is shown", |state| !state.lines.is_empty());
    disk.await_none();
    // The term is renewed late.
    file.transition(&leads(1, LONG));
    disk.await_token(1);
}

#[test]
fn expired_term_is_not_written() {
    let (file, disk) = file();
    file.transition(&leads(1, Duration::ZERO));
    file.finish(PATIENCE);
    assert_eq!(disk.tokens(), [0; 0]);
}

#[test]
fn full_disk_keeps_line_until_deadline() {
    let (file, disk) = file();
    let until = BootClock::now() + Duration::from_secs(2);
    file.transition(&Transition::StartedLeading {
        fencing_token: 1,
        valid_until: until,
    });
    disk.await_token(1);
    disk.set(DiskMode::Full);
    file.transition(&leads(2, LONG));
    disk.await_it("it fails", |state| state.failures > 0);
    let shown = disk.0.lock().line.clone();
    assert!(shown.is_some() || BootClock::now() >= until);
    disk.await_none();
    assert!(BootClock::now() >= until);
    disk.set(DiskMode::Works);
    disk.await_token(2);
    let failures = disk.0.lock().failures;
    assert!(failures < 30, "once a second: {failures}");
}

#[test]
fn finish_on_hanging_disk_is_bounded() {
    let (file, disk) = file();
    disk.set(DiskMode::SlowToWrite);
    file.transition(&leads(1, LONG));
    disk.await_it("it writes", |state| state.blocked);
    let started = Monotonic::now();
    file.finish(Duration::from_millis(50));
    assert!(started.elapsed() < PATIENCE);
    // A later transition is ignored, and the blocked write is not completed.
    file.transition(&leads(2, LONG));
    disk.set(DiskMode::Works);
    file.finish(PATIENCE);
    assert_eq!(disk.tokens(), [0; 0]);
}

#[test]
fn deadline_is_cut_to_hundredths() {
    let line = |nanos| {
        let until = Instant::from_boot(Duration::new(12_345, nanos));
        Line::new("me").text(7, until)
    };
    for (nanos, shown) in [
        (0, "12345.00"),
        (9_999_999, "12345.00"),
        (10_000_000, "12345.01"),
        (678_999_999, "12345.67"),
        (999_999_999, "12345.99"),
    ] {
        let line = line(nanos);
        assert!(line.contains(&format!("\"validUntil\":{shown},")), "{line}");
    }
}
