//! The one loop: takes in what probes and the cluster say, and lets the balancer and `/status` see it.
//! Decides nothing: the states are core's, and who gets a connection is the balancer's.

use std::collections::BTreeMap;
use std::time::Duration;

use pintle_cluster::{Discovered, Way};
use pintle_core::{Backend, Backends, Endpoints, Event, ProbeOutcome, Server, ServerId};
use pintle_telemetry::{ApiServerStatus, Heartbeat, Metrics, ProxyPublished};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::table::Table;
use crate::clock::now;
use crate::outputs::set;
use crate::states::{self, States};

/// The loop turns at least this often, so that `/livez` tells a stuck loop from a quiet one.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Where everything goes.
pub(super) struct Outputs {
    pub(super) servers: watch::Sender<Vec<Server>>,
    pub(super) backends: watch::Sender<Vec<Backend>>,
    pub(super) published: watch::Sender<ProxyPublished>,
    pub(super) metrics: Metrics,
}

/// What is known of the API servers.
pub(super) struct Follow {
    table: Table,
    backends: Backends,
    outcomes: BTreeMap<ServerId, ProbeOutcome>,
    way: Way,
    endpoints: Endpoints,
    shown: States,
    outputs: Outputs,
    heartbeat: Heartbeat,
}

// === impl Follow ===

impl Follow {
    pub(super) fn new(
        success_threshold: u32,
        table: Table,
        outputs: Outputs,
        heartbeat: Heartbeat,
    ) -> Self {
        let mut backends = Backends::on_worker(success_threshold);
        backends.learn(&ids(&outputs.servers.borrow()));
        let outcomes = BTreeMap::new();
        let (way, endpoints) = (Way::Unknown, Endpoints::default());
        let shown = States::new();
        Self { table, backends, outcomes, way, endpoints, shown, outputs, heartbeat }
    }

    /// Every part runs.
    pub(super) fn started(&self) {
        self.outputs.published.send_modify(|published| {
            published.is_started = true;
            published.since = now();
        });
    }

    /// What says that the process was asked to end.
    pub(super) fn stopping(&self) -> impl FnOnce() + use<> {
        let published = self.outputs.published.clone();
        move || published.send_modify(|published| published.is_shutting_down = true)
    }

    /// Runs until a channel ends, which none does before the process. Cancel-safe.
    pub(super) async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut discovered: watch::Receiver<Discovered>,
    ) {
        loop {
            self.heartbeat.beat(now());
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.take(&event),
                    None => return,
                },
                changed = discovered.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let latest = discovered.borrow_and_update().clone();
                    self.learn(&latest);
                }
                () = sleep(HEARTBEAT_INTERVAL) => {}
            }
            self.publish();
        }
    }

    fn take(&mut self, event: &Event) {
        // The probes of this process send nothing else.
        let Event::Probed { server, outcome } = event else { return };
        if !self.outputs.servers.borrow().iter().any(|known| known.id == *server) {
            // The last word of one that left the list meanwhile.
            return;
        }
        self.outputs.metrics.probed(*server, outcome);
        let was_usable = self.backends.is_any_up();
        self.backends.observe(*server, outcome);
        self.outcomes.insert(*server, outcome.clone());
        match (was_usable, self.backends.is_any_up()) {
            (true, false) => tracing::warn!("No API server can be used, all are tried"),
            (false, true) => tracing::info!("An API server can be used"),
            (true, true) | (false, false) => {}
        }
    }

    fn learn(&mut self, latest: &Discovered) {
        self.way = latest.way;
        self.endpoints.clone_from(&latest.endpoints);
        let list = self.table.list(&latest.endpoints.known);
        let ids = ids(&list);
        if set(&self.outputs.servers, list.clone()) {
            let addresses: Vec<String> =
                list.iter().map(|server| server.address.to_string()).collect();
            tracing::info!(addresses = addresses.join(","), "API servers");
            self.outputs.metrics.retain_peers(&ids);
            self.backends.learn(&ids);
            self.outcomes.retain(|server, _| ids.contains(server));
        }
    }

    /// Lets everybody see the latest; what is as before wakes nobody.
    pub(super) fn publish(&mut self) {
        let servers = self.outputs.servers.borrow().clone();
        let states = states::of(&servers, &self.backends.states(), |server| {
            self.endpoints.has_left(server.address)
        });
        set(&self.outputs.backends, states::backends(&servers, &states));
        states::tell_changes(&servers, &self.shown, &states);
        let statuses = servers.iter().map(|server| {
            let outcome = self.outcomes.get(&server.id);
            ApiServerStatus {
                target: server.id.to_string(),
                address: server.address.to_string(),
                outcome: outcome.map(|outcome| outcome.label().to_owned()),
                ready: outcome == Some(&ProbeOutcome::Ready),
                backend: states.get(&server.id).map(|state| state.label().to_owned()),
            }
        });
        let apiservers: Vec<ApiServerStatus> = statuses.collect();
        self.shown = states;
        self.outputs.published.send_if_modified(|published| {
            let before = published.report.clone();
            published.report.usable = self.backends.is_any_up();
            self.way.label().clone_into(&mut published.report.discovery);
            published.report.apiservers = apiservers;
            published.report != before
        });
    }
}

fn ids(servers: &[Server]) -> Vec<ServerId> {
    servers.iter().map(|server| server.id).collect()
}
