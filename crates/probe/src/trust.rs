//! Which certificates are believed: those of the cluster's CA, and before it is known none.

use std::sync::Arc;

use pintle_core::ClusterCa;
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use tokio_rustls::TlsConnector;

/// What is known of the cluster's CA.
#[derive(Clone)]
pub(crate) enum Trust {
    /// No kubeconfig was found yet: nothing can be verified.
    Unknown,
    /// It is there and cannot be used; says why.
    Unusable(String),
    /// Certificates are verified against it.
    Known(TlsConnector),
}

// === impl Trust ===

impl Trust {
    pub(crate) fn new(ca: Option<&ClusterCa>) -> Self {
        let Some(ca) = ca else {
            return Self::Unknown;
        };
        match connector(&ca.certificates) {
            Ok(connector) => Self::Known(connector),
            Err(reason) => {
                tracing::warn!(%reason, "Cluster CA cannot be used");
                Self::Unusable(reason)
            }
        }
    }
}

/// Makes a TLS client that believes these certificates and no other, or says why not.
pub(crate) fn connector(certificates: &[Vec<u8>]) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    let mut last_error = None;
    for certificate in certificates {
        // One odd certificate in a bundle must not cost the others.
        if let Err(error) = roots.add(CertificateDer::from(certificate.as_slice())) {
            last_error = Some(error);
        }
    }
    if roots.is_empty() {
        return Err(last_error.map_or_else(
            || "cluster CA holds no certificate".to_owned(),
            |error| format!("cluster CA cannot be used: {error}"),
        ));
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // API servers prefer HTTP/2 when it is offered; one request at a time needs none of it.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session is not verified again, and an expired certificate should be found.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_never_trusted() {
        assert!(matches!(Trust::new(None), Trust::Unknown));
        for certificates in [vec![], vec![vec![]], vec![b"-----BEGIN CERTIFICATE-----".to_vec()]] {
            let ca = ClusterCa { certificates };
            assert!(matches!(Trust::new(Some(&ca)), Trust::Unusable(_)), "{ca:?}");
        }
    }
}
