//! Why pintle does not run.

/// Why the process ends without having been asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A privilege, a link or an address is missing, or is not what it should be.
    #[error(transparent)]
    Net(#[from] pintle_net::StartError),
    /// A listener cannot be opened.
    #[error(transparent)]
    Listen(#[from] pintle_telemetry::ServeError),
    /// The balancer cannot listen.
    #[error(transparent)]
    Balancer(#[from] pintle_balancer::StartError),
    /// Connections cannot be led to the balancer.
    #[error(transparent)]
    Redirect(#[from] pintle_net::RedirectError),
    /// pintle itself, or what it needs of the kernel, failed.
    #[error(transparent)]
    Internal(anyhow::Error),
}

impl RunError {
    pub(crate) fn internal(error: impl Into<anyhow::Error>) -> Self {
        Self::Internal(error.into())
    }
}
