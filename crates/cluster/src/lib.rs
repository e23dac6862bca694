//! The only part of pintle that knows Kubernetes: carries out what the core wants of the Lease, and
//! turns what API servers say into [events](pintle_core::Event).
//!
//! Never decides when to ask, whom to ask, or what an answer means for the VIP; never follows a
//! kubeconfig's own server; never runs another program; never asks twice by itself, but for a
//! credential that was refused.
//!
//! ```text
//!  ClusterCommand --> requests --+--> Api --> Transport --> Dialer (one address, one name, TLS)
//!  Rewatch ---------> watcher ---+     |
//!  KubeEvent -------> kube_events      +--> Chain <-- upkeep <-- Source (files)
//!                     endpoints        +--> Ledger (own writes, last objects)
//!  Event, addresses, CAs <-- all of them
//! ```
//!
//! Tasks, all spawned by [`start()`] on the caller's runtime and ended when [`Running`] is dropped:
//!
//! | task | count | when it is dropped |
//! |---|---|---|
//! | `requests` | 1, and one for each attempt (at most 16) | an attempt's connection is closed: it may or may not have been done |
//! | `watcher` | 1 | the watch is closed; nothing is lost, a new one begins with a read |
//! | `endpoints` | 1 | cancel-safe |
//! | `kube_events` | 1 | Events that wait are lost |
//! | `upkeep` (look) | one for each file and the service account | a look that is blocked by a disk ends by itself on the blocking pool |
//! | `upkeep` (try, clean) | 1 each | cancel-safe |
//!
//! On a worker there is no Lease: [`discover()`] spawns one task that asks where the API servers are, and
//! `upkeep` (look).

#![forbid(unsafe_code)]

mod api;
mod aside;
mod chain;
mod check;
mod clock;
mod credential;
mod dial;
mod discover;
mod endpoints;
mod kube_events;
mod kubeconfig;
mod lease;
mod ledger;
mod rarely;
mod requests;
mod source;
mod start;
mod transport;
mod types;
mod upkeep;
mod watcher;

pub use check::check_kubeconfig;
pub use discover::{Discovered, Discovering, DiscoveryConfig, Way, discover};
pub use kubeconfig::{KubeconfigError, KubeconfigReport};
pub use start::{Running, StartError, start};
pub use types::{
    ClusterCommand, ClusterConfig, EventKind, KubeEvent, Observer, Outcome, SERVICE_ACCOUNT, Verb,
};
