//! A real control plane on one machine: per host one etcd member and one kube-apiserver.
//!
//! The hosts are network namespaces that exist already and reach each other; each process has its
//! host's name in a UTS namespace of its own, since API servers name their identity Leases after
//! it. Everything is plain processes with data in memory: about 350 MB per host, and no kubelet.
//! Programs come from `hack/tools.sh`; nothing here builds, downloads or configures a network.

mod api;
mod etcd;
mod host;
mod http;
mod run_dir;
mod tools;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustls::ClientConfig;

pub use self::api::ApiClient;
pub use self::http::Response;
pub use self::run_dir::RunDir;
pub use self::tools::tool;

use self::etcd::{MemberStatus, member_status, transfer_leader};
use self::host::{API_PORT, Host, Member};
use self::http::Endpoint;
use self::tools::Tools;
use crate::certs::{ClientCertificate, ClusterCa, ServiceAccountKey};
use crate::netns::{self, Namespace, Topology};
use crate::process::Process;
use crate::watches::Watches;

/// Ready takes 3 s on an idle machine; ten times that covers a compiler on every core.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a wait asks again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// One answer to `/readyz`: without etcd's quorum it takes 4 s to say no.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// etcd elects within 2 s of losing a leader (a random 1-2 s timeout), or again after a split vote.
const LEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A host that exists: a network namespace with its loopback and its address up.
#[derive(Debug, Clone)]
pub struct HostSpec {
    /// The host's network namespace.
    pub namespace: Namespace,
    /// The host's name; it is the etcd member's name too.
    pub hostname: String,
    /// The address at which the other hosts reach it.
    pub address: IpAddr,
}

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct ControlPlaneSpec {
    /// The hosts, one, three or five.
    pub hosts: Vec<HostSpec>,
    /// The control-plane endpoint's addresses: in the certificates and in the kubeconfigs.
    pub vips: Vec<IpAddr>,
    /// Where data, certificates and logs go; usually a [`RunDir`]'s path.
    pub run_dir: PathBuf,
    /// `--shutdown-delay-duration`; kubeadm sets none, so an API server ends at once.
    pub shutdown_delay: Option<Duration>,
    /// Leaves the VIPs out of the serving certificates, a common mistake of operators.
    pub certificates_without_vips: bool,
    /// More flags for each kube-apiserver.
    pub api_server_args: Vec<String>,
}

/// The running control plane. Dropping it kills the API servers, then the etcd members.
#[derive(Debug)]
pub struct ControlPlane {
    hosts: Vec<Host>,
    pki: Pki,
    tls: Arc<ClientConfig>,
}

/// The cluster's authority and what it issued to everyone.
#[derive(Debug)]
struct Pki {
    ca: ClusterCa,
    ca_file: PathBuf,
    admin: ClientCertificate,
    service_account_private: PathBuf,
    service_account_public: PathBuf,
}

// === impl HostSpec ===

impl HostSpec {
    /// Every host of a topology, named `cp-1`, `cp-2`, …
    #[must_use]
    pub fn all_of(topology: &Topology) -> Vec<Self> {
        let host = |index| Self {
            namespace: topology.host_ns(index).clone(),
            hostname: format!("cp-{}", index + 1),
            address: netns::host_v4(index).into(),
        };
        (0..topology.host_count()).map(host).collect()
    }
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts the etcd members, then the API servers, and waits until each is ready.
    ///
    /// # Errors
    /// When a program is missing (`hack/tools.sh` builds it), or a process ends or is not ready
    /// within a minute; then with the end of its log. Nothing is left running.
    pub fn start(spec: &ControlPlaneSpec) -> anyhow::Result<Self> {
        let tools = Tools::find()?;
        let pki = Pki::create(&spec.run_dir)?;
        let tls = api::client_tls(&pki.ca, &pki.admin)?;
        let members: anyhow::Result<_> =
            spec.hosts.iter().map(|host| Member::start(host, spec, &tools)).collect();
        let mut members: Vec<Member> = members?;
        wait_for_quorum(&mut members)?;
        let hosts: anyhow::Result<_> =
            members.into_iter().map(|member| member.start_api_server(spec, &pki, &tools)).collect();
        let mut this = Self { hosts: hosts?, pki, tls };
        for index in 0..this.hosts.len() {
            this.wait_ready(index, START_TIMEOUT)?;
        }
        Ok(this)
    }

    /// How many hosts there are; they are numbered from 0.
    #[must_use]
    pub fn host_count(&self) -> usize {
        self.hosts.len()
    }

