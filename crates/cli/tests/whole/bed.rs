//! The bed: hosts in namespaces, a stand-in API server on each, and pintles as processes.
//!
//! Everything goes when it is dropped; pintles are declared after the bed, so they go first.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pintle_testkit::certs::{self, ClientCertificate, ClusterCa, Validity};
use pintle_testkit::netns::{INTERFACE, Namespace, Topology, VIP_V4, host_v4};
use pintle_testkit::process::{Process, Spawn};
use pintle_testkit::stand_in::{StandIn, Store, TlsIdentity};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const VIP: IpAddr = IpAddr::V4(VIP_V4);

/// Every API server's port.
pub(crate) const PORT: u16 = 6443;

/// Each pintle's telemetry, on its host's loopback.
pub(crate) const TELEMETRY: u16 = 9810;

/// Longer than anything that comes at all: a waiting time of a Lease is 2.5 s.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// Short beside what is waited for; `ip` takes a few milliseconds.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// So many beds at once: more pintles than the machine runs on time would fail each other.
const MAX_BEDS: usize = 3;

static BEDS: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// One of the places for a bed.
struct Place;

pub(crate) struct Bed {
    pub(crate) servers: Vec<StandIn>,
    pub(crate) store: Store,
    pub(crate) ca: ClusterCa,
    pub(crate) topology: Topology,
    pub(crate) directory: TempDir,
    _place: Place,
}

/// What a test sets apart from the defaults.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) vips: Vec<IpAddr>,
    /// The keys below `election`.
    pub(crate) election: &'static str,
    pub(crate) kubeconfigs: Vec<PathBuf>,
    pub(crate) log: &'static str,
    /// The keys below `balancer`.
    pub(crate) balancer: &'static str,
}

pub(crate) struct Pintle {
    pub(crate) process: Process,
    pub(crate) host: usize,
    namespace: Namespace,
}

pub(crate) fn hostname(host: usize) -> String {
    format!("cp-{}", host + 1)
}

/// What `look` finds, as soon as it does.
pub(crate) fn wait<T>(
    timeout: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> (T, Duration) {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return (found, started.elapsed());
        }
        assert!(started.elapsed() < timeout, "not within {timeout:?}: {what}");
        sleep(LOOK_INTERVAL);
    }
}

/// Asserts that `look` stays true.
pub(crate) fn always(duration: Duration, what: &str, mut look: impl FnMut() -> bool) {
    let started = Instant::now();
    while started.elapsed() < duration {
        assert!(look(), "after {:?} no longer: {what}", started.elapsed());
        sleep(LOOK_INTERVAL);
    }
}

// === impl Place ===

impl Place {
    fn take() -> Self {
        let (taken, freed) = &BEDS;
        let guard = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut guard = freed.wait_while(guard, |taken| *taken >= MAX_BEDS).unwrap();
        *guard += 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (taken, freed) = &BEDS;
        *taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        freed.notify_one();
    }
}

// === impl Setup ===

impl Setup {
    /// The configuration's text.
    pub(crate) fn text(&self, host: usize) -> String {
        let list = |items: Vec<String>| items.join(", ");
        format!(
            "apiVersion: pintle.dev/v1alpha1\n\
             kind: Config\n\
             node: {node}\n\
             vips: [{vips}]\n\
             interface: {INTERFACE}\n\
             election: {{{election}}}\n\
             apiserver: {{address: '127.0.0.1:{PORT}', kubeconfigs: [{kubeconfigs}]}}\n\
             balancer: {{{balancer}}}\n\
             telemetry: {{address: '127.0.0.1:{TELEMETRY}', log: {log}, format: json}}\n",
            node = hostname(host),
            vips = list(self.vips.iter().map(|vip| format!("'{vip}'")).collect()),
            election = self.election,
            kubeconfigs =
                list(self.kubeconfigs.iter().map(|path| format!("'{}'", path.display())).collect()),
            balancer = self.balancer,
            log = self.log,
        )
    }
}

// === impl Bed ===

impl Bed {
    /// Hosts with an API server each, which share one store.
    pub(crate) fn new(hosts: usize) -> Self {
        Self::with_certificates_for(hosts, &[VIP])
    }

    /// The same with serving certificates that cover these addresses beside the host's own.
    pub(crate) fn with_certificates_for(hosts: usize, addresses: &[IpAddr]) -> Self {
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
        Self::with_servers_at(everywhere, hosts, addresses)
    }

