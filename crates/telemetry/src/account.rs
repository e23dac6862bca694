//! The account that the server gives: of a control-plane node, or of a worker's proxy.

use pintle_core::Instant;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::status::{ApiServerStatus, Published, seconds};

/// Whose account it is, kept up to date by the daemon.
#[derive(Clone, Debug)]
pub enum Account {
    /// Of a node that competes for the VIP.
    ControlPlane(watch::Receiver<Published>),
    /// Of a worker's proxy.
    Proxy(watch::Receiver<ProxyPublished>),
}

/// The account of itself that a worker's proxy publishes at each change.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyPublished {
    /// The body of `/status`; its `since` is filled in when it is asked for.
    pub report: ProxyReport,
    /// When it began to listen.
    pub since: Instant,
    /// Every part runs.
    pub is_started: bool,
    /// The process was asked to end.
    pub is_shutting_down: bool,
}

/// The body of `/status` of a worker's proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProxyReport {
    /// Of pintle.
    pub version: String,
    /// This node's name.
    pub node: String,
    /// `proxy`.
    pub role: String,
    /// Seconds since it listens.
    pub since: f64,
    /// Where it listens.
    pub listen: String,
    /// Whether an API server can be given connections.
    pub usable: bool,
    /// How the API servers' addresses are known: `endpointslices`, `endpoints`, `refused` or `unknown`.
    pub discovery: String,
    /// Each API server.
    pub apiservers: Vec<ApiServerStatus>,
}

// === impl Account ===

impl Account {
    /// What `/readyz` asks, in its order.
    pub(crate) fn checks(&self) -> [(&'static str, bool); 3] {
        match self {
            Self::ControlPlane(published) => {
                let published = published.borrow();
                [
                    ("started", published.is_started),
                    ("watch", published.report.watching),
                    ("not-shutting-down", !published.is_shutting_down),
                ]
            }
            Self::Proxy(published) => {
                let published = published.borrow();
                [
                    ("listening", published.is_started),
                    ("backend", published.report.usable),
                    ("not-shutting-down", !published.is_shutting_down),
                ]
            }
        }
    }

    /// The body of `/status`.
    pub(crate) fn body(&self, now: Instant) -> serde_json::Result<String> {
        match self {
            Self::ControlPlane(published) => {
                serde_json::to_string_pretty(&published.borrow().report_at(now))
            }
            Self::Proxy(published) => {
                let published = published.borrow();
                let since = seconds(now.since(published.since));
                serde_json::to_string_pretty(&ProxyReport { since, ..published.report.clone() })
            }
        }
    }
}
