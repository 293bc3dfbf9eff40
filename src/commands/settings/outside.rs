//! The settings for how people and machines look in: endpoints, files, webhooks, the workload's health.

use std::path::PathBuf;

use crate::http::ListenAddr;
use crate::lock::settings::{Reader, shown};
use crate::net::{Url, is_loopback};
pub use crate::observe::ReadyWhen;

/// How people and machines look in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// Where the status endpoints are; `None`: there are none.
    pub http_addr: Option<ListenAddr>,
    /// When `/readyz` says ready.
    pub ready_when: ReadyWhen,
    /// The file that is there while this candidate leads.
    pub leader_file: Option<PathBuf>,
    /// Asked while the workload runs.
    pub workload_health_url: Option<Url>,
    /// Told of every transition.
    pub webhook_url: Option<Url>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Outside {
    Outside {
        http_addr: http_addr(reader),
        ready_when: ready_when(reader),
        leader_file: reader.path("LEADER_FILE"),
        workload_health_url: workload_health_url(reader),
        webhook_url: url(reader, "WEBHOOK_URL"),
    }
}

fn http_addr(reader: &mut Reader<'_>) -> Option<ListenAddr> {
    let found = reader.text("HTTP_ADDR").ok()??;
    if found.value.eq_ignore_ascii_case("off") {
        return None;
    }
    match found.value.parse() {
        Ok(addr) => Some(addr),
        Err(_) => {
            reader.problem(format!(
                "{} is {}: give `off`, `:PORT`, `HOST:PORT` or `[IPV6]:PORT`",
                found.variable,
                shown(&found.value)
            ));
            None
        }
    }
}

fn ready_when(reader: &mut Reader<'_>) -> ReadyWhen {
    let Ok(Some(found)) = reader.text("READY_WHEN") else {
        return ReadyWhen::default();
    };
    match found.value.to_ascii_lowercase().as_str() {
        "candidate" => ReadyWhen::Candidate,
        "leader" => ReadyWhen::Leader,
        _ => {
            reader.problem(format!(
                "{} is {}: give candidate or leader",
                found.variable,
                shown(&found.value)
            ));
            ReadyWhen::default()
        }
    }
}

/// The workload runs on this machine; whoever answers elsewhere says nothing of it.
fn workload_health_url(reader: &mut Reader<'_>) -> Option<Url> {
    let url = url(reader, "WORKLOAD_HEALTH_URL")?;
    if !url.is_https() && is_loopback(url.host()) {
        return Some(url);
    }
    reader.problem(format!(
        "WORKLOAD_HEALTH_URL is {url}, but the workload runs beside this program: give an http:// \
         address of this machine, like http://127.0.0.1:8080/healthz"
    ));
    None
}

fn url(reader: &mut Reader<'_>, name: &str) -> Option<Url> {
    let found = reader.text(name).ok()??;
    if let Ok(url) = found.value.parse() {
        return Some(url);
    }
    // Not shown: the secret may be in it all the same.
    reader.problem(format!(
        "{} is no address: give one that begins with http:// or https://",
        found.variable
    ));
    None
}
