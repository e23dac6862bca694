//! Three hosts and a client on a switch, and what kubeadm makes of them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use pintle_testkit::control_plane::RunDir;
use pintle_testkit::netns::{Topology, VIP_V4, host_v4};
use serde_json::Value;

use super::files;
use super::host::Host;
use crate::bed::{Bed, HOSTS};

/// Where kubelet looks for static pods.
pub const MANIFESTS: &str = "/etc/kubernetes/manifests";

/// kubeadm's own patience with a control plane is 4 minutes; here it takes 10 s.
const KUBEADM_FLAGS: [&str; 1] = ["--ignore-preflight-errors=all"];

const KUBECTL: [&str; 3] =
    ["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=5s"];

/// What the hosts are made of.
#[derive(Debug)]
pub struct Parts {
    /// kubelet, kubeadm, kubectl and helm.
    pub programs: Vec<PathBuf>,
    /// A directory with archives for `ctr images import`: the control plane's.
    pub images: PathBuf,
    /// Such an archive: pintle's own.
    pub image: PathBuf,
    /// pintle's chart.
    pub chart: PathBuf,
    /// The version of Kubernetes, with its `v`.
    pub version: String,
}

/// The hosts. Fields are dropped in order: hosts before the network they are in.
#[derive(Debug)]
pub struct Cluster {
    hosts: Vec<Host>,
    topology: Topology,
    parts: Parts,
    run_dir: RunDir,
}

// === impl Cluster ===

impl Cluster {
    /// Boots the hosts and gives them their images.
    ///
    /// # Errors
    /// When one does not boot.
    pub fn boot(parts: Parts) -> Result<Self> {
        let topology = Topology::start(HOSTS)?;
        let run_dir = RunDir::create()?;
        let mut cluster = Self { hosts: Vec::new(), topology, parts, run_dir };
        for index in 0..HOSTS {
            let host = cluster.set_up(index)?;
            cluster.hosts.push(host);
        }
        Ok(cluster)
    }

    fn set_up(&self, index: usize) -> Result<Host> {
        let name = Bed::hostname(index);
        let state = self.run_dir.path().join(&name);
        let mut host = Host::new(&name, state, self.topology.host_ns(index))?;
        self.bring(index, &host).context("write what the host brings with it")?;
        host.boot()?;
        host.run(&["install", "-D", "/mnt/pods.conflist", "/etc/cni/net.d/10-pods.conflist"])?;
        host.run(&["mkdir", "-p", MANIFESTS])?;
        for directory in ["/mnt/images", "/mnt/image"] {
            let import = format!("for i in {directory}/*; do ctr -n k8s.io images import $i; done");
            host.run(&["bash", "-ec", &import])?;
        }
        Ok(host)
    }

    /// Programs, images and configuration, before the first boot.
    fn bring(&self, index: usize, host: &Host) -> Result<()> {
        let (name, address) = (Bed::hostname(index), host_v4(index));
        for program in &self.parts.programs {
            let file = program.file_name().context("a program is a file")?;
            host.link(&format!("bin/{}", file.display()), program)?;
        }
        host.link("images", &self.parts.images)?;
        host.link("image/pintle.tar", &self.parts.image)?;
        host.link("chart", &self.parts.chart)?;
        let hosts: String =
            (0..HOSTS).map(|host| format!("{} {}\n", host_v4(host), Bed::hostname(host))).collect();
        for (file, text) in [
            ("hosts", hosts),
            ("containerd.toml", files::CONTAINERD.to_owned()),
            ("audit.json", files::audit_policy()),
            ("pods.conflist", files::pod_network(index)),
            ("init.yaml", files::init(&name, address, VIP_V4, &self.parts.version)),
            ("join.yaml", files::join(&name, address, VIP_V4)),
        ] {
            fs::write(host.files().join(file), text)?;
        }
        Ok(())
    }

