//! `role: proxy` on a worker: its own node's connections, spread over every API server, without a privilege.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pintle_testkit::certs::{self, ClusterCa, Validity};
use pintle_testkit::control_plane::{ApiClient, ControlPlane, ControlPlaneSpec, HostSpec, RunDir};
use pintle_testkit::netns::{Namespace, Topology, host_v4};
use pintle_testkit::process::{Process, Spawn};
use pintle_testkit::stand_in::Auth;
use serde_json::Value;

use super::bed::{Bed, PORT, Pintle, SOON, TELEMETRY, always, wait};

const OWN: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const HOSTS: usize = 3;

/// What the clients here ask for; nobody else does.
const ASKED: &str = "/version";

/// More than it takes three servers to get an equal number.
const REQUESTS: usize = 9;

/// A look at the endpoints each 10 s, and the first probe.
const POLLED: Duration = Duration::from_secs(14);

/// Runs as who may do nothing at all: nobody, without a capability, even to gain.
const UNPRIVILEGED: [&str; 8] = [
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--bounding-set=-all",
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--no-new-privs",
    "--",
];

/// Control-plane hosts with a stand-in each, and a worker: the client's namespace, where nothing else runs.
struct Scene {
    proxy: Pintle,
    bed: Bed,
}

fn server(host: usize) -> SocketAddr {
    SocketAddr::new(host_v4(host).into(), PORT)
}

fn seeds(hosts: &[usize]) -> String {
    let list: Vec<String> = hosts.iter().map(|host| format!("'{}'", server(*host))).collect();
    list.join(", ")
}

fn bed() -> Bed {
    let bed = Bed::with_certificates_for(HOSTS, &[OWN]);
    write_kubelet_conf(bed.directory.path(), &bed.ca);
    bed
}

