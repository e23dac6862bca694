//! Three hosts with etcd, kube-apiserver and pintle each, a client, and the way back to good order.
//!
//! One bed serves many runs: what a fault broke is started again, and the next run begins only when
//! everything stands. It judges nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pintle_testkit::control_plane::{ControlPlane, ControlPlaneSpec, HostSpec, RunDir};
use pintle_testkit::netns::{INTERFACE, Namespace, Topology, VIP_V4};
use pintle_testkit::prober::ProbeTarget;

use crate::pintle::{Pintle, Place, Tuning};

pub mod lease;
mod neighbour;
mod restore;
pub mod steady;

/// The address under test.
pub const VIP: Ipv4Addr = VIP_V4;
/// The port that clients use.
pub const PORT: u16 = 6443;
/// As many as kubeadm's documentation has, and as etcd needs to lose one.
pub const HOSTS: usize = 3;

/// An API server is ready 3 s after its start; a busy machine takes longer.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything that runs. Fields are dropped in order: processes before the hosts they run in.
#[derive(Debug)]
pub struct Bed {
    pintles: Vec<Pintle>,
    cluster: ControlPlane,
    topology: Topology,
    run_dir: RunDir,
    binary: PathBuf,
    tuning: Tuning,
}

// === impl Bed ===

impl Bed {
    /// Starts everything; more flags for the API servers are for counting requests.
    ///
    /// # Errors
    /// When something does not start, with its last words.
    pub fn start(binary: &Path, api_server_args: Vec<String>) -> Result<Self> {
        let topology = Topology::start(HOSTS)?;
        let run_dir = RunDir::create()?;
        let cluster = ControlPlane::start(&ControlPlaneSpec {
            hosts: HostSpec::all_of(&topology),
            vips: vec![VIP.into()],
            run_dir: run_dir.path().to_owned(),
            api_server_args,
            ..ControlPlaneSpec::default()
        })?;
        let mut bed = Self {
            pintles: Vec::new(),
            cluster,
            topology,
            run_dir,
            binary: binary.to_owned(),
            tuning: Tuning::default(),
        };
        for host in 0..HOSTS {
            let pintle = bed.start_pintle(host)?;
            bed.pintles.push(pintle);
        }
        Ok(bed)
    }

    fn start_pintle(&self, host: usize) -> Result<Pintle> {
        let hostname = Self::hostname(host);
        let place = Place {
            namespace: self.topology.host_ns(host),
            hostname: &hostname,
            kubeconfig: self.cluster.admin_kubeconfig_path(host),
            vip: VIP.into(),
            directory: &self.host_dir(host),
        };
        Pintle::start(&self.binary, &place, self.tuning)
    }

    /// The name of a host.
    #[must_use]
    pub fn hostname(host: usize) -> String {
        format!("cp-{}", host + 1)
    }

    /// The directory of a host's configuration and logs.
    #[must_use]
    pub fn host_dir(&self, host: usize) -> PathBuf {
        self.run_dir.path().join(Self::hostname(host))
    }

    /// The hosts and the client.
    #[must_use]
    pub const fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The namespace of a host.
    #[must_use]
    pub fn host(&self, host: usize) -> &Namespace {
        self.topology.host_ns(host)
    }

    /// etcd and the API servers.
    pub fn cluster(&mut self) -> &mut ControlPlane {
        &mut self.cluster
    }

    /// A host's pintle.
    pub fn pintle(&mut self, host: usize) -> &mut Pintle {
        &mut self.pintles[host]
    }

    /// Every host but one.
    pub fn others(host: usize) -> impl Iterator<Item = usize> {
        (0..HOSTS).filter(move |other| *other != host)
    }

    /// What a client of the VIP does.
    #[must_use]
    pub fn probe_target(&self) -> ProbeTarget {
        ProbeTarget::https(VIP.into(), PORT, self.cluster.ca().pem())
    }

    /// The hosts that have the VIP, by `ip -j`.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn owners(&self) -> Result<Vec<usize>> {
        self.topology.owners(IpAddr::V4(VIP))
    }

    /// Makes the VIP of a host last for ever: what the kernel's last fence is there against.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn pin_address(&self, host: usize) -> Result<()> {
        let address = format!("{VIP}/32");
        // `replace` sets the lifetimes of an address that is there, and adds one that is not.
        let args = ["addr", "replace", &address, "dev", INTERFACE];
        self.host(host).ip(&args).map(drop)
    }

    /// Sets every pintle's configuration, and starts them anew when it differs.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn tune(&mut self, tuning: Tuning) -> Result<()> {
        if tuning == self.tuning {
            return Ok(());
        }
        self.tuning = tuning;
        for pintle in &mut self.pintles {
            pintle.configure(tuning)?;
            pintle.process().restart()?;
        }
        Ok(())
    }

    /// Waits for a host's API server.
    ///
    /// # Errors
    /// After a minute.
    pub fn wait_api_ready(&mut self, host: usize) -> Result<()> {
        self.cluster.wait_ready(host, READY_TIMEOUT)
    }

    /// Moves the etcd leader to the holder's host, or away from it.
    ///
    /// # Errors
    /// When etcd does not move it.
    pub fn place_etcd_leader(&mut self, holder: usize, on_holder: bool) -> Result<()> {
        let leader = self.cluster.etcd_leader()?;
        if (leader == holder) == on_holder {
            return Ok(());
        }
        let to = if on_holder { holder } else { (holder + 1) % HOSTS };
        self.cluster.move_etcd_leader(to)
    }

    /// Copies the logs of every process to a directory, as they stand.
    ///
    /// # Errors
    /// When a file cannot be copied.
    pub fn copy_logs(&self, to: &Path) -> Result<()> {
        for host in 0..HOSTS {
            let hostname = Self::hostname(host);
            for name in ["pintle.log", "kube-apiserver.log", "etcd.log", "pintle.yaml"] {
                let from = self.host_dir(host).join(name);
                let copy = to.join(format!("{hostname}-{name}"));
                std::fs::copy(&from, &copy)
                    .with_context(|| format!("copy {} to {}", from.display(), copy.display()))?;
            }
        }
        Ok(())
    }

    /// Says which pintles have ended though nobody ended them.
    ///
    /// # Errors
    /// When one has, with the end of its log.
    pub fn ensure_pintles_run(&mut self) -> Result<()> {
        for pintle in &mut self.pintles {
            let process = pintle.process();
            let (name, tail) = (process.name().to_owned(), process.log_tail());
            ensure!(process.is_running(), "{name} has ended:\n{tail}");
        }
        Ok(())
    }
}