    /// The same with the API servers where only somebody before them finds them.
    pub(crate) fn with_servers_at(listen: SocketAddr, hosts: usize, addresses: &[IpAddr]) -> Self {
        let place = Place::take();
        let topology = Topology::start(hosts).unwrap();
        let ca = ClusterCa::generate("kubernetes").unwrap();
        let store = Store::new();
        let address = |host| SocketAddr::new(host_v4(host).into(), PORT);
        store.set_api_servers(&(0..hosts).map(address).collect::<Vec<_>>());
        let directory = tempfile::tempdir().unwrap();
        let mut bed = Self { servers: Vec::new(), store, ca, topology, directory, _place: place };
        bed.servers = (0..hosts).map(|host| bed.server(host, listen, addresses)).collect();
        bed.write_kubeconfig("admin.conf", &bed.ca.issue_admin().unwrap());
        bed
    }

    fn server(&self, host: usize, listen: SocketAddr, addresses: &[IpAddr]) -> StandIn {
        let names = certs::api_server_names(&[&[host_v4(host).into()], addresses].concat());
        let serving = self.ca.issue_serving(&names, Validity::Current).unwrap();
        let identity = TlsIdentity {
            cert_chain_pem: serving.certificate_pem,
            key_pem: serving.key_pem,
            client_ca_pem: Some(self.ca.pem()),
        };
        let namespace = self.topology.host_ns(host).name();
        StandIn::start_on_thread(Some(namespace), listen, self.store.clone(), &identity).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn kubeconfig(&self, client: &ClientCertificate) -> String {
        certs::kubeconfig(&self.ca.pem(), client, &format!("https://{VIP}:{PORT}"))
    }

    pub(crate) fn write_kubeconfig(&self, name: &str, client: &ClientCertificate) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, self.kubeconfig(client)).unwrap();
        path
    }

    /// The defaults, with the administrator's kubeconfig.
    pub(crate) fn setup(&self) -> Setup {
        Setup {
            vips: vec![VIP],
            election: "",
            kubeconfigs: vec![self.path("admin.conf")],
            log: "info",
            balancer: "",
        }
    }

    /// Writes the configuration of a host's pintle.
    pub(crate) fn write_config(&self, name: &str, host: usize, setup: &Setup) -> PathBuf {
        let path = self.path(&format!("{name}.yaml"));
        fs::write(&path, setup.text(host)).unwrap();
        path
    }

    /// Starts a pintle on a host; `name` tells two on the same host apart.
    pub(crate) fn start_named(&self, name: &str, host: usize, setup: &Setup) -> Pintle {
        self.run_config(name, host, setup, &[])
    }

    /// Starts a pintle on a host with more in its environment.
    pub(crate) fn start_with(
        &self,
        host: usize,
        setup: &Setup,
        variables: &[(&str, &str)],
    ) -> Pintle {
        self.run_config(&hostname(host), host, setup, variables)
    }

    fn run_config(
        &self,
        name: &str,
        host: usize,
        setup: &Setup,
        variables: &[(&str, &str)],
    ) -> Pintle {
        let config = self.write_config(name, host, setup);
        self.spawn(name, host, &["run".into(), "--config".into(), config], variables)
    }

    fn spawn(
        &self,
        name: &str,
        host: usize,
        words: &[PathBuf],
        variables: &[(&str, &str)],
    ) -> Pintle {
        let namespace = self.topology.host_ns(host).clone();
        let spawn =
            Spawn::new(name, env!("CARGO_BIN_EXE_pintle"), self.path(&format!("{name}.log")))
                .in_namespace(namespace.name())
                .hostname(hostname(host))
                .args(words);
        let spawn = variables.iter().fold(spawn, |spawn, (name, value)| spawn.env(*name, *value));
        Pintle { process: spawn.start().unwrap(), host, namespace }
    }

    /// Starts `pintle manager` on a host, with kube-vip's variables.
    pub(crate) fn start_manager(&self, host: usize, variables: &[(&str, &str)]) -> Pintle {
        self.spawn(&hostname(host), host, &["manager".into()], variables)
    }

    pub(crate) fn start(&self, host: usize, setup: &Setup) -> Pintle {
        self.start_named(&hostname(host), host, setup)
    }

    /// Starts a pintle on every host.
    pub(crate) fn start_all(&self, setup: &Setup) -> Vec<Pintle> {
        (0..self.servers.len()).map(|host| self.start(host, setup)).collect()
    }

    pub(crate) fn owners(&self, vip: IpAddr) -> Vec<usize> {
        self.topology.owners(vip).unwrap()
    }

    /// The one host that has the VIP, as soon as there is one.
    pub(crate) fn wait_holder(&self) -> usize {
        wait(SOON, "one host has the VIP", || match self.owners(VIP)[..] {
            [holder] => Some(holder),
            _ => None,
        })
        .0
    }

    pub(crate) fn lease(&self) -> Value {
        self.store.lease("kube-system", "pintle").unwrap_or_default()
    }

    pub(crate) fn lease_holder(&self) -> String {
        self.lease()["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn renew_time(&self) -> String {
        self.lease()["spec"]["renewTime"].as_str().unwrap_or_default().to_owned()
    }

    /// Asserts that the Lease is renewed three times more.
    pub(crate) fn wait_renewals(&self) {
        for _ in 0..3 {
            let before = self.renew_time();
            wait(SOON, "a renewal", || (self.renew_time() != before).then_some(()));
        }
    }

    /// A command line that runs on a host: `prefix`, then `pintle` with `arguments`. It is killed
    /// when it takes too long.
    pub(crate) fn command(&self, host: usize, prefix: &[&str], arguments: &[&str]) -> Command {
        command_in(self.topology.host_ns(host), prefix, arguments)
    }

    /// What a pintle command prints on a host.
    pub(crate) fn run(&self, host: usize, arguments: &[&str]) -> String {
        self.run_in(self.topology.host_ns(host), arguments)
    }

    /// What a pintle command prints inside a namespace.
    pub(crate) fn run_in(&self, namespace: &Namespace, arguments: &[&str]) -> String {
        run_in(namespace, arguments)
    }

    /// What the kernel lists for a host in a file below `/proc/net`.
    pub(crate) fn proc_net(&self, host: usize, file: &str) -> String {
        let path = Path::new("/proc/thread-self/net").join(file);
        self.topology.host_ns(host).run_in(|| fs::read_to_string(path)).unwrap().unwrap()
    }
}

