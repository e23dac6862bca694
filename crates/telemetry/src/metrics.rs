//! Every metric of design §5, behind one handle with a method per fact.
//!
//! Metrics observe; no decision reads them. Recording is an atomic, or a map's read lock that only
//! the first use of a label and the end of a server ever write: the control thread does not wait for
//! a scrape. Every label has a bounded set of values.

mod balancer;
mod families;

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use pintle_core::command::{Direction, Transition};
use pintle_core::{ProbeOutcome, ServerId, Vip};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

pub use self::balancer::{BackendTotals, BalancerTotals};
use self::families::{Address, Families, Form, Phase, Probed, ReasonLabel, Request, Target};

/// Servers with series of their own: the probes' bound, and as many that are on their way out.
const MAX_SERVERS: usize = 32;

/// The labels of [`ProbeOutcome::label`], to end a server's series by.
const OUTCOMES: [&str; 7] =
    ["ready", "draining", "not_ready", "refused", "timeout", "tls_failed", "unauthorised"];

/// What the metrics are told through. Clones are the same metrics.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

/// What net counted since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetTotals {
    /// The VIP was taken away by somebody and put back.
    pub vip_restored: u64,
    /// Frames from others that claimed the VIP.
    pub address_conflicts: u64,
    /// Gratuitous ARP in request form.
    pub gratuitous_arp_requests: u64,
    /// Gratuitous ARP in reply form.
    pub gratuitous_arp_replies: u64,
    /// Unsolicited neighbour advertisements.
    pub unsolicited_nas: u64,
}

type NetSource = Box<dyn Fn() -> NetTotals + Send + Sync>;

struct Inner {
    registry: Registry,
    families: Families,
    net: OnceLock<NetSource>,
    balancer: OnceLock<balancer::Source>,
    servers: Mutex<Vec<ServerId>>,
}

// === impl Metrics ===

impl Metrics {
    /// Registers everything for a pintle of this version that competes for this Lease.
    #[must_use]
    pub fn new(version: &str, lease: &str, vips: &[Vip]) -> Self {
        let mut registry = Registry::with_prefix("pintle");
        let families = Families::register(&mut registry, version, lease);
        let metrics = Self::of(registry, families);
        for vip in vips {
            metrics.vip_bound(*vip, false);
        }
        metrics
    }

    /// Registers what a worker's proxy of this version has: no Lease, no VIP.
    #[must_use]
    pub fn of_proxy(version: &str) -> Self {
        let mut registry = Registry::with_prefix("pintle");
        let families = Families::register_proxy(&mut registry, version);
        Self::of(registry, families)
    }

    fn of(registry: Registry, families: Families) -> Self {
        let inner = Inner {
            registry,
            families,
            net: OnceLock::new(),
            balancer: OnceLock::new(),
            servers: Mutex::new(Vec::new()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Where net's totals are read at each scrape. The first source stays.
    pub fn follow_net(&self, totals: impl Fn() -> NetTotals + Send + Sync + 'static) {
        let _ = self.inner.net.set(Box::new(totals));
    }

    /// Where the balancer's totals are read at each scrape. The first source stays.
    pub fn follow_balancer(&self, totals: impl Fn() -> BalancerTotals + Send + Sync + 'static) {
        let _ = self.inner.balancer.set(Box::new(totals));
    }

    /// Whether this node is entitled by the Lease.
    pub fn leader(&self, is_leader: bool) {
        self.inner.families.leader.set(i64::from(is_leader));
    }

    /// Whether the VIP is bound here.
    pub fn vip_bound(&self, vip: Vip, is_bound: bool) {
        let address = Address { address: vip.to_string() };
        self.inner.families.vip_bound.get_or_create(&address).set(i64::from(is_bound));
    }

    /// A change of ownership: counted, and timed where the VIP came to this node.
    pub fn transition(&self, transition: &Transition) {
        let families = &self.inner.families;
        let reason = ReasonLabel { reason: transition.reason.label() };
        families.lease_transitions.get_or_create(&reason).inc();
        if transition.direction == Direction::Acquired {
            let phases = [
                ("detect", transition.detect),
                ("lease", transition.lease),
                ("bind", transition.bind),
                ("announce", transition.announce),
            ];
            for (phase, duration) in phases {
                let histogram = families.failover_duration.get_or_create_owned(&Phase { phase });
                histogram.observe(duration.as_secs_f64());
            }
        }
    }

    /// A request on the Lease has ended. Labels are static, and so bounded.
    pub fn lease_request(&self, verb: &'static str, outcome: &'static str, duration: Duration) {
        let request = Request { verb, outcome };
        let histogram = self.inner.families.lease_request_duration.get_or_create_owned(&request);
        histogram.observe(duration.as_secs_f64());
    }

    /// A probe has ended.
    pub fn probed(&self, server: ServerId, outcome: &ProbeOutcome) {
        if !self.is_known(server) {
            return;
        }
        let families = &self.inner.families;
        let probed = Probed { target: server.to_string(), outcome: outcome.label() };
        families.probe_outcomes.get_or_create(&probed).inc();
        let target = Target { target: server.to_string() };
        let is_ready = i64::from(*outcome == ProbeOutcome::Ready);
        families.apiserver_ready.get_or_create(&target).set(is_ready);
    }

    /// Ends the series of every API server that is not among these peers. The local one is always known.
    pub fn retain_peers(&self, peers: &[ServerId]) {
        let families = &self.inner.families;
        let mut known = self.inner.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let is_gone = |server: &mut ServerId| *server != ServerId::LOCAL && !peers.contains(server);
        for gone in known.extract_if(.., is_gone) {
            let target = gone.to_string();
            for outcome in OUTCOMES {
                families.probe_outcomes.remove(&Probed { target: target.clone(), outcome });
            }
            families.apiserver_ready.remove(&Target { target });
        }
    }

    /// Everything, in OpenMetrics' text form.
    #[must_use]
    pub fn encode(&self) -> String {
        if let Some(totals) = self.inner.net.get() {
            self.store(totals());
        }
        if let Some(totals) = self.inner.balancer.get() {
            self.inner.families.balancer.store(&totals());
        }
        let mut page = String::new();
        // Writing into a String cannot fail, and a page without its end would say so.
        if text::encode(&mut page, &self.inner.registry).is_err() {
            tracing::warn!("Metrics cannot be written");
        }
        page
    }

    /// Whether the server has series, or may have some.
    fn is_known(&self, server: ServerId) -> bool {
        let mut known = self.inner.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(&server) && known.len() < MAX_SERVERS {
            known.push(server);
        }
        known.contains(&server)
    }

    fn store(&self, totals: NetTotals) {
        let families = &self.inner.families;
        families.vip_restored.inner().store(totals.vip_restored, Relaxed);
        families.address_conflicts.inner().store(totals.address_conflicts, Relaxed);
        let forms = [
            ("gratuitous_arp_request", totals.gratuitous_arp_requests),
            ("gratuitous_arp_reply", totals.gratuitous_arp_replies),
            ("unsolicited_na", totals.unsolicited_nas),
        ];
        for (form, total) in forms {
            families.announcements.get_or_create(&Form { form }).inner().store(total, Relaxed);
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
