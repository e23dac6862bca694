//! One credential, ready for use: what TLS trusts and shows, and the token if there is one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::HeaderValue;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

use crate::kubeconfig::{KubeconfigError, Material};

/// One per content: a file that changed becomes another credential.
pub(crate) struct Credential {
    /// Tells this credential's connections from those of any other.
    pub(crate) serial: u64,
    /// Those that can be used.
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    /// Why one beside them cannot be.
    pub(crate) odd_authority: Option<rustls::Error>,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) authorization: Option<HeaderValue>,
}

// === impl Credential ===

impl Credential {
    /// Checks that the certificates and the key are fit for TLS.
    pub(crate) fn new(material: Material) -> Result<Self, KubeconfigError> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);

        let mut roots = RootCertStore::empty();
        let mut odd_authority = None;
        let mut authorities = material.authorities;
        // One odd certificate in a bundle must not cost the others.
        authorities.retain(|authority| match roots.add(authority.clone()) {
            Ok(()) => true,
            Err(error) => {
                odd_authority = Some(error);
                false
            }
        });
        if roots.is_empty() {
            return Err(odd_authority.map_or(KubeconfigError::NoAuthority, KubeconfigError::Tls));
        }
        // The provider is named, so that no process-wide default has to be installed or can differ.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(KubeconfigError::Tls)?
            .with_root_certificates(roots);
        let tls = match material.identity {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(KubeconfigError::Tls)?
            }
            None => builder.with_no_client_auth(),
        };
        let authorization = material.token.map(|token| bearer(&token)).transpose()?;
        Ok(Self {
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            authorities,
            odd_authority,
            tls: Arc::new(tls),
            authorization,
        })
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("serial", &self.serial).finish_non_exhaustive()
    }
}

fn bearer(token: &str) -> Result<HeaderValue, KubeconfigError> {
    let mut value =
        HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| KubeconfigError::Pem {
            field: "token",
            wanted: "token: it has characters that no token has",
        })?;
    value.set_sensitive(true);
    Ok(value)
}
