//! The control thread: makes the channels, starts the adapters on its runtime, runs the loop.
//!
//! Tasks on this runtime: the control loop (this function's own future), net's applier, cluster's
//! tasks, probe's tasks, and [`registry::follow`].

use std::sync::atomic::{AtomicU64, Ordering};

use pintle_cluster::{ClusterConfig, SERVICE_ACCOUNT};
use pintle_core::config::Config;
use pintle_core::{
    Backend, ClusterCa, Endpoints, Event, Machine, ProbePace, Server, ServerId, Settings, VipDesire,
};
use pintle_net::{Net, NetConfig};
use pintle_probe::ProbeConfig;
use pintle_telemetry::{Heartbeat, Metrics, NetTotals, Published};
use tokio::sync::{mpsc, watch};

use crate::board::Board;
use crate::clock::now;
use crate::control::Control;
use crate::error::RunError;
use crate::outputs::Outputs;
use crate::registry;
use crate::servers::ServerTable;

/// Events that wait for the loop, which takes them within a millisecond. The adapters together send
/// a few a second; a burst of frames is bounded by net at 10 a second and VIP.
pub(crate) const EVENT_QUEUE: usize = 256;

/// Requests on the Lease that wait for the cluster adapter: core keeps at most eight under way.
const COMMAND_QUEUE: usize = 32;

/// Defences that wait for net: one a VIP is all that has a meaning.
const DEFENCE_QUEUE: usize = 4;

/// What the control thread is given.
pub(crate) struct Inputs {
    pub(crate) config: Config,
    pub(crate) incarnation: String,
    pub(crate) metrics: Metrics,
    pub(crate) published: watch::Sender<Published>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    /// To the balancer, if there is one.
    pub(crate) backends: watch::Sender<Vec<Backend>>,
    /// Whom the credentials vouch for, from cluster to whoever verifies an API server.
    pub(crate) trust: (watch::Sender<Option<ClusterCa>>, watch::Receiver<Option<ClusterCa>>),
}

/// Runs everything until the machine has given everything back. To be called on a runtime that is
/// this thread's own.
pub(crate) async fn control(inputs: Inputs) -> Result<(), RunError> {
    let Inputs { config, incarnation, metrics, published, heartbeat, events, backends, trust } =
        inputs;
    let (sender, receiver) = events;
    let (vips, desired) = watch::channel(VipDesire::Undecided);
    let (pace, probe_pace) = watch::channel(ProbePace::Relaxed);
    let (cluster, commands) = mpsc::channel(COMMAND_QUEUE);
    let (defend, defences) = mpsc::channel(DEFENCE_QUEUE);
    let (endpoints, learnt) = watch::channel(Endpoints::default());
    let (ca, trusted) = trust;
    let local = Server { id: ServerId::LOCAL, address: config.apiserver.address };
    let (servers, targets) = watch::channel(vec![local]);

    let net_config = NetConfig {
        vips: config.vips.clone(),
        interface: config.interface.clone(),
        announce: config.announce.clone(),
    };
    let net = pintle_net::start(net_config, desired, defences, sender.clone(), now)?;
    let cluster_config = ClusterConfig {
        node: config.node.clone(),
        incarnation: incarnation.clone(),
        namespace: config.election.namespace.clone(),
        lease: config.election.lease.clone(),
        vips: config.vips.clone(),
        kubeconfigs: config.apiserver.kubeconfigs.clone(),
        server_name: config.apiserver.server_name.clone(),
        local: config.apiserver.address,
        service_account: SERVICE_ACCOUNT.into(),
        observer: Board::observer(metrics.clone()),
    };
    let cluster_tasks = pintle_cluster::start(
        cluster_config,
        targets.clone(),
        commands,
        sender.clone(),
        endpoints,
        ca,
    )
    .map_err(RunError::internal)?;
    let probe_config = ProbeConfig {
        probe: config.apiserver.probe.clone(),
        server_name: config.apiserver.server_name.clone(),
    };
    pintle_probe::start(probe_config, targets.clone(), probe_pace, trusted, sender.clone())
        .map_err(RunError::internal)?;
    let fixed = config.balancer.as_ref().map(|balancer| balancer.backends.clone());
    let fixed = fixed.unwrap_or_default();
    let table = ServerTable::new(config.apiserver.address, config.vips.clone(), fixed.clone());
    let endpoints = learnt.clone();
    tokio::spawn(registry::follow(table, learnt, net.host_addresses(), servers, sender));

    let servers_of_backends = targets.clone();
    let board = Board::new(&config, metrics.clone(), published, targets);
    board.started(net.link());
    let counters = net.metrics();
    metrics.follow_net(move || net_totals(&counters));

    let machine = Machine::new(Settings::new(&config, incarnation), now());
    let servers = servers_of_backends;
    let outputs =
        Outputs { vips, pace, cluster, defend, backends, servers, endpoints, fixed, board };
    let ended = Control::new(machine, receiver, outputs, heartbeat).run().await;
    tokio::join!(Net::shutdown(net), cluster_tasks.drain());
    ended.map_err(RunError::internal)
}

fn net_totals(counters: &pintle_net::Metrics) -> NetTotals {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    NetTotals {
        vip_restored: read(&counters.vip_restored),
        address_conflicts: read(&counters.conflicts),
        gratuitous_arp_requests: read(&counters.gratuitous_arp_requests),
        gratuitous_arp_replies: read(&counters.gratuitous_arp_replies),
        unsolicited_nas: read(&counters.unsolicited_nas),
    }
}
