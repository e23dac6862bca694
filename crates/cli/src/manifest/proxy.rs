//! What runs a worker's proxy.

use pintle_core::config::{Argument, ProxyConfig, Role};

use super::mounts::{self, Source};
use super::pod::{Pod, Shape};
use super::{Distribution, Mount, indented, wrong};
use crate::args::PodArgs;
use crate::exit::Failure;
use crate::migrate::Migration;

/// Where the kubelet keeps the key that kubelet.conf refers to.
const KUBELET_PKI: &str = "/var/lib/kubelet/pki";

/// Renders the static pod of a worker.
///
/// # Errors
///
/// Settings that it cannot work with.
pub(super) fn static_pod(
    args: &PodArgs,
    arguments: &[Argument],
    config: &ProxyConfig,
    migration: &Migration,
) -> Result<String, Failure> {
    if args.distribution != Distribution::Kubeadm {
        return Err(wrong(
            "agents of k3s and RKE2 have a load balancer of their own: role=proxy is for kubeadm",
        ));
    }
    if !migration.notes.is_empty() {
        return Err(wrong(
            "--from reads the files of a control plane's front door: leave it out with role=proxy",
        ));
    }
    if config.kubeconfigs.is_empty() {
        return Err(wrong("a static pod has no service account: name a file with --kubeconfig"));
    }
    let shape = Shape {
        template: include_str!("proxy-spec.yaml"),
        role: Role::Proxy,
        telemetry: config.telemetry.address,
        mounts: mounts(config)?,
        account: "automountServiceAccountToken: false",
    };
    let spec = Pod::new(args, arguments, shape)?.spec();
    let yaml = include_str!("proxy-pod.yaml")
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@LISTEN@", &config.listen.to_string());
    Ok(yaml.replacen("@SPEC@\n", &indented(&spec, 2), 1))
}

/// Renders the role of the workers' proxies.
pub(super) fn rbac() -> String {
    include_str!("proxy-rbac.yaml").replace("@VERSION@", env!("CARGO_PKG_VERSION"))
}

fn mounts(config: &ProxyConfig) -> Result<Vec<Mount>, Failure> {
    let mut mounts = mounts::of(&config.kubeconfigs).map_err(wrong)?;
    mounts.retain(|mount| mount.name != mounts::MACHINE_ID_NAME);
    let is_kubelet_s = |path: &std::path::PathBuf| path.ends_with("kubelet.conf");
    if config.kubeconfigs.iter().any(is_kubelet_s) {
        mounts.push(Mount {
            name: "kubelet-pki".to_owned(),
            why: "The key that kubelet.conf names. The whole directory: it is replaced as it is renewed.",
            target: KUBELET_PKI.to_owned(),
            source: Source::Directory(KUBELET_PKI.to_owned()),
        });
    }
    Ok(mounts)
}
