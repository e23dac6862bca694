//! Joins what the cluster says of its API servers with what net says of this host, and tells cluster,
//! probe and the machine. One task; cancel-safe, since it holds nothing but the table.

use std::net::{IpAddr, SocketAddr};

use pintle_core::{Event, Server, ServerId};
use tokio::sync::{mpsc, watch};

use crate::outputs::set;
use crate::servers::ServerTable;

/// Follows both sources until one of them ends.
pub(crate) async fn follow(
    mut table: ServerTable,
    mut endpoints: watch::Receiver<Vec<SocketAddr>>,
    mut host: watch::Receiver<Vec<IpAddr>>,
    servers: watch::Sender<Vec<Server>>,
    events: mpsc::Sender<Event>,
) {
    loop {
        let list = table.list(&endpoints.borrow_and_update(), &host.borrow_and_update());
        if set(&servers, list.clone()) {
            let ids: Vec<ServerId> = list.iter().skip(1).map(|server| server.id).collect();
            tracing::debug!(?list, "API servers");
            if events.send(Event::ServersLearnt(ids)).await.is_err() {
                return;
            }
        }
        let changed = tokio::select! {
            changed = endpoints.changed() => changed,
            changed = host.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_endpoint_reaches_everybody() {
        let local: SocketAddr = "127.0.0.1:6443".parse().unwrap();
        let table = ServerTable::new(local, Vec::new(), Vec::new());
        let (learnt, endpoints) = watch::channel(Vec::new());
        let (_host, addresses) = watch::channel(Vec::new());
        let first = vec![Server { id: ServerId::LOCAL, address: local }];
        let (servers, mut list) = watch::channel(first);
        let (events, mut heard) = mpsc::channel(4);
        tokio::spawn(follow(table, endpoints, addresses, servers, events));
        learnt.send_replace(vec!["172.30.0.12:6443".parse().unwrap()]);
        assert_eq!(heard.recv().await, Some(Event::ServersLearnt(vec![ServerId(1)])));
        assert_eq!(list.borrow_and_update().len(), 2);
    }
}
