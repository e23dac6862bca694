//! A cluster's CA and serving certificates, made for one test.

use std::sync::Arc;

use pintle_core::ClusterCa;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// The name that certificates are verified under.
pub(crate) const NAME: &str = "kubernetes";

pub(crate) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = params(&[], 2100);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    pub(crate) fn der(&self) -> Vec<Vec<u8>> {
        vec![self.issuer.der().to_vec()]
    }

    /// As the credentials bring it.
    pub(crate) fn trust(&self) -> ClusterCa {
        ClusterCa { certificates: self.der() }
    }

    /// What a server with a certificate for `kubernetes` and the VIP 192.0.2.10 accepts with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_for(&[NAME, "192.0.2.10"], 2100)
    }

    pub(crate) fn acceptor_for(&self, names: &[&str], until_year: i32) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names, until_year).signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        // What kube-apiserver offers: the probe has to choose for itself.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

fn params(names: &[&str], until_year: i32) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "test");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until_year, 1, 1);
    params
}
