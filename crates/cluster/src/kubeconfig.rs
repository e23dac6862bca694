//! Kubeconfig bytes to credentials. Pure but for the reading of referenced files, which the caller
//! does; runs no plug-in, and never puts a key into an error.

mod error;
mod not_after;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use pintle_core::ClusterCa;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Deserializer};

pub use self::error::KubeconfigError;

/// What a kubeconfig is good for: whom to trust, and who to be. Its server is not kept.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    pub(crate) token: Option<String>,
    /// The server that the file names, for reports only.
    pub(crate) server: Option<String>,
}

/// What [`crate::check_kubeconfig`] found in a file that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeconfigReport {
    /// The cluster's CA certificates.
    pub authorities: ClusterCa,
    /// When the client certificate ends, if there is one and it says so.
    pub not_after: Option<Timestamp>,
    /// Whether the client certificate has ended.
    pub expired: bool,
    /// The server that the file names; pintle asks the local one instead.
    pub server: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    #[serde(default, deserialize_with = "null_as_empty")]
    clusters: Vec<Named>,
    #[serde(default, deserialize_with = "null_as_empty")]
    contexts: Vec<Named>,
    #[serde(default, deserialize_with = "null_as_empty")]
    users: Vec<Named>,
    current_context: Option<String>,
}

/// An entry of any of the three lists: each has a name and a body of its own name.
#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    cluster: Option<Cluster>,
    context: Option<Context>,
    user: Option<User>,
}

#[derive(Debug, Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: Option<String>,
    certificate_authority: Option<PathBuf>,
    #[serde(deserialize_with = "base64")]
    certificate_authority_data: Option<Vec<u8>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    client_certificate: Option<PathBuf>,
    #[serde(deserialize_with = "base64")]
    client_certificate_data: Option<Vec<u8>>,
    client_key: Option<PathBuf>,
    #[serde(deserialize_with = "base64")]
    client_key_data: Option<Vec<u8>>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
}

/// Resolves references: relative paths count from the kubeconfig's directory.
struct References<'a> {
    directory: &'a Path,
    read: &'a mut dyn FnMut(&Path) -> std::io::Result<Vec<u8>>,
}

/// Reads a kubeconfig's current context. `read` gets the files that it refers to.
pub(crate) fn parse(
    bytes: &[u8],
    directory: &Path,
    read: &mut dyn FnMut(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Material, KubeconfigError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(KubeconfigError::Empty);
    }
    let file: Kubeconfig = serde_yaml::from_slice(bytes).map_err(|error| syntax(&error))?;
    let current = file
        .current_context
        .filter(|name| !name.is_empty())
        .ok_or(KubeconfigError::NoCurrentContext)?;
    let context = named(file.contexts, "context", &current, |entry| entry.context)?;
    let cluster = named(file.clusters, "cluster", &context.cluster, |entry| entry.cluster)?;
    let user = named(file.users, "user", &context.user, |entry| entry.user)?;
    for (plugin, name) in [(user.exec, "an exec plugin"), (user.auth_provider, "an auth-provider")]
    {
        if plugin.is_some() {
            return Err(KubeconfigError::Plugin(name));
        }
    }

    let mut references = References { directory, read };
    let authority = references
        .resolve(
            "certificate-authority",
            cluster.certificate_authority_data,
            cluster.certificate_authority,
        )?
        .ok_or(KubeconfigError::NoAuthority)?;
    let certificate = references.resolve(
        "client-certificate",
        user.client_certificate_data,
        user.client_certificate,
    )?;
    let key = references.resolve("client-key", user.client_key_data, user.client_key)?;
    let token =
        references.resolve("tokenFile", user.token.map(String::into_bytes), user.token_file)?;
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((
            certificates("client-certificate", &certificate)?,
            private_key("client-key", &key)?,
        )),
        (None, None) if token.is_some() => None,
        (Some(_) | None, _) => return Err(KubeconfigError::NoIdentity),
    };
    Ok(Material {
        authorities: certificates("certificate-authority", &authority)?,
        identity,
        token: token.map(|token| String::from_utf8_lossy(&token).trim().to_owned()),
        server: cluster.server,
    })
}

/// The certificates of a PEM file or field: at least one.
pub(crate) fn certificates(
    field: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, KubeconfigError> {
    let wanted = "certificate";
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or(KubeconfigError::Pem { field, wanted })
}

fn private_key(field: &'static str, pem: &[u8]) -> Result<PrivateKeyDer<'static>, KubeconfigError> {
    let wanted = "private key";
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| KubeconfigError::Pem { field, wanted })
}

fn named<T>(
    entries: Vec<Named>,
    kind: &'static str,
    name: &str,
    body: impl Fn(Named) -> Option<T>,
) -> Result<T, KubeconfigError> {
    let entry = entries.into_iter().find(|entry| entry.name == name);
    entry.and_then(body).ok_or_else(|| KubeconfigError::Unknown { kind, name: name.to_owned() })
}

fn null_as_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Named>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Base64 in which, as Go reads it, line ends do not count.
fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let Some(mut text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    text.retain(|character| !matches!(character, '\r' | '\n'));
    // The decoder's own words quote what it found.
    let not_base64 = |_| serde::de::Error::custom("not base64");
    let ByteString(bytes) = serde_json::from_value(text.into()).map_err(not_base64)?;
    Ok((!bytes.is_empty()).then_some(bytes))
}

/// The place and the kind of a mistake. What was found is left out: the parser quotes it, and in a
/// kubeconfig it may be a private key.
fn syntax(error: &serde_yaml::Error) -> KubeconfigError {
    let location = error.location();
    let text = error.without_snippet().to_string();
    let line = text.lines().next().unwrap_or_default();
    let quiet: Vec<&str> = line
        .split_whitespace()
        // No word of an error message is that long; base64 is.
        .map(|word| if word.len() > 24 { "…" } else { word })
        .take(24)
        .collect();
    KubeconfigError::Syntax {
        line: location.map_or(0, |at| at.line()),
        column: location.map_or(0, |at| at.column()),
        message: quiet.join(" "),
    }
}

// === impl References ===

impl References<'_> {
    /// The embedded content, or that of the file; the embedded one comes first, as in kubectl.
    fn resolve(
        &mut self,
        field: &'static str,
        embedded: Option<Vec<u8>>,
        file: Option<PathBuf>,
    ) -> Result<Option<Vec<u8>>, KubeconfigError> {
        if embedded.is_some() {
            return Ok(embedded);
        }
        let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) else {
            return Ok(None);
        };
        let path = self.directory.join(file);
        let content = (self.read)(&path);
        content.map(Some).map_err(|source| KubeconfigError::Reference { field, path, source })
    }
}

// === impl Material ===

impl Material {
    /// What `check` tells of it.
    pub(crate) fn report(&self, now: Timestamp) -> KubeconfigReport {
        let leaf = self.identity.as_ref().and_then(|(chain, _)| chain.first());
        let not_after = leaf.and_then(|leaf| not_after::not_after(leaf));
        KubeconfigReport {
            authorities: ClusterCa {
                certificates: self.authorities.iter().map(|der| der.to_vec()).collect(),
            },
            not_after,
            expired: not_after.is_some_and(|end| end < now),
            server: self.server.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
