//! One process's lock in a Lease, over HTTP.

use std::time::Duration;

use elector::election::lock::ResourceLock;
use elector::lock::cas::CasLock;
use elector::lock::cas::protocol::CasConfig;
use elector::lock::credentials::{TokenCredentials, TokenForm};
use elector::lock::exchange::HttpExchange;
use elector::lock::kubernetes::store::LeaseStore;
use elector::net::{AccessTokenSource, ProxySettings};
use elector::system::clock::BootClock;

use crate::server::ApiServer;
use crate::support::process::TOKEN;
use crate::support::record;
pub(crate) use crate::support::{AMPLE, kind};

/// Path of the Lease.
pub(crate) const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/jobs/leases/report";

pub(crate) type LeaseLock = CasLock<LeaseStore, HttpExchange>;

/// Returns the lock of a process with this name.
pub(crate) fn open(server: &ApiServer, process: &str) -> LeaseLock {
    open_with(server, process, &AccessTokenSource::Value(TOKEN.to_owned()))
}

pub(crate) fn open_with(server: &ApiServer, process: &str, token: &AccessTokenSource) -> LeaseLock {
    let url = format!("http://{}", server.address).parse().unwrap();
    let credentials = TokenCredentials::open(token, "LOCK_TOKEN", TokenForm::Bearer);
    let credentials = Box::new(credentials.unwrap());
    let exchange = HttpExchange::new(&url, None, &ProxySettings::default(), credentials);
    let config = CasConfig {
        process: process.to_owned(),
        renew_deadline: Duration::from_secs(6),
        highest_token: i32::MAX as u64,
        confirms: false,
    };
    let store = LeaseStore::new("jobs", "report", Some("hub.example".to_owned()));
    CasLock::new(
        process,
        store,
        config,
        None,
        exchange.unwrap(),
        BootClock::now,
    )
}

/// Returns a server whose Lease this process holds with fencing token 7, and its lock.
pub(crate) fn held() -> (ApiServer, LeaseLock) {
    let server = ApiServer::start(None);
    let mut lock = open(&server, "a");
    lock.get(AMPLE).unwrap();
    lock.update(&record("napoleon", 7), AMPLE).unwrap();
    (server, lock)
}

/// Returns the `spec` of the Lease.
pub(crate) fn spec(server: &ApiServer) -> serde_json::Value {
    server.with(|leases| leases.object("report")["spec"].clone())
}