/// As a kubelet's: of the group system:nodes, and readable by the one who runs.
fn write_kubelet_conf(directory: &Path, ca: &ClusterCa) {
    let group = Some("system:nodes");
    let node = ca.issue_client("system:node:worker-1", group, Validity::Current).unwrap();
    let text = certs::kubeconfig(&ca.pem(), &node, &format!("https://127.0.0.1:{PORT}"));
    let path = directory.join("kubelet.conf");
    fs::write(&path, text).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

/// The path of a written configuration; `more` is what follows the backends.
fn config(directory: &Path, backends: &str, more: &str) -> PathBuf {
    let path = directory.join("worker.yaml");
    let text = format!(
        "apiVersion: pintle.dev/v1alpha1\n\
         kind: Config\n\
         role: proxy\n\
         node: worker-1\n\
         apiserver: {{kubeconfigs: ['{}']}}\n\
         balancer: {{backends: [{backends}]{more}}}\n\
         telemetry: {{address: '127.0.0.1:{TELEMETRY}', format: json}}\n",
        directory.join("kubelet.conf").display(),
    );
    fs::write(&path, text).unwrap();
    path
}

fn start(bed: &Bed, backends: &str, more: &str) -> Pintle {
    let directory = bed.directory.path();
    spawn(directory, bed.topology.client_ns(), config(directory, backends, more))
}

fn spawn(directory: &Path, namespace: &Namespace, config: PathBuf) -> Pintle {
    // Outside of directories that only root may enter.
    let program = directory.join("pintle");
    fs::copy(env!("CARGO_BIN_EXE_pintle"), &program).unwrap();
    let words = UNPRIVILEGED.iter().map(|word| PathBuf::from(*word));
    let words = words.chain([program, "run".into(), "--config".into(), config]);
    let process: Process = Spawn::new("worker", "setpriv", directory.join("worker.log"))
        .in_namespace(namespace.name())
        .args(words)
        .start()
        .unwrap();
    Pintle::new(process, namespace.clone())
}

// === impl Scene ===

impl Scene {
    fn start(backends: &[usize]) -> Self {
        Self::on(bed(), backends)
    }

    fn on(bed: Bed, backends: &[usize]) -> Self {
        let proxy = start(&bed, &seeds(backends), "");
        let scene = Self { proxy, bed };
        wait(SOON, "the proxy is ready", || scene.proxy.is_ready().then_some(()));
        scene
    }

    fn worker(&self) -> &Namespace {
        self.bed.topology.client_ns()
    }

    fn client(&self) -> ApiClient {
        let admin = self.bed.ca.issue_admin().unwrap();
        let address = SocketAddr::new(OWN, PORT);
        let client = ApiClient::from_inside(self.worker(), address, &self.bed.ca, &admin).unwrap();
        client.with_timeout(Duration::from_secs(5))
    }

    /// How many of `REQUESTS` requests through the proxy each API server gets.
    fn spread(&self) -> Vec<usize> {
        let client = self.client();
        self.bed.servers.iter().for_each(|server| server.clear_requests());
        for _ in 0..REQUESTS {
            let answer = client.get(ASKED).unwrap();
            assert!(answer.is_success(), "{}", answer.text());
        }
        self.bed.servers.iter().map(|server| asked(server, ASKED)).collect()
    }

    fn wait_spread(&self, expected: [usize; HOSTS], timeout: Duration) -> Duration {
        let what = format!("the requests are spread {expected:?}");
        wait(timeout, &what, || (self.spread() == expected).then_some(())).1
    }

    fn backends(&self) -> Vec<(String, String)> {
        let status = self.proxy.status();
        let servers = status["apiservers"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        servers.map(|server| (text(&server["address"]), text(&server["backend"]))).collect()
    }
}

fn asked(server: &pintle_testkit::stand_in::StandIn, path: &str) -> usize {
    server.requests().iter().filter(|request| request.path.starts_with(path)).count()
}

#[test]
fn a_worker_s_connections_are_spread_without_a_privilege() {
    let mut scene = Scene::start(&[0]);
    // One is configured, the cluster tells the others.
    scene.wait_spread([3, 3, 3], SOON);
    let process = scene.proxy.process.pid();
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    for line in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(status.contains(&format!("{line}:\t0000000000000000\n")), "{line}: {status}");
    }
    assert!(status.contains("Uid:\t65534\t65534\t65534\t65534\n"), "{status}");
    assert!(scene.bed.lease().is_null(), "no Lease");
    let report = scene.proxy.status();
    assert_eq!(
        (&report["role"], &report["discovery"]),
        (&"proxy".into(), &"endpointslices".into())
    );
    assert_eq!(report["listen"], format!("{OWN}:{PORT}"));
    let page = scene.proxy.get("/metrics").unwrap().1;
    assert!(page.contains("pintle_balancer_bytes_total"), "{page}");
    assert!(!page.contains("pintle_leader") && !page.contains("pintle_vip_bound"), "{page}");
    // In words, as an operator asks.
    let words = scene.bed.run_in(scene.worker(), &["status"]);
    assert!(words.contains("worker-1  proxy for "), "{words}");
    assert_eq!(words.matches("backend up").count(), HOSTS, "{words}");
    scene.proxy.stop();
    let gone = || TcpStream::connect((OWN, PORT)).is_err();
    assert!(scene.worker().run_in(gone).unwrap(), "it still listens");
}

#[test]
fn a_dead_api_server_fails_no_request() {
    let scene = Scene::start(&[0, 1, 2]);
    scene.wait_spread([3, 3, 3], SOON);
    let client = scene.client();
    scene.bed.servers[1].kill();
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        assert!(client.get(ASKED).unwrap().is_success());
        sleep(Duration::from_millis(10));
    }
    let down = (server(1).to_string(), "down".to_owned());
    assert!(scene.backends().contains(&down), "{:?}", scene.backends());
    scene.bed.servers[1].restart().unwrap();
    scene.wait_spread([3, 3, 3], SOON);
}

#[test]
fn an_api_server_that_is_added_is_used_after_the_next_poll() {
    let bed = bed();
    bed.store.set_api_servers(&[server(0), server(1)]);
    let slices = Auth::ForbiddenResources(vec!["endpointslices".to_owned()]);
    bed.servers.iter().for_each(|server| server.set_auth(slices.clone()));
    let scene = Scene::on(bed, &[0]);
    wait(SOON, "two are known", || (scene.backends().len() == 2).then_some(()));
    assert_eq!(scene.proxy.status()["discovery"], "endpoints");
    always(Duration::from_secs(1), "two serve", || scene.spread()[2] == 0);
    scene.bed.store.set_api_servers(&[server(0), server(1), server(2)]);
    let took = scene.wait_spread([3, 3, 3], POLLED);
    assert!(took > Duration::from_millis(100), "{took:?}");
    assert!(scene.proxy.lines("Not allowed").is_empty(), "{}", scene.proxy.log());
}

