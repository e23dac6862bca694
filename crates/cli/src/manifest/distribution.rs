//! What differs between the distributions of Kubernetes, as far as a manifest has to know it.

use clap::ValueEnum;

/// Who set the cluster up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Distribution {
    /// kubeadm, and whatever keeps its files in /etc/kubernetes.
    Kubeadm,
    /// k3s: server nodes.
    K3s,
    /// RKE2: server nodes.
    Rke2,
}

impl Distribution {
    /// The kubeconfig that is on every server node; `None` for pintle's own defaults.
    pub(super) const fn kubeconfig(self) -> Option<&'static str> {
        match self {
            Self::Kubeadm => None,
            Self::K3s => Some("/etc/rancher/k3s/k3s.yaml"),
            Self::Rke2 => Some("/etc/rancher/rke2/rke2.yaml"),
        }
    }

    /// The value of the label `node-role.kubernetes.io/control-plane`.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Kubeadm => "",
            Self::K3s | Self::Rke2 => "true",
        }
    }

    /// Where the static pod's manifest goes, as comments of it.
    pub(super) const fn place(self) -> &'static str {
        match self {
            Self::Kubeadm => {
                "# Put the same file into /etc/kubernetes/manifests of every control-plane node, on the first one\n\
                 # before `kubeadm init --control-plane-endpoint VIP:6443`."
            }
            Self::K3s => {
                "# Put the same file into /var/lib/rancher/k3s/agent/pod-manifests of every server node; each has the VIP\n\
                 # as `tls-san` in /etc/rancher/k3s/config.yaml."
            }
            Self::Rke2 => {
                "# Put the same file into /var/lib/rancher/rke2/agent/pod-manifests of every server node; each has the VIP\n\
                 # as `tls-san` in /etc/rancher/rke2/config.yaml."
            }
        }
    }
}
