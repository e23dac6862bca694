//! TLS as kube-apiserver serves it: it asks for a client certificate, takes any, and judges it per
//! request, so that a stranger's certificate ends in 401 and not in a broken handshake.

use std::fmt;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::TlsAcceptor;

/// DER tags (X.690 section 8): what a subject is made of.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT_0: u8 = 0xa0;

/// Object identifiers 2.5.4.3 and 2.5.4.10, with tag and length.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
const ORGANIZATION: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x0a];

/// What a server shows to its clients, and whom it knows.
#[derive(Clone)]
pub struct TlsIdentity {
    /// The serving certificate and its intermediates, PEM.
    pub cert_chain_pem: String,
    /// Its key, PEM.
    pub key_pem: String,
    /// The CA of the clients, PEM. Without it there is no authentication: everyone is an
    /// administrator.
    pub client_ca_pem: Option<String>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    /// Nobody said.
    Anonymous,
    /// A certificate of the client CA: its common name, its organizations.
    Certified { user: String, groups: Vec<String> },
    /// A certificate that is not of the client CA, or not valid at this time.
    Stranger,
}

/// The server's side of TLS.
pub(super) struct ServerTls {
    acceptor: TlsAcceptor,
    judge: Option<Arc<dyn ClientCertVerifier>>,
}

/// Takes every client certificate whose key the client has.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
    hints: Vec<DistinguishedName>,
}

// === impl TlsIdentity ===

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").finish_non_exhaustive()
    }
}

// === impl Peer ===

impl Peer {
    fn administrator() -> Self {
        Self::Certified {
            user: "kubernetes-admin".to_owned(),
            groups: vec!["system:masters".to_owned()],
        }
    }
}

// === impl ServerTls ===

impl ServerTls {
    pub(super) fn new(identity: &TlsIdentity) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(identity.cert_chain_pem.as_bytes())
                .collect::<Result<_, _>>()
                .context("read the serving certificate")?;
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
            .context("read the serving key")?;
        let judge = match &identity.client_ca_pem {
            Some(pem) => Some(judge(pem, &provider)?),
            None => None,
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match &judge {
            Some(judge) => builder.with_client_cert_verifier(Arc::new(AnyCertificate {
                provider,
                hints: judge.root_hint_subjects().to_vec(),
            })),
            None => builder.with_no_client_auth(),
        };
        let mut config =
            builder.with_single_cert(chain, key).context("use the serving certificate")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), judge })
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Says who a client with these certificates is.
    pub(super) fn peer(&self, certificates: Option<&[CertificateDer<'_>]>) -> Peer {
        let Some(judge) = &self.judge else {
            return Peer::administrator();
        };
        let Some((leaf, intermediates)) = certificates.and_then(<[_]>::split_first) else {
            return Peer::Anonymous;
        };
        if judge.verify_client_cert(leaf, intermediates, UnixTime::now()).is_err() {
            return Peer::Stranger;
        }
        let subject = subject(leaf).unwrap_or_default();
        let user = attributes(subject, &COMMON_NAME).pop();
        user.map_or(Peer::Stranger, |user| Peer::Certified {
            user,
            groups: attributes(subject, &ORGANIZATION),
        })
    }
}

fn judge(
    ca_pem: &str,
    provider: &Arc<CryptoProvider>,
) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate.context("read the client CA")?).context("use the client CA")?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .context("use the client CA")
}

// === impl AnyCertificate ===

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Finds the subject of a certificate (RFC 5280 section 4.1), which rustls does not hand out.
fn subject(certificate: &[u8]) -> Option<&[u8]> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    let (tag, _, after_first) = element(rest)?;
    if tag == EXPLICIT_0 {
        rest = after_first;
    }
    // Serial number, signature algorithm, issuer and validity come before it.
    for _ in 0..4 {
        rest = element(rest)?.2;
    }
    element(rest).filter(|(tag, _, _)| *tag == SEQUENCE).map(|(_, subject, _)| subject)
}

/// Lists the values of one attribute in a subject.
fn attributes(mut subject: &[u8], oid: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    while let Some((SET, mut pairs, after)) = element(subject) {
        while let Some((SEQUENCE, pair, next)) = element(pairs) {
            let value = pair.strip_prefix(oid).and_then(element);
            values.extend(value.map(|(_, text, _)| String::from_utf8_lossy(text).into_owned()));
            pairs = next;
        }
        subject = after;
    }
    values
}

/// Splits DER into the first element's tag and content, and the rest.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, der) = der.split_first()?;
    let (&first, der) = der.split_first()?;
    let (length, der) = if first < 0x80 {
        (usize::from(first), der)
    } else {
        // Two bytes of length are 64 KiB: no certificate is longer.
        let (bytes, der) = der.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.len() > 2 {
            return None;
        }
        (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), der)
    };
    let (content, rest) = der.split_at_checked(length)?;
    Some((tag, content, rest))
}
