//! What is remembered of the API servers' addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use pintle_core::Endpoints;
use tokio::time::Instant;

/// An API server that is away is taken out of the slices after 15 s and comes back with the same
/// address: a reboot, or a rolling upgrade of its node, is over by then.
const MAX_AGE: Duration = Duration::from_secs(600);

/// More control-plane nodes than anybody has.
const MAX_ADDRESSES: usize = 16;

/// Addresses and when a list last had them.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    seen: BTreeMap<SocketAddr, Instant>,
    /// The last list.
    listed: BTreeSet<SocketAddr>,
}

// === impl Memory ===

impl Memory {
    /// Takes in a list. Only a list makes the others older: while nobody answers, all are kept.
    pub(crate) fn learn(&mut self, listed: BTreeSet<SocketAddr>, now: Instant) {
        self.seen.extend(listed.iter().map(|address| (*address, now)));
        self.listed = listed;
        self.seen.retain(|_, at| now.duration_since(*at) < MAX_AGE);
        while self.seen.len() > MAX_ADDRESSES {
            let oldest = self.seen.iter().min_by_key(|(_, at)| **at);
            let Some(address) = oldest.map(|(address, _)| *address) else {
                return;
            };
            self.seen.remove(&address);
        }
    }

    pub(crate) fn endpoints(&self) -> Endpoints {
        Endpoints { known: self.seen.keys().copied().collect(), listed: self.listed.clone() }
    }
}