    /// A host's API server process, to be killed, stopped, asked to end.
    pub fn api_server(&mut self, host: usize) -> &mut Process {
        &mut self.hosts[host].api_server
    }

    /// A host's etcd process.
    pub fn etcd(&mut self, host: usize) -> &mut Process {
        &mut self.hosts[host].etcd
    }

    /// Starts a host's API server again, killing the old process where it still runs. It is not
    /// ready yet on return: see [`ControlPlane::wait_ready`].
    ///
    /// # Errors
    /// When it cannot be killed or started.
    pub fn restart_api_server(&mut self, host: usize) -> anyhow::Result<()> {
        self.hosts[host].api_server.restart()
    }

    /// The same with a `--shutdown-delay-duration` until its next start.
    ///
    /// # Errors
    /// When it cannot be killed or started.
    pub fn restart_api_server_with_delay(
        &mut self,
        host: usize,
        delay: Duration,
    ) -> anyhow::Result<()> {
        self.hosts[host].api_server.restart_with(&[&host::shutdown_delay_arg(delay)])
    }

    /// Starts a host's etcd member again on its data, killing the old process where it still runs.
    ///
    /// # Errors
    /// When it cannot be killed or started.
    pub fn restart_etcd(&mut self, host: usize) -> anyhow::Result<()> {
        self.hosts[host].etcd.restart()
    }