#[test]
fn an_api_server_that_is_added_is_used_at_once_where_slices_may_be_watched() {
    let bed = bed();
    bed.store.set_api_servers(&[server(0), server(1)]);
    let scene = Scene::on(bed, &[0]);
    wait(SOON, "two are known", || (scene.backends().len() == 2).then_some(()));
    scene.bed.store.set_api_servers(&[server(0), server(1), server(2)]);
    let known = || (scene.backends().len() == HOSTS).then_some(());
    let (_, took) = wait(Duration::from_millis(2500), "the third is known", known);
    scene.wait_spread([3, 3, 3], SOON);
    assert!(took < Duration::from_millis(2500), "{took:?}");
}

#[test]
fn what_is_known_is_remembered_while_nobody_answers() {
    let scene = Scene::start(&[0]);
    scene.wait_spread([3, 3, 3], SOON);
    scene.bed.servers.iter().for_each(|server| server.kill());
    wait(SOON, "it says that none can be used", || (!scene.proxy.is_ready()).then_some(()));
    assert_eq!(scene.proxy.get("/livez").unwrap().0, 200, "it is alive all the same");
    // Longer than from one poll to the next; then those come back that no configuration names.
    sleep(Duration::from_secs(12));
    assert_eq!(scene.backends().len(), HOSTS);
    for host in [1, 2] {
        scene.bed.servers[host].restart().unwrap();
    }
    wait(SOON, "it is ready", || scene.proxy.is_ready().then_some(()));
    let spread = scene.spread();
    assert_eq!((spread[0], spread.iter().sum()), (0, REQUESTS), "{spread:?}");
}

#[test]
fn a_refusal_is_one_line_and_the_configured_ones_serve() {
    let bed = bed();
    let refused =
        Auth::ForbiddenResources(vec!["endpointslices".to_owned(), "endpoints".to_owned()]);
    bed.servers.iter().for_each(|server| server.set_auth(refused.clone()));
    let scene = Scene::on(bed, &[0, 1]);
    let line = wait(SOON, "the line", || scene.proxy.lines("Not allowed").pop()).0;
    assert!(line.contains("forbidden") && line.contains("pintle manifest rbac --proxy"), "{line}");
    let spread = scene.spread();
    assert_eq!((spread[2], spread.iter().sum()), (0, REQUESTS), "{spread:?}");
    let words = scene.bed.run_in(scene.worker(), &["status"]);
    assert!(words.contains("not allowed to read the API servers' addresses"), "{words}");
    sleep(Duration::from_secs(25));
    assert_eq!(scene.proxy.lines("Not allowed").len(), 1, "{}", scene.proxy.log());
    // Whoever applies the role is told that it works.
    scene.bed.servers.iter().for_each(|server| server.set_auth(Auth::Allow));
    scene.wait_spread([3, 3, 3], POLLED);
    assert_eq!(scene.proxy.lines("Allowed to read").len(), 1, "{}", scene.proxy.log());
    assert!(scene.proxy.log().lines().count() < 20, "{}", scene.proxy.log());
}

#[test]
fn every_mistake_is_named_and_a_taken_port_too() {
    let bed = bed();
    let backends = "'127.0.0.1:6443', 'cp-1:6443'";
    let mut proxy = start(&bed, backends, ", port: 6443, listen: '0.0.0.0:6443'");
    let status = proxy.process.wait(SOON).unwrap().unwrap();
    let log = proxy.log();
    assert_eq!(status.code(), Some(64), "{log}");
    for part in ["3 mistakes", "balancer.port", "cp-1:6443", "0.0.0.0:6443 is not on the loopback"]
    {
        assert!(log.contains(part), "{part}: {log}");
    }
    drop(proxy);
    fs::remove_file(bed.path("worker.log")).unwrap();
    let _taken =
        bed.topology.client_ns().run_in(|| TcpListener::bind((OWN, PORT)).unwrap()).unwrap();
    let mut proxy = start(&bed, &seeds(&[0]), "");
    let status = proxy.process.wait(SOON).unwrap().unwrap();
    assert_eq!(status.code(), Some(69), "{}", proxy.log());
    assert!(proxy.log().contains("cannot listen on 127.0.0.1:6443"), "{}", proxy.log());
}

