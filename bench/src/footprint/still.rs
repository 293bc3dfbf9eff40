//! What can be measured without an election: sizes, and the time to the first request.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::figure::{Aim, Figure, Spread};

use super::process::{Process, Told};
use super::way::Way;
use super::{CLIENT_GO, Contenders, ELECTOR, PATIENCE, Scene, elector, figure};

/// How often each contender is started.
const STARTS: usize = 40;

/// How often it is looked whether a first request has come; when it came is noted by who got it.
const GLANCE: Duration = Duration::from_millis(1);

const MB: f64 = 1e6;

/// The aim for the image.
const IMAGE_MB: f64 = 2.5;

/// The programs as they are shipped, and the image.
pub(super) fn sizes(contenders: &Contenders) -> Result<Vec<Figure>, String> {
    let aim = || Aim::median_below(IMAGE_MB, "what the design aims at");
    let program = |who, path: &Path, aim| {
        let size = fs::metadata(path)
            .map_err(|error| format!("{} cannot be looked at: {error}", path.display()))?
            .len();
        let spread = Spread::single(size as f64 / MB);
        Ok::<_, String>(figure(who, "program", kind(path), "MB", spread, aim))
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

/// Whether a program is static: it then names no loader.
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

/// From the start of the process to the first request at the service.
pub(super) fn start_up(contenders: &Contenders) -> Result<Vec<Figure>, String> {
    let scene = Scene::new()?;
    let gist = scene.gist("{}")?;
    let mut figures = vec![one_start_up(ELECTOR, &scene, &gist, || {
        elector(&contenders.elector)
    })?];
    if let Some(program) = &contenders.client_go {
        let command = || Command::new(program);
        figures.push(one_start_up(CLIENT_GO, &scene, &gist, command)?);
    }
    Ok(figures)
}

fn one_start_up(
    who: &str,
    scene: &Scene,
    gist: &str,
    command: impl Fn() -> Command,
) -> Result<Figure, String> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let way = Way::open(scene.address, None).map_err(|error| error.to_string())?;
        let told = Told {
            url: &way.url(),
            gist,
            name: "starter",
            roots: None,
            settings: &[],
        };
        let began = Instant::now();
        let _process = Process::start(command(), &told)?;
        let arrived = loop {
            if let Some(arrived) = way.first_request() {
                break arrived;
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{who} makes no request"));
            }
            thread::sleep(GLANCE);
        };
        times.push(arrived.duration_since(began).as_secs_f64() * 1e3);
    }
    let spread = Spread::of(times).ok_or("nothing was started")?;
    let what = "start-up, to the first request";
    Ok(figure(who, what, "plain HTTP", "ms", spread, None))
}
