//! What operators are told: the status, the metrics, the log line and the Event of each change.

use std::collections::BTreeMap;
use std::sync::Arc;

use pintle_cluster::{EventKind, KubeEvent, Observer};
use pintle_core::command::{Direction, Transition};
use pintle_core::config::Config;
use pintle_core::{Desired, Event, Notice, ProbeOutcome, Role, Server, ServerId, Vip};
use pintle_telemetry::{
    ApiServerStatus, FailoverStatus, Metrics, Published, StatusReport, VipStatus,
};
use tokio::sync::watch;

use crate::clock::now;
use crate::states::{self, States};

/// The account of itself that pintle keeps.
#[derive(Debug)]
pub(crate) struct Board {
    node: String,
    vips: Vec<Vip>,
    metrics: Metrics,
    published: watch::Sender<Published>,
    servers: watch::Receiver<Vec<Server>>,
    outcomes: BTreeMap<ServerId, ProbeOutcome>,
    last_failover: Option<FailoverStatus>,
    shown: Option<pintle_core::Status>,
    backends: States,
}

// === impl Board ===

impl Board {
    /// A node that has just started.
    pub(crate) fn new(
        config: &Config,
        metrics: Metrics,
        published: watch::Sender<Published>,
        servers: watch::Receiver<Vec<Server>>,
    ) -> Self {
        Self {
            node: config.node.clone(),
            vips: config.vips.clone(),
            metrics,
            published,
            servers,
            outcomes: BTreeMap::new(),
            last_failover: None,
            shown: None,
            backends: States::new(),
        }
    }

