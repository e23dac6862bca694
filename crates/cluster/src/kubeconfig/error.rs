//! Why a kubeconfig is of no use: one variant for each thing that an operator can do about it.

use std::path::PathBuf;

/// Why a kubeconfig is of no use. The text is whole, cause and all, as a log's field takes it; whoever
/// prints the chain of sources says the cause twice.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// There is no such file.
    #[error("does not exist")]
    Missing,
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] std::io::Error),
    /// No kubeconfig is that large.
    #[error("is larger than 1 MiB: not a kubeconfig")]
    TooLarge,
    /// The file has no content; it may be being written.
    #[error("is empty")]
    Empty,
    /// Not YAML, or not the shape of a kubeconfig.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// Counted from 1; 0 where it is not known.
        line: u64,
        /// Counted from 1; 0 where it is not known.
        column: u64,
        /// What is wrong, without what was found: that may be a key.
        message: String,
    },
    /// `current-context` is not set.
    #[error("current-context is not set: set it to one of the contexts")]
    NoCurrentContext,
    /// A name that nothing in the file has.
    #[error("there is no {kind} named {name:?}")]
    Unknown {
        /// `context`, `cluster` or `user`.
        kind: &'static str,
        /// The name that is looked for.
        name: String,
    },
    /// Without a CA the server could be anybody.
    #[error(
        "the cluster has no certificate-authority-data or certificate-authority: add the cluster's CA"
    )]
    NoAuthority,
    /// The user would have to be got from another program.
    #[error(
        "the user needs {0}, and pintle runs no other program: use a client certificate or a token"
    )]
    Plugin(&'static str),
    /// Neither certificate nor token.
    #[error("the user has neither a client certificate with its key nor a token")]
    NoIdentity,
    /// A file that the kubeconfig refers to.
    #[error("{field} {}: {source}", path.display())]
    Reference {
        /// Which field refers to it.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// No certificate, or no key, where one should be.
    #[error("{field} holds no PEM {wanted}")]
    Pem {
        /// Which field.
        field: &'static str,
        /// `certificate` or `private key`.
        wanted: &'static str,
    },
    /// The certificates and the key are not fit for TLS, or not for each other.
    #[error("the certificates or the key cannot be used: {0}")]
    Tls(#[source] rustls::Error),
}
