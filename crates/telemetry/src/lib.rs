//! What pintle says of itself: logs on stderr, metrics, and `/livez /readyz /metrics /status`.
//!
//! It reports what others found and decided; nothing here feeds back into a decision, and nothing
//! here can hold up the thread that decides: a log line that nobody reads is dropped and counted, a
//! metric is an atomic, and HTTP is served by the main runtime from the latest published status.
//!
//! ```text
//! tracing --> log::Lossy --(bounded queue)--> its thread --> stderr
//! adapters, daemon --> Metrics <--- /metrics --+
//! daemon --(watch)--> Account <---- /status ---+-- server (main runtime)
//! control loop ----> Heartbeat <--- /livez ----+
//! ```

#![forbid(unsafe_code)]

mod account;
pub mod log;
mod metrics;
mod server;
mod status;

pub use self::account::{Account, ProxyPublished, ProxyReport};
pub use self::metrics::{BackendTotals, BalancerTotals, Metrics, NetTotals};
pub use self::server::{BoundServer, ServeError, Sources, serve};
pub use self::status::{
    ApiServerStatus, FailoverStatus, Heartbeat, Published, StatusReport, VipStatus,
};
