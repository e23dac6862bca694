//! Where the bench runs: a host for the balancer, three with a backend each, and a client, on one switch.
//!
//! ```text
//!   client --- br0 --- h1: the balancer under test, at VIP:8443
//!               |----- h2, h3, h4: a backend at :6443 --TLS--> stand-in API server, one store
//! ```

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pintle_testkit::certs::{self, ClusterCa, Validity};
use pintle_testkit::control_plane::RunDir;
use pintle_testkit::netns::{Namespace, Topology, VIP_V4, host_v4};
use pintle_testkit::process::{Process, Spawn};
use pintle_testkit::stand_in::{StandIn, Store, TlsIdentity};

use super::backend::Spoil;
use super::load::{Job, Line, Order};
use super::sys::{self, Cores, now};

/// Where clients find the balancer under test.
pub const FRONT: SocketAddr = SocketAddr::new(IpAddr::V4(VIP_V4), 8443);
/// Every backend's port.
pub const PORT: u16 = 6443;
/// How many backends there are.
pub const BACKENDS: usize = 3;

/// The stand-in API servers' port, on the loopback of their hosts.
const TLS_PORT: u16 = 7443;
/// The host of the balancer.
const BALANCER: usize = 0;
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Without the first two a closed connection keeps its port for a minute, and 28 000 are all that there are;
/// HAProxy's manual recommends both (management guide, network tuning). The third: some hosts are set to BBR,
/// which paces what needs no pace here, and a namespace may always choose Reno (net/ipv4/tcp_cong.c,
/// `tcp_set_default_congestion_control`); at these round trips CUBIC, the kernel's default, does the same.
const SYSCTLS: [(&str, &str); 3] = [
    ("net/ipv4/ip_local_port_range", "10000 65000"),
    ("net/ipv4/tcp_tw_reuse", "1"),
    ("net/ipv4/tcp_congestion_control", "reno"),
];

/// The bed. Fields are dropped in order: processes before the hosts they run in.
#[derive(Debug)]
pub struct Bed {
    backends: Vec<Process>,
    _servers: Vec<StandIn>,
    kubeconfig: PathBuf,
    cores: Cores,
    topology: Topology,
    run_dir: RunDir,
    /// Tells the clients' logs apart.
    orders: std::cell::Cell<usize>,
}

/// Clients at work.
#[derive(Debug)]
pub struct Clients {
    process: Process,
    lines_read: usize,
}

// === impl Bed ===

impl Bed {
    /// Starts everything but a balancer; backend 0 does `spoil` wrong.
    ///
    /// # Errors
    /// When something does not start.
    pub fn start(cores: &Cores, spoil: Option<Spoil>) -> Result<Self> {
        let topology = Topology::start(1 + BACKENDS)?;
        let run_dir = RunDir::create()?;
        let hosts = (0..topology.host_count()).map(|host| topology.host_ns(host));
        for namespace in hosts.chain([topology.client_ns()]) {
            for (key, value) in SYSCTLS {
                let path = Path::new("/proc/sys").join(key);
                let write = || fs::write(&path, value);
                namespace.run_in(write)?.with_context(|| format!("write {}", path.display()))?;
            }
        }
        let ca = ClusterCa::generate("kubernetes")?;
        let kubeconfig = run_dir.path().join("admin.conf");
        let server = format!("https://{}", backend_address(0));
        fs::write(&kubeconfig, certs::kubeconfig(&ca.pem(), &ca.issue_admin()?, &server))?;
        let mut bed = Self {
            backends: Vec::new(),
            _servers: start_stand_ins(&topology, &ca)?,
            kubeconfig,
            cores: cores.clone(),
            topology,
            run_dir,
            orders: std::cell::Cell::new(0),
        };
        for number in 0..BACKENDS {
            let spoil = spoil.filter(|_| number == 0);
            bed.backends.push(bed.start_backend(number, spoil)?);
        }
        bed.wait_backends()?;
        Ok(bed)
    }

    fn start_backend(&self, number: usize, spoil: Option<Spoil>) -> Result<Process> {
        let mut words = vec![format!("backend --number {number} --port {PORT} --tls {TLS_PORT}")];
        if let Some(spoil) = spoil {
            words.push(format!("--spoil {}", format!("{spoil:?}").to_lowercase()));
        }
        let words = words.join(" ");
        let arguments: Vec<&str> = words.split(' ').collect();
        let namespace = self.topology.host_ns(1 + number);
        self.start_own(&format!("backend-{number}"), namespace, &arguments)
    }

    /// Starts this program once more, on the load's cores.
    fn start_own(&self, name: &str, namespace: &Namespace, words: &[&str]) -> Result<Process> {
        let own = std::env::current_exe().context("find this program")?;
        self.spawn(name, namespace, &self.cores.load, &own, words.iter().map(Into::into).collect())
    }

