//! The cluster's certificates as kubeadm lays them out: one CA, serving and client certificates, keys.
//!
//! Everything is ECDSA P-256: kube-apiserver refuses ed25519 keys for service accounts. Validity is
//! between fixed dates, so that nothing here reads a clock. Never use any of this outside tests.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The first address of kubeadm's default service subnet: the `kubernetes` Service.
const KUBERNETES_SERVICE: &str = "10.96.0.1";

/// Whether a certificate is within its dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// From 2020 to 2100.
    Current,
    /// Ended in 2021.
    Expired,
}

/// A certificate authority.
#[derive(Debug)]
pub struct ClusterCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its private key.
#[derive(Debug)]
pub struct KeyedCertificate {
    /// The certificate.
    pub certificate_pem: String,
    /// Its key, PKCS#8.
    pub key_pem: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

/// A client certificate and the user name that it carries.
#[derive(Debug)]
pub struct ClientCertificate {
    /// The common name: what RBAC sees as the user.
    pub user: String,
    /// The certificate with its key.
    pub keyed: KeyedCertificate,
}

/// The key pair that signs and verifies service-account tokens.
#[derive(Debug)]
pub struct ServiceAccountKey {
    /// The signing key, PKCS#8.
    pub private_pem: String,
    /// The verifying key.
    pub public_pem: String,
}

/// Returns the names that kubeadm puts into an API server's certificate, for these addresses.
#[must_use]
pub fn api_server_names(addresses: &[IpAddr]) -> Vec<String> {
    let fixed = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        KUBERNETES_SERVICE,
    ];
    let mut names: Vec<String> = fixed.map(String::from).into();
    names.extend(addresses.iter().map(IpAddr::to_string));
    names
}

/// Writes a kubeconfig in the shape of kubeadm's `admin.conf`, everything embedded.
#[must_use]
pub fn kubeconfig(ca_pem: &str, client: &ClientCertificate, server_url: &str) -> String {
    let user = &client.user;
    format!(
        "apiVersion: v1\n\
         clusters:\n\
         - cluster:\n    \
             certificate-authority-data: {ca}\n    \
             server: {server_url}\n  \
           name: kubernetes\n\
         contexts:\n\
         - context:\n    \
             cluster: kubernetes\n    \
             user: {user}\n  \
           name: {user}@kubernetes\n\
         current-context: {user}@kubernetes\n\
         kind: Config\n\
         users:\n\
         - name: {user}\n  \
           user:\n    \
             client-certificate-data: {certificate}\n    \
             client-key-data: {key}\n",
        ca = base64(ca_pem.as_bytes()),
        certificate = base64(client.keyed.certificate_pem.as_bytes()),
        key = base64(client.keyed.key_pem.as_bytes()),
    )
}

// === impl ClusterCa ===

impl ClusterCa {
    /// Makes a new authority with this common name (kubeadm's is `kubernetes`).
    ///
    /// # Errors
    /// When the key or the certificate cannot be made.
    pub fn generate(common_name: &str) -> Result<Self, rcgen::Error> {
        let mut params = params(common_name, &[], Validity::Current)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer })
    }

    /// The authority's certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The authority's certificate, DER.
    #[must_use]
    pub fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// Issues a serving certificate for these names (host names or addresses).
    ///
    /// # Errors
    /// When a name is not valid, or the key or the certificate cannot be made.
    pub fn issue_serving(
        &self,
        names: &[String],
        validity: Validity,
    ) -> Result<KeyedCertificate, rcgen::Error> {
        let mut params = params("kube-apiserver", names, validity)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// Issues a client certificate. Without a group the user has no rights but those of every
    /// authenticated user.
    ///
    /// # Errors
    /// When the key or the certificate cannot be made.
    pub fn issue_client(
        &self,
        user: &str,
        group: Option<&str>,
        validity: Validity,
    ) -> Result<ClientCertificate, rcgen::Error> {
        let mut params = params(user, &[], validity)?;
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let keyed = self.issue(params)?;
        Ok(ClientCertificate { user: user.to_owned(), keyed })
    }

    /// Issues the administrator's certificate: past RBAC altogether, as in `super-admin.conf`.
    ///
    /// # Errors
    /// When the key or the certificate cannot be made.
    pub fn issue_admin(&self) -> Result<ClientCertificate, rcgen::Error> {
        self.issue_client("kubernetes-admin", Some("system:masters"), Validity::Current)
    }

    fn issue(&self, mut params: CertificateParams) -> Result<KeyedCertificate, rcgen::Error> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(KeyedCertificate {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        })
    }
}

fn params(
    common_name: &str,
    names: &[String],
    validity: Validity,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = match validity {
        Validity::Current => date_time_ymd(2100, 1, 1),
        Validity::Expired => date_time_ymd(2021, 1, 1),
    };
    Ok(params)
}

// === impl KeyedCertificate ===

impl KeyedCertificate {
    /// The chain as rustls wants it.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone()]
    }

    /// The key as rustls wants it.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }

    /// Writes `NAME.crt` and `NAME.key` into a directory; returns their paths.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, directory: &Path, name: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
        let certificate = write_file(directory, &format!("{name}.crt"), &self.certificate_pem)?;
        let key = write_file(directory, &format!("{name}.key"), &self.key_pem)?;
        Ok((certificate, key))
    }
}

// === impl ServiceAccountKey ===

impl ServiceAccountKey {
    /// Makes a new key pair.
    ///
    /// # Errors
    /// When the key cannot be made.
    pub fn generate() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        Ok(Self { private_pem: key.serialize_pem(), public_pem: key.public_key_pem() })
    }

    /// Writes `sa.key` and `sa.pub` into a directory; returns their paths.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, directory: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
        let private = write_file(directory, "sa.key", &self.private_pem)?;
        let public = write_file(directory, "sa.pub", &self.public_pem)?;
        Ok((private, public))
    }
}

fn write_file(directory: &Path, name: &str, content: &str) -> anyhow::Result<PathBuf> {
    let path = directory.join(name);
    fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// Base64 with padding (RFC 4648 section 4), which is all a kubeconfig needs of it.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| (group << 8) | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for position in 0..4 {
            if position <= chunk.len() {
                let index = (group >> (18 - 6 * position)) & 0x3f;
                text.push(char::from(ALPHABET[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_agrees_with_the_vectors_of_rfc_4648() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in vectors {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn kubeconfig_has_the_shape_of_admin_conf() {
        let ca = ClusterCa::generate("kubernetes").unwrap();
        let admin = ca.issue_admin().unwrap();
        let text = kubeconfig(&ca.pem(), &admin, "https://192.0.2.10:6443");
        let blanked: Vec<&str> =
            text.lines().map(|line| line.split("-data: ").next().unwrap()).collect();
        assert_eq!(
            blanked,
            [
                "apiVersion: v1",
                "clusters:",
                "- cluster:",
                "    certificate-authority",
                "    server: https://192.0.2.10:6443",
                "  name: kubernetes",
                "contexts:",
                "- context:",
                "    cluster: kubernetes",
                "    user: kubernetes-admin",
                "  name: kubernetes-admin@kubernetes",
                "current-context: kubernetes-admin@kubernetes",
                "kind: Config",
                "users:",
                "- name: kubernetes-admin",
                "  user:",
                "    client-certificate",
                "    client-key",
            ]
        );
        let header = base64(b"-----BEGIN CERTIFICATE-----\n");
        assert!(text.contains(&format!("certificate-authority-data: {}", &header[..36])));
    }
}
