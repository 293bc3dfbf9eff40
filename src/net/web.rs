//! Single requests to an address, such as a webhook or a workload's health check. They follow no redirect.
//!
//! The address may be a secret: no text from here shows more of it than its host.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, HeaderValue};
use ureq::http::{Method, Request, Response};
use ureq::{AsSendBody, Body};

use super::access_token::AccessTokenReader;
use super::agent::{Agent, CallError, Deadline, Effect, SetupError};
use super::proxy::ProxySettings;
use super::url::Url;

/// Greatest length of a body, in bytes; a status document with the longest names has about 100 kB.
const MAX_BODY: u64 = 256 * 1024;

const ACCEPT_JSON: (&str, &str) = ("accept", "application/json");

/// Client for one address. It makes one request at a time, each over its own connection.
#[derive(Debug)]
pub struct WebClient {
    url: Url,
    agent: Agent,
    access_token: Option<AccessTokenReader>,
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
            url: url.clone(),
            agent: Agent::new(url.destination(&host), ca_file, proxy)?,
            access_token: None,
        })
    }

    /// Adds an access token, which every request carries as a bearer token.
    #[must_use]
    pub fn with_access_token(mut self, access_token: AccessTokenReader) -> WebClient {
        self.access_token = Some(access_token);
        self
    }

    /// Sends a GET request. Returns the status of the response, within `timeout` or very soon after.
    ///
    /// # Errors
    /// Returns why there is no response.
    pub fn get(&mut self, timeout: Duration) -> Result<u16, String> {
        let response = self.send(Method::GET, &[], (), Deadline::after(timeout));
        status(response)
    }

    /// Sends a POST request with a JSON body. Returns the status of the response, within `timeout` or very
    /// soon after.
    ///
    /// # Errors
    /// Returns why there is no response.
    pub fn post_json(&mut self, json: &str, timeout: Duration) -> Result<u16, String> {
        let headers = [("content-type", "application/json")];
        let response = self.send(Method::POST, &headers, json, Deadline::after(timeout));
        status(response)
    }

    /// Sends a GET request. Returns status and JSON body of the response, as [`post`](Self::post) does.
    ///
    /// # Errors
    /// Returns why there is no response.
    pub fn get_json(&mut self, timeout: Duration) -> Result<(u16, Vec<u8>), CallError> {
        let deadline = Deadline::after(timeout);
        let response = self.send(Method::GET, &[ACCEPT_JSON], (), deadline)?;
        self.whole(response, deadline)
    }

    /// Sends a POST request without a body. Returns status and JSON body of the response, the latter not
    /// parsed, within `timeout` or very soon after. A body is cut after 256 KiB.
    ///
    /// # Errors
    /// Returns why there is no response.
    pub fn post(&mut self, timeout: Duration) -> Result<(u16, Vec<u8>), CallError> {
        let deadline = Deadline::after(timeout);
        let response = self.send(Method::POST, &[ACCEPT_JSON], "", deadline)?;
        self.whole(response, deadline)
    }

    fn whole(
        &self,
        response: Response<Body>,
        deadline: Deadline,
    ) -> Result<(u16, Vec<u8>), CallError> {
        let status = response.status().as_u16();
        let mut body = Vec::new();
        let mut reader = response.into_body().into_reader().take(MAX_BODY);
        match reader.read_to_end(&mut body) {
            Ok(_) => Ok((status, body)),
            Err(error) => {
                let message = self.agent.explain(&error.into(), deadline);
                Err(CallError::MayHaveLanded(message))
            }
        }
    }

    fn send(
        &mut self,
        method: Method,
        headers: &[(&str, &str)],
        body: impl AsSendBody + Clone,
        deadline: Deadline,
    ) -> Result<Response<Body>, CallError> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.url.uri())
            .header("connection", "close");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(access_token) = &mut self.access_token {
            let bearer = format!("Bearer {}", access_token.current().expose());
            let bearer = HeaderValue::from_str(&bearer);
            let mut bearer = bearer.map_err(|error| CallError::NotSent(error.to_string()))?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        let request = request.body(body);
        let request = request.map_err(|error| CallError::NotSent(error.to_string()))?;
        self.agent.call(request, Effect::Write, deadline)
    }
}

/// Returns the status of a response, whose body is dropped with its connection.
fn status(response: Result<Response<Body>, CallError>) -> Result<u16, String> {
    match response {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) => Err(error.to_string()),
    }
}
