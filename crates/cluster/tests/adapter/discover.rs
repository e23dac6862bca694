//! Where the API servers are, without a Lease: by which right, through whom, with which credential.

use std::net::SocketAddr;
use std::time::Duration;

use pintle_cluster::{Discovered, Discovering, DiscoveryConfig, Way, discover};
use pintle_core::{ClusterCa, Server, ServerId};
use pintle_testkit::certs::Validity;
use pintle_testkit::stand_in::Auth;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::bench::Site;
use crate::side::until;

/// Far beyond every bound of the product.
const PATIENCE: Duration = Duration::from_secs(20);

struct Asked {
    found: watch::Receiver<Discovered>,
    ca: watch::Receiver<Option<ClusterCa>>,
    _servers: watch::Sender<Vec<Server>>,
    _running: Discovering,
}

fn ask(site: &Site, kubeconfigs: &[&str]) -> Asked {
    let node = site.ca.issue_client("system:node:a", Some("system:nodes"), Validity::Current);
    site.write_kubeconfig("kubelet.conf", &node.unwrap());
    site.write_kubeconfig("admin.conf", &site.ca.issue_admin().unwrap());
    let servers = site.servers.iter().zip(1..);
    let servers =
        servers.map(|(server, id)| Server { id: ServerId(id), address: server.address() });
    let (servers, known) = watch::channel(servers.collect());
    let (found, discovered) = watch::channel(Discovered::default());
    let (authorities, ca) = watch::channel(None);
    let config = DiscoveryConfig {
        kubeconfigs: kubeconfigs.iter().map(|name| site.path(name)).collect(),
        service_account: site.path("no-account"),
        server_name: "kubernetes".to_owned(),
    };
    let running = discover(config, known, found, authorities).unwrap();
    Asked { found: discovered, ca, _servers: servers, _running: running }
}

// === impl Asked ===

impl Asked {
    async fn wait(&mut self, way: Way) -> Vec<SocketAddr> {
        let waiting = self.found.wait_for(|found| found.way == way);
        let found = timeout(PATIENCE, waiting).await.expect("in time").unwrap();
        found.endpoints.known.clone()
    }
}

fn told() -> Vec<SocketAddr> {
    ["192.0.2.1:6443", "192.0.2.2:6443"].map(|address| address.parse().unwrap()).to_vec()
}

#[tokio::test]
async fn slices_are_watched_through_whoever_answers() {
    let site = Site::new(2);
    site.store.set_api_servers(&told());
    site.servers[0].hang_all(true);
    let mut asked = ask(&site, &["kubelet.conf"]);
    assert_eq!(asked.wait(Way::EndpointSlices).await, told());
    assert!(asked.ca.borrow().is_some(), "whoever probes is told the CA");
    site.store.set_api_servers(&told()[..1]);
    site.store.set_api_servers(&["192.0.2.3:6443".parse().unwrap()]);
    let third = asked.found.wait_for(|found| found.endpoints.known.len() == 3);
    timeout(Duration::from_secs(3), third).await.expect("by the watch").unwrap();
}

#[tokio::test]
async fn endpoints_do_where_slices_are_forbidden() {
    let site = Site::new(1);
    site.store.set_api_servers(&told());
    site.servers[0].set_auth(Auth::ForbiddenResources(vec!["endpointslices".to_owned()]));
    let mut asked = ask(&site, &["kubelet.conf"]);
    assert_eq!(asked.wait(Way::Endpoints).await, told());
    let requests = site.servers[0].requests();
    let slices = requests.iter().filter(|request| request.path.contains("endpointslices"));
    assert_eq!(slices.count(), 1, "it is not asked for again at once: {requests:?}");
}

#[tokio::test]
async fn a_credential_that_is_refused_is_followed_by_the_next() {
    let site = Site::new(1);
    site.store.set_api_servers(&told());
    site.servers[0].set_auth(Auth::MastersOnly);
    let mut asked = ask(&site, &["kubelet.conf", "admin.conf"]);
    assert_eq!(asked.wait(Way::EndpointSlices).await, told());
}

#[tokio::test]
async fn a_refusal_keeps_what_is_known() {
    let site = Site::new(1);
    site.store.set_api_servers(&told());
    let mut asked = ask(&site, &["kubelet.conf"]);
    asked.wait(Way::EndpointSlices).await;
    until("it watches", || site.servers[0].request_counts().watches == 1).await;
    site.servers[0].set_auth(Auth::Unauthorised);
    site.servers[0].end_watches();
    assert_eq!(asked.wait(Way::Refused).await, told());
}
