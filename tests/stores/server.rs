//! Programs of real servers, which end with the process of the tests.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use crate::support::tools;

/// Runs a program until standard input ends, which it does with the process of the tests.
const UNTIL_END: &str = r#"trap '' INT TERM; "$@" & read -r _; kill -9 $!; wait; rm -rf "$PWD""#;

/// Returns the path of a program that `hack/install-stores.sh` installs. If it is missing, it says so.
pub(crate) fn find(program: &str, what_is_not_tested: &str) -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let folders = [
        home.join(".cache/elector-stores/bin"),
        home.join(".cache/kind-node/bin"),
    ];
    let what = format!("{what_is_not_tested} NOT tested; run hack/install-stores.sh");
    tools::find_also_in(&folders, &[program], &what)
}

/// Creates a server's folder. It is removed with the end of the programs in it.
pub(crate) fn folder(server: &str) -> PathBuf {
    let name = format!("elector-stores-{}-{server}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Returns ports of this machine that are free now.
pub(crate) fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let taken = [(); COUNT].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    taken.map(|listener| listener.local_addr().unwrap().port())
}

/// Runs a program in a folder, with its log there. Both end with the returned value.
pub(crate) fn run(folder: &Path, program: &Path, arguments: &[String]) -> ChildStdin {
    let name = program.file_name().unwrap();
    let log = fs::File::create(folder.join(name).with_extension("log")).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", UNTIL_END, "sh"]).arg(program);
    command.args(arguments).current_dir(folder);
    command.stdin(Stdio::piped());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap().stdin.unwrap()
}
