//! Single requests to other places than the API (a webhook, a workload's health): over the same kind
//! of connections, by the same trust and proxies, and without the token.
//!
//! The address may be a secret: no text that comes from here holds more of it than host and port. No
//! redirect is followed, and no body is read.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant as Monotonic};

use ureq::http::{Method, Request, Uri};
use ureq::{Agent, AsSendBody};

use super::connect::CallState;
use super::proxy::ProxySettings;
use super::{ClientError, LONGEST_CALL, agent, is_closed, run, tls};

/// A client for one address. It makes one request at a time, each over a connection of its own.
pub struct WebClient {
    uri: Uri,
    agent: Agent,
    state: Arc<CallState>,
}

impl fmt::Debug for WebClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebClient").finish_non_exhaustive()
    }
}

impl WebClient {
    /// A client for an `http://` or `https://` address, which has not sent anything yet. `extra_roots`
    /// are certificates (PEM) to be trusted besides the built-in ones.
    ///
    /// # Errors
    /// When the certificates or the proxy cannot be used.
    pub fn new(
        uri: &Uri,
        extra_roots: Option<&Path>,
        proxy: &ProxySettings,
    ) -> Result<WebClient, ClientError> {
        let https = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let proxy = proxy
            .for_host(https, host, port)
            .map_err(ClientError::Proxy)?;
        let tls = tls::config(extra_roots.filter(|_| https)).map_err(ClientError::Roots)?;
        let state = Arc::new(CallState::new(proxy.is_some()));
        Ok(WebClient {
            uri: uri.clone(),
            agent: agent(proxy, tls, &state),
            state,
        })
    }

    /// GET; the status of the answer, which comes within `timeout` or very soon after.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn get(&mut self, timeout: Duration) -> Result<u16, String> {
        self.send(Method::GET, &[], (), timeout)
    }

    /// POST of a piece of JSON; the status of the answer, which comes within `timeout` or very soon
    /// after.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn post_json(&mut self, json: &str, timeout: Duration) -> Result<u16, String> {
        let json_type = [("content-type", "application/json")];
        self.send(Method::POST, &json_type, json, timeout)
    }

    fn send(
        &mut self,
        method: Method,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
        timeout: Duration,
    ) -> Result<u16, String> {
        let end = Monotonic::now() + timeout.min(LONGEST_CALL);
        let mut request = Request::builder()
            .method(method)
            .uri(&self.uri)
            .header("connection", "close");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| error.to_string())?;
        self.state.begin(end);
        match run(&self.agent, request, end, Duration::ZERO) {
            // Whatever follows the head goes with the connection.
            Ok(response) => Ok(response.status().as_u16()),
            Err(error) => Err(explain(&error, timeout)),
        }
    }
}

/// Why there is no answer. What ureq itself says of a request may hold the address.
fn explain(error: &ureq::Error, timeout: Duration) -> String {
    match error {
        ureq::Error::Other(failure) => failure.to_string(),
        ureq::Error::Timeout(_) => format!("no answer within {timeout:.1?}"),
        ureq::Error::ConnectProxyFailed(_) => {
            "the proxy does not connect us; check HTTPS_PROXY and NO_PROXY".to_owned()
        }
        ureq::Error::Io(error) if is_closed(error) => {
            "the connection was closed without an answer".to_owned()
        }
        ureq::Error::Io(error) => format!("the connection broke: {error}"),
        ureq::Error::Protocol(_) => "the answer is no HTTP".to_owned(),
        _ => "the request failed".to_owned(),
    }
}
