//! Systems on which a guard does not work: the elector refuses to run a program before it claims the lease.

use std::process::Command;

use serde_json::Value;

use crate::workload::scene::{Scene, WORKS};

/// Launchers that run `"$@"` without `/proc`, or with one that lacks this process.
const WITHOUT_PROC: &[(&[&str], &str)] = &[
    (
        &[
            "unshare",
            "--mount",
            "sh",
            "-c",
            "umount -l /proc && exec \"$@\"",
            "sh",
        ],
        "/proc: not mounted",
    ),
    (
        &[
            "unshare",
            "--mount",
            "sh",
            "-c",
            "mount -t tmpfs none /proc && exec \"$@\"",
            "sh",
        ],
        "/proc: not mounted",
    ),
    (
        &["unshare", "--pid", "--fork", "--kill-child"],
        "/proc: shows the processes of another PID namespace",
    ),
];

/// Launcher with a `/proc` that shows this process, but not its executable file.
const WITHOUT_EXE: &[&str] = &[
    "unshare",
    "--mount",
    "sh",
    "-c",
    "mount -t tmpfs none /proc && ln -s $$ /proc/self && mkdir /proc/$$ && exec \"$@\"",
    "sh",
];

/// Launcher whose seccomp profile refuses `prctl(PR_SET_PDEATHSIG)`.
const WITH_SECCOMP: &[&str] = &[
    "python3",
    "-c",
    r#"
import ctypes, os, platform, struct, sys
prctl_number = {"x86_64": 157, "aarch64": 167}[platform.machine()]
def operation(code, true, false, value):
    return struct.pack("HBBI", code, true, false, value)
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
program = b"".join([
    operation(LOAD, 0, 0, 0),
    operation(IF_EQUAL, 0, 3, prctl_number),
    operation(LOAD, 0, 0, 16),
    operation(IF_EQUAL, 0, 1, 1),
    operation(RETURN, 0, 0, 0x00050001),
    operation(RETURN, 0, 0, 0x7fff0000),
])
buffer = ctypes.create_string_buffer(program)
libc = ctypes.CDLL(None, use_errno=True)
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, filter, 0, 0) == 0, ctypes.get_errno()
os.execvp(sys.argv[1], sys.argv[1:])
"#,
];

/// Returns whether a launcher works here.
fn works(launcher: &[&str]) -> bool {
    let status = Command::new(launcher[0])
        .args(&launcher[1..])
        .arg("true")
        .status();
    let works = status.is_ok_and(|status| status.success());
    if !works {
        eprintln!("NOT TESTED: `{}` does not work here", launcher[0]);
    }
    works
}

/// Checks that an elector with a program ends with 1 before it runs for election, and says why.
#[track_caller]
fn assert_refused(launcher: &[&str], problem: &str) {
    let scene = Scene::new();
    let start = scene.with_script("first", WORKS).under(launcher);
    let mut elector = scene.spawn(start);
    assert_eq!(elector.await_exit(), Some(1), "{}", elector.text());
    let lines = elector.lines();
    assert!(lines.last().unwrap().contains(problem), "{lines:?}");
    assert!(elector.log().is_empty(), "{lines:?}");
    assert_eq!(scene.record()["holderIdentity"], Value::Null);
}

#[test]
fn missing_proc_fails_with_program_only() {
    for (launcher, problem) in WITHOUT_PROC {
        if !works(launcher) {
            continue;
        }
        assert_refused(launcher, problem);
        let scene = Scene::new();
        let elector = scene.spawn(scene.elector("first").under(launcher));
        elector.await_leading();
    }
}

#[test]
fn unusable_guard_is_refused() {
    for (launcher, problem) in [
        (WITHOUT_EXE, "self-test failed: cannot be started"),
        (
            WITH_SECCOMP,
            "self-test failed: its program exited with code 126",
        ),
    ] {
        if works(launcher) {
            assert_refused(launcher, problem);
        }
    }
}
