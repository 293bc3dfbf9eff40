//! What runs beside an elector: the leader file, the webhook, the health of a workload, and the log.

mod health;
mod leader_file;
mod logs;
mod receiver;
mod refused;
mod transitions;
mod webhook;
