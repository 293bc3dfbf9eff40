//! File systems of the state directory.

use std::fs;
use std::path::Path;

use nix::sys::statfs::{EXT4_SUPER_MAGIC, statfs};

use crate::restart::stage::{LONG, Stage, assert_resumes, assert_waits};
use crate::workload::scene::{WORKS, is_permitted};

fn assert_usable(parent: &Path) {
    let stage = Stage::in_directory(parent);
    let start = || stage.wrapping(WORKS).with_all(LONG);
    let mut first = stage.spawn(start());
    stage.await_noted("works");
    first.kill();
    assert_resumes(&stage.spawn(start()), 1);
}

#[test]
fn tmpfs_is_used() {
    assert_usable(Path::new("/dev/shm"));
}

#[test]
fn ext4_is_used() {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(parent).unwrap();
    if statfs(parent).unwrap().filesystem_type() != EXT4_SUPER_MAGIC {
        eprintln!("NOT TESTED: {parent:?} is not on ext4");
        return;
    }
    assert_usable(parent);
}

/// Mounts an overlay in a separate namespace.
const OVERLAY: &str = r#"
mount -t overlay overlay -o "lowerdir=$LAYERS/low,upperdir=$LAYERS/up,workdir=$LAYERS/work" "$LAYERS/all" &&
exec "$0" "$@"
"#;

#[test]
fn overlayfs_is_refused() {
    let stage = Stage::new();
    let layers = stage.directory();
    for layer in ["low", "up", "work", "all"] {
        fs::create_dir(layers.join(layer)).unwrap();
    }
    let script = format!("LAYERS='{}'\n{OVERLAY}", layers.display());
    let launcher = ["unshare", "--mount", "sh", "-c", &script];
    if !is_permitted(&launcher, "an overlay mount") {
        return;
    }
    let start = || {
        let start = stage.wrapping(WORKS);
        start
            .with("ELECTOR_STATE_DIR", layers.join("all"))
            .under(&launcher)
    };
    let mut first = stage.spawn(start());
    stage.await_noted("works");
    let reason = "is on a file system (0x794c7630) whose locks prove nothing";
    assert_eq!(first.count_text(reason), 1, "{}", first.text());
    first.kill();
    let lease_end = stage.lease_end();
    let second = stage.spawn(start());
    assert_waits(&second, lease_end, reason);
    stage.assert_alone();
}
