//! The real scenario: whole hosts with containerd and kubelet, a cluster made by kubeadm, and pintle as
//! its static pod from before `kubeadm init`.
//!
//! A host is made of namespaces of its own (network, mount, UTS, IPC, PID, cgroup) over an overlay of
//! this machine's root. See `host/boot.sh` and `host/init.sh`.

pub mod bench;
pub mod cluster;
mod files;
pub mod host;
mod look;
pub mod steps;