    /// A host.
    #[must_use]
    pub fn host(&self, index: usize) -> &Host {
        &self.hosts[index]
    }

    /// The network.
    #[must_use]
    pub const fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Puts a static pod's manifest on a host, as a rename puts it there: never half of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_manifest(&self, host: usize, name: &str, text: &str) -> Result<()> {
        let host = &self.hosts[host];
        fs::write(host.files().join(name), text)?;
        let next = format!("/etc/kubernetes/.{name}.next");
        host.run(&["cp", &format!("/mnt/{name}"), &next])?;
        host.run(&["mv", &next, &format!("{MANIFESTS}/{name}")]).map(drop)
    }

    /// Takes one away, as an operator does.
    ///
    /// # Errors
    /// When it is not there.
    pub fn remove_manifest(&self, host: usize, name: &str) -> Result<()> {
        self.hosts[host].run(&["rm", &format!("{MANIFESTS}/{name}")]).map(drop)
    }

    /// `kubeadm init` on the first host; how long it took.
    ///
    /// # Errors
    /// When it fails.
    pub fn init(&self) -> Result<Duration> {
        self.kubeadm(
            0,
            &[
                "init",
                "--config=/mnt/init.yaml",
                "--skip-phases=addon/coredns,addon/kube-proxy",
                "--upload-certs",
            ],
        )
    }

    /// `kubeadm join --control-plane` on another host; how long it took.
    ///
    /// # Errors
    /// When it fails.
    pub fn join(&self, host: usize) -> Result<Duration> {
        self.kubeadm(host, &["join", "--config=/mnt/join.yaml"])
    }

    fn kubeadm(&self, host: usize, words: &[&str]) -> Result<Duration> {
        let started = Instant::now();
        let words = [&["kubeadm"], words, &KUBEADM_FLAGS].concat();
        self.hosts[host].run(&words)?;
        Ok(started.elapsed())
    }

    /// `kubectl` on a host, as its administrator: through the VIP.
    ///
    /// # Errors
    /// When it fails.
    pub fn kubectl(&self, host: usize, words: &[&str]) -> Result<String> {
        self.hosts[host].run(&[&KUBECTL, words].concat())
    }

    /// `kubectl` on a host that asks its own API server: for what is looked at while nobody has the VIP.
    ///
    /// # Errors
    /// When it fails.
    pub fn kubectl_local(&self, host: usize, words: &[&str]) -> Result<String> {
        let local = ["--server=https://127.0.0.1:6443", "--tls-server-name=kubernetes"];
        self.hosts[host].run(&[&KUBECTL[..], &local, words].concat())
    }

    /// The same, read as JSON.
    ///
    /// # Errors
    /// When it fails or prints something else.
    pub fn kubectl_json(&self, host: usize, words: &[&str]) -> Result<Value> {
        let text = self.kubectl(host, &[words, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).context("kubectl printed no JSON")
    }

    /// The host that has the VIP on a link.
    ///
    /// # Errors
    /// When `ip` fails, or more than one has it.
    pub fn holder(&self) -> Result<Option<usize>> {
        match self.topology.owners(VIP_V4.into())?[..] {
            [] => Ok(None),
            [holder] => Ok(Some(holder)),
            ref several => bail!("several hosts have the VIP: {several:?}"),
        }
    }

    /// A host dies: its cable is dead and every process in it is gone.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn power_loss(&mut self, host: usize) -> Result<()> {
        self.topology.cable_down(host)?;
        self.hosts[host].power_loss()
    }

    /// The first half of a reboot: its processes are told to end, then its cable is dead.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn shut_down(&mut self, host: usize) -> Result<()> {
        self.hosts[host].shut_down()?;
        self.topology.cable_down(host)
    }

    /// Switches a host on again.
    ///
    /// # Errors
    /// When it does not boot.
    pub fn power_on(&mut self, host: usize) -> Result<()> {
        self.topology.cable_up(host)?;
        self.hosts[host].boot()
    }
}
