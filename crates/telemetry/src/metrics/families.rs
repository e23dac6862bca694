//! Names, help texts, labels and buckets. The names are contract (design §5); the registry puts
//! `pintle_` before them and unit and `_total` behind.

use super::balancer;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// A healthy write takes 2 to 20 ms; hedging begins at 300 ms and an attempt ends at 1 s.
const REQUEST_BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 0.5, 1.0];

/// From the bind (below 1 ms) to an expiry (2.5 s) and a cautious one (the 60 s cap).
const PHASE_BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.6, 5.0, 60.0];

macro_rules! label_sets {
    ($($(#[$doc:meta])* $name:ident { $($label:ident: $kind:ty),+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub(super) struct $name { $(pub(super) $label: $kind),+ }
    )+};
}

label_sets! {
    /// Of `build_info`.
    Build { version: String }
    /// Of `leader`.
    LeaseLabel { lease: String }
    /// Of `lease_transitions_total`.
    ReasonLabel { reason: &'static str }
    /// Of `lease_request_duration_seconds`.
    Request { verb: &'static str, outcome: &'static str }
    /// Of `vip_bound`.
    Address { address: String }
    /// Of `announcements_total`.
    Form { form: &'static str }
    /// Of `probe_outcomes_total`.
    Probed { target: String, outcome: &'static str }
    /// Of `apiserver_ready`.
    Target { target: String }
    /// Of `failover_duration_seconds`.
    Phase { phase: &'static str }
}

/// A histogram for each set of labels.
type Durations<S> = Family<S, Histogram, fn() -> Histogram>;

/// Every metric but `build_info`, which never changes.
pub(super) struct Families {
    pub(super) leader: Gauge,
    pub(super) lease_transitions: Family<ReasonLabel, Counter>,
    pub(super) lease_request_duration: Durations<Request>,
    pub(super) vip_bound: Family<Address, Gauge>,
    pub(super) vip_restored: Counter,
    pub(super) announcements: Family<Form, Counter>,
    pub(super) address_conflicts: Counter,
    pub(super) probe_outcomes: Family<Probed, Counter>,
    pub(super) apiserver_ready: Family<Target, Gauge>,
    pub(super) failover_duration: Durations<Phase>,
    pub(super) balancer: balancer::Families,
}

// === impl Families ===

impl Families {
    pub(super) fn register(registry: &mut Registry, version: &str, lease: &str) -> Self {
        let leaders = Family::<LeaseLabel, Gauge>::default();
        let families =
            Self::new(leaders.get_or_create_owned(&LeaseLabel { lease: lease.to_owned() }));
        registry.register("leader", "Whether this node is entitled by the Lease", leaders);
        register_build(registry, version);
        families.register_ownership(registry);
        families.register_network(registry);
        families.register_health(registry);
        families.balancer.register(registry);
        families
    }

    /// What a worker's proxy has; the others are there and nobody asks for them.
    pub(super) fn register_proxy(registry: &mut Registry, version: &str) -> Self {
        let families = Self::new(Gauge::default());
        register_build(registry, version);
        families.register_health(registry);
        families.balancer.register(registry);
        families
    }

    fn new(leader: Gauge) -> Self {
        Self {
            leader,
            lease_transitions: Family::default(),
            lease_request_duration: Family::new_with_constructor(|| {
                Histogram::new(REQUEST_BUCKETS)
            }),
            vip_bound: Family::default(),
            vip_restored: Counter::default(),
            announcements: Family::default(),
            address_conflicts: Counter::default(),
            probe_outcomes: Family::default(),
            apiserver_ready: Family::default(),
            failover_duration: Family::new_with_constructor(|| Histogram::new(PHASE_BUCKETS)),
            balancer: balancer::Families::default(),
        }
    }

    fn register_ownership(&self, registry: &mut Registry) {
        registry.register(
            "lease_transitions",
            "Changes of ownership that this node took part in",
            self.lease_transitions.clone(),
        );
        registry.register_with_unit(
            "lease_request_duration",
            "Requests on the Lease",
            Unit::Seconds,
            self.lease_request_duration.clone(),
        );
        registry.register_with_unit(
            "failover_duration",
            "Phases of the VIP's way to this node",
            Unit::Seconds,
            self.failover_duration.clone(),
        );
    }

    fn register_network(&self, registry: &mut Registry) {
        registry.register("vip_bound", "Whether the VIP is bound here", self.vip_bound.clone());
        registry.register(
            "vip_restored",
            "Times that somebody took the VIP away and it was put back",
            self.vip_restored.clone(),
        );
        registry.register(
            "announcements",
            "Announcements of the VIP that were sent",
            self.announcements.clone(),
        );
        registry.register(
            "address_conflicts",
            "Frames from others that claimed the VIP",
            self.address_conflicts.clone(),
        );
    }

    fn register_health(&self, registry: &mut Registry) {
        registry.register("probe_outcomes", "Probes of API servers", self.probe_outcomes.clone());
        registry.register(
            "apiserver_ready",
            "Whether the last probe found the API server ready",
            self.apiserver_ready.clone(),
        );
    }
}

fn register_build(registry: &mut Registry, version: &str) {
    let build = Info::new(Build { version: version.to_owned() });
    registry.register("build", "What is running", build);
}