/// What a pintle command prints inside a namespace.
pub(crate) fn run_in(namespace: &Namespace, arguments: &[&str]) -> String {
    let output = command_in(namespace, &[], arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn command_in(namespace: &Namespace, prefix: &[&str], arguments: &[&str]) -> Command {
    #[expect(clippy::disallowed_methods, reason = "runs the built binary on a host")]
    let mut command = Command::new("timeout");
    command
        .args(["--signal=KILL", "30", "ip", "netns", "exec", namespace.name()])
        .args(prefix)
        .arg(env!("CARGO_BIN_EXE_pintle"))
        .args(arguments)
        .stdin(Stdio::null());
    command
}

// === impl Pintle ===

impl Pintle {
    /// One that was started otherwise, with its telemetry in a namespace.
    pub(crate) fn new(process: Process, namespace: Namespace) -> Self {
        Self { process, host: 0, namespace }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.process.log_path()).unwrap()
    }

    /// The lines with this in their text.
    pub(crate) fn lines(&self, part: &str) -> Vec<String> {
        self.log().lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
    }

    /// The ownership lines of a direction, `acquired` or `lost`.
    pub(crate) fn changes(&self, direction: &str) -> Vec<Value> {
        let lines = self.lines(&format!("\"message\":\"vip.{direction}\""));
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn wait_line(&self, part: &str) -> String {
        wait(SOON, &format!("a log line with {part:?}"), || self.lines(part).pop()).0
    }

    /// The status and the body of a GET on its telemetry.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, TELEMETRY))?;
            stream.set_read_timeout(Some(SOON))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: pintle\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = self.namespace.run_in(ask).unwrap().ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    pub(crate) fn status(&self) -> Value {
        let (code, body) = self.get("/status").unwrap();
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|(code, _)| code == 200)
    }

    /// Asks it to end and waits for that.
    pub(crate) fn stop(&mut self) {
        self.process.term().unwrap();
        let status = self.process.wait(SOON).unwrap();
        assert!(status.is_some_and(|status| status.success()), "{status:?}: {}", self.log());
    }
}
