//! Which API servers there are: the local one, and those that the cluster knows.
//!
//! An endpoint that is one of this host's own addresses is the local API server again, and one that
//! is the VIP would be asked through whoever holds it: neither is another server.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use pintle_core::{Server, ServerId, Vip};

/// More control-plane nodes than any cluster has (etcd advises seven); what lies beyond is left out.
pub(crate) const MAX_SERVERS: usize = 16;

/// So many addresses in the life of a process before the numbering starts anew.
const MAX_REMEMBERED: usize = 1024;

/// The API servers of a control-plane node, each with an id that is never given to another address.
#[derive(Debug)]
pub(crate) struct ServerTable {
    local: SocketAddr,
    vips: Vec<Vip>,
    /// Those that the configuration names.
    fixed: Vec<SocketAddr>,
    ids: Ids,
}

/// The ids that were given out.
#[derive(Debug)]
pub(crate) struct Ids {
    given: BTreeMap<SocketAddr, ServerId>,
    next: u16,
}

impl ServerTable {
    pub(crate) const fn new(local: SocketAddr, vips: Vec<Vip>, fixed: Vec<SocketAddr>) -> Self {
        Self { local, vips, fixed, ids: Ids::new() }
    }

    /// The list to follow: the local server first.
    pub(crate) fn list(&mut self, endpoints: &[SocketAddr], host: &[IpAddr]) -> Vec<Server> {
        let mut servers = vec![Server { id: ServerId::LOCAL, address: self.local }];
        let all = self.fixed.iter().chain(endpoints).copied();
        let others = all.filter(|endpoint| {
            let ip = endpoint.ip();
            *endpoint != self.local
                && !host.contains(&ip)
                && !ip.is_loopback()
                && !self.vips.iter().any(|vip| vip.0 == ip)
        });
        for address in others.collect::<Vec<_>>() {
            if servers.len() == MAX_SERVERS {
                break;
            }
            if servers.iter().all(|server| server.address != address) {
                servers.push(Server { id: self.ids.of(address), address });
            }
        }
        servers
    }
}

// === impl Ids ===

impl Ids {
    pub(crate) const fn new() -> Self {
        Self { given: BTreeMap::new(), next: 1 }
    }

    /// The address's id, never that of the local server.
    pub(crate) fn of(&mut self, address: SocketAddr) -> ServerId {
        if let Some(id) = self.given.get(&address) {
            return *id;
        }
        if self.given.len() >= MAX_REMEMBERED {
            self.given.clear();
        }
        let id = ServerId(self.next);
        self.next = self.next.checked_add(1).unwrap_or(1);
        self.given.insert(address, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[Server]) -> Vec<String> {
        list.iter().map(|server| format!("{} {}", server.id, server.address)).collect()
    }

    #[test]
    fn neither_this_host_nor_the_vip_is_another_server() {
        let mut table = ServerTable::new(
            "127.0.0.1:6443".parse().unwrap(),
            vec![Vip("172.30.0.10".parse().unwrap())],
            Vec::new(),
        );
        let endpoints: Vec<SocketAddr> =
            ["172.30.0.11:6443", "172.30.0.12:6443", "172.30.0.10:6443", "172.30.0.12:6443"]
                .map(|address| address.parse().unwrap())
                .to_vec();
        let host = ["172.30.0.11".parse().unwrap()];
        let list = table.list(&endpoints, &host);
        assert_eq!(addresses(&list), ["local 127.0.0.1:6443", "peer-1 172.30.0.12:6443"]);
    }

    #[test]
    fn the_configuration_s_own_come_first_and_once() {
        let fixed: SocketAddr = "172.30.0.13:6443".parse().unwrap();
        let local = "127.0.0.1:6443".parse().unwrap();
        let mut table = ServerTable::new(local, Vec::new(), vec![fixed]);
        assert_eq!(
            addresses(&table.list(&[], &[])),
            ["local 127.0.0.1:6443", "peer-1 172.30.0.13:6443"]
        );
        assert_eq!(table.list(&[fixed], &[]).len(), 2);
    }

    #[test]
    fn an_id_stays_with_its_address() {
        let mut table = ServerTable::new("127.0.0.1:6443".parse().unwrap(), Vec::new(), Vec::new());
        let (one, two) = ("10.0.0.1:6443".parse().unwrap(), "10.0.0.2:6443".parse().unwrap());
        let first = table.list(&[one, two], &[]);
        table.list(&[], &[]);
        let again = table.list(&[two], &[]);
        assert_eq!(again[1].id, first[2].id);
    }
}
