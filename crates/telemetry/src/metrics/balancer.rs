//! The balancer's metrics: read from it at each scrape. A backend that is gone has no series.

use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// What the balancer counted since start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BalancerTotals {
    /// By direction: `in` is from clients to backends.
    pub bytes: [(&'static str, u64); 2],
    /// Sessions that ended, by reason.
    pub closed: [(&'static str, u64); 9],
    /// Every backend.
    pub backends: Vec<BackendTotals>,
}

/// What the balancer counted of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendTotals {
    /// Its address.
    pub backend: String,
    /// What may be done with it.
    pub state: &'static str,
    /// Connections that it has now.
    pub connections: usize,
    /// Connections that it did not get, by reason.
    pub failures: [(&'static str, u64); 4],
}

pub(super) type Source = Box<dyn Fn() -> BalancerTotals + Send + Sync>;

/// Of `balancer_connections`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BackendLabel {
    backend: String,
}

/// Of `balancer_connect_failures_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    backend: String,
    reason: &'static str,
}

/// Of `balancer_sessions_closed_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Closed {
    reason: &'static str,
}

/// Of `balancer_bytes_total`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Direction {
    direction: &'static str,
}

/// The names are contract (design §5).
#[derive(Clone, Debug, Default)]
pub(super) struct Families {
    connections: Family<BackendLabel, Gauge>,
    connect_failures: Family<Failure, Counter>,
    sessions_closed: Family<Closed, Counter>,
    bytes: Family<Direction, Counter>,
}

// === impl Families ===

impl Families {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "balancer_connections",
            "Connections that a backend has from here",
            self.connections.clone(),
        );
        registry.register(
            "balancer_connect_failures",
            "Connections that a backend did not get because it failed; the next one was tried",
            self.connect_failures.clone(),
        );
        registry.register(
            "balancer_sessions_closed",
            "Connections of clients that ended",
            self.sessions_closed.clone(),
        );
        registry.register_with_unit(
            "balancer",
            "Bytes that were moved; in is towards the API servers",
            Unit::Bytes,
            self.bytes.clone(),
        );
    }

    pub(super) fn store(&self, totals: &BalancerTotals) {
        self.connections.clear();
        self.connect_failures.clear();
        for backend in &totals.backends {
            let label = BackendLabel { backend: backend.backend.clone() };
            let connections = i64::try_from(backend.connections).unwrap_or(i64::MAX);
            self.connections.get_or_create(&label).set(connections);
            for (reason, count) in backend.failures {
                let failure = Failure { backend: backend.backend.clone(), reason };
                self.connect_failures.get_or_create(&failure).inner().store(count, Relaxed);
            }
        }
        for (reason, count) in totals.closed {
            self.sessions_closed.get_or_create(&Closed { reason }).inner().store(count, Relaxed);
        }
        for (direction, count) in totals.bytes {
            self.bytes.get_or_create(&Direction { direction }).inner().store(count, Relaxed);
        }
    }
}
