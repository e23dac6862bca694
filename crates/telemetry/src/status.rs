//! What `/status` shows, `pintle status` reads, and `/livez` and `/readyz` are derived from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pintle_core::Instant;
use pintle_core::command::{Direction, Transition};
use serde::{Deserialize, Serialize};

/// The account of itself that the daemon publishes at each change.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// The body of `/status`; its `since` is filled in when it is asked for.
    pub report: StatusReport,
    /// When the role was entered.
    pub since: Instant,
    /// Every part runs: nothing waits for a lock, a link or a port.
    pub is_started: bool,
    /// The process was asked to end.
    pub is_shutting_down: bool,
}

/// The body of `/status`: what this node is, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Of pintle.
    pub version: String,
    /// This node's name.
    pub node: String,
    /// As in `pintle_core::Role::label`.
    pub role: String,
    /// Who the Lease names.
    pub holder: Option<String>,
    /// Seconds since this node has its role.
    pub since: f64,
    /// Why the role was last entered.
    pub reason: Option<String>,
    /// The link that carries the VIPs.
    pub interface: Option<String>,
    /// Each VIP.
    pub vips: Vec<VipStatus>,
    /// Each API server, the local one first.
    pub apiservers: Vec<ApiServerStatus>,
    /// The last change of ownership that this node took part in.
    pub last_failover: Option<FailoverStatus>,
    /// The watch on the Lease is established.
    pub watching: bool,
    /// A stranger answers for the VIP.
    pub occupied: bool,
}

/// A VIP as this node has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipStatus {
    /// The address.
    pub address: String,
    /// It is bound here.
    pub bound: bool,
}

/// An API server as the last probe found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiServerStatus {
    /// `local` or `peer-N`, as in the metrics.
    pub target: String,
    /// Where it listens.
    pub address: String,
    /// As in `pintle_core::ProbeOutcome::label`; none before the first probe ended.
    pub outcome: Option<String>,
    /// The outcome was `ready`.
    pub ready: bool,
    /// What the balancer may do with it, as in `pintle_core::BackendState::label`; none without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
}

/// A change of ownership and its phases, as in its log line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailoverStatus {
    /// `acquired` or `lost`.
    pub direction: String,
    /// Who had the VIP, as far as is known.
    pub from: Option<String>,
    /// Who has it, as far as is known.
    pub to: Option<String>,
    /// As in `pintle_core::command::Reason::label`.
    pub reason: String,
    /// From the last sign that all was well to the decision.
    pub detect_ms: f64,
    /// From the decision to the Lease's answer.
    pub lease_ms: f64,
    /// Then to the kernel's answer.
    pub bind_ms: f64,
    /// Then to the first announcement.
    pub announce_ms: f64,
}

/// Five turns of an idle loop (it turns each second): younger than this and it turns. The kubelet gives
/// it three tries more.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);

/// When the control loop last turned. Clones are the same heartbeat.
#[derive(Clone, Debug)]
pub struct Heartbeat(Arc<AtomicU64>);

// === impl Published ===

impl Published {
    /// The report as it reads at `now`.
    #[must_use]
    pub fn report_at(&self, now: Instant) -> StatusReport {
        let since = seconds(now.since(self.since));
        StatusReport { since, ..self.report.clone() }
    }
}

// === impl FailoverStatus ===

impl From<&Transition> for FailoverStatus {
    fn from(transition: &Transition) -> Self {
        let direction = match transition.direction {
            Direction::Acquired => "acquired",
            Direction::Lost => "lost",
        };
        Self {
            direction: direction.to_owned(),
            from: transition.from.clone(),
            to: transition.to.clone(),
            reason: transition.reason.label().to_owned(),
            detect_ms: millis(transition.detect),
            lease_ms: millis(transition.lease),
            bind_ms: millis(transition.bind),
            announce_ms: millis(transition.announce),
        }
    }
}

pub(crate) fn seconds(duration: Duration) -> f64 {
    millis(duration) / 1000.0
}

/// Whole microseconds, in milliseconds: a bind takes a fraction of one.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

// === impl Heartbeat ===

impl Heartbeat {
    /// Starts with a beat.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self(Arc::new(AtomicU64::new(now.as_nanos())))
    }

    /// The loop turned.
    pub fn beat(&self, now: Instant) {
        self.0.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// How long ago the loop turned.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.since(Instant::from_nanos(self.0.load(Ordering::Relaxed)))
    }

    /// Whether the loop still turns.
    #[must_use]
    pub fn is_fresh(&self, now: Instant) -> bool {
        self.age(now) < HEARTBEAT_TIMEOUT
    }
}
