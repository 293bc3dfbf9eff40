//! Measurements without an election: sizes, and the time to the first request.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::figure::{Aim, Figure, Spread};

use super::process::{Process, Settings};
use super::proxy::Proxy;
use super::{CLIENT_GO, Contenders, ELECTOR, PATIENCE, Setup, elector, figure};

/// Number of starts of each contender.
const STARTS: usize = 40;

/// Interval between checks for a first request; the proxy notes the exact time.
const GLANCE: Duration = Duration::from_millis(1);

const MB: f64 = 1e6;

/// Limit for the image.
const IMAGE_MB: f64 = 2.5;

/// Measures the sizes of the shipped programs and of the image.
pub(super) fn sizes(contenders: &Contenders) -> Result<Vec<Figure>, String> {
    let aim = || Aim::median_below(IMAGE_MB, "what the design aims at");
    let program = |contender, path: &Path, aim| {
        let size = fs::metadata(path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?
            .len();
        let spread = Spread::single(size as f64 / MB);
        Ok::<_, String>(figure(contender, "program", kind(path), "MB", spread, aim))
    };
    let mut figures = vec![program(ELECTOR, &contenders.elector, aim())?];
    if let Some(path) = &contenders.client_go {
        figures.push(program(CLIENT_GO, path, None)?);
    }
    match image_size(&contenders.image) {
        Ok(size) => {
            let spread = Spread::single(size / MB);
            let conditions = "as the engine has it at present";
            figures.push(figure(ELECTOR, "image", conditions, "MB", spread, aim()));
        }
        Err(why) => eprintln!(
            "bench: left out: the size of the image ({why}): its only file is the static program"
        ),
    }
    Ok(figures)
}

/// Returns whether a program is static, which means that it names no loader.
fn kind(path: &Path) -> &'static str {
    let Ok(bytes) = fs::read(path) else {
        return "";
    };
    let names_a_loader = bytes.get(..4096).is_some_and(|head| {
        head.windows(8)
            .any(|part| part == b"/ld-linu" || part == b"/lib64/l")
    });
    match names_a_loader {
        true => "needs the system's C library",
        false => "static",
    }
}

fn image_size(image: &str) -> Result<f64, String> {
    let asked = Command::new("docker")
        .args(["image", "inspect", "--format", "{{.Size}}", image])
        .output()
        .map_err(|error| format!("docker: {error}"))?;
    if !asked.status.success() {
        return Err(format!("docker has no {image} or does not answer"));
    }
    let text = String::from_utf8_lossy(&asked.stdout);
    text.trim()
        .parse()
        .map_err(|_| format!("docker says {:?}", text.trim()))
}

/// Measures the time from process start to the first request.
pub(super) fn start_up(contenders: &Contenders) -> Result<Vec<Figure>, String> {
    let setup = Setup::new()?;
    let gist = setup.gist("{}")?;
    let mut figures = vec![one_start_up(ELECTOR, &setup, &gist, || {
        elector(&contenders.elector)
    })?];
    if let Some(program) = &contenders.client_go {
        let command = || Command::new(program);
        figures.push(one_start_up(CLIENT_GO, &setup, &gist, command)?);
    }
    Ok(figures)
}

fn one_start_up(
    contender: &str,
    setup: &Setup,
    gist: &str,
    command: impl Fn() -> Command,
) -> Result<Figure, String> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let proxy = Proxy::open(setup.address, None).map_err(|error| error.to_string())?;
        let settings = Settings {
            url: &proxy.url(),
            gist,
            name: "starter",
            roots: None,
            settings: &[],
        };
        let began = Instant::now();
        let _process = Process::start(command(), &settings)?;
        let arrived = loop {
            if let Some(arrived) = proxy.first_request() {
                break arrived;
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{contender} makes no request"));
            }
            thread::sleep(GLANCE);
        };
        times.push(arrived.duration_since(began).as_secs_f64() * 1e3);
    }
    let spread = Spread::of(times).ok_or("nothing was started")?;
    let what = "start-up, to the first request";
    Ok(figure(contender, what, "plain HTTP", "ms", spread, None))
}
