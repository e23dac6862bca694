//! A host's API server as its administrator sees it: raw JSON over HTTPS, like `kubectl --raw`.
//!
//! It tells what the server says and judges nothing: a 409 is an answer, not an error.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper::Method;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde_json::Value;

use super::http::{Call, Endpoint, Response};
use crate::certs::{ClientCertificate, ClusterCa};
use crate::netns::Namespace;

/// A client of one API server, from inside its host's namespace.
#[derive(Debug, Clone)]
pub struct ApiClient {
    endpoint: Endpoint,
}

/// Makes the TLS side of a client that trusts this authority and shows this certificate.
pub(super) fn client_tls(
    ca: &ClusterCa,
    client: &ClientCertificate,
) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.der()).context("trust the cluster CA")?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(client.keyed.chain(), client.keyed.key())?;
    Ok(Arc::new(config))
}

// === impl ApiClient ===

impl ApiClient {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    /// A client inside any namespace, of whatever answers at an address under the API server's name.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub fn from_inside(
        namespace: &Namespace,
        address: SocketAddr,
        ca: &ClusterCa,
        client: &ClientCertificate,
    ) -> anyhow::Result<Self> {
        Ok(Self::new(Endpoint::new(namespace, address, Some(client_tls(ca, client)?))))
    }

    /// The same client with another bound for one request (default 10 s).
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { endpoint: self.endpoint.with_timeout(timeout) }
    }

    /// Sends GET.
    ///
    /// # Errors
    /// When there was no answer; any status is an answer.
    pub fn get(&self, path: &str) -> anyhow::Result<Response> {
        self.endpoint.call(Call { method: &Method::GET, path, body: None })
    }

    /// Sends POST (create).
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Response> {
        self.send_json(&Method::POST, path, body)
    }

    /// Sends PUT (replace).
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub fn put(&self, path: &str, body: &Value) -> anyhow::Result<Response> {
        self.send_json(&Method::PUT, path, body)
    }

    /// Sends PATCH with a JSON merge patch (RFC 7396).
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Response> {
        let body = Some(("application/merge-patch+json", body));
        self.endpoint.call(Call { method: &Method::PATCH, path, body })
    }

    /// Sends DELETE.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub fn delete(&self, path: &str) -> anyhow::Result<Response> {
        self.endpoint.call(Call { method: &Method::DELETE, path, body: None })
    }

    fn send_json(&self, method: &Method, path: &str, body: &Value) -> anyhow::Result<Response> {
        let body = Some(("application/json", body));
        self.endpoint.call(Call { method, path, body })
    }
}
