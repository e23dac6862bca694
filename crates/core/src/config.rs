//! The validated configuration: fields that cannot be wrong. Shapes and defaults are design §5's.
//!
//! ```text
//!  file (a tree) --\
//!  environment -----+--> gather --> settings --> relations --> Config, or every mistake
//!  flags ----------/     (keys)     (values)     (pairs)
//! ```
//!
//! [`Configuration::read`] reads either role, [`Config::read`] the control plane's alone; nothing else reads
//! texts. They never open a file, never look at the process's environment and never stop at the first mistake. [`KEYS`] is the one table of what
//! there is to configure; help texts and documentation are made from it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::vip::Vip;

mod duration;
mod gather;
mod mistake;
mod node;
mod parse;
mod proxy;
mod read;
mod reference;
mod relations;
mod role;
mod schema;
mod settings;
mod suggest;
#[cfg(test)]
mod tests;
mod words;

pub use gather::{Argument, FILE_VARIABLE, Sources};
pub use mistake::{Mistake, Mistakes, Place};
pub use node::{Document, Entry, Mark, Node, Scalar, Style, Value};
pub use proxy::ProxyConfig;
pub use reference::{defaults_yaml, markdown_proxy_table, markdown_reasons, markdown_table};
pub use role::{OnWorker, Role, on_worker};
pub use schema::{API_VERSION, Fallback, KEYS, KIND, Key, Shape, key};

/// A configuration of either role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Configuration {
    /// `role: control-plane`.
    ControlPlane(Box<Config>),
    /// `role: proxy`.
    Proxy(Box<ProxyConfig>),
}

/// A configuration that was checked as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node's name: the identity in the Lease.
    pub node: String,
    /// The virtual addresses: at least one, at most one per family.
    pub vips: Vec<Vip>,
    /// The link that carries them; `None` finds it by the VIP's subnet, then by the default route.
    pub interface: Option<String>,
    /// Election by Lease.
    pub election: Election,
    /// The local API server and how it is probed.
    pub apiserver: ApiServer,
    /// Announcements.
    pub announce: Announce,
    /// Connections are spread over every API server; `None` where they go to the holder's own.
    pub balancer: Option<Balancer>,
    /// Logs, metrics, status.
    pub telemetry: Telemetry,
}

/// Election by Lease. `lease_duration > renew_deadline > retry_period`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub lease: String,
    /// How long others wait after the last change that they saw.
    pub lease_duration: Duration,
    /// How long the right lasts from the moment the last good renewal was sent.
    pub renew_deadline: Duration,
    /// From one renewal to the next.
    pub retry_period: Duration,
    /// What a holder does when no API server can be written.
    pub on_api_loss: ApiLoss,
    /// Who comes first when the Lease is vacant: -4..=4, higher wins.
    pub priority: i8,
}

/// What a holder does when no API server can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiLoss {
    /// Keep the address, without a right, until anything speaks against it.
    Hold,
    /// Drop the address at `hold_until`.
    Release,
}

/// The local API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// The name that its certificate is verified under.
    pub server_name: String,
    /// Credentials, best first.
    pub kubeconfigs: Vec<PathBuf>,
    /// How it is probed.
    pub probe: Probe,
}

/// Probing, in kubelet's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The path asked for.
    pub path: String,
    /// From one probe to the next.
    pub period: Duration,
    /// Bound of one probe.
    pub timeout: Duration,
    /// So many failures in a row make it unfit.
    pub failure_threshold: u32,
    /// So many successes in a row make it fit again.
    pub success_threshold: u32,
}

/// Announcements of a bound VIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// When, counted from the bind; ascending, at most 16.
    pub burst: Vec<Duration>,
    /// And for ever after.
    pub refresh: Duration,
}

/// The balancer in front of the API servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balancer {
    /// The port that clients use on the VIP.
    pub port: u16,
    /// Where it listens where that port is an API server's own.
    pub listen: Listen,
    /// Which API server gets a connection.
    pub algorithm: Algorithm,
    /// How many connections at once; two descriptors each.
    pub max_connections: usize,
    /// API servers beside those that are discovered.
    pub backends: Vec<SocketAddr>,
    /// Sessions a second that are moved to a backend that has fewer; 0 is never.
    pub shed_rate: usize,
    /// A backend with no more sessions keeps them.
    pub shed_floor: usize,
}

/// Where the balancer listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// This port of every VIP.
    Port(u16),
    /// One address.
    Address(SocketAddr),
}

/// Which API server gets a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// The one with the fewest.
    LeastConnections,
    /// Each in turn.
    RoundRobin,
    /// By the client's address: always the same while it is up.
    SourceHash,
}

/// Logs, metrics, status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// `/livez /readyz /metrics /status`.
    pub address: SocketAddr,
    /// `/metrics` alone, for scrapers off the node.
    pub metrics_address: Option<SocketAddr>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log: LogLevel,
    /// Text or JSON.
    pub format: LogFormat,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What ends the process.
    Error,
    /// And what is worth a look.
    Warn,
    /// And what an operator would tell a colleague.
    Info,
    /// And conditions.
    Debug,
    /// And each frame and request.
    Trace,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
