//! Connections to one API server: always to its own address, always TLS, verified under one name.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::CertificateError;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

/// TCP and TLS together; half of an attempt's second, so that one that connects late still has the
/// other half. A handshake on the node takes 4-7 ms.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a connection may be idle before the peer is asked whether it lives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);

/// From one question to the next.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// Unacknowledged for this long and the peer is dead. Longer than an attempt, which has its own bound:
/// this is for watches, whose socket would otherwise stay for 15 minutes.
const USER_TIMEOUT: Duration = Duration::from_secs(3);

/// Why there is no connection. Nothing was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("no connection within 500 ms")]
    Timeout,
    #[error("{0}")]
    Connect(#[source] io::Error),
    #[error("{0}")]
    Tls(#[source] rustls::Error),
}

/// Makes connections to one address.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    pub(crate) address: SocketAddr,
    pub(crate) name: ServerName<'static>,
    pub(crate) tls: Arc<rustls::ClientConfig>,
}

/// A TLS connection, as hyper's pool wants one.
#[derive(Debug)]
pub(crate) struct TlsLink(TokioIo<TlsStream<TcpStream>>);

// === impl DialError ===

impl DialError {
    /// What an operator should be told of a server whose certificate was not accepted.
    pub(crate) fn certificate_fault(&self) -> Option<String> {
        let Self::Tls(error) = self else {
            return None;
        };
        Some(match error {
            // A bad signature is what a CA of the same name makes: all of kubeadm's are `kubernetes`.
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => "its certificate is not signed by the CA of the kubeconfig".into(),
            rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => "its certificate has expired".into(),
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => "its certificate is not valid yet: is the clock of this node right".into(),
            other => other.to_string(),
        })
    }
}

// === impl Dialer ===

impl Dialer {
    async fn dial(self) -> Result<TlsLink, DialError> {
        timeout(CONNECT_TIMEOUT, self.connect()).await.unwrap_or(Err(DialError::Timeout))
    }

    async fn connect(self) -> Result<TlsLink, DialError> {
        let stream = TcpStream::connect(self.address).await.map_err(DialError::Connect)?;
        set_options(&stream).map_err(DialError::Connect)?;
        let connector = TlsConnector::from(self.tls);
        let stream =
            connector.connect(self.name, stream).await.map_err(|error| match error.downcast() {
                Ok(tls) => DialError::Tls(tls),
                Err(error) => DialError::Connect(error),
            })?;
        Ok(TlsLink(TokioIo::new(stream)))
    }
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

impl Service<Uri> for Dialer {
    type Response = TlsLink;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<TlsLink, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    /// The URI's host is the address already: see `transport`.
    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().dial())
    }
}

// === impl TlsLink ===

impl Connection for TlsLink {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for TlsLink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for TlsLink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
