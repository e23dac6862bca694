//! The balancer: its threads, its listeners, and the rules that lead clients there.

use std::net::SocketAddr;

use pintle_balancer::{Balancer, BalancerConfig};
use pintle_core::Backend;
use pintle_core::config::{Config, Listen};
use pintle_net::Redirect;
use pintle_telemetry::{BackendTotals, BalancerTotals, Metrics, Published};
use tokio::sync::watch;

use crate::error::RunError;

/// A balancer that runs until it is dropped. First its rules go, and clients find the holder's own API
/// server; then its sessions end.
#[derive(Debug)]
pub(crate) struct Front {
    redirect: Option<Redirect>,
    balancer: Balancer,
}

/// Where a balancer is to be.
pub(crate) struct Place {
    /// The port that clients use.
    pub(crate) port: u16,
    /// Where nftables lead that to, because the API server has it.
    pub(crate) redirect_to: Option<u16>,
    pub(crate) config: BalancerConfig,
}

/// What the configuration asks for, if it does.
pub(crate) fn place(config: &Config) -> Option<Place> {
    let wanted = config.balancer.as_ref()?;
    let hidden = match wanted.listen {
        Listen::Port(port) => port,
        // Refused with the configuration: it listens on the VIP.
        Listen::Address(address) => address.port(),
    };
    let is_shared = wanted.port == config.apiserver.address.port();
    let own = if is_shared { hidden } else { wanted.port };
    let balancer_config = BalancerConfig {
        listen: config.vips.iter().map(|vip| SocketAddr::new(vip.0, own)).collect(),
        algorithm: wanted.algorithm,
        max_connections: wanted.max_connections,
        shed_rate: wanted.shed_rate,
        shed_floor: wanted.shed_floor,
    };
    let redirect_to = is_shared.then_some(hidden);
    Some(Place { port: wanted.port, redirect_to, config: balancer_config })
}

/// Starts what the configuration asks for.
pub(crate) fn start(
    config: &Config,
    backends: watch::Receiver<Vec<Backend>>,
    published: watch::Receiver<Published>,
    metrics: &Metrics,
) -> Result<Option<Front>, RunError> {
    let Some(place) = place(config) else { return Ok(None) };
    let balancer = pintle_balancer::start(&place.config, backends)?;
    // At once, so that a failing start ends it as an orderly end does.
    let mut front = Front { redirect: None, balancer: balancer.clone() };
    // Only now: rules that lead nowhere would cost the API server's own port a moment.
    if let Some(to) = place.redirect_to {
        front.redirect = Some(Redirect::install(&config.vips, place.port, to)?);
    }
    tracing::info!(
        port = place.port,
        listen = ?balancer.addresses(),
        max_connections = place.config.max_connections,
        "Balancing"
    );
    let _detached = tokio::spawn(follow_vips(balancer.clone(), published));
    metrics.follow_balancer(move || totals(&balancer));
    Ok(Some(front))
}

/// Starts a balancer without rules: clients know where it listens.
pub(crate) fn start_alone(
    config: &BalancerConfig,
    backends: watch::Receiver<Vec<Backend>>,
    metrics: &Metrics,
) -> Result<Front, RunError> {
    let balancer = pintle_balancer::start(config, backends)?;
    let front = Front { redirect: None, balancer: balancer.clone() };
    tracing::info!(
        listen = ?balancer.addresses(),
        max_connections = config.max_connections,
        "Balancing"
    );
    metrics.follow_balancer(move || totals(&balancer));
    Ok(front)
}

/// A VIP that leaves takes its clients along, who learn it from a reset.
async fn follow_vips(balancer: Balancer, mut published: watch::Receiver<Published>) {
    let mut was_here = false;
    while published.changed().await.is_ok() {
        let is_here = published.borrow_and_update().report.vips.iter().any(|vip| vip.bound);
        if was_here && !is_here {
            tracing::info!(
                connections = connections(&balancer),
                "The VIP left, its clients are reset"
            );
            balancer.end_sessions();
        }
        was_here = is_here;
    }
}

fn connections(balancer: &Balancer) -> usize {
    balancer.backends().iter().map(|backend| backend.sessions).sum()
}

fn totals(balancer: &Balancer) -> BalancerTotals {
    let totals = balancer.totals();
    BalancerTotals {
        bytes: [("in", totals.bytes_in), ("out", totals.bytes_out)],
        closed: [
            ("ended", totals.closed_ended),
            ("broken", totals.closed_broken),
            ("no_backend", totals.closed_no_backend),
            ("handshake", totals.closed_handshake),
            ("half_closed", totals.closed_half_closed),
            ("backend_down", totals.closed_backend_down),
            ("shed", totals.closed_shed),
            ("vip_left", totals.closed_vip_left),
            ("full", totals.closed_full),
        ],
        backends: balancer
            .backends()
            .into_iter()
            .map(|backend| BackendTotals {
                backend: backend.address.to_string(),
                state: backend.state.label(),
                connections: backend.sessions,
                failures: [
                    ("refused", backend.failures.refused),
                    ("timeout", backend.failures.timeout),
                    ("closed", backend.failures.closed),
                    ("silent", backend.failures.silent),
                ],
            })
            .collect(),
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.redirect.take());
        self.balancer.stop();
    }
}
