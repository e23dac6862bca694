//! What a pintle is, and what each key is worth then. The one table of what differs on a worker.

use super::schema::{Fallback, Key};

/// What a pintle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Keeps the VIP on one fit control-plane node.
    ControlPlane,
    /// The node-local balancer of a worker: no VIP, no Lease, no privileges.
    Proxy,
}

/// What a key is worth in the role of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnWorker {
    /// What it is worth on a control-plane node.
    Same,
    /// The same with another default.
    Other(Fallback),
    /// Nothing, and why.
    Refused(&'static str),
}

const NO_VIP: &str = "a worker's proxy has no VIP";
const NO_ELECTION: &str = "a worker's proxy takes part in no election";
const NO_LOCAL: &str = "a worker has no API server of its own";

// === impl Role ===

impl Role {
    /// What holds in this role when the key is not given.
    #[must_use]
    pub fn fallback(self, key: &Key) -> Fallback {
        match (self, on_worker(key.path)) {
            (Self::Proxy, OnWorker::Other(fallback)) => fallback,
            (Self::Proxy, OnWorker::Same | OnWorker::Refused(_)) | (Self::ControlPlane, _) => {
                key.fallback
            }
        }
    }
}

/// What the key at `path` is worth in the role of a proxy.
#[must_use]
pub fn on_worker(path: &str) -> OnWorker {
    let section = path.split('.').next().unwrap_or(path);
    match (section, path) {
        (_, "apiserver.kubeconfigs") => {
            OnWorker::Other(Fallback::Text("/etc/kubernetes/kubelet.conf"))
        }
        (_, "balancer.backends") => OnWorker::Other(Fallback::Required("192.0.2.11:6443")),
        (_, "balancer.listen") => OnWorker::Other(Fallback::Text("127.0.0.1:6443")),
        (_, "apiserver.address") => OnWorker::Refused(NO_LOCAL),
        (_, "apiserver.probe.failureThreshold") => {
            OnWorker::Refused("it moves the VIP, and a worker's proxy has none")
        }
        (_, "balancer.enabled") => {
            OnWorker::Refused("a worker's proxy is a balancer and nothing else")
        }
        (_, "balancer.port") => {
            OnWorker::Refused("clients of a worker's proxy use balancer.listen")
        }
        ("vips" | "interface" | "announce", _) => OnWorker::Refused(NO_VIP),
        ("election", _) => OnWorker::Refused(NO_ELECTION),
        _ => OnWorker::Same,
    }
}