    /// Waits until a host's API server answers `/readyz` with 200.
    ///
    /// # Errors
    /// After `timeout`, or as soon as one of the host's processes has ended; with the end of its log.
    pub fn wait_ready(&mut self, host: usize, timeout: Duration) -> anyhow::Result<()> {
        let api = self.api(host).with_timeout(READY_TIMEOUT);
        let started = Instant::now();
        loop {
            let answer = api.get("/readyz");
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            let Host { api_server, etcd, .. } = &mut self.hosts[host];
            for process in [etcd, &mut *api_server] {
                let (name, tail) = (process.name().to_owned(), process.log_tail());
                anyhow::ensure!(process.is_running(), "{name} ended before it was ready:\n{tail}");
            }
            if started.elapsed() >= timeout {
                let (name, tail) = (api_server.name(), api_server.log_tail());
                let last = answer.map_or_else(|error| format!("{error:#}"), |it| it.text());
                anyhow::bail!("{name} is not ready after {timeout:?}: {last}\n{tail}");
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// The number of the host whose etcd member leads, as a majority of the members has it. A member
    /// that was cut off may think otherwise for as long as it hears of no other.
    ///
    /// # Errors
    /// When there is none within 10 s.
    pub fn etcd_leader(&self) -> anyhow::Result<usize> {
        let started = Instant::now();
        loop {
            let statuses = self.member_statuses();
            if let Some(leader) = leader_of_majority(&statuses) {
                return Ok(leader);
            }
            anyhow::ensure!(
                started.elapsed() < LEADER_TIMEOUT,
                "no etcd leader known to a majority within {LEADER_TIMEOUT:?}: {statuses:?}"
            );
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Makes a host's etcd member the leader, without an interruption.
    ///
    /// # Errors
    /// When the leader refuses, or the members do not agree on the new one within 10 s.
    pub fn move_etcd_leader(&self, to: usize) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let from = self.etcd_leader()?;
            if from == to {
                return Ok(());
            }
            let target = member_status(&self.hosts[to].spec.namespace)?.member;
            // A leader refuses while the target's log is behind: then it is asked again.
            let moved = transfer_leader(&self.hosts[from].spec.namespace, &target);
            if started.elapsed() >= LEADER_TIMEOUT {
                moved.with_context(|| format!("move the etcd leader to host {to}"))?;
                anyhow::bail!("the etcd leader did not settle on host {to} in {LEADER_TIMEOUT:?}");
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// A host's `admin.conf`, in kubeadm's shape: its server is the first VIP.
    #[must_use]
    pub fn admin_kubeconfig_path(&self, host: usize) -> &Path {
        &self.hosts[host].admin_kubeconfig
    }

    /// The cluster's authority, to issue other certificates from.
    #[must_use]
    pub fn ca(&self) -> &ClusterCa {
        &self.pki.ca
    }

    /// Opens an administrator's watches from inside a namespace, at an address of the API.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn watches(
        &self,
        namespace: &Namespace,
        address: SocketAddr,
        count: usize,
    ) -> anyhow::Result<Watches> {
        Watches::start(namespace, address, Arc::clone(&self.tls), count)
    }

    /// An administrator's client of a host's API server, from inside that host.
    #[must_use]
    pub fn api(&self, host: usize) -> ApiClient {
        self.api_over(host, Arc::clone(&self.tls))
    }

    /// An administrator's client from inside any namespace, of whatever answers at an address.
    #[must_use]
    pub fn api_from(&self, namespace: &Namespace, address: SocketAddr) -> ApiClient {
        ApiClient::new(Endpoint::new(namespace, address, Some(Arc::clone(&self.tls))))
    }

    /// Another user's client of a host's API server, from inside that host.
    ///
    /// # Errors
    /// When the certificate does not fit its key.
    pub fn api_as(&self, host: usize, client: &ClientCertificate) -> anyhow::Result<ApiClient> {
        let tls = api::client_tls(&self.pki.ca, client)?;
        Ok(self.api_over(host, tls))
    }

    fn api_over(&self, host: usize, tls: Arc<ClientConfig>) -> ApiClient {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, API_PORT));
        let namespace = &self.hosts[host].spec.namespace;
        ApiClient::new(Endpoint::new(namespace, address, Some(tls)))
    }

    fn member_statuses(&self) -> Vec<Option<MemberStatus>> {
        self.hosts.iter().map(|host| member_status(&host.spec.namespace).ok()).collect()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // All API servers before any etcd: each dies at once and logs no storm about lost peers.
        for host in &mut self.hosts {
            if let Err(error) = host.api_server.kill() {
                tracing::warn!(host = host.spec.hostname, %error, "Could not end an API server");
            }
        }
    }
}

/// Waits until every member serves and knows its leader. An API server that finds no etcd backs off
/// for seconds, so it pays to start it late.
fn wait_for_quorum(members: &mut [Member]) -> anyhow::Result<()> {
    let started = Instant::now();
    for Member { etcd, spec, .. } in members {
        loop {
            let status = member_status(&spec.namespace);
            if status.as_ref().is_ok_and(|status| status.leader.is_some()) {
                break;
            }
            let (name, tail) = (etcd.name().to_owned(), etcd.log_tail());
            anyhow::ensure!(etcd.is_running(), "{name} ended at its start:\n{tail}");
            anyhow::ensure!(
                started.elapsed() < START_TIMEOUT,
                "{name} has no leader after {START_TIMEOUT:?}: {status:?}\n{tail}"
            );
            thread::sleep(POLL_INTERVAL);
        }
    }
    Ok(())
}

/// Finds the member that a majority of all members, silent ones counted, calls the leader.
fn leader_of_majority(statuses: &[Option<MemberStatus>]) -> Option<usize> {
    let says = |candidate: &str| {
        statuses.iter().flatten().filter(|it| it.leader.as_deref() == Some(candidate)).count()
    };
    statuses
        .iter()
        .position(|status| status.as_ref().is_some_and(|it| says(&it.member) * 2 > statuses.len()))
}

// === impl Pki ===

impl Pki {
    fn create(directory: &Path) -> anyhow::Result<Self> {
        let ca = ClusterCa::generate("kubernetes")?;
        let ca_file = directory.join("ca.crt");
        std::fs::write(&ca_file, ca.pem())
            .with_context(|| format!("write {}", ca_file.display()))?;
        let admin = ca.issue_admin()?;
        let (service_account_private, service_account_public) =
            ServiceAccountKey::generate()?.write(directory)?;
        Ok(Self { ca, ca_file, admin, service_account_private, service_account_public })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(member: &str, leader: Option<&str>) -> Option<MemberStatus> {
        Some(MemberStatus { member: member.into(), leader: leader.map(str::to_owned) })
    }

    #[test]
    fn the_leader_is_who_a_majority_names() {
        let agreed = [status("a", Some("b")), status("b", Some("b")), status("c", Some("b"))];
        assert_eq!(leader_of_majority(&agreed), Some(1));
        let one_silent = [status("a", Some("a")), None, status("c", Some("a"))];
        assert_eq!(leader_of_majority(&one_silent), Some(0));
    }

    #[test]
    fn a_cut_off_member_that_still_calls_itself_leader_is_not_believed() {
        let stale = [status("a", Some("a")), status("b", Some("c")), status("c", Some("c"))];
        assert_eq!(leader_of_majority(&stale), Some(2));
        let alone = [status("a", Some("a")), None, None];
        assert_eq!(leader_of_majority(&alone), None);
        let electing = [None, status("b", None), status("c", None)];
        assert_eq!(leader_of_majority(&electing), None);
        let dead_leader_still_named = [None, status("b", Some("a")), status("c", Some("a"))];
        assert_eq!(leader_of_majority(&dead_leader_still_named), None);
    }
}
