//! One HTTP request at a time, made from inside a host's network namespace.
//!
//! Each request has its own connection and its own thread: the thread enters the namespace, so the
//! caller's stays where it is, and a caller within an async runtime is welcome too. Nothing is
//! retried: a test wants to see what one attempt gives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::netns::Namespace;

/// An API server that is slower than this is as good as hung for any test here; etcd's own request
/// timeout, after which an API server gives up on a write, is 7 s.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A list of every object of a test cluster stays far below.
const MAX_RESPONSE_BYTES: usize = 8 * 1024 * 1024;

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body, as it came.
    pub body: Vec<u8>,
}

/// A server as seen from inside a namespace.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    namespace: Namespace,
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
}

/// One request: the method, the path, and a JSON body with its type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) body: Option<(&'a str, &'a Value)>,
}

// === impl Response ===

impl Response {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("status {}, body is not JSON: {}", self.status, self.text()))
    }

    /// The body as JSON, if the status is 2xx.
    ///
    /// # Errors
    /// With the server's own words for any other status.
    pub fn into_success(self) -> anyhow::Result<Value> {
        anyhow::ensure!(self.is_success(), "status {}: {}", self.status, self.text());
        self.json()
    }
}

// === impl Endpoint ===

impl Endpoint {
    pub(super) fn new(
        namespace: &Namespace,
        address: SocketAddr,
        tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        Self { namespace: namespace.clone(), address, tls, timeout: DEFAULT_TIMEOUT }
    }

    pub(super) fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(super) fn call(&self, call: Call<'_>) -> anyhow::Result<Response> {
        let Call { method, path, .. } = call;
        let answer = self.namespace.run_in(|| self.call_here(call))?;
        answer.with_context(|| format!("{method} {path} at {} in {}", self.address, self.namespace))
    }

    fn call_here(&self, call: Call<'_>) -> anyhow::Result<Response> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            tokio::time::timeout(self.timeout, self.connect_and_send(call))
                .await
                .with_context(|| format!("no answer within {:?}", self.timeout))?
        })
    }

    async fn connect_and_send(&self, call: Call<'_>) -> anyhow::Result<Response> {
        let tcp = TcpStream::connect(self.address).await.context("connect")?;
        let Some(tls) = &self.tls else {
            return send(tcp, self.address, call).await;
        };
        let name = ServerName::try_from("kubernetes")?;
        let tls = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await.context("TLS")?;
        send(tls, self.address, call).await
    }
}

async fn send<S>(stream: S, address: SocketAddr, call: Call<'_>) -> anyhow::Result<Response>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the runtime, which lives for this one request.
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(call.method)
        .uri(call.path)
        .header(header::HOST, address.to_string())
        .header(header::ACCEPT, "application/json");
    let mut bytes = Vec::new();
    if let Some((content_type, body)) = call.body {
        request = request.header(header::CONTENT_TYPE, content_type);
        bytes = serde_json::to_vec(body)?;
    }
    let request = request.body(Full::new(Bytes::from(bytes)))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("read the body: {error}"))?;
    Ok(Response { status, body: body.to_bytes().to_vec() })
}