    /// What is published before anything is known.
    pub(crate) fn blank(config: &Config) -> Published {
        let report = StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: config.node.clone(),
            role: Role::Starting.label().to_owned(),
            interface: config.interface.clone(),
            vips: vip_statuses(&config.vips, false),
            ..StatusReport::default()
        };
        Published { report, since: now(), is_started: false, is_shutting_down: false }
    }

    /// Every part runs, the VIPs go to `link`.
    pub(crate) fn started(&self, link: &str) {
        self.published.send_modify(|published| {
            published.is_started = true;
            published.report.interface = Some(link.to_owned());
        });
    }

    /// Measures cluster's requests.
    pub(crate) fn observer(metrics: Metrics) -> Observer {
        Arc::new(move |verb, outcome, duration| {
            metrics.lease_request(verb.label(), outcome.label(), duration);
        })
    }

    /// Keeps what the machine's own account leaves out.
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::Probed { server, outcome } => {
                self.metrics.probed(*server, outcome);
                if self.outcomes.get(server) != Some(outcome) {
                    tracing::debug!(%server, ?outcome, "API server");
                    self.outcomes.insert(*server, outcome.clone());
                    self.shown = None;
                }
            }
            Event::ServersLearnt(servers) => {
                self.metrics.retain_peers(servers);
                self.outcomes
                    .retain(|server, _| *server == ServerId::LOCAL || servers.contains(server));
                self.shown = None;
            }
            Event::BindFailed { error } => tracing::warn!(error, "The VIP cannot be bound"),
            Event::LinkChanged { carrier } => tracing::info!(carrier, "Link of the VIP"),
            Event::LeaseWatched(_)
            | Event::WatchBroken
            | Event::LeaseAnswered { .. }
            | Event::Bound { .. }
            | Event::Unbound
            | Event::AddressOccupied { .. }
            | Event::ForeignClaim { .. }
            | Event::Shutdown => {}
        }
    }

    /// Publishes the status if it changed.
    pub(crate) fn publish(&mut self, desired: &Desired, backends: States) {
        let status = &desired.status;
        if self.shown.as_ref() == Some(status) && self.backends == backends {
            return;
        }
        states::tell_changes(&self.servers.borrow(), &self.backends, &backends);
        self.backends = backends;
        self.shown = Some(status.clone());
        self.metrics.leader(status.role == Role::Leader);
        for vip in &self.vips {
            self.metrics.vip_bound(*vip, status.bound);
        }
        let apiservers = self.apiservers();
        self.published.send_modify(|published| {
            published.since = status.since;
            let report = &mut published.report;
            status.role.label().clone_into(&mut report.role);
            report.holder.clone_from(&status.holder);
            report.reason = status.reason.map(|reason| reason.label().to_owned());
            report.vips = vip_statuses(&self.vips, status.bound);
            report.apiservers = apiservers;
            report.last_failover.clone_from(&self.last_failover);
            report.watching = status.watching;
            report.occupied = status.occupied;
        });
    }

    fn apiservers(&self) -> Vec<ApiServerStatus> {
        let servers = self.servers.borrow();
        let statuses = servers.iter().map(|server| {
            let outcome = self.outcomes.get(&server.id);
            ApiServerStatus {
                target: server.id.to_string(),
                address: server.address.to_string(),
                outcome: outcome.map(|outcome| outcome.label().to_owned()),
                ready: outcome == Some(&ProbeOutcome::Ready),
                backend: self.backends.get(&server.id).map(|state| state.label().to_owned()),
            }
        });
        statuses.collect()
    }

    /// One log line, one metric and one Event for a change of ownership. The fields are contract.
    pub(crate) fn report(&mut self, transition: &Transition) -> KubeEvent {
        let phases = FailoverStatus::from(transition);
        let vip = list(&self.vips);
        let from = transition.from.as_deref().unwrap_or_default();
        let to = transition.to.as_deref().unwrap_or_default();
        let reason = transition.reason.label();
        macro_rules! line {
            ($message:literal) => {
                tracing::info!(
                    vip,
                    node = self.node,
                    from,
                    to,
                    reason,
                    detect_ms = phases.detect_ms,
                    lease_ms = phases.lease_ms,
                    bind_ms = phases.bind_ms,
                    announce_ms = phases.announce_ms,
                    $message
                )
            };
        }
        let (event_reason, verb) = match transition.direction {
            Direction::Acquired => {
                line!("vip.acquired");
                ("VipAcquired", "acquired")
            }
            Direction::Lost => {
                line!("vip.lost");
                ("VipLost", "lost")
            }
        };
        self.metrics.transition(transition);
        self.last_failover = Some(phases);
        self.shown = None;
        let from = if from.is_empty() { "nobody" } else { from };
        let to = if to.is_empty() { "nobody yet" } else { to };
        let note = format!("{} {verb} {vip} ({reason}), from {from} to {to}", self.node);
        KubeEvent { reason: event_reason.into(), note, kind: EventKind::Normal }
    }

    /// What an operator should know beside that; an Event where the API is likely to take it.
    pub(crate) fn notify(&self, notice: &Notice) -> Option<KubeEvent> {
        let (reason, note) = match notice {
            Notice::AddressOccupied { vip, mac } => {
                tracing::error!(
                    %vip, %mac,
                    "Another machine answers for the VIP, it is not bound until that ends \
                     (address_occupied)"
                );
                ("AddressOccupied", format!("{mac} answers for {vip}, it is not bound"))
            }
            Notice::AddressConflict { vip, mac } => {
                tracing::warn!(
                    %vip, %mac,
                    "Another machine claims the VIP: the Lease is read, and if it is still this node's \
                     the VIP is announced again (address_conflict)"
                );
                ("AddressConflict", format!("{mac} claims {vip} as well"))
            }
            Notice::NameTwin { incarnation } => {
                tracing::warn!(
                    node = self.node,
                    ?incarnation,
                    "The Lease has this node's name from another machine or an earlier boot \
                     (name_twin)"
                );
                ("NameTwin", format!("another machine or boot holds the Lease as {}", self.node))
            }
            Notice::Holding => {
                tracing::warn!(
                    vip = list(&self.vips),
                    "Holding the VIP without a right: no API server can be written"
                );
                return None;
            }
            Notice::Regained => {
                tracing::info!(vip = list(&self.vips), "The Lease is renewed again");
                return None;
            }
            Notice::LeaseRestored => {
                tracing::warn!("The Lease was edited or deleted by somebody, it is written anew");
                ("LeaseRestored", "edited or deleted by somebody, written anew".to_owned())
            }
        };
        Some(KubeEvent { reason: reason.into(), note, kind: EventKind::Warning })
    }
}

fn vip_statuses(vips: &[Vip], bound: bool) -> Vec<VipStatus> {
    vips.iter().map(|vip| VipStatus { address: vip.to_string(), bound }).collect()
}

/// The VIPs as one field of a log line.
pub(crate) fn list(vips: &[Vip]) -> String {
    vips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
