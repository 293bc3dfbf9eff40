//! Single requests to an address, such as a webhook or a workload's health check. They follow no redirect.
//!
//! The address may be a secret: no text from here shows more of it than its host.

use std::path::Path;
use std::time::Duration;

use ureq::http::{Method, Request, Response, Uri};
use ureq::{AsSendBody, Body};

use super::agent::{Agent, CallError, Deadline, Effect, SetupError};
use super::proxy::ProxySettings;
use super::url::Url;

/// Client for one address. It makes one request at a time, each over its own connection.
#[derive(Debug)]
pub struct WebClient {
    uri: Uri,
    agent: Agent,
}

impl WebClient {
    /// Prepares a client, without sending anything. The certificates in `ca_file` (PEM) replace the
    /// built-in roots; the file is read again when it changes.
    ///
    /// # Errors
    /// Returns an error if the certificates or the proxy cannot be used.
    pub fn new(
        url: &Url,
        ca_file: Option<&Path>,
        proxy: &ProxySettings,
    ) -> Result<WebClient, SetupError> {
        let host = url.host().to_ascii_lowercase();
        Ok(WebClient {
            uri: url.uri().clone(),
            agent: Agent::new(url.destination(&host), ca_file, proxy)?,
        })
    }

    /// Sends a GET request. Returns the status of the response, within `timeout` or very soon after.
    ///
    /// # Errors
    /// Returns why there is no response.
    pub fn get(&mut self, timeout: Duration) -> Result<u16, String> {
        let response = self.send(Method::GET, &[], (), timeout)?;
        Ok(response.status().as_u16())
    }

    /// Sends a POST request with a JSON body. Returns the status of the response, within `timeout` or very
    /// soon after.
    ///
    /// # Errors
    /// Returns why there is no response.
    pub fn post_json(&mut self, json: &str, timeout: Duration) -> Result<u16, String> {
        let headers = [("content-type", "application/json")];
        let response = self.send(Method::POST, &headers, json, timeout)?;
        Ok(response.status().as_u16())
    }

    fn send(
        &mut self,
        method: Method,
        headers: &[(&str, &str)],
        body: impl AsSendBody + Clone,
        timeout: Duration,
    ) -> Result<Response<Body>, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(&self.uri)
            .header("connection", "close");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| error.to_string())?;
        // What follows the head is dropped with the connection.
        let response = self
            .agent
            .call(request, Effect::Write, Deadline::after(timeout));
        response.map_err(|error| match error {
            CallError::NotSent(message) | CallError::MayHaveLanded(message) => message,
        })
    }
}
