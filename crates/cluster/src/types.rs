//! What the daemon gives to this crate and gets from it, beside the core's own types.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pintle_core::{AttemptId, LeaseFailure, LeaseWrite, ServerId, Vip};

/// Where kubelet mounts a pod's service account.
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Is told of every request about the Lease when it has ended. Called between two network events: it
/// must return at once.
pub type Observer = Arc<dyn Fn(Verb, Outcome, Duration) + Send + Sync>;

/// Which Lease, as whom, and with which credentials.
#[derive(Clone)]
pub struct ClusterConfig {
    /// This node's name: the identity in the Lease.
    pub node: String,
    /// Which boot of which machine this is.
    pub incarnation: String,
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub lease: String,
    /// The virtual addresses: written into the Lease, and never taken for an API server's.
    pub vips: Vec<Vip>,
    /// Kubeconfigs, best first.
    pub kubeconfigs: Vec<PathBuf>,
    /// The last of the chain: a directory with `token` and `ca.crt`, usually [`SERVICE_ACCOUNT`].
    pub service_account: PathBuf,
    /// The name that the API servers' certificates are verified under.
    pub server_name: String,
    /// The local API server.
    pub local: SocketAddr,
    /// Measures requests.
    pub observer: Observer,
}

/// What is wanted of this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterCommand {
    /// Read the Lease; answered by `LeaseAnswered`.
    Read {
        /// Names the answer.
        attempt: AttemptId,
        /// Through which API server.
        server: ServerId,
    },
    /// Write the Lease; answered by `LeaseAnswered`.
    Write {
        /// Names the answer.
        attempt: AttemptId,
        /// Through which API server.
        server: ServerId,
        /// What to write.
        write: LeaseWrite,
    },
    /// Open the watch anew through the next API server.
    Rewatch,
    /// Post an Event on the Lease.
    Event(KubeEvent),
}

/// A Kubernetes Event on the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeEvent {
    /// One word in CamelCase, at most 128 bytes.
    pub reason: String,
    /// For people; cut at 1 KiB.
    pub note: String,
    /// How bad it is.
    pub kind: EventKind,
}

/// A Kubernetes Event's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// As it should be.
    Normal,
    /// Worth a look.
    Warning,
}

/// What a request about the Lease wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// A quorum read.
    Get,
    /// A POST.
    Create,
    /// A PUT.
    Update,
    /// The opening of the watch.
    Watch,
}

/// How a request about the Lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// As asked; a read of an absent Lease is one, too.
    Success,
    /// Not.
    Failure(LeaseFailure),
}

// === impl ClusterConfig ===

impl fmt::Debug for ClusterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterConfig")
            .field("node", &self.node)
            .field("namespace", &self.namespace)
            .field("lease", &self.lease)
            .field("kubeconfigs", &self.kubeconfigs)
            .finish_non_exhaustive()
    }
}

// === impl Verb ===

impl Verb {
    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure(failure) => failure.label(),
        }
    }
}
