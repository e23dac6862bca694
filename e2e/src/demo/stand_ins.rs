//! Three pintles before in-process stand-in API servers: nothing but Rust and root is needed.
//!
//! The stand-ins share one store, as API servers share etcd; a host's power loss takes its stand-in.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, Result};
use pintle_testkit::certs::{self, ClusterCa, Validity};
use pintle_testkit::control_plane::RunDir;
use pintle_testkit::netns::{Topology, host_v4};
use pintle_testkit::prober::ProbeTarget;
use pintle_testkit::stand_in::{StandIn, Store, TlsIdentity};

use crate::bed::{Bed, HOSTS, PORT, VIP};
use crate::pintle::{Pintle, Place, Tuning};

/// Everything that runs. Fields are dropped in order: processes before the hosts they run in.
#[derive(Debug)]
pub struct StandIns {
    pintles: Vec<Pintle>,
    servers: Vec<StandIn>,
    ca_pem: String,
    topology: Topology,
    run_dir: RunDir,
}

// === impl StandIns ===

impl StandIns {
    /// Starts everything.
    ///
    /// # Errors
    /// When something does not start.
    pub fn start(binary: &Path) -> Result<Self> {
        let topology = Topology::start(HOSTS)?;
        let run_dir = RunDir::create()?;
        let ca = ClusterCa::generate("kubernetes")?;
        let store = Store::new();
        let address = |host| SocketAddr::new(host_v4(host).into(), PORT);
        store.set_api_servers(&(0..HOSTS).map(address).collect::<Vec<_>>());
        let mut bed =
            Self { pintles: Vec::new(), servers: Vec::new(), ca_pem: ca.pem(), topology, run_dir };
        for host in 0..HOSTS {
            bed.start_host(host, binary, &ca, &store)?;
        }
        Ok(bed)
    }

    fn start_host(
        &mut self,
        host: usize,
        binary: &Path,
        ca: &ClusterCa,
        store: &Store,
    ) -> Result<()> {
        let hostname = Bed::hostname(host);
        let directory = self.run_dir.path().join(&hostname);
        fs::create_dir_all(&directory)?;
        let names = certs::api_server_names(&[IpAddr::V4(host_v4(host)), VIP.into()]);
        let serving = ca.issue_serving(&names, Validity::Current)?;
        let identity = TlsIdentity {
            cert_chain_pem: serving.certificate_pem,
            key_pem: serving.key_pem,
            client_ca_pem: Some(ca.pem()),
        };
        let namespace = self.topology.host_ns(host);
        let everywhere = SocketAddr::from(([0, 0, 0, 0], PORT));
        let server =
            StandIn::start_on_thread(Some(namespace.name()), everywhere, store.clone(), &identity)
                .with_context(|| format!("start the stand-in of {hostname}"))?;
        let kubeconfig = directory.join("admin.conf");
        let text =
            certs::kubeconfig(&ca.pem(), &ca.issue_admin()?, &format!("https://{VIP}:{PORT}"));
        fs::write(&kubeconfig, text)?;
        let place = Place {
            namespace,
            hostname: &hostname,
            kubeconfig: &kubeconfig,
            vip: VIP.into(),
            directory: &directory,
        };
        self.pintles.push(Pintle::start(binary, &place, Tuning::default())?);
        self.servers.push(server);
        Ok(())
    }

    pub(super) const fn topology(&self) -> &Topology {
        &self.topology
    }

    pub(super) fn pintle(&mut self, host: usize) -> &mut Pintle {
        &mut self.pintles[host]
    }

    pub(super) fn probe_target(&self) -> ProbeTarget {
        ProbeTarget::https(VIP.into(), PORT, self.ca_pem.clone())
    }

    /// The stand-ins' store needs no network: pintle ends first, or it would hand over through its own
    /// host's API server when it sees the link go, which etcd without its peers does not let it.
    pub(super) fn power_loss(&mut self, host: usize) -> Result<()> {
        self.pintles[host].process().kill()?;
        self.servers[host].kill();
        self.topology.power_loss(host)
    }

    pub(super) fn boot(&mut self, host: usize) -> Result<()> {
        self.servers[host].restart()?;
        self.pintles[host].process().restart()
    }
}