#[test]
fn check_says_what_a_worker_needs() {
    let bed = bed();
    let config = config(bed.directory.path(), &seeds(&[0, 1]), "");
    let arguments = ["check", "--config", config.to_str().unwrap()];
    bed.servers[1].kill();
    let words = bed.run_in(bed.topology.client_ns(), &arguments);
    let (up, down) = (server(0), server(1));
    for part in [
        "kubelet.conf can be used".to_owned(),
        "kubelet.conf leads to the proxy".to_owned(),
        format!("ok    {up} answers, its certificate covers 127.0.0.1"),
        format!("warn  cannot connect to the API server at {down}"),
        "127.0.0.1:6443 is free for clients on this node".to_owned(),
    ] {
        assert!(words.contains(&part), "{part}: {words}");
    }
    assert!(!words.contains("NET_ADMIN"), "{words}");
    let elsewhere = [&arguments[..], &["--set=balancer.listen=127.0.0.2:6443"]].concat();
    let words = bed.run_in(bed.topology.client_ns(), &elsewhere);
    for part in [
        format!("warn  {up} answers, its certificate does not cover 127.0.0.2; add it to"),
        "kubelet.conf leads to https://127.0.0.1:6443, not to the proxy".to_owned(),
    ] {
        assert!(words.contains(&part), "{part}: {words}");
    }
}

/// The real kube-apiserver, with `--authorization-mode=Node,RBAC` as everywhere.
#[test]
fn a_kubelet_s_own_rights_are_enough_and_the_role_gives_more() {
    let topology = Topology::start(1).unwrap();
    let run_dir = RunDir::create().unwrap();
    let spec = ControlPlaneSpec {
        hosts: HostSpec::all_of(&topology),
        run_dir: run_dir.path().to_owned(),
        ..ControlPlaneSpec::default()
    };
    let cluster = ControlPlane::start(&spec).unwrap();
    let directory = tempfile::tempdir().unwrap();
    write_kubelet_conf(directory.path(), cluster.ca());
    let config = config(directory.path(), &seeds(&[0]), "");
    let mut proxy = spawn(directory.path(), topology.client_ns(), config);
    let discovery = |proxy: &Pintle| {
        proxy.get("/status")?;
        proxy.status()["discovery"].as_str().map(str::to_owned)
    };
    let wait_for = |proxy: &Pintle, way: &str| {
        wait(POLLED, way, || (discovery(proxy).as_deref() == Some(way)).then_some(()));
    };
    wait_for(&proxy, "endpoints");
    // What is printed for it is what lets it watch.
    let printed = super::bed::run_in(topology.client_ns(), &["manifest", "rbac", "--proxy"]);
    let objects: Vec<Value> = serde_yaml::from_multiple(&printed).unwrap();
    for (object, plural) in objects.iter().zip(["roles", "rolebindings"]) {
        let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/default/{plural}");
        let answer = cluster.api(0).post(&path, object).unwrap();
        assert!(answer.is_success(), "{}", answer.text());
    }
    proxy.process.restart().unwrap();
    wait_for(&proxy, "endpointslices");
    wait(SOON, "it is ready", || proxy.is_ready().then_some(()));
    let admin = cluster.ca().issue_admin().unwrap();
    let own = SocketAddr::new(OWN, PORT);
    let client = ApiClient::from_inside(topology.client_ns(), own, cluster.ca(), &admin).unwrap();
    assert!(client.get(ASKED).unwrap().is_success());
    assert!(proxy.lines("Not allowed").is_empty(), "{}", proxy.log());
    proxy.stop();
}
