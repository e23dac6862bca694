//! What a probe of an API server found. Shared by the probe crate, which finds it, the health part
//! of the core, which counts it, and the metrics, which name it.

/// The outcome of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// `/readyz` said 200.
    Ready,
    /// 500 with `[-]shutdown`: it serves, and will stop soon.
    Draining,
    /// 500 (or another 5xx, or 429): the names of the failed checks, at most 16.
    NotReady(Vec<String>),
    /// The connection was refused or reset, or a kept connection broke.
    Refused,
    /// No answer within the timeout.
    Timeout,
    /// The TLS handshake failed: wrong CA, wrong name, expired, not TLS.
    TlsFailed(String),
    /// 401 or 403: alive, but `/readyz` is not for us. Counts as alive, never as ready.
    Unauthorised,
}

impl ProbeOutcome {
    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::NotReady(_) => "not_ready",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::TlsFailed(_) => "tls_failed",
            Self::Unauthorised => "unauthorised",
        }
    }

    /// Whether the server can serve clients: ready, or alive and merely closed to this probe.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        match self {
            Self::Ready | Self::Unauthorised => true,
            Self::Draining
            | Self::NotReady(_)
            | Self::Refused
            | Self::Timeout
            | Self::TlsFailed(_) => false,
        }
    }
}
