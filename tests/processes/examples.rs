//! The examples outside of the chart: a systemd unit, a compose file and a CronJob, compared with the program
//! and checked by the tools that read them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use elector::commands::command::Arguments;
use elector::commands::settings;
use elector::commands::table::find as find_command;

use crate::manifests::read;
use crate::support::tools::{find, find_also_in};

const UNIT: &str = "hack/examples/elector.service";
const COMPOSE: &str = "hack/examples/compose.yml";
const CRON_JOB: &str = "hack/examples/cronjob.yaml";

/// Returns the values of `NAME=value` lines.
fn directives<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter_map(|line| line.strip_prefix(name));
    lines.filter_map(|line| line.strip_prefix('=')).collect()
}

/// Asserts that every word that begins with this prefix names a setting.
fn assert_settings(text: &str, prefix: &str) {
    let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
    let names: Vec<&str> = words.filter_map(|word| word.strip_prefix(prefix)).collect();
    assert!(names.iter().any(|name| !name.is_empty()), "{text}");
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        assert!(
            settings::all().any(|setting| setting.name == name),
            "{name}"
        );
    }
}

#[test]
fn systemd_accepts_the_unit() {
    let Some(analyze) = find(&["systemd-analyze"], "the systemd unit is not verified") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let verify = |text: &str| {
        let path = folder.path().join("elector.service");
        let elector = env!("CARGO_BIN_EXE_elector");
        fs::write(
            &path,
            text.replace("=/usr/local/bin/elector ", &format!("={elector} ")),
        )
        .unwrap();
        let mut command = Command::new(&analyze);
        let Output { status, stderr, .. } = command
            .args(["verify", "--man=no"])
            .arg(path)
            .output()
            .unwrap();
        (
            status.success(),
            String::from_utf8_lossy(&stderr).into_owned(),
        )
    };
    let unit = read(UNIT);
    assert_eq!(verify(&unit), (true, String::new()));
    let (_, said) = verify(&unit.replace("KillMode=mixed", "KillMood=mixed"));
    assert!(said.contains("KillMood"), "{said}");
}

#[test]
fn unit_fits_the_program() {
    let unit = read(UNIT);
    assert_settings(&unit, "ELECTOR_");
    let [start] = directives(&unit, "ExecStart")[..] else {
        panic!("{unit}");
    };
    let args = start.strip_prefix("/usr/local/bin/elector run ").unwrap();
    let args = args.split(' ').map(Into::into).collect();
    let args = Arguments::parse(find_command("run").unwrap(), args).unwrap();
    assert_eq!(args.program().unwrap()[0], "/usr/local/bin/report");
    assert_eq!(directives(&unit, "Type"), ["notify"]);
    assert_eq!(directives(&unit, "KillMode"), ["mixed"]);
    let stop = settings::all()
        .find(|setting| setting.name == "STOP_TIMEOUT")
        .unwrap();
    let stop: u64 = stop.default.trim_end_matches('s').parse().unwrap();
    let limit: u64 = directives(&unit, "TimeoutStopSec")[0].parse().unwrap();
    assert!(limit >= stop + 10, "{limit}");
}

#[test]
fn compose_accepts_the_file() {
    let folder = std::path::PathBuf::from("/usr/libexec/docker/cli-plugins");
    let found = find_also_in(
        &[folder],
        &["docker-compose"],
        "the compose file is not checked",
    );
    let Some(compose) = found else { return };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(COMPOSE);
    let config = |real: bool| {
        let mut command = Command::new(&compose);
        command.arg("-f").arg(&path).arg("config").env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap());
        if real {
            command
                .env("GITHUB_API_URL", "")
                .env("GIST_ID", "abc")
                .env("GITHUB_API_TOKEN", "t");
        }
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    };
    let demonstration = config(false);
    for name in ["napoleon", "cleopatra", "hannibal"] {
        assert!(
            demonstration.contains(&format!("LEADER_NAME: {name}\n")),
            "{demonstration}"
        );
    }
    let url = "GITHUB_API_URL: http://gist-server:4041\n";
    assert_eq!(demonstration.matches(url).count(), 3, "{demonstration}");
    let real = config(true);
    assert_eq!(real.matches("GIST_ID: abc\n").count(), 3, "{real}");
    assert!(!real.contains("http://gist-server"), "{real}");
}

#[test]
fn compose_and_cron_job_fit_program() {
    let image = format!(
        "g1g1/multi-cluster-leader-election:{}",
        env!("CARGO_PKG_VERSION")
    );
    for path in [COMPOSE, CRON_JOB] {
        assert!(read(path).contains(&image), "{path}");
    }
    let compose = read(COMPOSE);
    let (_, keys) = compose.split_once("x-settings: &settings\n").unwrap();
    let (keys, _) = keys.split_once("\n\n").unwrap();
    for key in keys.lines().filter_map(|line| line.trim().split_once(": ")) {
        let name = key.0;
        assert!(
            name.starts_with('#') || settings::all().any(|s| s.name == name),
            "{name}"
        );
    }
    for line in ["test: [CMD, elector, health]", "command: [gist-server, "] {
        assert!(compose.contains(line), "{line}");
    }
    let job = read(CRON_JOB);
    assert_settings(&job, "ELECTOR_");
    let (_, command) = job.split_once("            - run\n").unwrap();
    let (command, _) = command.split_once("            envFrom:").unwrap();
    let words = command
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'));
    let words: Vec<_> = words
        .map(|line| line.trim_start_matches("- ").into())
        .collect();
    let args = Arguments::parse(find_command("run").unwrap(), words).unwrap();
    assert_eq!(
        args.program().unwrap(),
        ["sh", "-c", "date; echo the report"]
    );
    let within = args.period("--unless-led-within").unwrap().unwrap();
    let late = job.split_once("startingDeadlineSeconds: ").unwrap().1;
    let late: u64 = late.lines().next().unwrap().parse().unwrap();
    assert!(late < within.as_secs(), "a late start could repeat the job");
    assert_eq!(args.parsed::<u8>("--else-exit").unwrap(), Some(0));
}
