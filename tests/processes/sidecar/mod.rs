//! Tests what serves programs beside an elector: leader file, webhook, health check and log.

mod health;
mod leader_file;
mod leads;
mod logs;
mod receiver;
mod refused;
mod transitions;
mod webhook;
mod webhook_messages;
