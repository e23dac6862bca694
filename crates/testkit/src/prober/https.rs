//! One HTTPS request on a new connection, with full verification: what kubectl does.
//!
//! The request is written by hand and only the status line is read: a judge that used the product's
//! HTTP client would share its faults.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ProbeTarget;
use super::attempts::{connect, outcome_of};
use super::series::Outcome;

/// A status line and a few headers; an answer whose first line is longer is none.
const MAX_HEAD: usize = 1024;

/// How to verify the server, and the request to send.
#[derive(Clone)]
pub(super) struct TlsTarget {
    connector: TlsConnector,
    server_name: ServerName<'static>,
}

// === impl TlsTarget ===

impl TlsTarget {
    pub(super) fn new(target: &ProbeTarget) -> Result<Self> {
        let pem = target.ca_pem.as_deref().context("https needs ca_pem")?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.context("read ca_pem")?)?;
        }
        ensure!(!roots.is_empty(), "ca_pem has no certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A resumed session would not look at the certificate.
        config.resumption = Resumption::disabled();
        let server_name = ServerName::try_from(target.server_name.clone())
            .with_context(|| format!("server_name {:?}", target.server_name))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server_name })
    }

    /// Connects, verifies, asks for `/livez`, and reads the status.
    pub(super) async fn get_livez(&self, address: SocketAddr) -> Outcome {
        let answer = async {
            let mut stream = self.open(address).await?;
            self.ask(&mut stream, "close").await
        };
        match answer.await {
            Ok(status) => Outcome::Answered(status),
            Err(error) => outcome_of(&error),
        }
    }

    pub(super) async fn open(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let stream = connect(address).await?;
        self.connector.connect(self.server_name.clone(), stream).await
    }

    /// Sends `GET /livez` and reads the status of the answer; bytes after the status line may be
    /// read, too, and are dropped.
    pub(super) async fn ask(
        &self,
        stream: &mut TlsStream<TcpStream>,
        connection: &str,
    ) -> io::Result<u16> {
        let name = self.server_name.to_str();
        let request =
            format!("GET /livez HTTP/1.1\r\nHost: {name}\r\nConnection: {connection}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        read_status(stream).await
    }
}

impl std::fmt::Debug for TlsTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsTarget").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

async fn read_status(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<u16> {
    let mut head = [0; MAX_HEAD];
    let mut len = 0;
    while !head[..len].contains(&b'\n') {
        let read = stream.read(&mut head[len..]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        len += read;
    }
    status_of(&head[..len]).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// The status of `HTTP/1.x NNN …`.
fn status_of(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(2..5)?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|status| (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_status() {
        assert_eq!(status_of(b"HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(status_of(b"HTTP/1.0 500 \r\nx: y"), Some(500));
        for bad in [&b"HTTP/2 200\n"[..], b"HTTP/1.1 2\n", b"HTTP/1.1 999 \n", b"\n", b"SSH-2.0\n"]
        {
            assert_eq!(status_of(bad), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn an_endless_status_line_is_no_answer() {
        let mut endless: &[u8] = &[b'x'; 4096];
        assert!(read_status(&mut endless).await.is_err());
    }
}