    fn spawn(
        &self,
        name: &str,
        namespace: &Namespace,
        cores: &[usize],
        program: &Path,
        words: Vec<PathBuf>,
    ) -> Result<Process> {
        let log = self.run_dir.path().join(format!("{name}.log"));
        let pinned: [PathBuf; 3] = ["-c".into(), sys::list(cores).into(), program.to_owned()];
        // taskset ends in an exec: the pid is the program's own.
        Spawn::new(name, "taskset", log)
            .in_namespace(namespace.name())
            .args(pinned.into_iter().chain(words))
            .start()
    }

    /// Starts a balancer on its host and its cores.
    pub(super) fn start_balancer(
        &self,
        name: &str,
        program: &Path,
        words: Vec<PathBuf>,
    ) -> Result<Process> {
        self.spawn(name, self.balancer_ns(), &self.cores.balancer, program, words)
    }

    fn wait_backends(&self) -> Result<()> {
        for number in 0..BACKENDS {
            let target = backend_address(number);
            let connect = || std::net::TcpStream::connect(target);
            let namespace = self.topology.client_ns();
            wait(Duration::from_secs(5), "a backend listens", || {
                Ok(namespace.run_in(connect)?.ok().map(|_| ()))
            })?;
        }
        Ok(())
    }

    /// Where the balancer runs.
    #[must_use]
    pub fn balancer_ns(&self) -> &Namespace {
        self.topology.host_ns(BALANCER)
    }

    /// Whether the balancer's host has the VIP.
    pub(super) fn has_vip(&self) -> Result<bool> {
        let addresses = self.topology.addresses(BALANCER)?;
        Ok(addresses.iter().any(|found| found.address == FRONT.ip()))
    }

    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(super) fn cores(&self) -> &Cores {
        &self.cores
    }

    pub(super) fn directory(&self) -> &Path {
        self.run_dir.path()
    }

    pub(super) fn backend(&mut self, number: usize) -> &mut Process {
        &mut self.backends[number]
    }

    /// Starts clients.
    pub(super) fn clients(&self, targets: &[SocketAddr], job: &Job) -> Result<Clients> {
        let number = self.orders.get();
        self.orders.set(number + 1);
        let order = Order { targets: targets.to_vec(), job: job.clone() };
        let order = serde_json::to_string(&order)?;
        let words = ["load", order.as_str()];
        let namespace = self.topology.client_ns();
        let process = self.start_own(&format!("clients-{number}"), namespace, &words)?;
        Ok(Clients { process, lines_read: 0 })
    }
}

/// Where backend `number` listens.
#[must_use]
pub fn backend_address(number: usize) -> SocketAddr {
    SocketAddr::new(host_v4(1 + number).into(), PORT)
}

fn start_stand_ins(topology: &Topology, ca: &ClusterCa) -> Result<Vec<StandIn>> {
    let store = Store::new();
    store.set_api_servers(&(0..BACKENDS).map(backend_address).collect::<Vec<_>>());
    let start = |number| {
        let address = backend_address(number).ip();
        let names = certs::api_server_names(&[address]);
        let serving = ca.issue_serving(&names, Validity::Current)?;
        let identity = TlsIdentity {
            cert_chain_pem: serving.certificate_pem,
            key_pem: serving.key_pem,
            client_ca_pem: Some(ca.pem()),
        };
        let namespace = topology.host_ns(1 + number).name();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, TLS_PORT));
        StandIn::start_on_thread(Some(namespace), listen, store.clone(), &identity)
    };
    (0..BACKENDS).map(start).collect()
}

/// What `look` finds, as soon as it does.
pub(super) fn wait<T>(
    timeout: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = now() + timeout;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(now() < end, "not within {timeout:?}: {what}");
        sleep(LOOK_INTERVAL);
    }
}

// === impl Clients ===

impl Clients {
    /// The next line that they print.
    pub(super) fn line(&mut self, timeout: Duration) -> Result<Line> {
        let path = self.process.log_path().to_owned();
        let at = self.lines_read;
        let process = &mut self.process;
        let line = wait(timeout, "the clients report", || {
            // Asked first: what it wrote before its end is there then.
            let is_running = process.is_running();
            let text = fs::read_to_string(&path)?;
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(line) = whole.lines().filter(|line| line.starts_with(['{', '"'])).nth(at) {
                return Ok(Some(line.to_owned()));
            }
            ensure!(is_running, "the clients ended: {}", process.log_tail());
            Ok(None)
        })?;
        self.lines_read += 1;
        serde_json::from_str(&line).with_context(|| format!("read what clients print: {line}"))
    }
}
