//! Which API servers a worker knows: those that the cluster tells, and those of the configuration.

use std::net::SocketAddr;

use pintle_core::Server;

use crate::servers::{Ids, MAX_SERVERS};

/// The API servers, none of which is on this node.
#[derive(Debug)]
pub(crate) struct Table {
    /// Where this very proxy listens.
    own: SocketAddr,
    seeds: Vec<SocketAddr>,
    ids: Ids,
}

// === impl Table ===

impl Table {
    pub(crate) const fn new(own: SocketAddr, seeds: Vec<SocketAddr>) -> Self {
        Self { own, seeds, ids: Ids::new() }
    }

    /// The list to follow. The configuration's stay: when every API server has moved they may be the way back.
    pub(crate) fn list(&mut self, endpoints: &[SocketAddr]) -> Vec<Server> {
        // Nobody else's loopback is ours.
        let told = endpoints
            .iter()
            .filter(|endpoint| !endpoint.ip().is_loopback() && !endpoint.ip().is_unspecified());
        let mut servers: Vec<Server> = Vec::new();
        for address in told.chain(&self.seeds).copied().filter(|address| *address != self.own) {
            if servers.len() < MAX_SERVERS && servers.iter().all(|server| server.address != address)
            {
                servers.push(Server { id: self.ids.of(address), address });
            }
        }
        servers
    }
}

#[cfg(test)]
mod tests {
    use pintle_core::ServerId;

    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_the_cluster_tells_comes_first_and_what_leads_back_not_at_all() {
        let seeds = vec![socket("192.0.2.11:6443"), socket("192.0.2.12:6443")];
        let mut table = Table::new(socket("127.0.0.1:6443"), seeds);
        let first = table.list(&[]);
        assert_eq!(first.len(), 2);
        assert!(first.iter().all(|server| server.id != ServerId::LOCAL), "{first:?}");
        let told = ["127.0.0.1:6443", "192.0.2.12:6443", "192.0.2.13:6443"].map(socket);
        let second = table.list(&told);
        let addresses: Vec<String> =
            second.iter().map(|server| server.address.to_string()).collect();
        assert_eq!(addresses, ["192.0.2.12:6443", "192.0.2.13:6443", "192.0.2.11:6443"]);
        assert_eq!(second[0].id, first[1].id, "an id stays with its address");
    }

    #[test]
    fn a_long_list_is_cut() {
        let mut table = Table::new(socket("127.0.0.1:6443"), vec![socket("192.0.2.11:6443")]);
        let told: Vec<SocketAddr> =
            (1..=30).map(|host| SocketAddr::from(([198, 51, 100, host], 6443))).collect();
        assert_eq!(table.list(&told).len(), MAX_SERVERS);
    }
}
