//! The configuration of a worker's proxy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::mistake::Complaint;
use super::read::{Spread, read_probe, read_spread, read_telemetry};
use super::relations;
use super::role::{OnWorker, on_worker};
use super::schema::KEYS;
use super::settings::{Item, Setting, Settings, plain};
use super::{Algorithm, Listen, Probe, Telemetry, parse};

/// The API servers' addresses until the cluster tells them: three are usual, and with those that it tells
/// there are at most 16.
const MOST_BACKENDS: usize = 8;
/// As many places as the control plane's chain has.
const MOST_KUBECONFIGS: usize = 8;

/// A node-local balancer: connections to a loopback address go to every API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// This node's name.
    pub node: String,
    /// Where it listens: an address of this host's loopback.
    pub listen: SocketAddr,
    /// Which API server gets a connection.
    pub algorithm: Algorithm,
    /// How many connections at once; two descriptors each.
    pub max_connections: usize,
    /// Sessions a second that are moved to a backend that has fewer; 0 is never.
    pub shed_rate: usize,
    /// A backend with no more sessions keeps them.
    pub shed_floor: usize,
    /// API servers that are known before the cluster was asked: at least one.
    pub backends: Vec<SocketAddr>,
    /// The name that API servers' certificates are verified under.
    pub server_name: String,
    /// Credentials, best first.
    pub kubeconfigs: Vec<PathBuf>,
    /// How API servers are probed.
    pub probe: Probe,
    /// Logs, metrics, status.
    pub telemetry: Telemetry,
}

/// Every key is read before any is looked at, so that every mistake is found.
pub(super) fn read(settings: &mut Settings) -> Option<ProxyConfig> {
    refuse_the_control_plane_s(settings);
    let node = settings.one("node", parse::name);
    let listen = settings.one("balancer.listen", parse::listen);
    let spread = read_spread(settings);
    let backends =
        settings.list("balancer.backends", MOST_BACKENDS, |scalar| parse::socket(scalar, false));
    let server_name = settings.one("apiserver.serverName", parse::server_name);
    let kubeconfigs = settings.list("apiserver.kubeconfigs", MOST_KUBECONFIGS, parse::path);
    let probe = read_probe(settings);
    let no_vips = Setting { path: "vips", value: Some(Vec::new()), place: None };
    let telemetry = read_telemetry(settings, &no_vips);
    let own = address(settings, &listen);
    relations::proxy_backends(settings, &backends, own);
    if let (Some(own), Some(telemetry)) = (own, &telemetry) {
        relations::proxy_listeners(settings, &listen, own, telemetry);
    }
    let Spread { algorithm, max_connections, shed_rate, shed_floor } = spread?;
    Some(ProxyConfig {
        node: node.value?,
        listen: own?,
        algorithm,
        max_connections,
        shed_rate,
        shed_floor,
        backends: plain(backends.value?),
        server_name: server_name.value?,
        kubeconfigs: plain(kubeconfigs.value?),
        probe: probe?,
        telemetry: telemetry?,
    })
}

fn refuse_the_control_plane_s(settings: &mut Settings) {
    for key in KEYS {
        if let OnWorker::Refused(why) = on_worker(key.path) {
            settings.refuse(key.path, &format!("{why} (role: proxy)"));
        }
    }
}

/// Where to listen: whoever may reach it reaches the API servers by this node's address, and another
/// address than the loopback's takes privileges.
fn address(settings: &mut Settings, listen: &Setting<Listen>) -> Option<SocketAddr> {
    let address = match listen.value? {
        Listen::Port(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        Listen::Address(address) => address,
    };
    if address.ip().is_loopback() {
        return Some(address);
    }
    let message = format!("{address} is not on the loopback, and a worker's proxy serves its node");
    let own = match address.ip() {
        IpAddr::V4(_) => "127.0.0.1",
        IpAddr::V6(_) => "[::1]",
    };
    let complaint = Complaint::with(message, format!("write {own}:{}", address.port()));
    settings.complain(listen.place.clone(), listen.path, complaint);
    None
}

/// A backend that leads nowhere, or back.
pub(super) fn fault(backend: SocketAddr, own: Option<SocketAddr>) -> Option<(String, String)> {
    let ip = backend.ip();
    let refuse = |message: String, advice: String| Some((message, advice));
    if own == Some(backend) {
        return refuse(
            format!("{backend} is where this proxy listens: a loop"),
            "give the API servers' own addresses".to_owned(),
        );
    }
    if ip != ip.to_canonical() {
        let address = SocketAddr::new(ip.to_canonical(), backend.port());
        return refuse(
            format!("{backend} is an IPv4 address in IPv6 form"),
            format!("write {address}"),
        );
    }
    let is_link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if ip.is_unspecified() || ip.is_multicast() || is_link_local {
        return refuse(
            format!("{backend} is no address that one API server has for all nodes"),
            "give the API server's own address".to_owned(),
        );
    }
    None
}

/// What `relations` looks at.
pub(super) type Backends = Setting<Vec<Item<SocketAddr>>>;
