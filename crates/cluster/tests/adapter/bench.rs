//! A cluster of stand-ins, and the crate under test with the ends of its channels in hand.

use std::collections::VecDeque;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pintle_cluster::{ClusterCommand, ClusterConfig, Outcome, Running, Verb, start};
use pintle_core::{
    AttemptId, ClusterCa, Endpoints, Event, LeaseAnswer, LeaseWrite, Observed, Server, ServerId,
    Version, Vip, WriteKind,
};
use pintle_testkit::certs::{self, ClientCertificate, Validity};
use pintle_testkit::stand_in::{StandIn, Store, TlsIdentity};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

pub(crate) const NAMESPACE: &str = "kube-system";
pub(crate) const LEASE: &str = "pintle";
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// Far beyond every bound of the product: only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// API servers that share a store, their CA, and a directory for credentials.
pub(crate) struct Site {
    pub(crate) ca: certs::ClusterCa,
    pub(crate) store: Store,
    pub(crate) servers: Vec<StandIn>,
    pub(crate) directory: TempDir,
}

/// The crate under test.
pub(crate) struct Bench {
    pub(crate) commands: mpsc::Sender<ClusterCommand>,
    pub(crate) endpoints: watch::Receiver<Endpoints>,
    pub(crate) authorities: watch::Receiver<Option<ClusterCa>>,
    pub(crate) measured: Arc<Mutex<Vec<(Verb, Outcome, Duration)>>>,
    events: mpsc::Receiver<Event>,
    /// Events that came while an answer was waited for.
    watched: VecDeque<Event>,
    next_attempt: u64,
    _servers: watch::Sender<Vec<Server>>,
    running: Running,
}

// === impl Site ===

