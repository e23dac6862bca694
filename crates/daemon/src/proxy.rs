//! The life of a worker's proxy: listeners, probes, the cluster's word, signals, end.
//!
//! No VIP, no Lease, no lock of the host (its port is one), no privilege. Everything but the balancer runs on
//! the caller's runtime: nothing here has to be on time to the millisecond.
//!
//! ```text
//! cluster --Discovered--> Follow --servers--> probe, cluster
//! probe ---Event::Probed--> |  `--backends--> balancer (its own runtime)
//!                           `-----ProxyPublished--> /readyz, /status
//! ```

mod follow;
mod table;

use pintle_balancer::BalancerConfig;
use pintle_cluster::{Discovered, DiscoveryConfig, SERVICE_ACCOUNT};
use pintle_core::ProbePace;
use pintle_core::config::ProxyConfig;
use pintle_probe::ProbeConfig;
use pintle_telemetry::{Account, Heartbeat, Metrics, ProxyPublished, ProxyReport, Sources};
use tokio::sync::{mpsc, watch};

use crate::clock::now;
use crate::error::RunError;
use crate::run::Signals;
use crate::wiring::EVENT_QUEUE;
use crate::{front, service_manager};
use follow::Follow;
use table::Table;

/// Runs until the process is asked to end.
pub(crate) async fn live(config: ProxyConfig) -> Result<(), RunError> {
    let mut signals = Signals::listen().map_err(RunError::internal)?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, node = config.node, role = "proxy", "Starting");
    let heartbeat = Heartbeat::new(now());
    let metrics = Metrics::of_proxy(version);
    let (published, status) = watch::channel(blank(&config));
    let sources = Sources {
        status: Account::Proxy(status.clone()),
        heartbeat: heartbeat.clone(),
        now,
        metrics: metrics.clone(),
    };
    let listeners = pintle_telemetry::serve(&config.telemetry, sources)?;
    tracing::info!(
        address = %listeners.address,
        metrics_address = listeners.metrics_address.map(tracing::field::display),
        "Listening"
    );
    let mut table = Table::new(config.listen, config.backends.clone());
    let (servers, targets) = watch::channel(table.list(&[]));
    let (backends, known) = watch::channel(Vec::new());
    let (found, discovered) = watch::channel(Discovered::default());
    let (ca, trusted) = watch::channel(None);
    let (sender, events) = mpsc::channel(EVENT_QUEUE);
    // All of them are as good as another.
    let (_pace, brisk) = watch::channel(ProbePace::Brisk);
    let discovery = DiscoveryConfig {
        kubeconfigs: config.kubeconfigs.clone(),
        service_account: SERVICE_ACCOUNT.into(),
        server_name: config.server_name.clone(),
    };
    let _discovering = pintle_cluster::discover(discovery, targets.clone(), found, ca)
        .map_err(RunError::internal)?;
    let probing =
        ProbeConfig { probe: config.probe.clone(), server_name: config.server_name.clone() };
    let _probing = pintle_probe::start(probing, targets, brisk, trusted, sender)
        .map_err(RunError::internal)?;
    let mut follow = Follow::new(
        config.probe.success_threshold,
        table,
        follow::Outputs { servers, backends, published, metrics: metrics.clone() },
        heartbeat.clone(),
    );
    // Who connects at once finds those of the configuration.
    follow.publish();
    let spread = BalancerConfig {
        listen: vec![config.listen],
        algorithm: config.algorithm,
        max_connections: config.max_connections,
        shed_rate: config.shed_rate,
        shed_floor: config.shed_floor,
    };
    let front = front::start_alone(&spread, known, &metrics)?;
    follow.started();
    let is_started = {
        let mut status = status.clone();
        async move { status.wait_for(|published| published.is_started).await.is_ok() }
    };
    let _detached = tokio::spawn(service_manager::keep_informed(is_started, heartbeat, now));
    let stopping = follow.stopping();
    tokio::select! {
        () = follow.run(events, discovered) => {}
        () = signals.next() => {}
    }
    tracing::info!("Stopping");
    service_manager::stopping();
    stopping();
    // Nothing is to be given back: clients come again when the next one listens.
    drop(front);
    Ok(())
}

fn blank(config: &ProxyConfig) -> ProxyPublished {
    let report = ProxyReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node: config.node.clone(),
        role: "proxy".to_owned(),
        listen: config.listen.to_string(),
        ..ProxyReport::default()
    };
    ProxyPublished { report, since: now(), is_started: false, is_shutting_down: false }
}
