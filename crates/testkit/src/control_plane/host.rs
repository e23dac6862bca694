//! One control-plane host: its etcd member and its API server, with the flags they run with.
//!
//! Each API server talks to the etcd member of its own host only, as kubeadm's stacked topology
//! has it: a host whose etcd is gone has an API server that is not ready.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::etcd::{CLIENT_PORT, PEER_PORT};
use super::{ControlPlaneSpec, HostSpec, Pki, tools::Tools};
use crate::certs::{self, Validity};
use crate::process::{Process, Spawn};

/// kubeadm's port of the API server.
pub(super) const API_PORT: u16 = 6443;

/// The running half of a host. Its fields are dropped in order, and an API server whose etcd is
/// gone takes more than 30 s to end by itself: it goes first.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) api_server: Process,
    pub(super) etcd: Process,
    pub(super) spec: HostSpec,
    pub(super) admin_kubeconfig: PathBuf,
}

/// A host whose etcd member runs and whose API server does not yet.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) etcd: Process,
    pub(super) spec: HostSpec,
    directory: PathBuf,
}

// === impl Member ===

impl Member {
    /// Starts the etcd member and does not wait for it.
    pub(super) fn start(
        spec: &HostSpec,
        cluster: &ControlPlaneSpec,
        tools: &Tools,
    ) -> anyhow::Result<Self> {
        let directory = cluster.run_dir.join(&spec.hostname);
        fs::create_dir(&directory).with_context(|| format!("make {}", directory.display()))?;
        let etcd = in_host(spec, "etcd", &tools.etcd, &directory)
            .args(etcd_args(&directory, spec, &cluster.hosts))
            .start()?;
        Ok(Self { etcd, spec: spec.clone(), directory })
    }

    /// Starts the API server and does not wait for it.
    pub(super) fn start_api_server(
        self,
        cluster: &ControlPlaneSpec,
        pki: &Pki,
        tools: &Tools,
    ) -> anyhow::Result<Host> {
        let Self { etcd, spec, directory } = self;
        let admin_kubeconfig = write_admin_kubeconfig(&directory, &spec, cluster, pki)?;
        let args = api_server_args(&directory, &spec, cluster, pki)?;
        let api_server = in_host(&spec, "kube-apiserver", &tools.kube_apiserver, &directory)
            .args(args)
            .start()?;
        Ok(Host { api_server, etcd, spec, admin_kubeconfig })
    }
}

fn in_host(spec: &HostSpec, name: &str, program: &Path, directory: &Path) -> Spawn {
    let log = directory.join(format!("{name}.log"));
    Spawn::new(format!("{name} of {}", spec.hostname), program, log)
        .in_namespace(spec.namespace.name())
        .hostname(&spec.hostname)
}

/// kubeadm's `admin.conf` names the control-plane endpoint, which is the VIP.
fn write_admin_kubeconfig(
    directory: &Path,
    spec: &HostSpec,
    cluster: &ControlPlaneSpec,
    pki: &Pki,
) -> anyhow::Result<PathBuf> {
    let address = cluster.vips.first().copied().unwrap_or(spec.address);
    let server = format!("https://{}", SocketAddr::new(address, API_PORT));
    let path = directory.join("admin.conf");
    let text = certs::kubeconfig(&pki.ca.pem(), &pki.admin, &server);
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

fn peer_url(host: &HostSpec) -> String {
    format!("http://{}", SocketAddr::new(host.address, PEER_PORT))
}

fn client_url() -> String {
    format!("http://{}", SocketAddr::from((Ipv4Addr::LOCALHOST, CLIENT_PORT)))
}

/// Heartbeat (100 ms) and election timeout (1 s) stay etcd's own: the product's times are chosen
/// against them.
fn etcd_args(directory: &Path, spec: &HostSpec, hosts: &[HostSpec]) -> Vec<String> {
    let members: Vec<String> =
        hosts.iter().map(|host| format!("{}={}", host.hostname, peer_url(host))).collect();
    vec![
        format!("--name={}", spec.hostname),
        format!("--data-dir={}", directory.join("etcd").display()),
        format!("--listen-peer-urls={}", peer_url(spec)),
        format!("--initial-advertise-peer-urls={}", peer_url(spec)),
        format!("--listen-client-urls={}", client_url()),
        format!("--advertise-client-urls={}", client_url()),
        format!("--initial-cluster={}", members.join(",")),
        "--initial-cluster-state=new".into(),
        "--initial-cluster-token=pintle-test".into(),
    ]
}

fn api_server_args(
    directory: &Path,
    spec: &HostSpec,
    cluster: &ControlPlaneSpec,
    pki: &Pki,
) -> anyhow::Result<Vec<String>> {
    let names = serving_names(spec.address, cluster);
    let serving = pki.ca.issue_serving(&names, Validity::Current)?;
    let (certificate, key) = serving.write(directory, "apiserver")?;
    let path = |path: &Path| path.display().to_string();
    let mut args = vec![
        format!("--etcd-servers={}", client_url()),
        format!("--advertise-address={}", spec.address),
        "--bind-address=0.0.0.0".into(),
        format!("--secure-port={API_PORT}"),
        "--endpoint-reconciler-type=lease".into(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        format!("--service-account-key-file={}", path(&pki.service_account_public)),
        format!("--service-account-signing-key-file={}", path(&pki.service_account_private)),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        format!("--tls-cert-file={}", path(&certificate)),
        format!("--tls-private-key-file={}", path(&key)),
        format!("--client-ca-file={}", path(&pki.ca_file)),
        "--authorization-mode=Node,RBAC".into(),
        "--allow-privileged=true".into(),
    ];
    args.extend(cluster.shutdown_delay.map(shutdown_delay_arg));
    args.extend(cluster.api_server_args.iter().cloned());
    Ok(args)
}

/// As kubeadm does: the host's own address and the control-plane endpoint.
fn serving_names(address: IpAddr, cluster: &ControlPlaneSpec) -> Vec<String> {
    let mut addresses = vec![address];
    if !cluster.certificates_without_vips {
        addresses.extend(&cluster.vips);
    }
    certs::api_server_names(&addresses)
}

pub(super) fn shutdown_delay_arg(delay: Duration) -> String {
    format!("--shutdown-delay-duration={}ms", delay.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_has_its_own_host_and_the_vips_unless_told_otherwise() {
        let own = IpAddr::from(Ipv4Addr::new(192, 0, 2, 11));
        let vip = IpAddr::from(Ipv4Addr::new(192, 0, 2, 10));
        let mut cluster = ControlPlaneSpec { vips: vec![vip], ..ControlPlaneSpec::default() };
        let names = serving_names(own, &cluster);
        for name in ["kubernetes", "10.96.0.1", "192.0.2.11", "192.0.2.10"] {
            assert!(names.iter().any(|it| it == name), "{name} in {names:?}");
        }
        cluster.certificates_without_vips = true;
        let names = serving_names(own, &cluster);
        assert!(names.iter().any(|it| it == "192.0.2.11"));
        assert!(!names.iter().any(|it| it == "192.0.2.10"));
    }
}
