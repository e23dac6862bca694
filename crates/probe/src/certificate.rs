//! Whether an API server's certificate covers given names: a question of `pintle check`.
//!
//! Clients of the VIP verify the certificate under the VIP. kubeadm puts the control-plane endpoint
//! into it; a cluster that was made without one has to be given a new certificate first.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time;
use webpki::EndEntityCert;

use crate::trust::connector;

/// Why the certificate could not be looked at.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// The CA's certificates cannot be used.
    #[error("{0}")]
    Ca(String),
    /// Not a name that a certificate could carry.
    #[error("{0:?} is neither a DNS name nor an address")]
    Name(String),
    /// No connection.
    #[error("cannot connect to the API server at {address}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// No answer in time.
    #[error("the API server at {address} did not answer within {timeout:?}")]
    Timeout {
        /// Where.
        address: SocketAddr,
        /// The bound.
        timeout: Duration,
    },
    /// The certificate is not the cluster's, expired, or for another name; or it is no TLS server.
    #[error("the API server at {address} is not who it should be")]
    Tls {
        /// Where.
        address: SocketAddr,
        /// What TLS said.
        source: io::Error,
    },
    /// The certificate was accepted and cannot be read: not seen in the wild.
    #[error("the certificate of the API server at {address} cannot be read")]
    Malformed {
        /// Where.
        address: SocketAddr,
    },
}

/// Which of the names asked for are in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Asked for and in it.
    pub covered: Vec<String>,
    /// Asked for and not in it.
    pub missing: Vec<String>,
}

/// Fetches the certificate of the API server at `address`, verifies it against `ca` (DER) under
/// `server_name`, and says which of `names` (addresses or DNS names) it covers.
///
/// # Errors
/// When the certificate cannot be had within `timeout`, or is not to be trusted.
pub async fn certificate_covers(
    address: SocketAddr,
    server_name: &str,
    names: &[String],
    ca: &[Vec<u8>],
    timeout: Duration,
) -> Result<Coverage, CertificateError> {
    let connector = connector(ca).map_err(CertificateError::Ca)?;
    let verified_as = parse(server_name)?;
    let handshake = async {
        let tcp = TcpStream::connect(address)
            .await
            .map_err(|source| CertificateError::Connect { address, source })?;
        let tls = connector.connect(verified_as, tcp).await;
        tls.map_err(|source| CertificateError::Tls { address, source })
    };
    let tls = time::timeout(timeout, handshake)
        .await
        .map_err(|_| CertificateError::Timeout { address, timeout })??;
    let leaf = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate = leaf
        .and_then(|der| EndEntityCert::try_from(der).ok())
        .ok_or(CertificateError::Malformed { address })?;

    let mut coverage = Coverage { covered: Vec::new(), missing: Vec::new() };
    for name in names {
        let is_covered = certificate.verify_is_valid_for_subject_name(&parse(name)?).is_ok();
        let list = if is_covered { &mut coverage.covered } else { &mut coverage.missing };
        list.push(name.clone());
    }
    Ok(coverage)
}

fn parse(name: &str) -> Result<ServerName<'static>, CertificateError> {
    ServerName::try_from(name.to_owned()).map_err(|_| CertificateError::Name(name.to_owned()))
}