impl Site {
    pub(crate) fn new(servers: usize) -> Self {
        let ca = certs::ClusterCa::generate("kubernetes").unwrap();
        let names = certs::api_server_names(&[]);
        let serving = ca.issue_serving(&names, Validity::Current).unwrap();
        let tls = TlsIdentity {
            cert_chain_pem: serving.certificate_pem,
            key_pem: serving.key_pem,
            client_ca_pem: Some(ca.pem()),
        };
        let store = Store::new();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // On threads of their own: a stand-in that is slow must not be one because of the test.
        let start = |_| StandIn::start_on_thread(None, any, store.clone(), &tls).unwrap();
        let servers = (0..servers).map(start).collect();
        Self { ca, store, servers, directory: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a kubeconfig whose own server is a trap: nothing may ever ask it.
    pub(crate) fn write_kubeconfig(&self, name: &str, client: &ClientCertificate) {
        let text = self.kubeconfig(client);
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn kubeconfig(&self, client: &ClientCertificate) -> String {
        certs::kubeconfig(&self.ca.pem(), client, "https://127.0.0.1:1")
    }

    pub(crate) fn admin(&self) -> ClientCertificate {
        self.ca.issue_client("admin", Some("kubeadm:cluster-admins"), Validity::Current).unwrap()
    }

    pub(crate) fn super_admin(&self) -> ClientCertificate {
        self.ca.issue_admin().unwrap()
    }

    /// The crate under test with `admin.conf` and `super-admin.conf`, of which the first is written.
    pub(crate) fn bench(&self) -> Bench {
        self.write_kubeconfig("admin.conf", &self.admin());
        self.bare_bench("kubernetes")
    }

    /// With whatever files there are.
    pub(crate) fn bare_bench(&self, server_name: &str) -> Bench {
        Bench::new(self, server_name)
    }

    pub(crate) fn holder(&self) -> Option<String> {
        let lease = self.store.lease(NAMESPACE, LEASE)?;
        Some(lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
    }
}

// === impl Bench ===

impl Bench {
    fn new(site: &Site, server_name: &str) -> Self {
        let list: Vec<Server> = (0_u16..)
            .zip(&site.servers)
            .map(|(id, server)| Server { id: ServerId(id), address: server.address() })
            .collect();
        let measured = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&measured);
        let path = |name: &str| -> PathBuf { Path::new(site.directory.path()).join(name) };
        let config = ClusterConfig {
            node: "cp-1".into(),
            incarnation: "boot-1".into(),
            namespace: NAMESPACE.into(),
            lease: LEASE.into(),
            vips: vec![Vip(IpAddr::V4(VIP))],
            kubeconfigs: vec![path("admin.conf"), path("super-admin.conf")],
            service_account: path("serviceaccount"),
            server_name: server_name.into(),
            local: list[0].address,
            observer: Arc::new(move |verb, outcome, took| {
                noted.lock().unwrap().push((verb, outcome, took));
            }),
        };
        let (servers, known) = watch::channel(list);
        let (commands, wanted) = mpsc::channel(16);
        let (facts, events) = mpsc::channel(64);
        let (found, endpoints) = watch::channel(Endpoints::default());
        let (trusted, authorities) = watch::channel(None);
        let running = start(config, known, wanted, facts, found, trusted).unwrap();
        Self {
            commands,
            endpoints,
            authorities,
            measured,
            events,
            watched: VecDeque::new(),
            next_attempt: 0,
            _servers: servers,
            running,
        }
    }

    pub(crate) async fn read(&mut self, server: u16) -> LeaseAnswer {
        let (attempt, server) = (self.attempt(), ServerId(server));
        self.ask(ClusterCommand::Read { attempt, server }, attempt).await
    }

    pub(crate) async fn write(&mut self, server: u16, write: LeaseWrite) -> LeaseAnswer {
        let (attempt, server) = (self.attempt(), ServerId(server));
        self.ask(ClusterCommand::Write { attempt, server, write }, attempt).await
    }

    /// Creates the Lease; its version.
    pub(crate) async fn acquire(&mut self) -> Version {
        match self.write(0, lease_write(WriteKind::Acquire, None)).await {
            LeaseAnswer::Written(view) => view.version,
            other => panic!("{other:?}"),
        }
    }

    /// The attempt that was made last.
    pub(crate) fn last_attempt(&self) -> AttemptId {
        AttemptId(self.next_attempt)
    }

    /// The next word of the watch.
    pub(crate) async fn watched(&mut self) -> Event {
        if let Some(event) = self.watched.pop_front() {
            return event;
        }
        timeout(PATIENCE, self.events.recv()).await.expect("the watch says something").unwrap()
    }

    /// Waits until the watch shows what is looked for.
    pub(crate) async fn watched_until(&mut self, is_it: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.watched().await;
            if is_it(&event) {
                return event;
            }
        }
    }

    /// Whether the watch says anything meanwhile.
    pub(crate) async fn watched_within(&mut self, time: Duration) -> Option<Event> {
        match self.watched.pop_front() {
            Some(event) => Some(event),
            None => timeout(time, self.events.recv()).await.ok().flatten(),
        }
    }

    /// The core has ended; returns when the crate is done.
    pub(crate) async fn drain(self) {
        drop(self.commands);
        self.running.drain().await;
    }

    pub(crate) async fn command(&self, command: ClusterCommand) {
        self.commands.send(command).await.unwrap();
    }

    fn attempt(&mut self) -> AttemptId {
        self.next_attempt += 1;
        AttemptId(self.next_attempt)
    }

    async fn ask(&mut self, command: ClusterCommand, wanted: AttemptId) -> LeaseAnswer {
        self.command(command).await;
        loop {
            let event = timeout(PATIENCE, self.events.recv()).await.expect("an answer").unwrap();
            match event {
                Event::LeaseAnswered { attempt, answer } if attempt == wanted => return answer,
                other => self.watched.push_back(other),
            }
        }
    }
}

pub(crate) fn lease_write(kind: WriteKind, base: Option<Version>) -> LeaseWrite {
    let duration = match kind {
        WriteKind::Release => Duration::ZERO,
        WriteKind::Acquire | WriteKind::Renew => Duration::from_millis(2500),
    };
    LeaseWrite { base, kind, duration, transitions: 1, mac: None }
}

pub(crate) fn present(answer: LeaseAnswer) -> pintle_core::LeaseView {
    match answer {
        LeaseAnswer::Read(Observed::Present(view)) | LeaseAnswer::Written(view) => view,
        other => panic!("{other:?}"),
    }
}

/// Asks until the answer is as wanted.
pub(crate) async fn read_until(bench: &mut Bench, is_it: impl Fn(&LeaseAnswer) -> bool) {
    let asking = async {
        while !is_it(&bench.read(0).await) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, asking).await.expect("the answer changes");
}
