//! A small API server on a real socket, with or without TLS.

use std::ops::Deref;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::leases::{Leases, status};
pub(crate) use crate::support::server::{Fault, http};
use crate::support::server::{Received, Server, Service};

/// Leases, and who may use them.
#[derive(Debug, Default)]
pub(crate) struct Api {
    leases: Leases,
    /// Permitted access tokens, in lower case; none for any.
    tokens: Vec<String>,
}

impl Service for Api {
    fn respond(&mut self, request: &Received) -> Vec<u8> {
        let permitted = |token: &String| {
            let line = format!("authorization: bearer {token}\r\n");
            request.head.contains(&line)
        };
        let (code, body) = match self.tokens.is_empty() || self.tokens.iter().any(permitted) {
            false => status(401, "Unauthorized", "Unauthorized", "leases"),
            true => self
                .leases
                .respond(&request.method, &request.path, &request.body),
        };
        http(code, &[], body.to_string().as_bytes())
    }
}

/// A small API server.
#[derive(Debug)]
pub(crate) struct ApiServer(Server<Api>);

impl Deref for ApiServer {
    type Target = Server<Api>;

    fn deref(&self) -> &Server<Api> {
        &self.0
    }
}

impl ApiServer {
    pub(crate) fn start(tls: Option<Arc<ServerConfig>>) -> ApiServer {
        ApiServer(Server::start(Api::default(), tls))
    }

    /// Gives the Leases to other clients.
    pub(crate) fn with<T>(&self, use_them: impl FnOnce(&mut Leases) -> T) -> T {
        self.0.with(|api| use_them(&mut api.leases))
    }

    /// Permits only these access tokens.
    pub(crate) fn permit(&self, tokens: &[&str]) {
        let tokens = tokens.iter().map(|token| token.to_ascii_lowercase());
        let tokens = tokens.collect();
        self.0.with(|api| api.tokens = tokens);
    }
}
