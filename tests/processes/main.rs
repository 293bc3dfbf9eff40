//! The program as real processes: every command, elections, wrapped programs and endpoints, and the
//! files that deploy it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod chart;
mod cli;
mod completions;
mod demo;
mod election;
mod endpoints;
mod examples;
mod gist_server;
mod history;
mod http_server;
mod image_files;
mod init;
mod install;
mod legacy;
mod man_pages;
mod manifests;
mod monitoring;
mod operating;
mod page;
mod record;
mod restart;
mod service_manager;
mod settings;
mod sidecar;
mod steering;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
mod workload;
