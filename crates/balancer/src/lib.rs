//! Spreads TCP connections over every API server: accept, pick, connect, copy both ways, end.
//!
//! TLS goes through untouched. It follows what it is told of the backends and decides nothing about them.
//!
//! ```text
//! backends (watch) --> Table <--pick, seat, suspect-- session (one task a connection)
//!                                                      ^
//! listener --accept--> room under max_connections? ----'  client <==splice==> API server
//! ```
//!
//! Tasks on the caller's runtime:
//! - one follows the backends; its end (the sender is gone) ends nothing else;
//! - one looks each second at what only time decides, and at backends that have too many sessions.
//!
//! And on threads of its own, so that what is copied never delays a renewal of the Lease:
//! - one per listener, which never waits for anything but a connection;
//! - one per session, on the thread that accepted it; it may be dropped at any await.

#![deny(unsafe_code)]

mod accept;
mod copy;
mod flight;
mod listen;
mod open;
mod patience;
mod pick;
mod pipes;
mod queue;
mod serve;
mod session;
mod shed;
mod stream;
mod table;
mod threads;
mod totals;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pintle_core::Backend;
use pintle_core::config::Algorithm;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub use self::listen::{Obstacle, StartError};
pub use self::table::BackendStatus;
pub use self::totals::{ConnectFailures, Totals};

use self::pipes::Pipes;
use self::shed::Shedding;
use self::table::Table;
use self::totals::{CloseReason, Counters};

/// What the balancer needs from the configuration.
#[derive(Clone, Debug)]
pub struct BalancerConfig {
    /// Where clients connect to. An address that is not on this host (yet) is no mistake.
    pub listen: Vec<SocketAddr>,
    /// Who gets a connection.
    pub algorithm: Algorithm,
    /// So many at once; the next is refused.
    pub max_connections: usize,
    /// So many sessions a second are moved away from backends that have more than their share; 0 is never.
    pub shed_rate: usize,
    /// A backend with no more than so many keeps them.
    pub shed_floor: usize,
}

/// A balancer that runs until it is stopped. Dropping it ends nothing.
#[derive(Clone, Debug)]
pub struct Balancer {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    end: CancellationToken,
}

/// What every session uses.
#[derive(Debug)]
struct Shared {
    table: Table,
    pipes: Pipes,
    counters: Counters,
    max_connections: usize,
}

/// Listens, and follows `backends`.
///
/// # Errors
/// When an address cannot be listened on, or the process may not open as many descriptors as that takes.
///
/// # Panics
/// Outside a tokio runtime.
pub fn start(
    config: &BalancerConfig,
    mut backends: watch::Receiver<Vec<Backend>>,
) -> Result<Balancer, StartError> {
    let groups = listen::prepare(&config.listen, config.max_connections, threads::count())?;
    let shared = Arc::new(Shared {
        table: Table::new(config.algorithm),
        pipes: Pipes::default(),
        counters: Counters::default(),
        max_connections: config.max_connections,
    });
    // Who connects at once finds what is known.
    shared.table.follow(&backends.borrow_and_update());
    let first = groups.first().into_iter().flatten();
    let addresses = first.filter_map(|listener| listener.local_addr().ok()).collect();
    let rate = match config.algorithm {
        Algorithm::LeastConnections | Algorithm::RoundRobin => config.shed_rate,
        // A client's backend is not to change where that is what it was chosen by.
        Algorithm::SourceHash => 0,
    };
    let shedding = Shedding { rate, floor: config.shed_floor };
    let end = CancellationToken::new();
    threads::start(&shared, groups, &end).map_err(|error| {
        // Those that were started already.
        end.cancel();
        StartError { obstacles: vec![Obstacle::Thread(error)] }
    })?;
    // They end with the runtime.
    let _detached = tokio::spawn(tend(Arc::clone(&shared), shedding));
    let _detached = tokio::spawn(follow(Arc::clone(&shared), backends));
    Ok(Balancer { shared, addresses, end })
}

/// Whether a balancer could start; starts none.
///
/// # Errors
/// As [`start`].
pub fn check(config: &BalancerConfig) -> Result<(), StartError> {
    listen::rehearse(&config.listen, config.max_connections)
}

async fn follow(shared: Arc<Shared>, mut backends: watch::Receiver<Vec<Backend>>) {
    while backends.changed().await.is_ok() {
        let latest = backends.borrow_and_update().clone();
        shared.table.follow(&latest);
    }
}

async fn tend(shared: Arc<Shared>, shedding: Shedding) {
    let mut each_second = tokio::time::interval(Duration::from_secs(1));
    each_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        each_second.tick().await;
        shared.table.tend(&shedding);
    }
}

// === impl Balancer ===

impl Balancer {
    /// The addresses that it listens on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Every backend with its state and its sessions.
    #[must_use]
    pub fn backends(&self) -> Vec<BackendStatus> {
        self.shared.table.status()
    }

    /// Ends every session with a reset: the address that the clients connected to is another host's now,
    /// and many of them would not notice before they have something to say.
    pub fn end_sessions(&self) {
        self.shared.table.end_all(CloseReason::VipLeft);
    }

    /// Ends its listeners, and every session as its process' end would.
    pub fn stop(&self) {
        self.end.cancel();
    }

    /// What was counted since start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shared.counters.totals()
    }
}
