//! A contender as a process: started, measured through /proc, and ended.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use super::{GIST_TOKEN, PATIENCE};

/// Time that a process gets to exit after SIGTERM before it is killed.
const LEAVING: Duration = Duration::from_secs(5);

/// Environment of a contender.
pub(super) struct Settings<'a> {
    pub(super) url: &'a str,
    pub(super) gist: &'a str,
    pub(super) name: &'a str,
    pub(super) roots: Option<&'a Path>,
    /// Additional settings.
    pub(super) settings: &'a [(&'a str, &'a str)],
}

/// A running contender. Dropping it ends it.
pub(super) struct Process(Child);

impl Process {
    /// Starts the command with only these settings in its environment.
    pub(super) fn start(mut command: Command, settings: &Settings<'_>) -> Result<Process, String> {
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("GITHUB_API_URL", settings.url)
            .env("GIST_ID", settings.gist)
            .env("GITHUB_API_TOKEN", GIST_TOKEN)
            .env("LEADER_NAME", settings.name)
            .envs(settings.roots.map(|roots| ("SSL_CERT_FILE", roots)))
            .envs(settings.settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn();
        let program = command.get_program().display();
        child
            .map(Process)
            .map_err(|error| format!("{program} cannot be started: {error}"))
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Sends SIGTERM and waits for the exit.
    pub(super) fn leave(&mut self) -> Result<(), String> {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while self.is_running() {
            if Instant::now() > deadline {
                return Err("a process did not exit on SIGTERM".to_owned());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.pid()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Not SIGKILL, because it would leave a workload to its guard.
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + LEAVING;
        while self.is_running() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// All resident pages, including those of the program's file.
    pub(super) resident: f64,
    /// Pages that no other process shares: the cost of one more such process.
    pub(super) own: f64,
    pub(super) threads: f64,
}

pub(super) fn memory(pid: u32) -> Result<Memory, String> {
    let status = read(pid, "status")?;
    let pages = read(pid, "smaps_rollup")?;
    let kib = |text: &str, key: &str| number(text, key).map(|kib| kib * 1024.0);
    Ok(Memory {
        resident: kib(&status, "VmRSS:")?,
        own: kib(&pages, "Private_Clean:")? + kib(&pages, "Private_Dirty:")?,
        threads: number(&status, "Threads:")?,
    })
}

/// Returns the CPU time of a process so far, including its ended threads.
pub(super) fn processor_time(pid: u32) -> Result<Duration, String> {
    let gone = |error: nix::Error| format!("the clock of process {pid} cannot be read: {error}");
    let id = i32::try_from(pid).map_err(|error| error.to_string())?;
    let clock = clock_getcpuclockid(Pid::from_raw(id)).map_err(gone)?;
    clock_gettime(clock).map(Duration::from).map_err(gone)
}

/// Returns the children of a process.
pub(super) fn children(pid: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter(|&other| {
            let status = read(other, "status").unwrap_or_default();
            number(&status, "PPid:").is_ok_and(|parent| parent == f64::from(pid))
        })
        .collect()
}

fn read(pid: u32, file: &str) -> Result<String, String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).map_err(|error| format!("{path} cannot be read: {error}"))
}

/// Returns the number after a key at the beginning of a line.
fn number(text: &str, key: &str) -> Result<f64, String> {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let word = line.and_then(|rest| rest.split_whitespace().next());
    word.and_then(|word| word.parse().ok())
        .ok_or_else(|| format!("there is no {key} in /proc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_is_measured() {
        let pid = std::process::id();
        let Memory {
            resident,
            own,
            threads,
        } = memory(pid).unwrap();
        assert!(own > 0.0 && own <= resident && threads >= 1.0);
        let before = processor_time(pid).unwrap();
        let mut sum = 0_u64;
        while processor_time(pid).unwrap() == before {
            sum = std::hint::black_box(sum + 1);
        }
    }

    #[test]
    fn number_is_found_by_key() {
        let text = "Threads:\t7\nVmRSS:\t  2320 kB\n";
        assert_eq!(number(text, "VmRSS:"), Ok(2320.0));
        assert!(number(text, "Pss:").is_err());
    }
}
